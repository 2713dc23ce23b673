"""NumPy arithmetic with the edge cases the IR promises: no traps, no undefined results. Tensor and loop level share it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from rlxc.ir.types import DType


def _lowest(dtype: np.dtype) -> Any:
    return np.iinfo(dtype).min


def div(x: Any, y: Any) -> Any:
    """x / y; for integers truncated, 0 where y is 0, wrapped for the lowest number by -1."""
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype.kind not in "iu":
        return np.divide(x, y)
    safe = _safe_divisor(x, y)
    quotient = np.floor_divide(x, safe)
    if x.dtype.kind == "i":
        exact = quotient * safe == x
        quotient = np.where(~exact & ((x < 0) != (safe < 0)), quotient + 1, quotient)
        quotient = np.where((x == _lowest(x.dtype)) & (y == -1), x, quotient)
    return np.where(y == 0, 0, quotient).astype(x.dtype)[()]


def rem(x: Any, y: Any) -> Any:
    """x - y trunc(x / y), with the sign of x; for integers 0 where y is 0."""
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype.kind not in "iu":
        return np.fmod(x, y)
    return np.where(y == 0, 0, np.fmod(x, _safe_divisor(x, y))).astype(x.dtype)[()]


def floor_div(x: Any, y: Any) -> Any:
    """floor(x / y) of integers; 0 where y is 0, wrapped for the lowest number by -1."""
    x, y = np.asarray(x), np.asarray(y)
    quotient = np.floor_divide(x, _safe_divisor(x, y))
    if x.dtype.kind == "i":
        quotient = np.where((x == _lowest(x.dtype)) & (y == -1), x, quotient)
    return np.where(y == 0, 0, quotient).astype(x.dtype)[()]


def _safe_divisor(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y with 1 where dividing x by it has no result."""
    bad = y == 0
    if x.dtype.kind == "i":
        bad = bad | ((x == _lowest(x.dtype)) & (y == -1))
    return np.where(bad, np.ones((), y.dtype), y).astype(y.dtype)


def shift_left(x: Any, y: Any) -> Any:
    """x 2^y; 0 when y is negative or not below the number of bits."""
    x, y = np.asarray(x), np.asarray(y)
    inside = (y >= 0) & (y < x.dtype.itemsize * 8)
    return np.where(inside, np.left_shift(x, np.where(inside, y, 0).astype(x.dtype)), 0).astype(x.dtype)[()]


def shift_right(x: Any, y: Any) -> Any:
    """x shifted right, signed numbers filled with their sign; all of it when y is negative or not below the number of bits."""
    x, y = np.asarray(x), np.asarray(y)
    bits = x.dtype.itemsize * 8
    inside = (y >= 0) & (y < bits)
    shifted = np.right_shift(x, np.where(inside, y, bits - 1).astype(x.dtype))
    if x.dtype.kind == "u":
        shifted = np.where(inside, shifted, 0)
    return shifted.astype(x.dtype)[()]


def convert(x: Any, dtype: DType) -> Any:
    """x as another dtype: floats round to nearest even; floats to integers truncate and saturate, nan gives 0; to bool asks whether x is not 0.

    Integers become bf16 by way of f32.
    """
    x = np.asarray(x)
    if dtype.is_bool:
        return (x != 0)[()]
    target = dtype.numpy
    if dtype == "bf16" and x.dtype.itemsize > 2:
        return (_to_f32_rounding_to_odd(x) if x.dtype == np.float64 else x.astype(np.float32)).astype(target)[()]
    if not dtype.is_integer or x.dtype.kind in "biu":
        return x.astype(target)[()]
    wide = np.trunc(x.astype(np.float64))
    info = np.iinfo(target)
    result = np.where(np.isnan(wide), 0.0, wide)
    above, below = result >= float(info.max), result <= float(info.min)
    safe = np.where(above | below, 0.0, result).astype(target)
    return np.where(above, info.max, np.where(below, info.min, safe)).astype(target)[()]


def _to_f32_rounding_to_odd(x: np.ndarray) -> np.ndarray:
    """f64 as f32, to the odd one of the two neighbours: rounding that to bf16 is as good as rounding x itself."""
    near = x.astype(np.float32)
    back = near.astype(np.float64)
    toward_zero = near.view(np.int32) - (np.abs(back) > np.abs(x))
    odd = (toward_zero | ((back != x) & ~np.isnan(x))).astype(np.int32)
    return odd.view(np.float32)


def _fma_f64(x: float, y: float, z: float) -> float:
    """x y + z rounded once, through exact rational arithmetic."""
    product = x * y
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
        return product + z
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        return product + z if product == 0 or z == 0 else 0.0
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


_fma_f64_array = np.frompyfunc(_fma_f64, 3, 1)


def fma(x: Any, y: Any, z: Any) -> Any:
    """x y + z, rounded once."""
    x, y, z = np.asarray(x), np.asarray(y), np.asarray(z)
    if x.dtype == np.float64:
        return np.asarray(_fma_f64_array(x, y, z)).astype(np.float64)[()]
    # The product of two f32 is exact in f64; the sum is then rounded to odd, so that the second rounding is as if from the exact sum.
    product = x.astype(np.float64) * y.astype(np.float64)
    wide = z.astype(np.float64)
    total = product + wide
    virtual = total - product
    error = (product - (total - virtual)) + (wide - virtual)
    bits = total.view(np.int64)
    inexact = (error != 0) & np.isfinite(total) & ((bits & 1) == 0)
    away = (error > 0) == (total > 0)
    odd = np.where(inexact, np.where(away, bits + 1, bits - 1), bits).view(np.float64)
    return odd.astype(x.dtype)[()]
