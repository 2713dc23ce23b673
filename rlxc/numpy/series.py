"""Functions of rows of numbers: differences, gradients, integrals, interpolation, convolution, covariance, polynomials."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from rlxc.numpy.common import (
    F64,
    I64,
    Tracer,
    as_operand,
    axes_of,
    axis_of,
    constant,
    convert,
    emit,
    flat,
    given,
    inexact,
    part,
    promoted,
    refuse,
    reshape,
    traced,
    unsupported,
    wrong,
)
from rlxc.numpy.sorting import searchsorted
from rlxc.tracing.promotion import as_dtype
from rlxc.tracing.protocols import implements


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    """Differences of neighbours along an axis, n times."""
    x = traced(a)
    if n < 0:
        wrong(f"order must be non-negative but got {n}")
    if n == 0:
        return x
    at = axis_of(axis, x.ndim)
    edges = [[_edge(v, x, at)] if given(v) else [] for v in (prepend, append)]
    if given(prepend) or given(append):
        x = np.concatenate([*edges[0], x, *edges[1]], at)
    for _ in range(n):
        after, before = part(x, at, 1, None), part(x, at, None, -1)
        x = after != before if x.aval.dtype.is_bool else after - before
    return x


def _edge(v: Any, x: Any, axis: int) -> Any:
    v = as_operand(v)
    return np.broadcast_to(v, tuple(1 if a == axis else n for a, n in enumerate(x.shape))) if np.ndim(v) == 0 else v


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of neighbours of all elements in a row, between other numbers."""
    y = diff(flat(traced(ary)))
    parts = [np.ravel(as_operand(to_begin))] if to_begin is not None else []
    parts.append(y)
    parts += [np.ravel(as_operand(to_end))] if to_end is not None else []
    return np.concatenate([convert(traced(p), y.aval.dtype) for p in parts]) if len(parts) > 1 else y


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """The derivative along axes by central differences, one-sided ones (of `edge_order`) at the ends; distances or coordinates for each axis."""
    x = inexact(f)
    axes = axes_of(axis, x.ndim) if axis is None or np.ndim(axis) else (axis_of(axis, x.ndim),)
    if isinstance(axis, tuple | list):
        axes = tuple([axis_of(a, x.ndim) for a in axis])
    spacings = list(varargs) if len(varargs) > 1 or len(axes) == 1 else list(varargs) * len(axes)
    spacings = spacings or [1.0] * len(axes)
    if len(spacings) != len(axes):
        wrong("invalid number of arguments: one distance, or one for each axis")
    if edge_order not in (1, 2):
        wrong("'edge_order' greater than 2 not supported")
    results = [_derivative(x, h, a, edge_order) for h, a in zip(spacings, axes, strict=True)]
    return results[0] if len(results) == 1 else tuple(results)


