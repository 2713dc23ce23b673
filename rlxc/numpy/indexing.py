"""Elements by places: take_along_axis, choose, compress, and what NumPy writes in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.numpy.arrangement import ravel
from rlxc.numpy.common import I64, as_operand, axis_of, convert, emit, given, is_traced, known, promoted, refuse, traced, unsupported, wrong
from rlxc.tracing.protocols import implements


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """Elements at these places of an axis, or of all of it in a row. Computed places out of bounds are moved to the nearest; see `mode`."""
    refuse("take", out=out)
    x = traced(a)
    if not given(axis):
        x, axis = ravel(x), 0
    at = axis_of(axis, x.ndim)
    places = as_operand(indices)
    if mode == "wrap":
        places = np.remainder(places, x.shape[at])
    elif mode == "clip":
        places = np.clip(places, 0, x.shape[at] - 1)
    elif mode != "raise":
        wrong(f"np.take has no mode {mode!r}", "there is raise, wrap, clip")
    return x[(*(slice(None),) * at, places)]


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    """x[..., i[..., k, ...], ...] along an axis: what argsort and argmax name."""
    x, places = traced(arr), as_operand(indices)
    if not given(axis):
        x, axis = ravel(x), 0
    at = axis_of(axis, x.ndim)
    if np.ndim(places) != x.ndim:
        wrong(f"np.take_along_axis: {x.aval} and indices of {np.ndim(places)} axes", "they have as many axes")
    n = x.shape[at]
    places = np.where(places < 0, places + n, places)
    shape = np.broadcast_shapes(*[tuple(1 if a == at else m for a, m in enumerate(s)) for s in (x.shape, places.shape)])
    x = np.broadcast_to(x, tuple(n if a == at else m for a, m in enumerate(shape)))
    places = np.broadcast_to(places, tuple(places.shape[at] if a == at else m for a, m in enumerate(shape)))
    if not is_traced(places) and places.size and (places.min() < 0 or places.max() >= n):
        wrong(f"np.take_along_axis: an index is out of bounds for axis {at} with size {n}")
    return emit("take_along_axis", x, traced(np.ascontiguousarray(places) if not is_traced(places) else places), axis=at)


@implements(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """For each place, the element of the choice that `a` counts; out of bounds the nearest one, or with mode="wrap" counted on."""
    refuse("choose", out=out)
    x = traced(a)
    options = [choices[i] for i in range(len(choices))]
    ys = promoted(*options)
    index = convert(x, I64)
    index = np.remainder(index, len(ys)) if mode == "wrap" else np.clip(index, 0, len(ys) - 1)
    shape = np.broadcast_shapes(index.shape, *[y.shape for y in ys])
    y = np.broadcast_to(ys[-1], shape)
    for i in range(len(ys) - 2, -1, -1):
        y = np.where(index == i, ys[i], y)
    return y


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    """The elements along an axis where the condition, which is known, holds."""
    refuse("compress", out=out)
    places = np.flatnonzero(np.asarray(_static("compress", condition)))
    return take(a, places, axis)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """The elements where the condition, which is known, holds."""
    return take(ravel(traced(arr)), np.flatnonzero(np.ravel(_static("extract", condition))), 0)


def _static(name: str, condition: Any) -> Any:
    if is_traced(condition):
        unsupported(f"np.{name}: how many elements a traced condition keeps is not known", "np.where(condition, x, 0) keeps the shape")
    return condition


@implements(np.isin)
def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None) -> Any:
    """Whether each element is one of the others."""
    if kind not in (None, "sort", "table"):
        wrong(f"Invalid kind: {kind!r}. Please use None, 'sort' or 'table'.")
    x, y = promoted(element, test_elements)
    found = np.any(x[..., None] == ravel(y), axis=-1)
    return ~found if invert else found


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    """Places in a shape, by what they count in row-major order."""
    known("unravel_index", "the shape", shape)
    if order != "C":
        unsupported("np.unravel_index on traced arrays counts in row-major order")
    rest, places = convert(traced(indices), I64), []
    for n in reversed(shape if isinstance(shape, tuple | list) else (shape,)):
        places.append(rest % n)
        rest = rest // n
    return tuple(reversed(places))


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    """What places in a shape count in row-major order."""
    if order != "C" or mode not in ("raise", "clip", "wrap"):
        unsupported("np.ravel_multi_index on traced arrays counts in row-major order")
    total: Any = np.int64(0)
    for i, n in zip(multi_index, dims, strict=True):
        place = np.clip(i, 0, n - 1) if mode == "clip" else i % n if mode == "wrap" else i
        total = total * n + place
    return total


@implements(np.ix_)
def ix_(*args: Any) -> Any:
    """Vectors of places as an open mesh: x[np.ix_(i, j)] has the elements of these rows and columns."""
    vectors = [traced(a) for a in args]
    return tuple([np.reshape(v, (1,) * i + (v.size,) + (1,) * (len(vectors) - i - 1)) for i, v in enumerate(vectors)])


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: int = 0) -> Any:
    """Places on and below diagonal k of a matrix of this shape."""
    rows, columns = traced(arr).shape
    return np.tril_indices(rows, k, columns)


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: int = 0) -> Any:
    """Places on and above diagonal k of a matrix of this shape."""
    rows, columns = traced(arr).shape
    return np.triu_indices(rows, k, columns)


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> Any:
    """Places on the diagonal of an array of this shape, whose axes are of one size."""
    x = traced(arr)
    if len(set(x.shape)) != 1 or x.ndim < 2:
        wrong(f"np.diag_indices_from: {x.aval}", "two axes or more, all of one size")
    return np.diag_indices(x.shape[0], x.ndim)
