"""Comparing arrays, and derivatives by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlxc.ir.types import DType, dtype_of

# What two ways of computing the same may differ by, relative to the largest number involved.
TOLERANCE = {"bf16": 4e-2, "f16": 5e-3, "f32": 2e-5, "f64": 1e-11}


def tolerance(dtype: Any) -> float:
    return TOLERANCE.get(str(dtype), 0.0)


def differ(got: Any, want: Any, rtol: float, atol: float = 0.0, *, signed_zeros: bool = False) -> str | None:
    """How two arrays differ, in words, or None: same type, nan where nan, inf where inf, the rest close.

    Closeness is relative to each number, and to the largest finite one for small numbers among large ones.
    """
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return f"shape {got.shape}, not {want.shape}"
    if got.dtype != want.dtype:
        return f"dtype {got.dtype}, not {want.dtype}"
    if not got.size:
        return None
    if got.dtype.kind in "iub":
        wrong = got != want
        return _first(wrong, got, want)
    a, b = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    scale = np.max(np.abs(b[finite]), initial=0.0)
    with np.errstate(all="ignore"):
        wrong = np.where(finite, np.abs(a - b) > rtol * (np.abs(b) + scale) + atol, ~((a == b) | (np.isnan(a) & np.isnan(b))))
    if signed_zeros:
        wrong |= (a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b))
    return _first(wrong, got, want)


def _first(wrong: np.ndarray, got: np.ndarray, want: np.ndarray) -> str | None:
    if not wrong.any():
        return None
    at = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))[: got.ndim]
    place = f" at {list(at)}" if at else ""
    return f"{got[at]}, not {want[at]}{place}"


def directional_derivative(
    f: Callable[[Sequence[np.ndarray]], Sequence[Any]], xs: Sequence[np.ndarray], dxs: Sequence[np.ndarray | None], step: float
) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
    """The derivative of f's float results along `dxs` by five-point central differences, and an estimate of their error.

    The error, O(step^4), is estimated from the same with twice the step.
    """
    fine = _five_points(f, xs, dxs, step)
    coarse = _five_points(f, xs, dxs, 2 * step)
    with np.errstate(all="ignore"):
        errors = [None if a is None or b is None else np.abs(a - b) for a, b in zip(fine, coarse, strict=True)]
    return fine, errors


def _five_points(f: Callable, xs: Sequence[np.ndarray], dxs: Sequence[np.ndarray | None], h: float) -> list[np.ndarray | None]:
    values = [f([x if dx is None else (x + np.asarray(k * h * dx, x.dtype)).astype(x.dtype) for x, dx in zip(xs, dxs, strict=True)]) for k in (-2, -1, 1, 2)]
    out: list[np.ndarray | None] = []
    for a2, a1, b1, b2 in zip(*values, strict=True):
        if not dtype_of(np.asarray(a2).dtype).is_float:
            out.append(None)
            continue
        a2, a1, b1, b2 = (np.asarray(v, np.float64) for v in (a2, a1, b1, b2))
        with np.errstate(all="ignore"):
            out.append((8 * (b1 - a1) - (b2 - a2)) / (12 * h))
    return out


def inner(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> tuple[float, float]:
    """The inner product of two lists of arrays, and the sum of the magnitudes that went into it."""
    total, size = 0.0, 0.0
    for x, y in zip(xs, ys, strict=True):
        product = np.asarray(x, np.float64) * np.asarray(y, np.float64)
        total += float(product.sum())
        size += float(np.abs(product).sum())
    return total, size


def is_float(array: Any) -> bool:
    dtype: DType = dtype_of(np.asarray(array).dtype)
    return dtype.is_float
