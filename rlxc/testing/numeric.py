"""Comparing arrays, and derivatives by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlxc.ir.types import DType, dtype_of

# What two ways of computing the same may differ by, relative to the largest number involved.
TOLERANCE = {"bf16": 4e-2, "f16": 5e-3, "f32": 2e-5, "f64": 1e-11, "c64": 2e-5, "c128": 1e-11}


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
    a, b = widest(got), widest(want)
    finite = np.isfinite(a) & np.isfinite(b)
    scale = np.max(np.abs(b[finite]), initial=0.0)
    with np.errstate(all="ignore"):
        wrong = np.where(finite, np.abs(a - b) > rtol * (np.abs(b) + scale) + atol, ~((a == b) | (np.isnan(a) & np.isnan(b))))
    if signed_zeros:
        for x, y in ((a.real, b.real), (a.imag, b.imag)) if np.iscomplexobj(a) else ((a, b),):
            wrong |= (x == 0) & (y == 0) & (np.signbit(x) != np.signbit(y))
    return _first(wrong, got, want)


def widest(x: Any) -> np.ndarray:
    """Floats as f64, complex numbers as c128."""
    return np.asarray(x, np.complex128 if np.iscomplexobj(x) else np.float64)


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
        if not is_float(a2):
            out.append(None)
            continue
        a2, a1, b1, b2 = (widest(v) for v in (a2, a1, b1, b2))
        with np.errstate(all="ignore"):
            out.append((8 * (b1 - a1) - (b2 - a2)) / (12 * h))
    return out


def inner(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> tuple[float, float]:
    """The inner product Re(conj(x) y) of two lists of arrays, and the sum of the magnitudes that went into it."""
    total, size = 0.0, 0.0
    for x, y in zip(xs, ys, strict=True):
        product = np.conj(widest(x)) * widest(y)
        total += float(product.sum().real)
        size += float(np.abs(product).sum())
    return total, size


def is_float(array: Any) -> bool:
    """Whether an array is of a dtype with derivatives: floats, and complex numbers."""
    dtype: DType = dtype_of(np.asarray(array).dtype)
    return dtype.differentiable
