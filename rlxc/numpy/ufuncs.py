"""Functions of each element that are made of others: hyperbolas and logarithms, signs, parts of numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rlxc.ir.types import DType
from rlxc.numpy.common import BOOL, U8, as_operand, constant, convert, emit, inexact, promoted, refuse, traced, unsupported, wrong
from rlxc.numpy.elementwise import check_options, operands_of
from rlxc.tracing.protocols import implements


def _operands(ufunc: np.ufunc, *xs: Any, **options: Any) -> list[Any]:
    """Operands in the dtypes that NumPy computes in."""
    return operands_of(ufunc, [as_operand(x) for x in xs], options)[0]


@implements(np.positive)
def positive(x: Any, /, **options: Any) -> Any:
    """x itself."""
    return _operands(np.positive, x, **options)[0]


@implements(np.reciprocal)
def reciprocal(x: Any, /, **options: Any) -> Any:
    """1 / x; of integers without the fraction."""
    (x,) = _operands(np.reciprocal, x, **options)
    return emit("div", np.ones_like(x), x)


@implements(np.log10)
def log10(x: Any, /, **options: Any) -> Any:
    """The logarithm to base 10."""
    (x,) = _operands(np.log10, x, **options)
    y = np.log2(x)
    if x.aval.dtype.is_complex:  # by parts: an infinite one says nothing about the other
        return emit("complex", np.real(y) * math.log10(2), np.imag(y) * math.log10(2))
    return y * math.log10(2)


@implements(np.deg2rad, np.radians)
def deg2rad(x: Any, /, **options: Any) -> Any:
    """Degrees as radians."""
    (x,) = _operands(np.deg2rad, x, **options)
    return x * (math.pi / 180)


@implements(np.rad2deg, np.degrees)
def rad2deg(x: Any, /, **options: Any) -> Any:
    """Radians as degrees."""
    (x,) = _operands(np.rad2deg, x, **options)
    return x * (180 / math.pi)


@implements(np.hypot)
def hypot(x: Any, y: Any, /, **options: Any) -> Any:
    """sqrt(x² + y²), without overflow. The derivative at (0, 0) is 0."""
    x, y = _operands(np.hypot, x, y, **options)
    largest = emit("stop_gradient", np.maximum(np.abs(x), np.abs(y)))
    zero = largest == 0
    scale = np.where(zero | np.isinf(largest), constant(1, x), largest)
    u, v = x / scale, y / scale
    return np.where(zero, constant(0, x), scale * np.sqrt(np.where(zero, constant(1, x), u * u + v * v)))


@implements(np.logaddexp)
def logaddexp(x: Any, y: Any, /, **options: Any) -> Any:
    """log(exp(x) + exp(y)), without overflow; right in all derivatives where x = y, too."""
    x, y = _operands(np.logaddexp, x, y, **options)
    first = x >= y
    high, low = np.where(first, x, y), np.where(first, y, x)
    both = np.isinf(high) & (high == low)
    below = np.where(both, constant(0, x), low - high)
    value = high + np.where(both & (high > 0), constant(0, x), emit("softplus", below))
    return np.where(np.isnan(x) | np.isnan(y), x + y, value)


@implements(np.logaddexp2)
def logaddexp2(x: Any, y: Any, /, **options: Any) -> Any:
    """log2(2^x + 2^y), without overflow."""
    x, y = _operands(np.logaddexp2, x, y, **options)
    return np.logaddexp(x * math.log(2), y * math.log(2)) * (1 / math.log(2))


@implements(np.fmax)
def fmax(x: Any, y: Any, /, **options: Any) -> Any:
    """The larger of x and y; where one is nan, the other."""
    x, y = _operands(np.fmax, x, y, **options)
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.maximum(x, y)))


@implements(np.fmin)
def fmin(x: Any, y: Any, /, **options: Any) -> Any:
    """The smaller of x and y; where one is nan, the other."""
    x, y = _operands(np.fmin, x, y, **options)
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.minimum(x, y)))


@implements(np.divmod)
def divmod(x: Any, y: Any, /, **options: Any) -> Any:
    """x // y and x % y."""
    x, y = _operands(np.divmod, x, y, **options)
    return np.floor_divide(x, y), np.remainder(x, y)


@implements(np.float_power)
def float_power(x: Any, n: Any, /, **options: Any) -> Any:
    """x to the power n in f64, or c128."""
    return np.power(*_operands(np.float_power, x, n, **options))


