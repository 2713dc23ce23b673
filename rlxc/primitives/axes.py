"""What ops with axes share: checks and small computations. Axes count from 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.errors import AttrError
from rlxc.ir.core import Value
from rlxc.ir.types import TensorType


def check_axes(name: str, x: TensorType, axes: Sequence[int]) -> None:
    """Raise unless `axes` are distinct axes of `x`, counted from the front."""
    if any(not 0 <= a < x.rank for a in axes) or len(set(axes)) != len(axes):
        raise AttrError(f"{name}: axes {list(axes)} are not distinct axes of {x}", help=_which_axes(x))


def check_axis(name: str, x: TensorType, axis: int) -> None:
    """Raise unless `axis` is one of the axes of `x`, counted from the front."""
    if not 0 <= axis < x.rank:
        raise AttrError(f"{name}: {x} has no axis {axis}", help=_which_axes(x))


def check_one_per_axis(name: str, x: TensorType, **lists: Sequence[Any]) -> None:
    """Raise unless each list has as many entries as `x` has axes."""
    for key, entries in lists.items():
        if len(entries) != x.rank:
            raise AttrError(f"{name}: {key} = {list(entries)} has {len(entries)} entries for the {x.rank} axes of {x}")


def drop_axes(type: TensorType, axes: Sequence[int]) -> TensorType:
    """`type` without `axes`."""
    return type.with_shape(n for a, n in enumerate(type.shape) if a not in axes)


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `perm`."""
    back = [0] * len(perm)
    for i, p in enumerate(perm):
        back[p] = i
    return tuple(back)


def replaced(values: Sequence[Any], axis: int, value: Any) -> tuple[Any, ...]:
    """`values` with entry `axis` replaced."""
    return (*values[:axis], value, *values[axis + 1 :])


def scalar(b: Any, number: Any, like: Value) -> Value:
    """`number` as a scalar of the dtype of `like`."""
    return b.constant(bool(number) if like.type.dtype.is_bool else number, type=TensorType(like.type.dtype))


def fits_rows(axes: Sequence[int], rows: int, rank: int) -> bool:
    """Whether a reduction over `axes` goes by rows, which are the first axes of a space: along each row it combines all, or nothing."""
    inside = [a for a in axes if a >= rows]
    return not inside or len(inside) == rank - rows


def _which_axes(x: TensorType) -> str:
    return f"axes count from 0 to {x.rank - 1}" if x.rank else "it has no axes"
