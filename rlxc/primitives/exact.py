"""NumPy functions for `eval` that are as exact as the dtype allows, since `eval` is what native code is measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def exactly(function: Callable[..., Any], *xs: Any) -> Any:
    """`function` of arrays of one float dtype, computed in a wider one and rounded once.

    f64 is computed in long double (64 bits of mantissa on x86, no wider than f64 on some other machines), the rest in f64.
    """
    dtype = xs[0].dtype
    wide = np.longdouble if dtype == np.float64 else np.float64
    with np.errstate(all="ignore"):
        return round_to(function(*[np.asarray(x).astype(wide) for x in xs]), dtype)


def round_to(x: Any, dtype: Any) -> Any:
    """`x` in a float dtype; narrow ones are reached by way of f32, as in native code."""
    if dtype.itemsize < 4:
        x = x.astype(np.float32)
    return x.astype(dtype)


def int_div(x: Any, y: Any) -> Any:
    """x / y for integers, toward zero; 0 where y = 0, and MIN / -1 wraps around."""
    quotient, remainder = _floor_divmod(x, y)
    if x.dtype.kind == "u":
        return quotient
    toward_zero = (remainder != 0) & ((x < 0) != (y < 0))
    return np.where(toward_zero, quotient + quotient.dtype.type(1), quotient)


def int_rem(x: Any, y: Any) -> Any:
    """x - y int_div(x, y), with the sign of x; 0 where y = 0."""
    return np.where(y == 0, y, x - y * int_div(x, y))


def int_floor_div(x: Any, y: Any) -> Any:
    """x / y for integers, rounded down; 0 where y = 0, and MIN / -1 wraps around."""
    return _floor_divmod(x, y)[0]


def _floor_divmod(x: Any, y: Any) -> tuple[Any, Any]:
    one = x.dtype.type(1)
    guarded = (y == 0) | (y == -1) if x.dtype.kind == "i" else y == 0
    safe = np.where(guarded, one, y)
    quotient = np.floor_divide(x, safe)
    quotient = np.where(guarded, np.where(y == 0, x.dtype.type(0), np.negative(x)), quotient)
    return quotient, x - y * quotient


def float_floor_div(x: Any, y: Any) -> Any:
    """The largest whole number <= x / y, judged by the exact quotient, as Python's and NumPy's `//`."""
    return np.floor_divide(x, y)


def saturate(x: Any, dtype: Any) -> Any:
    """Floats as integers of `dtype`, toward zero; out of range the nearest there is, and nan gives 0."""
    info = np.iinfo(dtype)
    whole = np.trunc(np.nan_to_num(np.asarray(x).astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf))
    low, high = whole <= float(info.min), whole >= float(info.max)
    inside = np.where(low | high, 0.0, whole).astype(dtype)
    return np.where(low, dtype.type(info.min), np.where(high, dtype.type(info.max), inside))