@implements(np.modf)
def modf(x: Any, /, **options: Any) -> Any:
    """The fraction, which has the sign of x, and what is before the point."""
    (x,) = _operands(np.modf, x, **options)
    whole = np.trunc(x)
    return np.where(np.isinf(x), constant(0, x), x - whole), whole


@implements(np.ldexp)
def ldexp(x: Any, n: Any, /, **options: Any) -> Any:
    """x 2^n."""
    x, n = _operands(np.ldexp, x, n, **options)
    return x * np.exp2(convert(n, x.aval.dtype))


@implements(np.heaviside)
def heaviside(x: Any, at_zero: Any, /, **options: Any) -> Any:
    """0 below zero, 1 above, `at_zero` between."""
    x, middle = _operands(np.heaviside, x, at_zero, **options)
    step = np.where(x < 0, constant(0, x), np.where(x > 0, constant(1, x), middle))
    return np.where(np.isnan(x), x, step)


@implements(np.sign)
def sign(x: Any, /, **options: Any) -> Any:
    """-1, 0 or 1; of complex numbers x / |x|, 0 at 0."""
    (x,) = _operands(np.sign, x, **options)
    if not x.aval.dtype.is_complex:
        return emit("sign", x, weak=x._weak)
    re, im = np.real(x), np.imag(x)
    ends = [np.where(np.isinf(part), np.copysign(constant(1, part), part), constant(0, part)) for part in (re, im)]
    x = np.where(np.isinf(re) != np.isinf(im), emit("complex", *ends), x)  # of two infinite parts it is nan
    zero = x == 0
    size = np.maximum(np.abs(np.real(x)), np.abs(np.imag(x)))  # first, for numbers so small that |x| has few digits
    x = x / np.where(zero, constant(1, size), size)
    return np.where(zero, constant(0, x), x / np.where(zero, constant(1, size), np.abs(x)))


@implements(np.signbit)
def signbit(x: Any, /, **options: Any) -> Any:
    """Whether the sign is minus, that of zero and nan too."""
    check_options(np.signbit, (x,), options)
    x = inexact(x)
    return emit("bitcast", x, dtype=DType(f"i{x.aval.dtype.bits}")) < 0


@implements(np.copysign)
def copysign(x: Any, y: Any, /, **options: Any) -> Any:
    """x with the sign of y."""
    x, y = _operands(np.copysign, x, y, **options)
    return np.where(np.signbit(x) == np.signbit(y), x, -x)


@implements(np.isinf)
def isinf(x: Any, /, **options: Any) -> Any:
    """Whether x is infinite."""
    check_options(np.isinf, (x,), options)
    x = traced(x)
    if x.aval.dtype.is_complex:
        return np.isinf(np.real(x)) | np.isinf(np.imag(x))
    return np.abs(x) == constant(np.inf, x) if x.aval.dtype.is_float else ~np.isfinite(x) & ~np.isnan(x)


@implements(np.isposinf)
def isposinf(x: Any, out: Any = None) -> Any:
    """Whether x is inf."""
    refuse("isposinf", out=out)
    return np.isinf(x) & (traced(x) > 0)


@implements(np.isneginf)
def isneginf(x: Any, out: Any = None) -> Any:
    """Whether x is -inf."""
    refuse("isneginf", out=out)
    return np.isinf(x) & (traced(x) < 0)


@implements(np.isreal)
def isreal(x: Any) -> Any:
    """Whether the imaginary part is zero."""
    x = traced(x)
    return np.imag(x) == 0 if x.aval.dtype.kind == "c" else np.ones_like(x, dtype=bool)


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """Whether the imaginary part is not zero."""
    x = traced(x)
    return np.imag(x) != 0 if x.aval.dtype.kind == "c" else np.zeros_like(x, dtype=bool)


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex."""
    return traced(x).aval.dtype.kind != "c"


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex."""
    return traced(x).aval.dtype.kind == "c"


