"""The same elements in another arrangement: reshape, transpose, concatenate and their kin."""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError, Unsupported
from rlxc.numpy.operands import emit, normalize_axes, normalize_axis, promoted, tracer_of
from rlxc.primitives.families import broadcast_to as _broadcast_value
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.protocols import implements, refuse_options
from rlxc.tracing.trace import here
from rlxc.tracing.tracer import Tracer

__all__ = [
    "broadcast_to", "concatenate", "diagonal", "expand_dims", "flip", "moveaxis", "ravel", "repeat", "reshape", "split", "squeeze", "stack", "swapaxes",
    "trace", "transpose",
]  # fmt: skip


_ORDERS = ("C", "F", "A", "K")


@implements(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    """The elements in row-major order in another shape, by `order="F"` in column-major order; one size may be -1. Traced arrays lie in memory as "C"."""
    if order not in _ORDERS:
        raise with_source(ArgumentError(f"order is one of 'C', 'F', 'A' and 'K', not {order!r}", loc=user_location()))
    a = tracer_of(a)
    wanted = shape if newshape is None else newshape
    sizes = [operator.index(n) for n in wanted] if isinstance(wanted, tuple | list) else [operator.index(wanted)]
    if sizes.count(-1) == 1:
        rest = math.prod([n for n in sizes if n != -1])
        if rest and a.size % rest == 0:
            sizes[sizes.index(-1)] = a.size // rest
    if -1 in sizes or math.prod(sizes) != a.size:
        raise with_source(ArgumentError(f"{a.aval} has {a.size} elements, which do not fill the shape {tuple(sizes)}", code="RLX0505", loc=user_location()))
    if tuple(sizes) == a.shape:
        return a
    if order == "F":
        return transpose(emit("reshape", transpose(a), shape=tuple(reversed(sizes)), weak=a._weak))
    return emit("reshape", a, shape=tuple(sizes), weak=a._weak and not sizes)


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """All elements in a row."""
    return reshape(a, -1, order)


@implements(np.transpose, np.permute_dims if hasattr(np, "permute_dims") else np.transpose)
def transpose(a: Any, axes: Any = None) -> Any:
    """Axes in another order; reversed, unless stated."""
    a = tracer_of(a)
    perm = tuple(reversed(range(a.ndim))) if axes is None else tuple([normalize_axis(x, a.ndim) for x in axes])
    if sorted(perm) != list(range(a.ndim)):
        raise with_source(ArgumentError(f"{axes} is no order of the {a.ndim} axes of {a.aval}", loc=user_location()))
    return a if perm == tuple(range(a.ndim)) else emit("transpose", a, perm=perm)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    a = tracer_of(a)
    order = list(range(a.ndim))
    i, j = normalize_axis(axis1, a.ndim), normalize_axis(axis2, a.ndim)
    order[i], order[j] = j, i
    return transpose(a, order)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Axes at other places, the remaining ones in their order."""
    a = tracer_of(a)
    sources = [normalize_axis(x, a.ndim) for x in (source if isinstance(source, tuple | list) else (source,))]
    places = [normalize_axis(x, a.ndim) for x in (destination if isinstance(destination, tuple | list) else (destination,))]
    if len(sources) != len(places):
        raise with_source(ArgumentError(f"axes {source} are moved to as many places, not to {destination}", loc=user_location()))
    order = [x for x in range(a.ndim) if x not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return transpose(a, order)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    """New axes of size 1 at these places of the result."""
    a = tracer_of(a)
    axes = normalize_axes(axis, a.ndim + (len(axis) if isinstance(axis, tuple | list) else 1))
    sizes = iter(a.shape)
    return emit("reshape", a, shape=tuple(1 if i in axes else next(sizes) for i in range(a.ndim + len(axes))))


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    """Without axes of size 1: these, or all of them."""
    a = tracer_of(a)
    axes = tuple(i for i, n in enumerate(a.shape) if n == 1) if axis is None else normalize_axes(axis, a.ndim)
    if any(a.shape[i] != 1 for i in axes):
        raise with_source(ArgumentError(f"axes {axes} of {a.aval} are not all of size 1", loc=user_location()))
    return emit("reshape", a, shape=tuple(n for i, n in enumerate(a.shape) if i not in axes), weak=a._weak) if axes else a


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """Repeated along new axes, and along those of size 1."""
    array = tracer_of(array)
    shape = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    try:
        fits = np.broadcast_shapes(array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise with_source(ArgumentError(f"{array.aval} cannot be broadcast to the shape {shape}", code="RLX0505", loc=user_location()))
    trace = here()
    trace.builder.loc = user_location()
    return Tracer(trace, _broadcast_value(trace.builder, array._value, shape), array._weak and not shape)


@implements(np.concatenate)
def concatenate(arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    """Arrays one after the other along an axis; in a row, if it is None."""
    refuse_options("np.concatenate", {"out": out}, out=None)
    xs = promoted(*arrays, dtype=dtype, casting=casting, strong=True)
    if axis is None:
        xs, axis = [ravel(x) for x in xs], 0
    return emit("concat", *xs, axis=normalize_axis(axis, xs[0].ndim))


@implements(np.stack)
def stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    """Arrays of one shape along a new axis."""
    refuse_options("np.stack", {"out": out}, out=None)
    xs = promoted(*arrays, dtype=dtype, casting=casting, strong=True)
    return emit("concat", *[expand_dims(x, axis) for x in xs], axis=normalize_axis(axis, xs[0].ndim + 1))


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Parts along an axis: so many equal ones, or between these places."""
    ary = tracer_of(ary)
    at = normalize_axis(axis, ary.ndim)
    n = ary.shape[at]
    if isinstance(indices_or_sections, int | np.integer):
        sections = int(indices_or_sections)
        if sections < 1 or n % sections:
            raise with_source(ArgumentError(f"axis {at} of {ary.aval} has no {sections} equal parts", loc=user_location()))
        bounds = list(range(0, n + 1, n // sections)) if n else [0] * (sections + 1)
    else:
        bounds = [0, *[operator.index(i) for i in indices_or_sections], n]
    before = (slice(None),) * at
    return [ary[(*before, slice(i, j))] for i, j in itertools.pairwise(bounds)]


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    """Backwards along axes."""
    m = tracer_of(m)
    return emit("reverse", m, axes=normalize_axes(axis, m.ndim))


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """Each element so many times, one after the other."""
    a = tracer_of(a)
    if axis is None:
        a, axis = ravel(a), 0
    at = normalize_axis(axis, a.ndim)
    if isinstance(repeats, Tracer):
        help = "make them a static argument (static_argnums)"
        raise with_source(Unsupported("np.repeat: how often must be known while tracing", code="RLX0803", loc=user_location(), help=help))
    return a[(*(slice(None),) * at, np.repeat(np.arange(a.shape[at]), repeats))]


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Elements whose places along two axes differ by `offset`, as the last axis."""
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = a.shape[-2:]
    n = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    i = np.arange(n)
    return a[..., i - min(offset, 0), i + max(offset, 0)]


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    """The sum of a diagonal."""
    refuse_options("np.trace", {"out": out}, out=None)
    return diagonal(a, offset, axis1, axis2).sum(-1, dtype)
