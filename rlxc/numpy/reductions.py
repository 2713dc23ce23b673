"""Reductions: sums, products, extremes, means and variances, over any axes, with `where`, `initial`, `keepdims` and `ddof`; also those that skip nan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlxc.ir.types import DType
from rlxc.numpy.common import (
    BOOL,
    I64,
    NO,
    U8,
    U64,
    as_operand,
    axes_of,
    axis_of,
    constant,
    convert,
    emit,
    flat,
    given,
    inexact,
    refuse,
    reshape,
    size_along,
    traced,
    unsupported,
    wrong,
)
from rlxc.primitives.reduce import highest, lowest
from rlxc.tracing.promotion import as_dtype
from rlxc.tracing.protocols import implements


def kept(y: Any, x: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    """The result of a reduction of x, with the reduced axes as axes of size 1 if they are to be kept."""
    return reshape(y, [1 if a in axes else n for a, n in enumerate(x.shape)]) if given(keepdims) and keepdims else y


def masked(x: Any, where: Any, neutral: Any) -> Any:
    """x with `neutral` where it does not count."""
    y: Any = np.where(as_operand(where), x, constant(neutral, x)) if given(where) and where is not True else x
    return y


def reduced_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """The axes that are reduced; a number has axes 0 and -1 for NumPy's reductions, which leave it what it is."""
    return () if not rank and type(axis) is int and axis in (0, -1) else axes_of(axis, rank)


def reduced(op: str, x: Any, axis: Any, keepdims: Any, where: Any, initial: Any, neutral: Any, combine: np.ufunc) -> Any:
    """A reduction op on x over `axis`, and `initial` besides."""
    axes = reduced_axes(axis, x.ndim)
    y = emit(op, masked(x, where, neutral), axes=axes)
    if given(initial):
        y = combine(y, convert(initial, x.dtype))
    return kept(y, x, axes, keepdims)


def _accumulator(dtype: DType) -> DType:
    """What NumPy sums elements of this dtype in."""
    if dtype.is_bool or (dtype.kind == "i" and dtype.bits < 64):
        return I64
    return U64 if dtype.kind == "u" else dtype


@implements(np.sum)
def sum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO, initial: Any = NO, where: Any = NO) -> Any:
    """Sum of the elements over `axis`."""
    refuse("sum", out=out)
    x = traced(a)
    x = convert(x, dtype if given(dtype) else _accumulator(x.aval.dtype))
    return reduced("reduce_sum", x, axis, keepdims, where, initial, 0, np.add)


@implements(np.prod)
def prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO, initial: Any = NO, where: Any = NO) -> Any:
    """Product of the elements over `axis`."""
    refuse("prod", out=out)
    x = traced(a)
    x = convert(x, dtype if given(dtype) else _accumulator(x.aval.dtype))
    return reduced("reduce_prod", x, axis, keepdims, where, initial, 1, np.multiply)


def _extreme(name: str, a: Any, axis: Any, out: Any, keepdims: Any, initial: Any, where: Any, neutral: Callable[[DType], Any], combine: np.ufunc) -> Any:
    refuse(name, out=out)
    x = traced(a)
    if not given(initial):
        if given(where) and where is not True:
            wrong(f"reduction operation '{name}imum' does not have an identity, so to use a where mask one has to specify 'initial'")
        if 0 in [x.shape[i] for i in reduced_axes(axis, x.ndim)]:
            wrong(f"zero-size array to reduction operation {name}imum which has no identity")
    if x.aval.dtype.is_bool:
        widened = _extreme(name, convert(x, U8), axis, out, keepdims, initial, where, neutral, combine)
        return convert(widened, BOOL)
    return reduced(f"reduce_{name}", x, axis, keepdims, where, initial, neutral(x.aval.dtype), combine)


@implements(np.max, np.amax)
def max(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO, initial: Any = NO, where: Any = NO) -> Any:
    """The largest element over `axis`; nan if there is one."""
    return _extreme("max", a, axis, out, keepdims, initial, where, lowest, np.maximum)


@implements(np.min, np.amin)
def min(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO, initial: Any = NO, where: Any = NO) -> Any:
    """The smallest element over `axis`; nan if there is one."""
    return _extreme("min", a, axis, out, keepdims, initial, where, highest, np.minimum)


def _truth(a: Any) -> Any:
    x = traced(a)
    return convert(x, BOOL)


