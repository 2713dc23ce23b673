"""Reductions that skip nan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlxc.numpy.common import NO, as_operand, constant, given, traced
from rlxc.numpy.reductions import argmax, argmin, max, mean, min, prod, sum, var
from rlxc.tracing.protocols import implements


def without_nan(a: Any, instead: Any) -> tuple[Any, Any]:
    """x with a number in place of nan, and where x is one."""
    x = traced(a)
    if x.aval.dtype.is_integer or x.aval.dtype.is_bool:
        return x, False
    bad = np.isnan(x)
    return np.where(bad, constant(instead, x), x), bad


@implements(np.nansum)
def nansum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO, initial: Any = NO, where: Any = NO) -> Any:
    """`sum` with nan counted as 0."""
    return sum(without_nan(a, 0)[0], axis, dtype, out, keepdims, initial, where)


@implements(np.nanprod)
def nanprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO, initial: Any = NO, where: Any = NO) -> Any:
    """`prod` with nan counted as 1."""
    return prod(without_nan(a, 1)[0], axis, dtype, out, keepdims, initial, where)


def _nan_extreme(a: Any, axis: Any, out: Any, keepdims: Any, initial: Any, where: Any, extreme: Callable[..., Any], instead: float) -> Any:
    x, bad = without_nan(a, instead)
    if bad is False:
        return extreme(x, axis, out, keepdims, initial, where)
    y = extreme(x, axis, out, keepdims, initial, where)
    if given(initial):
        return y
    return np.where(np.all(bad, axis, keepdims=given(keepdims) and keepdims), constant(np.nan, x), y)


@implements(np.nanmax)
def nanmax(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO, initial: Any = NO, where: Any = NO) -> Any:
    """The largest element that is not nan; nan where all are."""
    return _nan_extreme(a, axis, out, keepdims, initial, where, max, -np.inf)


@implements(np.nanmin)
def nanmin(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO, initial: Any = NO, where: Any = NO) -> Any:
    """The smallest element that is not nan; nan where all are."""
    return _nan_extreme(a, axis, out, keepdims, initial, where, min, np.inf)


@implements(np.nanargmax)
def nanargmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO) -> Any:
    """The index of the first largest element that is not nan. Where all are nan, 0: that is not an error here."""
    return argmax(without_nan(a, -np.inf)[0], axis, out, keepdims=keepdims)


@implements(np.nanargmin)
def nanargmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO) -> Any:
    """The index of the first smallest element that is not nan. Where all are nan, 0: that is not an error here."""
    return argmin(without_nan(a, np.inf)[0], axis, out, keepdims=keepdims)


def _with_numbers(a: Any, where: Any) -> Any:
    """Where elements are numbers and count."""
    good = ~np.isnan(traced(a))
    return good & as_operand(where) if given(where) else good


@implements(np.nanmean)
def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO, *, where: Any = NO) -> Any:
    """The mean of the elements that are not nan."""
    return mean(a, axis, dtype, out, keepdims, where=_with_numbers(a, where))


@implements(np.nanvar)
def nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = NO, *, where: Any = NO, mean: Any = NO, correction: Any = NO
) -> Any:
    """The variance of the elements that are not nan."""
    x, _ = without_nan(a, 0)
    return var(x, axis, dtype, out, ddof, keepdims, where=_with_numbers(a, where), mean=mean, correction=correction)


@implements(np.nanstd)
def nanstd(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = NO, *, where: Any = NO, mean: Any = NO, correction: Any = NO
) -> Any:
    """The standard deviation of the elements that are not nan."""
    return np.sqrt(nanvar(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction))


@implements(np.nancumsum)
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """`cumsum` with nan counted as 0."""
    return np.cumsum(without_nan(a, 0)[0], axis, dtype, out)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """`cumprod` with nan counted as 1."""
    return np.cumprod(without_nan(a, 1)[0], axis, dtype, out)
