"""Functions of each element: arithmetic, comparisons, where, clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError, DTypeError, TracingError, Unsupported
from rlxc.ir.types import DType
from rlxc.numpy.operands import Tracer, cast, convert, emit, full, tracer_of
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.promotion import Kind, as_dtype, kind_of, promote, ufunc_dtypes
from rlxc.tracing.protocols import implements, refuse_options

#: ufuncs that are one primitive each
_DIRECT = {
    np.negative: "neg",
    np.absolute: "abs",
    np.fabs: "abs",
    np.sign: "sign",
    np.exp: "exp",
    np.exp2: "exp2",
    np.expm1: "expm1",
    np.log: "log",
    np.log2: "log2",
    np.log1p: "log1p",
    np.sqrt: "sqrt",
    np.cbrt: "cbrt",
    np.sin: "sin",
    np.cos: "cos",
    np.tan: "tan",
    np.arcsin: "asin",
    np.arccos: "acos",
    np.arctan: "atan",
    np.sinh: "sinh",
    np.cosh: "cosh",
    np.tanh: "tanh",
    np.arcsinh: "asinh",
    np.arccosh: "acosh",
    np.arctanh: "atanh",
    np.invert: "not",
    np.add: "add",
    np.subtract: "sub",
    np.multiply: "mul",
    np.divide: "div",
    np.floor_divide: "floor_div",
    np.fmod: "rem",
    np.maximum: "max",
    np.minimum: "min",
    np.arctan2: "atan2",
    np.bitwise_and: "and",
    np.bitwise_or: "or",
    np.bitwise_xor: "xor",
    np.left_shift: "shift_left",
    np.right_shift: "shift_right",
    np.equal: "eq",
    np.not_equal: "ne",
    np.less: "lt",
    np.less_equal: "le",
    np.greater: "gt",
    np.greater_equal: "ge",
}
#: ufuncs on booleans, of which there are others on numbers: `np.add` of booleans is `or`
_ON_BOOLEANS = {np.add: "or", np.multiply: "and", np.maximum: "or", np.minimum: "and", np.absolute: None}
_ROUNDING = {np.floor: "floor", np.ceil: "ceil", np.rint: "round", np.trunc: "trunc"}
_LOGICAL = {np.logical_and: "and", np.logical_or: "or", np.logical_xor: "xor", np.logical_not: "not"}

__all__ = ["abs", "astype", "clip", "nan_to_num", "power", "remainder", "round", "square", "where"]


def operands_of(ufunc: np.ufunc, xs: Any, options: dict[str, Any]) -> tuple[list[Any], Any, bool]:
    """Operands in the dtypes that NumPy computes in, the dtypes of its results, and whether they are weak."""
    dtype, casting = ufunc_options(ufunc, options)
    xs = [x if isinstance(x, Tracer | int | float | complex | np.ndarray | np.generic) else _array(x) for x in xs]
    kinds = tuple([kind_of(x) for x in xs])
    ins, outs = dtypes_of(ufunc, kinds, dtype, casting)
    weak = dtype is None and promote(kinds)[1] and not outs[0].is_bool
    shape = _common_shape(xs)
    return [cast(x, d, shape, weak=weak) for x, d in zip(xs, ins, strict=True)], outs, weak


def ufunc_options(ufunc: np.ufunc, options: dict[str, Any], *more: str) -> tuple[DType | None, str]:
    """The dtype and the casting asked for. `order` and `subok` mean nothing here; `more` are for the caller; all else is refused."""
    name = f"np.{ufunc.__name__}"
    refuse_options(name, options, out=None, where=True, signature=None, sig=None)
    unknown = options.keys() - {"dtype", "casting", "order", "subok", *more}
    if unknown:
        raise with_source(TracingError(f"{name} has no option {min(unknown)}", loc=user_location()))
    dtype = options.get("dtype")
    return None if dtype is None else as_dtype(dtype), options.get("casting") or "same_kind"


def dtypes_of(ufunc: np.ufunc, kinds: tuple[Kind, ...], dtype: DType | None, casting: str) -> tuple[tuple[DType, ...], tuple[DType, ...]]:
    """`ufunc_dtypes`; what NumPy refuses is an error at the user's line."""
    try:
        return ufunc_dtypes(ufunc, kinds, dtype, casting)
    except DTypeError as error:
        raise with_source(error.at(user_location())) from None


