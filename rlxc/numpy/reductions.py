"""Sums and other functions along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError
from rlxc.ir.types import DType
from rlxc.numpy.operands import convert, default_float, emit, normalize_axes, tracer_of
from rlxc.numpy.operands import normalize_axis as one_axis
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.promotion import as_dtype
from rlxc.tracing.protocols import implements, refuse_options

__all__ = ["all", "any", "argmax", "argmin", "argsort", "cumprod", "cumsum", "max", "mean", "min", "prod", "sort", "std", "sum", "var"]


def _kept(y: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The result of a reduction with the axes that were reduced, of size 1, if they are to be kept."""
    if not keepdims:
        return y
    return emit("reshape", y, shape=tuple(1 if a in axes else n for a, n in enumerate(x.shape)))


def _reduced(prim: str, x: Any, axis: Any, keepdims: bool) -> Any:
    axes = normalize_axes(axis, x.ndim)
    return _kept(emit(prim, x, axes=axes) if axes else x, x, axes, keepdims)


def _sum_dtype(x: Any, dtype: Any) -> DType:
    """What sums are added up in: NumPy widens narrow integers."""
    if dtype is not None:
        return as_dtype(dtype)
    own: DType = x.aval.dtype
    if own.is_bool or (own.kind == "i" and own.bits < 64):
        return DType("i64")
    return DType("u64") if own.kind == "u" else own


def _with_initial(prim: str, y: Any, initial: Any) -> Any:
    return y if initial is None else emit(prim, y, convert(tracer_of(initial), y.aval.dtype))


@implements(np.sum, (np.add, "reduce"))
def sum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True) -> Any:
    """The sum along axes."""
    refuse_options("np.sum", {"out": out, "where": where}, out=None, where=True)
    a = tracer_of(a)
    return _with_initial("add", _reduced("reduce_sum", convert(a, _sum_dtype(a, dtype)), axis, keepdims), initial)


@implements(np.prod, (np.multiply, "reduce"))
def prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True) -> Any:
    """The product along axes."""
    refuse_options("np.prod", {"out": out, "where": where}, out=None, where=True)
    a = tracer_of(a)
    return _with_initial("mul", _reduced("reduce_prod", convert(a, _sum_dtype(a, dtype)), axis, keepdims), initial)


def _extremum(name: str, prim: str, pair: str, ufunc: np.ufunc) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True) -> Any:
        refuse_options(f"np.{name}", {"out": out, "where": where}, out=None, where=True)
        a = tracer_of(a)
        for axis_ in normalize_axes(axis, a.ndim):
            if a.shape[axis_] == 0 and initial is None:
                raise with_source(ArgumentError(f"np.{name} of no elements has no value", loc=user_location(), help="give it: initial="))
        return _with_initial(pair, _reduced(prim, a, axis, keepdims), initial)

    rule.__name__ = rule.__qualname__ = name
    rule.__doc__ = f"The {name} along axes; the derivative is shared by elements that attain it."
    return implements(getattr(np, name), getattr(np, f"a{name}"), (ufunc, "reduce"))(rule)


max = _extremum("max", "reduce_max", "max", np.maximum)
min = _extremum("min", "reduce_min", "min", np.minimum)


def _quantifier(name: str, prim: str, ufunc: np.ufunc) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True) -> Any:
        refuse_options(f"np.{name}", {"out": out, "where": where}, out=None, where=True)
        return _reduced(prim, convert(tracer_of(a), DType("bool")), axis, keepdims)

    rule.__name__ = rule.__qualname__ = name
    return implements(getattr(np, name), (ufunc, "reduce"))(rule)


all = _quantifier("all", "reduce_all", np.logical_and)
any = _quantifier("any", "reduce_any", np.logical_or)


@implements(np.mean)
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True) -> Any:
    """The mean along axes; integers are averaged as f64."""
    refuse_options("np.mean", {"out": out, "where": where}, out=None, where=True)
    a = default_float(a) if dtype is None else convert(tracer_of(a), dtype)
    return _statistic("mean", a, axis, keepdims)


def _statistic(prim: str, a: Any, axis: Any, keepdims: bool, **attrs: Any) -> Any:
    axes = normalize_axes(axis, a.ndim)
    return _kept(emit(prim, a, axes=axes, **attrs), a, axes, keepdims)


def _spread(name: str) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: bool = False, *, where: Any = True, correction: Any = None):
        refuse_options(f"np.{name}", {"out": out, "where": where}, out=None, where=True)
        a = default_float(a) if dtype is None else convert(tracer_of(a), dtype)
        return _statistic(name, a, axis, keepdims, ddof=ddof if correction is None else correction)

    rule.__name__ = rule.__qualname__ = name
    return implements(getattr(np, name))(rule)


var = _spread("var")
std = _spread("std")


def _arg_extremum(name: str) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        refuse_options(f"np.{name}", {"out": out}, out=None)
        a = tracer_of(a)
        if axis is None:
            y = emit(name, emit("reshape", a, shape=(a.size,)), axis=0)
            return _kept(y, a, tuple(range(a.ndim)), keepdims)
        at = one_axis(axis, a.ndim)
        return _kept(emit(name, a, axis=at), a, (at,), keepdims)

    rule.__name__ = rule.__qualname__ = name
    return implements(getattr(np, name))(rule)


argmax = _arg_extremum("argmax")
argmin = _arg_extremum("argmin")


def _along(a: Any, axis: Any) -> tuple[Any, int]:
    """An array, and the axis meant; all of it in a row, if that is None."""
    a = tracer_of(a)
    return (emit("reshape", a, shape=(a.size,)), 0) if axis is None else (a, one_axis(axis, a.ndim))


def _cumulative(name: str, prim: str, ufunc: np.ufunc) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        refuse_options(f"np.{name}", {"out": out}, out=None)
        a, at = _along(a, axis)
        return emit(prim, convert(a, _sum_dtype(a, dtype)), axis=at)

    rule.__name__ = rule.__qualname__ = name
    return implements(getattr(np, name), (ufunc, "accumulate"))(rule)


cumsum = _cumulative("cumsum", "cumsum", np.add)
cumprod = _cumulative("cumprod", "cumprod", np.multiply)


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """In ascending order along an axis."""
    refuse_options("np.sort", {"order": order}, order=None)
    a, at = _along(a, axis)
    return emit("sort", a, axis=at)


@implements(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """The places that elements in ascending order come from; equal ones keep their order."""
    refuse_options("np.argsort", {"order": order}, order=None)
    a, at = _along(a, axis)
    return emit("argsort", a, axis=at)
