"""What the functions here share: operands brought to one dtype, and axes as NumPy gives them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError, BoundsError, DTypeError
from rlxc.ir.types import DType
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.promotion import as_dtype, kind_of, promote
from rlxc.tracing.tracer import Tracer, convert, emit, full, tracer_of

__all__ = ["Tracer", "cast", "convert", "default_float", "emit", "full", "normalize_axes", "promoted", "tracer_of"]


def cast(x: Any, dtype: DType, like: tuple[Any, ...] = (), *, weak: bool = False) -> Any:
    """A tracer of this dtype. A number becomes a constant of the shape `like`, which spares a broadcast; one that the dtype does not hold is an error."""
    if isinstance(x, Tracer):
        return convert(x, dtype, weak=weak)
    if type(x) is int and dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        if not info.min <= x <= info.max:
            raise with_source(ArgumentError(f"{dtype} does not hold {x}", code="RLX0506", loc=user_location()))
    if hasattr(x, "__rlxc_call__"):
        return convert(tracer_of(x), dtype, weak=weak)
    array = np.asarray(x)
    if array.ndim == 0:
        with np.errstate(all="ignore"):
            number = full(array.astype(dtype.numpy), dtype, like)
        number._weak = weak
        return number
    return tracer_of(array.astype(dtype.numpy, copy=False))


def promoted(*xs: Any, dtype: Any = None, casting: Any = "unsafe", strong: bool = False) -> list[Any]:
    """Tracers of the one dtype that NumPy promotes all of `xs` to; or of `dtype`, if `casting` allows it. With `strong`, Python numbers are arrays."""
    common, weak = promote(tuple([(kind, weak and not strong) for kind, weak in map(kind_of, xs)]))
    if dtype is not None:
        wanted = as_dtype(dtype)
        if not weak and "bf16" not in (common, wanted) and not np.can_cast(common.numpy, wanted.numpy, casting):
            raise with_source(DTypeError(f"{common} is not made {wanted} by casting={casting!r}", loc=user_location(), help="convert it: x.astype(dtype)"))
        common, weak = wanted, False
    return [cast(x, common, weak=weak) for x in xs]


def default_float(x: Any) -> Any:
    """`x` itself if it is of a float or complex dtype, else as f64: what mean and its like compute in."""
    x = tracer_of(x)
    return x if x.aval.dtype.differentiable else convert(x, DType("f64"))


def normalize_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """None, an int or several, counted from the end where negative, as distinct axes in ascending order."""
    if axis is None:
        return tuple(range(rank))
    axes = tuple([normalize_axis(a, rank) for a in (axis if isinstance(axis, tuple | list) else (axis,))])
    if len(set(axes)) != len(axes):
        raise with_source(ArgumentError(f"an axis is named twice: {axis}", loc=user_location()))
    return tuple(sorted(axes))


def normalize_axis(axis: Any, rank: int) -> int:
    at = operator.index(axis)
    if not -rank <= at < rank:
        raise with_source(BoundsError(f"axis {at} is out of bounds for an array of {rank} dimensions", loc=user_location()))
    return at % rank
