"""Which dtype comes out of mixed operands: NumPy 2's rules. A Python number is *weak*: it takes the dtype of the arrays around it.

A traced Python number stays weak. bf16, which NumPy does not have, behaves as f16 does; with f16 it gives f32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rlxc.errors import DTypeError
from rlxc.ir.types import DType, dtype_of

#: the kinds of numbers, the lesser first, and what a weak one is where no array says
_ORDER = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
DEFAULTS = {bool: DType("bool"), int: DType("i64"), float: DType("f64"), complex: DType("c128")}

_NUMBERS: dict[str, Any] = {"i": int, "f": float, "c": complex}

#: a dtype, and whether it is that of a Python number
Kind = tuple[DType, bool]


def kind_of(x: Any) -> Kind:
    """Dtype and weakness of a tracer, an array or a number."""
    value = getattr(x, "_value", None)
    if value is not None:
        return value.type.dtype, x._weak
    weak = DEFAULTS.get(type(x))
    if weak is not None:
        return weak, weak != "bool"
    dtype = getattr(x, "dtype", None)
    return dtype_of(np.asarray(x).dtype if dtype is None else dtype), False


def stands_for(kind: Kind, wanted: DType) -> bool:
    """Whether a value of this kind may be given where `wanted` is asked for: one of that dtype, or a Python number that it can hold."""
    dtype, weak = kind
    return dtype == wanted or (weak and _ORDER[dtype.kind] <= _ORDER[wanted.kind])


def as_dtype(dtype: Any) -> DType:
    """What `np.dtype` understands, or one of rlxc's own, as a DType."""
    if isinstance(dtype, DType):
        return dtype
    return DType("bf16") if dtype in ("bf16", "bfloat16") else dtype_of(np.dtype(dtype))


@lru_cache(maxsize=1 << 10)
def promote(kinds: tuple[Kind, ...]) -> Kind:
    """The dtype that all of `kinds` are converted to, and whether it is weak."""
    strong = [dtype for dtype, weak in kinds if not weak]
    weak = [dtype for dtype, weak in kinds if weak]
    top = max(weak, key=lambda d: _ORDER[d.kind], default=None)
    if not strong:
        assert top is not None, "something is promoted"
        return top, True
    common = _strong(strong)
    if top is None or _ORDER[top.kind] <= _ORDER[common.kind]:
        return common, False
    if top.kind == "c" and common.kind == "f":
        return DType("c128" if common == "f64" else "c64"), False
    return top, False


def _strong(dtypes: Sequence[DType]) -> DType:
    if "bf16" not in dtypes:
        return dtype_of(np.result_type(*[d.numpy for d in dtypes]))
    if all(d == "bf16" for d in dtypes):
        return DType("bf16")
    common = dtype_of(np.result_type(*[_like_half(d) for d in dtypes]))
    if common != "f16":
        return common
    return DType("f32" if "f16" in dtypes else "bf16")


@lru_cache(maxsize=1 << 12)
def ufunc_dtypes(
    ufunc: np.ufunc, kinds: tuple[Kind, ...], dtype: DType | None = None, casting: Any = "same_kind"
) -> tuple[tuple[DType, ...], tuple[DType, ...]]:
    """Dtypes that a ufunc of NumPy's converts its operands to, and those of its results, which are `dtype` where that is asked for.

    Raises DTypeError for what NumPy has no loop for, or `casting` forbids.
    """
    half = ("bf16", False) in kinds or dtype == "bf16"
    if half:
        kinds = ((promote(kinds)[0], False),) * len(kinds)
    number = not all(weak for _, weak in kinds)  # beside arrays: NumPy decides what it becomes
    given = [_NUMBERS[d.kind] if weak and number else _like_half(d) for d, weak in kinds]
    asked: dict[str, Any] = {} if dtype is None else {"signature": (*[None] * ufunc.nin, *[_like_half(dtype)] * ufunc.nout)}
    try:
        found = [dtype_of(d) for d in ufunc.resolve_dtypes((*given, *[None] * ufunc.nout), casting=casting, **asked)]
    except TypeError:
        wish = "" if dtype is None else f" with dtype={dtype}, casting={casting!r}"
        raise DTypeError(f"np.{ufunc.__name__} does not take {', '.join(d for d, _ in kinds)}{wish}") from None
    except ValueError as error:
        raise DTypeError(f"np.{ufunc.__name__}: {error}") from None
    if half:
        found = [DType("bf16") if d == "f16" else d for d in found]
    return tuple(found[: ufunc.nin]), tuple(found[ufunc.nin :])


def _like_half(dtype: DType) -> np.dtype:
    return np.dtype(np.float16) if dtype == "bf16" else dtype.numpy