def check_options(ufunc: np.ufunc, xs: Any, options: dict[str, Any]) -> None:
    """For ufuncs whose results have one dtype whatever the operands': an error, where something else is asked for."""
    dtype, casting = ufunc_options(ufunc, options)
    if dtype is not None:
        dtypes_of(ufunc, tuple([kind_of(x) for x in xs]), dtype, casting)


def _common_shape(xs: Any) -> tuple[Any, ...]:
    """The shape that numbers among operands are repeated to: that of the tracers, if they have one; else none."""
    shapes = {x.shape for x in xs if isinstance(x, Tracer)}
    return shapes.pop() if len(shapes) == 1 else ()


def _array(x: Any) -> Any:
    """Lists in which tracers stand, and other things that NumPy makes arrays of."""
    if isinstance(x, list | tuple) and any(hasattr(i, "_trace") for i in x):
        return np.stack(x)
    return tracer_of(x) if hasattr(x, "__rlxc_call__") else np.asarray(x)


def _beyond(xs: Any) -> Tracer | None:
    """The array of integers that is compared with a number its dtype does not hold: less than all of them, or greater."""
    if len(xs) != 2 or sum(type(x) is int for x in xs) != 1:
        return None
    array, number = (xs[1], xs[0]) if type(xs[0]) is int else xs
    if not isinstance(array, Tracer) or not array.aval.dtype.is_integer or array._weak:
        return None
    return array if _in_range(number, array.aval.dtype) != number else None


def _in_range(number: Any, dtype: DType) -> Any:
    """A Python integer moved to the nearest one that an integer dtype holds; anything else as it is."""
    if type(number) is not int or not dtype.is_integer:
        return number
    info = np.iinfo(dtype.numpy)
    return int(info.min) if number < info.min else int(info.max) if number > info.max else number


def _direct(ufunc: np.ufunc, prim: str) -> Callable[..., Any]:
    compares = ufunc in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)

    def rule(*xs: Any, **options: Any) -> Any:
        if compares and (known := _beyond(xs)) is not None:
            check_options(ufunc, xs, options)
            return full(bool(ufunc(*[x if type(x) is int else 0 for x in xs])), DType("bool"), known.shape)
        operands, (dtype,), weak = operands_of(ufunc, xs, options)
        if operands[0].aval.dtype != operands[-1].aval.dtype and compares:
            return _signed_with_unsigned(ufunc, *operands)
        name: str | None = prim
        if operands[0].aval.dtype.is_bool:
            name = _ON_BOOLEANS.get(ufunc, prim)
        y = operands[0] if name is None else emit(name, *operands, weak=weak)
        return y if y.aval.dtype == dtype else convert(y, dtype, weak=weak)

    rule.__name__ = rule.__qualname__ = ufunc.__name__
    rule.__doc__ = f"NumPy's {ufunc.__name__}."
    return rule


def _signed_with_unsigned(ufunc: np.ufunc, x: Any, y: Any) -> Any:
    """i64 is compared with u64: what is negative is less than anything that is not."""
    signs = [-1 if v.aval.dtype.kind == "i" else 0 for v in (x, y)]
    negative = next(v < 0 for v, sign in zip((x, y), signs, strict=True) if sign)
    return where(negative, bool(ufunc(*signs)), ufunc(*[v.astype(np.uint64) for v in (x, y)]))


