"""What composites share: axes counted from either end, values reduced and spread again, and the wide arithmetic of their `eval`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.core import Value
from rlxc.ir.types import TensorType


def from_front(name: str, x: TensorType, axes: Sequence[int]) -> tuple[int, ...]:
    """`axes` of x, of which negative ones count from the end, all counted from the front; raises AttrError unless they are distinct axes."""
    found = tuple(a + x.rank if a < 0 else a for a in axes)
    if any(not 0 <= a < x.rank for a in found) or len(set(found)) != len(found):
        help = f"axes count from 0 to {x.rank - 1}, or from the end, from -1 to -{x.rank}" if x.rank else "it has no axes"
        raise AttrError(f"{name}: {list(axes)} are not distinct axes of {x}" if len(axes) != 1 else f"{name}: {x} has no axis {axes[0]}", help=help)
    return found


def axis_from_front(name: str, x: TensorType, axis: int) -> int:
    """Like `from_front`, for one axis."""
    return from_front(name, x, (axis,))[0]


def count(x: TensorType, axes: Sequence[int]) -> int:
    """Number of elements along `axes`, which must have sizes."""
    along = x.with_shape(x.shape[a] for a in axes)
    along.require_static()
    return math.prod(along.shape)  # type: ignore[arg-type]


def spread(b: Any, reduced: Value, x: Value, axes: Sequence[int]) -> Value:
    """A value reduced over `axes` of x, repeated along them again."""
    return b.broadcast(reduced, shape=x.type.shape, axes=tuple(axes))


def mean_over(b: Any, x: Value, axes: Sequence[int]) -> Value:
    """The mean of x over `axes`, which disappear."""
    return b.div(b.reduce_sum(x, axes=tuple(axes)), float(count(x.type, axes)))


def along_axes(b: Any, p: Value, x: Value, axes: Sequence[int]) -> Value:
    """`p`, which has the shape of x's `axes`, repeated along the others."""
    return b.broadcast(p, shape=x.type.shape, axes=tuple(a for a in range(x.type.rank) if a not in axes))


def require_shape(name: str, what: str, t: TensorType, shape: Sequence[Any]) -> None:
    """Raise ShapeError unless `t` has the given shape."""
    if t.shape != tuple(shape):
        raise ShapeError(f"{name}: {what} is {t}, but should be {t.with_shape(shape)}")


def require_eps(name: str, eps: float) -> None:
    """Raise AttrError unless `eps` is a number of 0 or more."""
    if not eps >= 0:
        raise AttrError(f"{name}: eps is 0 or more, not {eps}")


def in_f64(*xs: Any) -> Any:
    """Arrays in f64 (or c128), in which an `eval` computes before it rounds once."""
    wide = tuple(np.asarray(x).astype(np.complex128 if np.iscomplexobj(x) else np.float64) for x in xs)
    return wide if len(wide) != 1 else wide[0]