@implements(np.any)
def any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO, *, where: Any = NO) -> Any:
    """Whether some element over `axis` is not zero."""
    refuse("any", out=out)
    return reduced("reduce_any", _truth(a), axis, keepdims, where, NO, False, np.logical_or)


@implements(np.all)
def all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO, *, where: Any = NO) -> Any:
    """Whether no element over `axis` is zero."""
    refuse("all", out=out)
    return reduced("reduce_all", _truth(a), axis, keepdims, where, NO, True, np.logical_and)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The number of elements over `axis` that are not zero."""
    return np.sum(_truth(a), axis=axis, keepdims=keepdims)


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO) -> Any:
    """The largest element less the smallest."""
    refuse("ptp", out=out)
    return max(a, axis, keepdims=keepdims) - min(a, axis, keepdims=keepdims)


def _floats(a: Any, dtype: Any) -> Any:
    """What means are computed in: the dtype asked for, else the operand's, else f64."""
    x = traced(a)
    if given(dtype) and not as_dtype(dtype).differentiable:
        unsupported(f"a mean or variance on traced arrays in dtype={as_dtype(dtype)}", "convert the result: np.mean(x).astype(dtype)")
    return convert(x, dtype) if given(dtype) else inexact(x)


@implements(np.mean)
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO, *, where: Any = NO) -> Any:
    """The mean over `axis`; of integers in f64."""
    refuse("mean", out=out)
    x = _floats(a, dtype)
    axes = axes_of(axis, x.ndim)
    if not given(where) or where is True:
        return kept(emit("mean", x, axes=axes) if x.aval.dtype.is_float else _sum(x, axes) / size_along(x, axes), x, axes, keepdims)
    return kept(_sum(masked(x, where, 0), axes) / _count(where, x, axes), x, axes, keepdims)


def _sum(x: Any, axes: tuple[int, ...]) -> Any:
    y: Any = emit("reduce_sum", x, axes=axes)
    return y


def _count(where: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """How many elements count, in the dtype of x."""
    return np.sum(np.broadcast_to(as_operand(where), x.shape), axis=axes).astype(x.dtype)


@implements(np.var)
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = NO, *, where: Any = NO, mean: Any = NO, correction: Any = NO
) -> Any:
    """The mean squared distance from the mean, whose divisor is the number of elements less `ddof`."""
    refuse("var", out=out)
    x = _floats(a, dtype)
    axes = axes_of(axis, x.ndim)
    if given(correction):
        if ddof != 0:
            wrong("ddof and correction can't be provided simultaneously.")
        ddof = correction
    if not given(where) and not given(mean) and x.aval.dtype.is_float and isinstance(ddof, int):
        return kept(emit("var", x, axes=axes, ddof=ddof), x, axes, keepdims)
    middle = mean if given(mean) else np.mean(x, axes, keepdims=True, where=where if given(where) else True)
    distance = x - middle
    square = distance * distance if x.aval.dtype.is_float else np.real(distance * np.conj(distance))
    total = _sum(masked(square, where, 0), axes)
    count = _count(where, square, axes) if given(where) and where is not True else constant(size_along(x, axes), square)
    y = kept(total / np.maximum(count - constant(ddof, square), constant(0, square)), x, axes, keepdims)
    return convert(y, dtype) if given(dtype) else y


@implements(np.std)
def std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = NO, *, where: Any = NO, mean: Any = NO, correction: Any = NO
) -> Any:
    """The square root of the variance."""
    return np.sqrt(var(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction))


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NO) -> Any:
    """The mean over `axis`, weighted."""
    x = traced(a)
    if weights is None:
        y = np.mean(x, axis, keepdims=keepdims)
        return (y, np.full(y.shape, size_along(x, axes_of(axis, x.ndim)), y.dtype)) if returned else y
    w = traced(weights)
    if w.shape != x.shape:
        axes = axes_of(axis, x.ndim)
        if w.shape != tuple(x.shape[i] for i in axes):
            wrong("Shape of weights must be consistent with shape of a along specified axis.")
        w = reshape(w, [n if i in axes else 1 for i, n in enumerate(x.shape)])
    w = inexact(w)
    scale = np.sum(np.broadcast_to(w, x.shape), axis, keepdims=keepdims)
    y = np.sum(x * w, axis, keepdims=keepdims) / scale
    return (y, scale) if returned else y