def _rounding(ufunc: np.ufunc, prim: str) -> Callable[..., Any]:
    def rule(x: Any, **options: Any) -> Any:
        (x,), _, weak = operands_of(ufunc, (x,), options)
        return emit(prim, x, weak=weak) if x.aval.dtype.differentiable else x

    rule.__name__ = rule.__qualname__ = ufunc.__name__
    return rule


def _logical(ufunc: np.ufunc, prim: str) -> Callable[..., Any]:
    def rule(*xs: Any, **options: Any) -> Any:
        check_options(ufunc, xs, options)
        return emit(prim, *[cast(x if isinstance(x, Tracer) else np.asarray(x, bool), DType("bool")) for x in xs])

    rule.__name__ = rule.__qualname__ = ufunc.__name__
    return rule


def _publish(ufunc: Any, rule: Callable[..., Any]) -> None:
    globals()[ufunc.__name__] = implements(ufunc)(rule)
    __all__.append(ufunc.__name__)


for _ufunc, _prim in _DIRECT.items():
    _publish(_ufunc, _direct(_ufunc, _prim))
for _ufunc, _prim in _ROUNDING.items():
    _publish(_ufunc, _rounding(_ufunc, _prim))
for _ufunc, _prim in _LOGICAL.items():
    _publish(_ufunc, _logical(_ufunc, _prim))
abs = globals()["absolute"]


def _classify(ufunc: np.ufunc, on_numbers: bool) -> Callable[..., Any]:
    def rule(x: Any, **options: Any) -> Any:
        check_options(ufunc, (x,), options)
        x = tracer_of(x)
        if x.aval.dtype.is_complex:
            return emit("and" if on_numbers else "or", rule(real(x)), rule(imag(x)))
        if not x.aval.dtype.differentiable:
            return tracer_of(np.full(x.shape, on_numbers))
        return emit("is_nan" if ufunc is np.isnan else "is_finite", x)

    rule.__name__ = rule.__qualname__ = ufunc.__name__
    return rule


_publish(np.isnan, _classify(np.isnan, False))
_publish(np.isfinite, _classify(np.isfinite, True))


@implements(np.square)
def square(x: Any, **options: Any) -> Any:
    """x x."""
    (x,), _, weak = operands_of(np.square, (x,), options)
    return emit("mul", x, x, weak=weak)


@implements(np.power)
def power(x: Any, n: Any, **options: Any) -> Any:
    """x to the power n. Integers are multiplied, so their exponent must be known while tracing."""
    (base, exponent), _, weak = operands_of(np.power, (x, n), options)
    if not base.aval.dtype.is_integer:
        if type(n) is float and n == 0.5 and base.aval.dtype.is_float:  # as NumPy does
            return emit("sqrt", base, weak=weak)
        return emit("pow", base, exponent, weak=weak)
    if isinstance(n, Tracer) or np.ndim(n) or int(n) < 0:
        help = "make one of them an array of floats: x.astype(float) ** n"
        raise with_source(TracingError("an integer to a power that is computed, or negative", code="RLX0803", loc=user_location(), help=help))
    return _integer_power(base, int(n))


def _integer_power(x: Any, n: int) -> Any:
    """By squaring."""
    result = None
    while n:
        if n & 1:
            result = x if result is None else emit("mul", result, x, weak=x._weak)
        n >>= 1
        if n:
            x = emit("mul", x, x, weak=x._weak)
    return cast(1, x.aval.dtype, x.shape) if result is None else result


@implements(np.remainder, np.mod)
def remainder(x: Any, y: Any, **options: Any) -> Any:
    """x - y floor(x / y), with the sign of y: Python's %."""
    (x, y), _, weak = operands_of(np.remainder, (x, y), options)
    rest = emit("rem", x, y, weak=weak)
    if x.aval.dtype.kind == "u":
        return rest
    wrong = emit("and", rest != 0, emit("ne", rest < 0, y < 0))
    return where(wrong, rest + y, rest)


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """x where the condition holds, else y."""
    if x is None or y is None:
        help = "its shape would depend on numbers that are not known: rlxc.where(condition, x, y) chooses between arrays"
        raise with_source(TracingError("np.where(condition) lists places", code="RLX0805", loc=user_location(), help=help))
    common, weak = promote((kind_of(x), kind_of(y)))
    shape = tracer_of(condition).shape
    x, y = [cast(v, common, shape, weak=weak) for v in (x, y)]
    return emit("select", cast(condition if isinstance(condition, Tracer) else np.asarray(condition, bool), DType("bool")), x, y, weak=weak)