@implements(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    """x without its fraction."""
    refuse("fix", out=out)
    return np.trunc(x)


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), 1 at 0; its derivatives at 0 are right as well."""
    x = inexact(x)
    y = math.pi * x
    small = np.abs(y) < 1e-2
    square = y * y
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72)))
    away = np.where(small, constant(1, x), y)
    return np.where(small, series, np.sin(away) / away)


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether |a - b| <= atol + rtol |b|, or both are the same infinity."""
    x, y = promoted(a, b)
    if x.aval.dtype.is_bool or x.aval.dtype.is_integer:
        x, y = inexact(x), inexact(y)
    near = np.isfinite(y) & (np.abs(x - y) <= atol + rtol * np.abs(y))
    near = near | (x == y)
    return near | (np.isnan(x) & np.isnan(y)) if equal_nan else near


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are close; a traced bool."""
    return np.all(np.isclose(a, b, rtol, atol, equal_nan))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether shapes and elements are equal."""
    x, y = traced(a1), traced(a2)
    if x.shape != y.shape:
        return False
    same = x == y
    return np.all(same | (np.isnan(x) & np.isnan(y)) if equal_nan else same)


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether elements are equal once shapes are broadcast."""
    x, y = traced(a1), traced(a2)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return np.all(x == y)


@implements(np.bitwise_count)
def bitwise_count(x: Any, /, **options: Any) -> Any:
    """The number of bits set in |x|, as u8."""
    check_options(np.bitwise_count, (x,), options)
    x = traced(x)
    if x.aval.dtype.is_bool:
        return convert(x, U8)
    bits = x.aval.dtype.bits
    n = emit("bitcast", np.abs(x), dtype=DType(f"u{bits}")) if x.aval.dtype.kind == "i" else x

    def mask(byte: int) -> Any:
        return constant(int.from_bytes(bytes([byte]) * (bits // 8), "little"), n)

    n = n - ((n >> 1) & mask(0x55))
    n = (n & mask(0x33)) + ((n >> 2) & mask(0x33))
    n = (n + (n >> 4)) & mask(0x0F)
    shift = 8
    while shift < bits:
        n = n + (n >> shift)
        shift *= 2
    return convert(n & 0xFF if bits > 8 else n, U8)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """The angle of a complex number; of a real one 0 or pi."""
    z = traced(z)
    y = np.arctan2(np.imag(z), np.real(z)) if z.aval.dtype.is_complex else np.arctan2(0, z)
    return y * (180 / math.pi) if deg else y


@implements(np.i0)
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0, by its power series up to 20 and its asymptotic one beyond. (Abramowitz & Stegun 9.6.12, 9.7.1.)"""
    x = inexact(x)
    if x.aval.dtype.is_complex:
        unsupported("np.i0 of complex numbers")
    x = np.abs(x)
    near = np.where(x <= 20, x, constant(0, x))
    quarter = near * near * 0.25
    series = constant(1, x)
    for k in range(60, 0, -1):
        series = 1 + quarter / k**2 * series
    far = np.where(x > 20, x, constant(20, x))
    tail = constant(1, x)
    for k in range(16, 0, -1):
        tail = 1 + (2 * k - 1) ** 2 / (8 * k * far) * tail
    return np.where(x <= 20, series, np.exp(far) / np.sqrt(2 * math.pi * far) * tail)


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kwargs: Any) -> Any:
    """For each element, the function (or number) of the last condition that holds; one more function is for where none does."""
    x = traced(x)
    conditions = [as_operand(c) for c in (condlist if isinstance(condlist, list | tuple) else [condlist])]
    if len(funclist) == len(conditions):
        otherwise: Any = constant(0, x)
    elif len(funclist) == len(conditions) + 1:
        otherwise = funclist[-1]
    else:
        wrong(f"with {len(conditions)} condition(s), either {len(conditions)} or {len(conditions) + 1} functions are expected")

    def value(f: Any) -> Any:
        return convert(traced(f(x, *args, **kwargs) if callable(f) else f), x.aval.dtype)

    y: Any = np.broadcast_to(value(otherwise), x.shape)
    for condition, f in zip(conditions, funclist, strict=False):
        y = np.where(condition, value(f), y)
    return y


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """For each element, the choice of the first condition that holds."""
    if len(condlist) != len(choicelist):
        wrong("list of cases must be same length as list of conditions")
    *choices, y = promoted(*choicelist, default)
    for condition, choice in reversed(list(zip(condlist, choices, strict=True))):
        y = np.where(convert(traced(condition), BOOL), choice, y)
    return y


@implements(np.frexp, np.nextafter, np.spacing)
def _bits_of_floats(*xs: Any, **options: Any) -> Any:
    unsupported("np.frexp, np.nextafter and np.spacing are not defined on traced arrays")


@implements(np.gcd, np.lcm)
def _divisors(*xs: Any, **options: Any) -> Any:
    unsupported("np.gcd and np.lcm are not defined on traced arrays", "write Euclid's algorithm with rlxc.while_loop")
