"""Arrays put together and taken apart: stacks and splits of all kinds, tile, pad, roll, rot90, insert and delete, meshgrid."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.numpy.common import (
    as_operand,
    axes_of,
    axis_of,
    constant,
    convert,
    emit,
    given,
    is_traced,
    known,
    part,
    promoted,
    reshape,
    traced,
    unsupported,
    wrong,
)
from rlxc.tracing.protocols import implements


@implements(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """Each array with one axis or more."""
    return _each(lambda x: reshape(x, (1,)) if x.ndim == 0 else x, arys)


@implements(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """Each array with two axes or more; a vector is a row."""
    return _each(lambda x: reshape(x, (1,) * (2 - x.ndim) + x.shape) if x.ndim < 2 else x, arys)


@implements(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """Each array with three axes or more; a vector is in the middle, a matrix in front."""
    return _each(lambda x: reshape(x, {0: (1, 1, 1), 1: (1, *x.shape, 1), 2: (*x.shape, 1)}[x.ndim]) if x.ndim < 3 else x, arys)


def _each(f: Any, arys: Sequence[Any]) -> Any:
    results = tuple([f(traced(x)) for x in arys])
    return results[0] if len(results) == 1 else results


def _listed(arrays: Any) -> list[Any]:
    return [traced(x) for x in arrays]


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    """Arrays below each other; vectors are rows."""
    return np.concatenate([atleast_2d(x) for x in _listed(tup)], 0, dtype=dtype, casting=casting)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    """Arrays beside each other; vectors one after the other."""
    xs = [atleast_1d(x) for x in _listed(tup)]
    return np.concatenate(xs, 0 if xs[0].ndim == 1 else 1, dtype=dtype, casting=casting)


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    """Arrays behind each other, along the third axis."""
    return np.concatenate([atleast_3d(x) for x in _listed(tup)], 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    """Arrays beside each other; vectors are columns."""
    return np.concatenate([x if x.ndim > 1 else reshape(x, (x.size, 1)) for x in _listed(tup)], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """Values after an array."""
    x, y = traced(arr), traced(values)
    return np.concatenate([np.ravel(x), np.ravel(y)]) if axis is None else np.concatenate([x, y], axis)


@implements(np.block)
def block(arrays: Any) -> Any:
    """Nested lists of arrays put together: the innermost along the last axis, those around along the one before."""

    def depth_of(x: Any) -> int:
        return 1 + max(depth_of(i) for i in x) if isinstance(x, list) else 0

    depth = depth_of(arrays)
    rank = max(depth, max(traced(x).ndim for x in _leaves(arrays)))

    def join(x: Any, level: int) -> Any:
        if not isinstance(x, list):
            y = traced(x)
            return reshape(y, (1,) * (rank - y.ndim) + y.shape)
        return np.concatenate([join(i, level + 1) for i in x], rank - depth + level)

    return join(arrays, 0)


def _leaves(x: Any) -> list[Any]:
    return [leaf for i in x for leaf in _leaves(i)] if isinstance(x, list) else [x]


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Parts along an axis, as equal as can be, or cut before these places."""
    x = traced(ary)
    at = axis_of(axis, x.ndim)
    n = x.shape[at]
    if np.ndim(known("array_split", "the sections", indices_or_sections)) == 0:
        parts = operator.index(indices_or_sections)
        if parts < 1:
            wrong("number sections must be larger than 0.")
        sizes = [n // parts + (i < n % parts) for i in range(parts)]
        bounds = [0, *np.cumsum(sizes).tolist()]
    else:
        bounds = [0, *[operator.index(i) for i in indices_or_sections], n]
    before = (slice(None),) * at
    return [x[(*before, slice(i, j))] for i, j in itertools.pairwise(bounds)]


def _split_along(name: str, axis: int, ary: Any, sections: Any) -> Any:
    x = traced(ary)
    if x.ndim <= axis:
        wrong(f"{name} only works on arrays of {axis + 1} or more dimensions")
    return np.split(x, sections, axis)


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> Any:
    """Parts along the second axis, of vectors along the first."""
    return np.split(ary, indices_or_sections, 0) if traced(ary).ndim == 1 else _split_along("hsplit", 1, ary, indices_or_sections)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> Any:
    """Parts along the first axis."""
    return _split_along("vsplit", 0, ary, indices_or_sections)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> Any:
    """Parts along the third axis."""
    return _split_along("dsplit", 2, ary, indices_or_sections)


@implements(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> Any:
    """The slices along an axis, as a tuple."""
    y = np.moveaxis(traced(x), axis, 0)
    return tuple([y[i] for i in range(len(y))])


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    """Arrays broadcast against each other."""
    xs = [traced(x) for x in args]
    shape = np.broadcast_shapes(*[x.shape for x in xs])
    return tuple([np.broadcast_to(x, shape) for x in xs])


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """Vectors as arrays that run along one axis each of a grid."""
    if indexing not in ("xy", "ij"):
        wrong("Valid values for `indexing` are 'xy' and 'ij'.")
    n = len(xi)
    axes = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    xs = [np.ravel(traced(x)) for x in xi]
    xs = [reshape(x, [x.size if a == axis else 1 for a in range(n)]) for x, axis in zip(xs, axes, strict=True)]
    return tuple(xs) if sparse else broadcast_arrays(*xs)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """An axis moved before another one."""
    x = traced(a)
    axis = axis_of(axis, x.ndim)
    start = start + x.ndim if start < 0 else start
    return np.moveaxis(x, axis, start - (axis < start))


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged."""
    return np.swapaxes(traced(x), -1, -2)


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """Backwards along the second axis."""
    return np.flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """Backwards along the first axis."""
    return np.flip(m, 0)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Turned k times by a right angle, from the first of two axes to the second."""
    x = traced(m)
    first, second = (axis_of(a, x.ndim) for a in axes)
    if first == second:
        wrong("Axes must be different.")
    match k % 4:
        case 0:
            return x
        case 1:
            return np.swapaxes(np.flip(x, second), first, second)
        case 2:
            return np.flip(x, (first, second))
        case _:
            return np.flip(np.swapaxes(x, first, second), second)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along axes; those that leave at one end come in at the other. A traced shift is possible."""
    x = traced(a)
    if not given(axis):
        return reshape(roll(np.ravel(x), shift, 0), x.shape)
    axes = [axis_of(i, x.ndim) for i in (axis if isinstance(axis, list | tuple) else (axis,))]
    if not axes:
        return x
    shifts = list(shift) if isinstance(shift, list | tuple | np.ndarray) and np.ndim(shift) else [shift] * len(axes)
    for at, by in zip(axes * (len(shifts) // len(axes)), shifts, strict=True):
        n = x.shape[at]
        if n == 0:
            continue
        if is_traced(by):
            x = np.take(x, np.remainder(np.arange(n) - by, n), at)
        elif by % n:
            x = np.concatenate([part(x, at, n - by % n, n), part(x, at, 0, n - by % n)], at)
    return x


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """An array so many times along each axis."""
    x = traced(A)
    times = [operator.index(n) for n in (reps if isinstance(reps, list | tuple | np.ndarray) else (reps,))]
    rank = max(x.ndim, len(times))
    times = [1] * (rank - len(times)) + times
    shape = (1,) * (rank - x.ndim) + x.shape
    apart = [size for n, m in zip(times, shape, strict=True) for size in (n, m)]
    spread = np.broadcast_to(reshape(x, [size for m in shape for size in (1, m)]), apart)
    return reshape(spread, [n * m for n, m in zip(times, shape, strict=True)])


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """A border around an array: of constants, or of elements by "edge", "reflect", "symmetric", "wrap"."""
    x = traced(array)
    widths = _widths(pad_width, x.ndim)
    taken = {"constant": {"constant_values"}, "reflect": {"reflect_type"}, "symmetric": {"reflect_type"}}.get(mode, set())
    if options.keys() - taken or options.get("reflect_type", "even") != "even":
        unsupported(f"np.pad on traced arrays does not take {', '.join(f'{k}={v!r}' for k, v in options.items())} with mode={mode!r}")
    if mode in ("constant", "empty"):
        return _pad_constant(x, widths, options.get("constant_values", 0) if mode == "constant" else 0)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        unsupported(f"np.pad on traced arrays has no mode {mode!r}", 'there is "constant", "edge", "reflect", "symmetric", "wrap"')
    for axis, (low, high) in enumerate(widths):
        if low or high:
            x = _in_runs(x, np.pad(np.arange(x.shape[axis]), (low, high), mode), axis)
    return x


_MAX_RUNS = 8


def _in_runs(x: Any, places: np.ndarray, axis: int) -> Any:
    """Elements at known places of an axis: a few runs upwards, downwards or of one element are parts put together, which is faster than reading one by one."""
    runs: list[tuple[int, int, int]] = []
    start, n = 0, len(places)
    while start < n and len(runs) <= _MAX_RUNS:
        step = int(places[start + 1] - places[start]) if start + 1 < n else 1
        stop = start + 1
        if step in (-1, 0, 1):
            while stop < n and places[stop] - places[stop - 1] == step:
                stop += 1
        runs.append((int(places[start]), step, stop - start))
        start = stop
    if len(runs) > _MAX_RUNS:
        return np.take(x, places, axis)
    return np.concatenate([_run(x, axis, *run) for run in runs], axis)


def _run(x: Any, axis: int, first: int, step: int, count: int) -> Any:
    if step == 0 and count > 1:
        return np.broadcast_to(part(x, axis, first, first + 1), tuple(count if a == axis else n for a, n in enumerate(x.shape)))
    last = first + (count - 1) * step if count > 1 else first
    y = part(x, axis, min(first, last), max(first, last) + 1)
    return np.flip(y, axis) if last < first else y


def _widths(pad_width: Any, rank: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        pairs: list[Any] = [(0, 0)] * rank
        for axis, width in pad_width.items():
            pairs[axis_of(axis, rank)] = tuple(np.broadcast_to(width, 2).tolist())
    else:
        pairs = np.broadcast_to(np.asarray(known("pad", "pad_width", pad_width)), (rank, 2)).tolist()
    if any(n < 0 for pair in pairs for n in pair):
        wrong("index can't contain negative values")
    return [(int(low), int(high)) for low, high in pairs]


def _pad_constant(x: Any, widths: list[tuple[int, int]], values: Any) -> Any:
    if np.ndim(values) == 0:
        value = convert(values, x.aval.dtype)
        return emit("pad", x, value, low=tuple(low for low, _ in widths), high=tuple(high for _, high in widths))
    pairs = np.broadcast_to(as_operand(values), (x.ndim, 2))
    for axis, (low, high) in enumerate(widths):
        for side, width in ((0, low), (1, high)):
            sizes = tuple(width if a == axis else 0 for a in range(x.ndim))
            none = (0,) * x.ndim
            x = emit("pad", x, convert(pairs[axis, side], x.aval.dtype), low=none if side else sizes, high=sizes if side else none)
    return x


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """The elements in row-major order again and again, until a shape is full."""
    x = np.ravel(traced(a))
    shape = (new_shape,) if isinstance(new_shape, int | np.integer) else tuple(new_shape)
    count = int(np.prod(shape))
    if count == 0 or x.size == 0:
        return np.zeros_like(x, shape=shape)
    return reshape(np.tile(x, -(-count // x.size))[:count], shape)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    """Without the elements at these places, which are known."""
    x = traced(arr)
    if axis is None:
        x, axis = np.ravel(x), 0
    at = axis_of(axis, x.ndim)
    return np.take(x, np.delete(np.arange(x.shape[at]), known("delete", "the places", obj)), at)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """With values before these places, which are known."""
    x = traced(arr)
    y = convert(traced(values), x.aval.dtype)
    if axis is None:
        x, axis = np.ravel(x), 0
    at = axis_of(axis, x.ndim)
    places = np.arange(x.shape[at])
    marked = np.insert(places, known("insert", "the places", obj), -1)
    count = int(np.sum(marked < 0))
    if np.ndim(obj) == 0 and not isinstance(obj, slice) and y.ndim:  # as NumPy: a scalar place takes a part of the rank of x
        y = np.moveaxis(reshape(y, (1,) * (x.ndim - y.ndim) + y.shape), 0, at) if y.ndim >= x.ndim or at != 0 or y.ndim == 1 else y
        if x.ndim == 1:
            count = y.size
            marked = np.insert(places, [obj] * count, -1)
            y = reshape(y, (count,))
    y = np.broadcast_to(y, tuple(count if a == at else n for a, n in enumerate(x.shape)))
    marked = np.where(marked < 0, x.shape[at] + np.cumsum(marked < 0) - 1, marked)
    return np.take(np.concatenate([x, y], at), marked, at)


@implements(np.ndim)
def ndim(a: Any) -> int:
    """The number of axes."""
    return traced(a).ndim


@implements(np.shape)
def shape(a: Any) -> tuple[Any, ...]:
    """The sizes of the axes."""
    return traced(a).shape


@implements(np.size)
def size(a: Any, axis: Any = None) -> int:
    """The number of elements, or the size of axes."""
    x = traced(a)
    return int(np.prod([x.shape[i] for i in axes_of(axis, x.ndim)], dtype=np.int64))


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """The array: traced ones do not change."""
    return traced(a)


@implements(np.linspace)
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0, *, device: Any = None
) -> Any:
    """`num` numbers at equal distances from start to stop."""
    num = operator.index(known("linspace", "num", num))
    first, last = promoted(start, stop, at_least="float")
    first, last = np.broadcast_arrays(first, last)
    parts = num - 1 if endpoint else num
    counts = constant(np.arange(num).reshape(-1, *(1,) * first.ndim), first)
    step = (last - first) / constant(max(parts, 1), first) if parts > 0 else np.full_like(first, np.nan)
    y = first + counts * step if parts > 0 else first + counts * (last - first)
    if endpoint and num > 1:
        y = np.concatenate([y[:-1], last[None]], 0)
    if given(dtype):
        y = convert(np.floor(y) if np.issubdtype(dtype, np.integer) else y, dtype)
    y = np.moveaxis(y, 0, axis)
    return (y, step) if retstep else y


@implements(np.logspace)
def logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0) -> Any:
    """base to the powers of `linspace`."""
    y = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return convert(y, dtype) if given(dtype) else y


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """`num` numbers with equal ratios from start to stop, which have one sign."""
    first, last, _ = promoted(start, stop, np.float64(0))
    y = np.sign(first) * np.exp(linspace(np.log(np.abs(first)), np.log(np.abs(last)), num, endpoint, axis=axis))
    return convert(y, dtype) if given(dtype) else y


def _matrices(m: Any) -> Any:
    x = traced(m)
    return np.broadcast_to(x, (x.size, x.size)) if x.ndim == 1 else x


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """The last two axes with zeros above diagonal k."""
    x = _matrices(m)
    return np.where(np.tri(x.shape[-2], x.shape[-1], k, bool), x, constant(0, x))


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """The last two axes with zeros below diagonal k."""
    x = _matrices(m)
    return np.where(np.tri(x.shape[-2], x.shape[-1], k - 1, bool), constant(0, x), x)


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """A vector as the diagonal k of a matrix, or the diagonal k of a matrix."""
    x = traced(v)
    if x.ndim == 2:
        return np.diagonal(x, k)
    if x.ndim != 1:
        wrong("Input must be 1- or 2-d.")
    n = x.size + abs(k)
    i = np.arange(n)
    if x.size == 0:
        return np.zeros_like(x, shape=(n, n))
    columns = emit("pad", x, constant(0, x), low=(max(k, 0),), high=(max(-k, 0),))  # x at the columns that the diagonal has
    return np.where(i[None, :] - i[:, None] == k, columns[None, :], constant(0, x))


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """All elements as the diagonal k of a matrix."""
    return diag(np.ravel(traced(v)), k)


@implements(np.vander)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    """The powers of a vector's elements, as rows."""
    x, _ = promoted(x, np.int64(0))
    if x.ndim != 1:
        wrong("x must be a one-dimensional array or sequence.")
    n = x.size if N is None else operator.index(N)
    columns = [np.ones_like(x)]
    while len(columns) < n:
        columns.append(columns[-1] * x)
    columns = columns[:n]
    if not columns:
        return np.zeros((x.size, 0), x.dtype)
    return np.stack(columns if increasing else columns[::-1], 1)