def _derivative(f: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    n = f.shape[axis]
    if n < edge_order + 1:
        wrong("Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) elements are required.")

    def at(i: int) -> Any:
        return part(f, axis, i, i + 1 or None)

    spacing = as_operand(spacing)
    if np.ndim(spacing) == 0:
        h: Any = constant(spacing, f) if not isinstance(spacing, Tracer) else convert(spacing, f.aval.dtype)
        inner = (part(f, axis, 2, None) - part(f, axis, None, -2)) / (2.0 * h)
        if edge_order == 1:
            first, last = (at(1) - at(0)) / h, (at(-1) - at(-2)) / h
        else:
            first = -1.5 / h * at(0) + 2.0 / h * at(1) - 0.5 / h * at(2)
            last = 0.5 / h * at(-3) - 2.0 / h * at(-2) + 1.5 / h * at(-1)
        return np.concatenate([first, inner, last], axis)
    if spacing.shape != (n,):
        wrong("when 1d, distances must match the length of the corresponding dimension")
    steps = convert(diff(traced(spacing)), f.aval.dtype)
    shape = tuple(-1 if a == axis else 1 for a in range(f.ndim))
    d = np.reshape(steps, shape)

    def step(i: int) -> Any:
        return part(d, axis, i, i + 1 or None)

    left, right = part(d, axis, None, -1), part(d, axis, 1, None)
    a = -right / (left * (left + right))
    b = (right - left) / (left * right)
    c = left / (right * (left + right))
    inner = a * part(f, axis, None, -2) + b * part(f, axis, 1, -1) + c * part(f, axis, 2, None)
    if edge_order == 1:
        first, last = (at(1) - at(0)) / step(0), (at(-1) - at(-2)) / step(-1)
    else:
        p, q = step(0), step(1)
        first = -(2.0 * p + q) / (p * (p + q)) * at(0) + (p + q) / (p * q) * at(1) - p / (q * (p + q)) * at(2)
        p, q = step(-2), step(-1)
        last = q / (p * (p + q)) * at(-3) - (q + p) / (p * q) * at(-2) + (2.0 * q + p) / (q * (p + q)) * at(-1)
    return np.concatenate([first, inner, last], axis)


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral along an axis by the trapezoidal rule."""
    f = traced(y)
    at = axis_of(axis, f.ndim)
    width: Any = dx
    if x is not None:
        xs = traced(x)
        width = diff(xs) if xs.ndim == 1 else diff(xs, axis=axis)
        if xs.ndim == 1:
            width = np.reshape(width, tuple(-1 if a == at else 1 for a in range(f.ndim)))
    return np.sum(width * (part(f, at, 1, None) + part(f, at, None, -1)) / 2.0, at)


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Between points (xp, fp), xp ascending, by straight lines; f64, as in NumPy. The derivative at a point is that on its right."""
    at, xs, ys = (convert(traced(v), F64) for v in (x, xp, fp))
    if xs.ndim != 1 or xs.shape != ys.shape or not xs.size:
        wrong(f"np.interp: points {xs.aval} and {ys.aval}", "vectors of one length")
    if period is not None:
        span = np.abs(convert(traced(period), F64))
        at, xs = np.remainder(at, span), np.remainder(xs, span)
        order = np.argsort(xs)
        xs, ys = xs[order], ys[order]
        xs = np.concatenate([xs[-1:] - span, xs, xs[:1] + span])
        ys = np.concatenate([ys[-1:], ys, ys[:1]])
        left = right = None
    low = ys[0] if left is None else left
    high = ys[-1] if right is None else right
    n = xs.size
    if n == 1:
        return np.where(at < xs[0], low, np.where(at > xs[0], high, np.where(np.isnan(at), at, ys[0])))
    i = np.clip(searchsorted(xs, at, "right") - 1, 0, n - 2)
    x0, x1, y0, y1 = xs[i], xs[i + 1], ys[i], ys[i + 1]
    apart = x1 != x0
    slope = np.where(apart, y1 - y0, 0.0) / np.where(apart, x1 - x0, 1.0)
    y = np.where(at == xs[-1], ys[-1], y0 + slope * (at - x0))
    return np.where(at < xs[0], low, np.where(at > xs[-1], high, y))


def _vectors(a: Any, v: Any) -> tuple[Any, Any]:
    x, y = promoted(a, v)
    if x.ndim > 1 or y.ndim > 1:
        wrong("object too deep for desired array")
    return flat(x), flat(y)


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """Sums of products of one vector with the other one backwards, at each displacement."""
    x, w = _vectors(a, v)
    if not x.size or not w.size:
        wrong("np.convolve of an empty vector")
    if w.size > x.size:
        x, w = w, x
    n, k = x.size, w.size
    low = {"full": k - 1, "same": k // 2, "valid": 0}.get(mode)
    if low is None:
        wrong(f"np.convolve has no mode {mode!r}", "there is full, same, valid")
    high = {"full": k - 1, "same": k - 1 - k // 2, "valid": 0}[mode]
    if x.aval.dtype.is_bool:
        return convolve(convert(x, I64), convert(w, I64), mode) > 0
    if x.aval.dtype.is_complex:
        (a_re, a_im), (b_re, b_im) = ((np.real(t), np.imag(t)) for t in (x, w))
        re, im = convolve(a_re, b_re, mode) - convolve(a_im, b_im, mode), convolve(a_re, b_im, mode) + convolve(a_im, b_re, mode)
        return emit("complex", re, im)
    image, kernel = reshape(x, (1, 1, n)), reshape(np.flip(w), (1, 1, k))
    y = emit("conv", image, kernel, padding=((low, high),))
    return flat(y)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """Sums of products of two vectors at each displacement."""
    x, w = _vectors(a, v)
    w = np.conj(w[::-1]) if w.dtype.kind == "c" else w[::-1]
    if mode == "same" and w.size > x.size:
        full = convolve(x, w, "full")
        start = (min(x.size, w.size) - 1) - (min(x.size, w.size) - 1) // 2
        return full[start : start + max(x.size, w.size)]
    return convolve(x, w, mode)


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * math.pi) -> Any:
    """Angles without jumps of more than half a period."""
    x = traced(p)
    at = axis_of(axis, x.ndim)
    if x.aval.dtype.is_integer and not isinstance(period, int):
        x = inexact(x)
    jump = diff(x, axis=at)
    limit = period / 2 if discont is None else discont
    half = period / 2
    wrapped = np.remainder(jump + half, period) - half
    wrapped = np.where((wrapped == -half) & (jump > 0), constant(half, x), wrapped)
    correction = np.where(np.abs(jump) < limit, constant(0, x), wrapped - jump)
    return np.concatenate([part(x, at, None, 1), part(x, at, 1, None) + np.cumsum(correction, at)], at)


@implements(np.cov)
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None, aweights: Any = None, *, dtype: Any = None
) -> Any:
    """Covariances of the rows."""
    refuse("cov", fweights=fweights, aweights=aweights)
    if ddof is not None and ddof != int(ddof):
        wrong("ddof must be integer")
    if given(dtype) and not as_dtype(dtype).differentiable:
        unsupported(f"np.cov on traced arrays in dtype={as_dtype(dtype)}")
    x = promoted(m, np.float64(0))[0]
    x = np.atleast_2d(convert(x, dtype) if given(dtype) else x)
    if not rowvar and np.ndim(as_operand(m)) > 1:
        x = x.T
    if y is not None:
        other = np.atleast_2d(convert(traced(y), x.dtype))
        x = np.concatenate([x, other if rowvar or other.shape[0] == 1 else other.T])
    delta = ddof if ddof is not None else 0 if bias else 1
    centred = x - np.mean(x, 1, keepdims=True)
    return np.squeeze(centred @ np.conj(centred.T) / float(x.shape[1] - delta))


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """Correlations of the rows."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    scale = np.sqrt(np.diagonal(c))
    return np.clip(c / scale[:, None] / scale[None, :], -1, 1)


# -- polynomials: the coefficient of the highest power first


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The value at x, by Horner's rule."""
    ps, at = traced(p), traced(x)
    y = np.zeros_like(at)
    for i in range(ps.shape[0]):
        y = y * at + ps[i]
    return y


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of two polynomials."""
    x, y = (np.atleast_1d(t) for t in promoted(a1, a2))
    n = max(x.size, y.size)
    return np.pad(x, (n - x.size, 0)) + np.pad(y, (n - y.size, 0))


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """The difference of two polynomials."""
    return polyadd(a1, -traced(a2))


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """The product of two polynomials."""
    x, y = (np.atleast_1d(t) for t in promoted(a1, a2))
    return convolve(x, y)


@implements(np.polyfit)
def polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    """The polynomial of a degree that is nearest to points, by least squares (of distances times w)."""
    refuse("polyfit", rcond=rcond, full=full or None, cov=cov or None)
    at, values = (promoted(t, np.float64(0))[0] for t in (x, y))
    rows = np.vander(at, operator.index(deg) + 1)
    if w is not None:
        weights = traced(w)
        rows, values = rows * weights[:, None], values * (weights if values.ndim == 1 else weights[:, None])
    scale = np.sqrt(np.sum(rows * rows, 0))
    coefficients = np.linalg.lstsq(rows / scale, values, None)[0]
    return (coefficients.T / scale).T


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """The derivative of order m."""
    x = traced(p)
    for _ in range(operator.index(m)):
        n = x.size - 1
        x = x[:-1] * np.arange(n, 0, -1)
    return x


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The integral of order m, with constants k."""
    x = traced(p)
    m = operator.index(m)
    constants = list(np.zeros(m) if k is None else np.ravel(np.broadcast_to(k, m) if np.size(k) == 1 else k))
    for c in constants:
        x = np.concatenate([x / np.arange(x.size, 0, -1), np.reshape(as_operand(c), (1,))])
    return x