@implements(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None, **options: Any) -> Any:
    """x moved into the interval; an end that is None is open. The derivative is 1 strictly inside."""
    refuse_options("np.clip", options, out=None, where=True)
    if options:
        raise with_source(Unsupported(f"np.clip on traced arrays does not take {next(iter(options))}=", code="RLX0803", loc=user_location()))
    if (a_min is not None or a_max is not None) and (min is not None or max is not None):
        raise with_source(ArgumentError("np.clip takes a_min and a_max, or min and max", loc=user_location()))
    low, high = a_min if a_min is not None else min, a_max if a_max is not None else max
    if low is None and high is None:
        return tracer_of(a)
    low, high = (_in_range(v, kind_of(a)[0]) for v in (low, high))
    if low is None or high is None:
        return globals()["minimum" if low is None else "maximum"](a, high if low is None else low)
    common, weak = promote((kind_of(a), kind_of(low), kind_of(high)))
    a = cast(a, common, weak=weak)
    return emit("clamp", cast(low, common, a.shape), a, cast(high, common, a.shape), weak=weak)


@implements(np.round, np.around)
def round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """To the nearest number of so many decimals, even ones of two equally near."""
    refuse_options("np.round", {"out": out}, out=None)
    a = tracer_of(a)
    if not a.aval.dtype.differentiable:
        if decimals >= 0:
            return a
        scale = 10**-decimals
        return convert(emit("round", convert(a, DType("f64")) / scale) * scale, a.aval.dtype)
    if not decimals:
        return emit("round", a, weak=a._weak)
    scale = 10.0**decimals
    return emit("round", a * scale, weak=a._weak) / scale


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """x with numbers in place of nan and infinities."""
    x = tracer_of(x)
    if x.aval.dtype.is_complex:
        return emit("complex", *[nan_to_num(part, copy, nan, posinf, neginf) for part in (real(x), imag(x))])
    if not x.aval.dtype.is_float:
        return x
    info = np.finfo(x.dtype)
    x = where(np.isnan(x), nan, x)
    x = where(x == np.inf, float(info.max) if posinf is None else posinf, x)
    return where(x == -np.inf, float(info.min) if neginf is None else neginf, x)


@implements(getattr(np, "astype", object()))
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """The same numbers in another dtype."""
    return convert(x, dtype)


@implements(np.real)
def real(val: Any) -> Any:
    """The real part; a real number itself."""
    val = tracer_of(val)
    return emit("real", val, weak=val._weak) if val.aval.dtype.is_complex else val


@implements(np.imag)
def imag(val: Any) -> Any:
    """The imaginary part; zero of a real number."""
    val = tracer_of(val)
    return emit("imag", val, weak=val._weak) if val.aval.dtype.is_complex else cast(0, val.aval.dtype, val.shape)


@implements(np.conjugate)
def conjugate(x: Any, **options: Any) -> Any:
    """The complex conjugate; a real number itself."""
    (x,), _, _ = operands_of(np.conjugate, (x,), options)
    return emit("conj", x, weak=x._weak) if x.aval.dtype.is_complex else x


conj = conjugate


@implements(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """A real array itself; of a complex one the dtype would depend on its numbers."""
    a = tracer_of(a)
    if a.aval.dtype.is_complex:
        raise with_source(TracingError("np.real_if_close of complex numbers", code="RLX0805", loc=user_location(), help="np.real takes the real part"))
    return a


__all__ += ["conj", "conjugate", "imag", "real", "real_if_close"]