def _position(op: str, a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    refuse(op, out=out)
    x = traced(a)
    if given(axis):
        at = axis_of(axis, x.ndim)
        return kept(emit(op, x, axis=at), x, (at,), keepdims)
    return kept(emit(op, flat(x), axis=0), x, tuple(range(x.ndim)), keepdims)


@implements(np.argmax)
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO) -> Any:
    """The index of the first largest element along `axis`."""
    return _position("argmax", a, axis, out, keepdims)


@implements(np.argmin)
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO) -> Any:
    """The index of the first smallest element along `axis`."""
    return _position("argmin", a, axis, out, keepdims)


# -- along one axis, which stays


def along(a: Any, axis: Any) -> tuple[Any, int]:
    """An array, and the axis meant; all of it in a row, if that is None."""
    x = traced(a)
    return (x, axis_of(axis, x.ndim)) if given(axis) else (flat(x), 0)


@implements(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Sums of the elements so far."""
    refuse("cumsum", out=out)
    x, at = along(a, axis)
    return emit("cumsum", convert(x, dtype if given(dtype) else _accumulator(x.aval.dtype)), axis=at)


@implements(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Products of the elements so far."""
    refuse("cumprod", out=out)
    x, at = along(a, axis)
    return emit("cumprod", convert(x, dtype if given(dtype) else _accumulator(x.aval.dtype)), axis=at)


def _running(name: str, x: Any, axis: Any, dtype: Any, out: Any, include_initial: bool, cumulative: Callable[..., Any], first: int) -> Any:
    y = traced(x)
    if not given(axis) and y.ndim != 1:
        wrong(f"np.{name} of {y.aval}: say along which axis", "axis=")
    at = axis_of(axis if given(axis) else 0, y.ndim)
    y = cumulative(y, at, dtype, out)
    if not include_initial:
        return y
    start = np.full(tuple(1 if a == at else n for a, n in enumerate(y.shape)), first, y.dtype)
    return np.concatenate([start, y], at)


@implements(np.cumulative_sum)
def cumulative_sum(x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False) -> Any:
    """Sums of the elements so far, perhaps from 0 on."""
    return _running("cumulative_sum", x, axis, dtype, out, include_initial, cumsum, 0)


@implements(np.cumulative_prod)
def cumulative_prod(x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False) -> Any:
    """Products of the elements so far, perhaps from 1 on."""
    return _running("cumulative_prod", x, axis, dtype, out, include_initial, cumprod, 1)


#: arguments after the axis
_AS_REDUCE = ("dtype", "out", "keepdims", "initial", "where")
_AS_ACCUMULATE = ("dtype", "out")
_WITH_DTYPE = (sum, prod, cumsum, cumprod)


# -- methods of ufuncs, which go along the first axis unless told otherwise


def _method(ufunc: np.ufunc, method: str, function: Callable[..., Any]) -> None:
    @implements((ufunc, method))
    def rule(a: Any, axis: Any = 0, *options: Any, **named: Any) -> Any:
        names = _AS_REDUCE if method == "reduce" else _AS_ACCUMULATE
        named |= dict(zip(names, options, strict=False))
        dtype = named.pop("dtype", None)
        if dtype is None:
            return function(a, axis, **named)
        if function in _WITH_DTYPE:
            return function(a, axis, dtype=dtype, **named)
        if function in (all, any) and as_dtype(dtype) != "bool":
            unsupported(f"np.{ufunc.__name__}.{method} on traced arrays in dtype={as_dtype(dtype)}")
        return function(traced(a) if function in (all, any) else convert(traced(a), dtype), axis, **named)


def _running_extreme(prim: str) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        refuse("maximum.accumulate", dtype=dtype, out=out)
        x, at = along(a, axis)
        return convert(emit(prim, convert(x, U8), axis=at), BOOL) if x.aval.dtype.is_bool else emit(prim, x, axis=at)

    return rule


for _ufunc, _function in ((np.add, sum), (np.multiply, prod), (np.maximum, max), (np.minimum, min), (np.logical_and, all), (np.logical_or, any)):
    _method(_ufunc, "reduce", _function)
for _ufunc, _function in ((np.add, cumsum), (np.multiply, cumprod), (np.maximum, _running_extreme("cummax")), (np.minimum, _running_extreme("cummin"))):
    _method(_ufunc, "accumulate", _function)
