"""Arithmetic: add sub mul div rem floor_div, neg abs sign, and the product in which a zero is strong."""

from __future__ import annotations

import math

import numpy as np

from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import INEXACT, NUMBERS, REALS
from rlxc.primitives import complex_math, numerics
from rlxc.primitives.families import Direct, Elementwise, NonDifferentiable, conj, is_linear
from rlxc.primitives.identities import constant_elements, is_all, produced_by
from rlxc.primitives.planes import Planes

_DIVISORS = np.array([1.0, -2.0, 0.0, -0.0, np.inf, np.nan])


@register
class Add(Direct):
    """x + y. Integers wrap around."""

    name = "add"
    dtypes = NUMBERS
    commutative = True
    linear_in = ((0, 1),)
    by_parts = True
    singular = False
    samples = (
        "f64[3], f64[3]",
        "f64[2, 1, 3], f64[4, 1]",
        "f32[], f32[2]",
        "f64[0, 2], f64[2]",
        "i32[3], i32[3]",
        Sample(np.array([120, -128], np.int8), np.array([100, -1], np.int8)),
    )

    def eval(self, x, y):
        return np.add(x, y)

    def partials(self, b, out, x, y):
        return 1, 1

    def transpose(self, b, cts, operands):
        return cts[0], cts[0]

    def identities(self, b, x, y):
        zero = _neutral_zero(x)
        if is_all(b, y, zero):
            return x
        if is_all(b, x, zero):
            return y
        if negated := produced_by(b, y, "neg"):
            return b.sub(x, negated[0])
        if negated := produced_by(b, x, "neg"):
            return b.sub(y, negated[0])
        return None


@register
class Sub(Direct):
    """x - y. Integers wrap around."""

    name = "sub"
    dtypes = NUMBERS
    linear_in = ((0, 1),)
    by_parts = True
    singular = False
    samples = ("f64[3], f64[3]", "f64[2, 1, 3], f64[4, 1]", "f64[], f64[]", "f64[0], f64[1]", "u8[4], u8[4]")

    def eval(self, x, y):
        return np.subtract(x, y)

    def partials(self, b, out, x, y):
        return 1, -1

    def transpose(self, b, cts, operands):
        return cts[0], b.neg(cts[0])

    def identities(self, b, x, y):
        if is_all(b, y, 0):
            return x
        if is_all(b, x, _neutral_zero(x)):
            return b.neg(y)
        if negated := produced_by(b, y, "neg"):
            return b.add(x, negated[0])
        if x is y and x.type.dtype.is_integer:
            return b.zeros(x.type)
        return None


@register
class Mul(Direct):
    """x y. Integers wrap around."""

    name = "mul"
    dtypes = NUMBERS
    commutative = True
    linear_in = (0, 1)
    samples = ("f64[3], f64[3]", "f64[2, 1, 3], f64[4, 1]", "f32[], f32[2]", "f64[0], f64[]", "i16[3], i16[3]")

    def eval(self, x, y):
        return np.multiply(x, y)

    def partials(self, b, out, x, y):
        return y, x

    def transpose(self, b, cts, operands):
        x, y = operands
        return (b.mul(cts[0], conj(b, y)), None) if is_linear(x) else (None, b.mul(cts[0], conj(b, x)))

    def planes(self, b, x, y):
        return complex_math.mul(b, x, y)

    def identities(self, b, x, y):
        if constant_elements(b, x) is not None and constant_elements(b, y) is None:
            x, y = y, x
        if is_all(b, y, 1):
            return x
        if x.type.dtype.kind != "u" and is_all(b, y, -1):
            return b.neg(x)
        if x.type.dtype.is_integer and is_all(b, y, 0):
            return y
        nx, ny = produced_by(b, x, "neg"), produced_by(b, y, "neg")
        if nx and ny:
            return b.mul(nx[0], ny[0])
        if nx and b.splat_of(y) is not None:
            return b.mul(nx[0], b.neg(y))
        return None


@register
class Div(Direct):
    """x / y. Integers: toward zero, 0 where y = 0, and MIN / -1 wraps around.

    The derivative in x is a strong product with 1 / y: where a zero tangent meets y = 0 it stays zero.
    """

    name = "div"
    dtypes = NUMBERS
    linear_in = (0,)
    cost = Cost(flops=4, recompute=False)
    samples = (
        Sample("f64[3], f64[3]", domain=(0.5, 2.0)),
        Sample("f64[2, 1, 3], f64[4, 1]", domain=(-2.0, -0.5)),
        Sample("f64[], f64[]", domain=(0.5, 2.0)),
        Sample("f64[0], f64[]", domain=(0.5, 2.0)),
        Sample(np.full(6, 3.0), _DIVISORS),
        Sample(np.array([7, -7, 7, -7, 5, -128], np.int8), np.array([2, 2, -2, -2, 0, -1], np.int8)),
    )

    def eval(self, x, y):
        return numerics.div(x, y)

    def partials(self, b, out, x, y):
        r = b.div(b.constant(1.0, like=y), y)
        return r, b.neg(b.strong_mul(out, r))

    def transpose(self, b, cts, operands):
        return b.div(cts[0], conj(b, operands[1])), None

    def planes(self, b, x, y):
        return complex_math.div(b, x, y)

    def identities(self, b, x, y):
        if is_all(b, y, 1):
            return x
        if x.type.dtype.kind != "u" and is_all(b, y, -1):
            return b.neg(x)
        divisor = b.splat_of(y)
        if x.type.dtype.is_float and divisor is not None and has_exact_reciprocal(divisor, x.type.dtype):
            return b.mul(x, b.constant(1.0 / float(divisor), like=x))
        nx, ny = produced_by(b, x, "neg"), produced_by(b, y, "neg")
        if nx and ny and x.type.dtype.is_float:
            return b.div(nx[0], ny[0])
        return None


@register
class Rem(Direct):
    """The remainder of x / y with the sign of x, as C's % and fmod: x - y trunc(x / y), exactly. Integers: 0 where y = 0.

    Derivatives: 1 in x, -trunc(x / y) in y.
    """

    name = "rem"
    dtypes = REALS
    cost = Cost(flops=20, recompute=False)
    samples = (
        Sample("f64[3], f64[3]", domain=(0.5, 4.0)),
        Sample("f64[2, 1], f64[3]", domain=(0.5, 4.0)),
        Sample(np.full(6, -5.0), _DIVISORS),
        Sample(np.array([7, -7, 7, -7, 5, -128], np.int8), np.array([2, 2, -2, -2, 0, -1], np.int8)),
    )

    def eval(self, x, y):
        return numerics.rem(x, y)

    def partials(self, b, out, x, y):
        return 1, b.neg(b.round(b.div(b.sub(x, out), y)))


@register
class FloorDiv(NonDifferentiable, Elementwise):
    """x / y rounded down, judged by the exact quotient (1 floor_div 0.1 is 9), as NumPy's //. Integers: 0 where y = 0.

    Floats: x / y itself where y = 0. The derivative is zero.
    """

    name = "floor_div"
    dtypes = REALS
    cost = Cost(flops=20, recompute=False)
    samples = (
        Sample("f64[3], f64[3]", domain=(0.5, 4.0)),
        Sample("f64[2, 1], f64[3]", domain=(-4.0, -0.5)),
        Sample(np.full(6, -5.0), _DIVISORS),
        Sample(np.array([7, -7, 7, -7, 5, -128], np.int8), np.array([2, 2, -2, -2, 0, -1], np.int8)),
    )

    def eval(self, x, y):
        return numerics.floor_div(x, y) if x.dtype.kind in "iu" else np.floor_divide(x, y)

    def scalar(self, e, x, y):
        if not x.type.dtype.is_float:
            return e.floor_div(x, y)
        remainder = e.rem(x, y)
        down = e.and_(e.ne(remainder, 0.0), e.ne(e.lt(remainder, 0.0), e.lt(y, 0.0)))
        near = e.div(e.sub(x, remainder), y)
        whole = e.round(e.select(down, e.sub(near, 1.0), near))
        quotient = e.div(x, y)
        signed = e.select(e.eq(whole, 0.0), e.copysign(whole, quotient), whole)
        return e.select(e.eq(y, 0.0), quotient, signed)

    def identities(self, b, x, y):
        return x if x.type.dtype.is_integer and is_all(b, y, 1) else None


@register
class Neg(Direct):
    """-x. Integers wrap around."""

    name = "neg"
    dtypes = NUMBERS
    linear_in = (0,)
    by_parts = True
    singular = False
    samples = ("f64[3]", "f32[]", "f64[0, 2]", "i32[4]", "u8[4]", Sample(np.array([0.0, -0.0, np.inf, np.nan])))

    def eval(self, x):
        return np.negative(x)

    def partials(self, b, out, x):
        return (-1,)

    def transpose(self, b, cts, operands):
        return (b.neg(cts[0]),)

    def identities(self, b, x):
        if inner := produced_by(b, x, "neg"):
            return inner[0]
        if (inner := produced_by(b, x, "sub")) and x.type.dtype.is_integer:
            return b.sub(inner[1], inner[0])
        return None


@register
class Abs(Direct):
    """|x|, a real number for complex x. Integers wrap around: abs of the least one is itself. The derivative is sign(x), x / |x|; 0 at 0."""

    name = "abs"
    dtypes = NUMBERS
    singular = False
    samples = ("f64[5]", "f64[]", "f64[2, 0]", Sample(np.array([0.0, -0.0, -np.inf, np.nan])), Sample(np.array([-128, 127, 0], np.int8)), "u16[3]")

    def eval(self, x):
        return np.abs(x)

    def result_dtype(self, dtype, **attrs):
        return dtype.part

    def partials(self, b, out, x):
        return (b.sign(x),)

    def jvp(self, b, primals, tangents, outs):
        """Of complex x: Re(conj(x / |x|) dx)."""
        (x,), (dx,), (out,) = primals, tangents, outs
        if not x.type.dtype.is_complex:
            return super().jvp(b, primals, tangents, outs)
        size = b.select(b.eq(out, 0.0), b.constant(1.0, like=out), out)
        along = (b.mul(part(dx), b.div(part(x), size)) for part in (b.real, b.imag))
        return (b.add(*along),)

    def planes(self, b, x):
        return complex_math.abs(b, x)

    def identities(self, b, x):
        if produced_by(b, x, "abs") or x.type.dtype.kind == "u":
            return x
        if inner := produced_by(b, x, "neg"):
            return b.abs(inner[0])
        return None


@register
class Sign(NonDifferentiable, Elementwise):
    """-1, 0 or 1 as x is negative, zero (of either sign) or positive; nan stays. The derivative is zero."""

    name = "sign"
    dtypes = REALS
    samples = ("f64[5]", "f64[]", Sample(np.array([0.0, -0.0, -np.inf, np.nan])), Sample(np.array([-128, 127, 0], np.int8)), "u16[3]")

    def eval(self, x):
        return np.sign(x)

    def scalar(self, e, x):
        rest = e.constant(0, like=x) if not x.type.dtype.is_float else e.select(e.eq(x, 0.0), e.constant(0.0, like=x), x)
        if x.type.dtype.kind != "u":
            rest = e.select(e.lt(x, 0), e.constant(-1, like=x), rest)
        return e.select(e.gt(x, 0), e.constant(1, like=x), rest)


@register
class StrongMul(Elementwise):
    """t c, but t where t is zero, whatever c is, inf and nan included.

    It is how a tangent t meets a partial derivative c that may be infinite: what has been masked to zero stays zero.
    Linear in t with c fixed and in c with t fixed.
    """

    name = "strong_mul"
    dtypes = INEXACT
    linear_in = (0, 1)
    singular = False
    samples = (
        "f64[3], f64[3]",
        "f64[2, 1, 3], f64[4, 1]",
        "f64[], f64[0]",
        Sample(np.array([0.0, -0.0, 1.0, np.inf, np.nan, 0.0]), np.array([np.inf, np.nan, -np.inf, 0.0, 0.0, -2.0])),
    )

    def eval(self, t, c):
        return np.where(t == 0, t, t * c)

    def jvp(self, b, primals, tangents, outs):
        t, c = primals
        dt, dc = tangents
        terms = []
        if dt is not None:
            terms.append(b.strong_mul(dt, c))
        if dc is not None:
            terms.append(_strong_mul_both(b, dc, t))
        return (terms[0] if len(terms) == 1 else b.add(*terms),)

    def transpose(self, b, cts, operands):
        t, c = operands
        return (b.strong_mul(cts[0], conj(b, c)), None) if is_linear(t) else (None, _strong_mul_both(b, cts[0], conj(b, t)))

    def planes(self, b, t, c):
        zero = complex_math.is_zero(b, t)
        product = complex_math.mul(b, t, c)
        return Planes(b.select(zero, t.re, product.re), b.select(zero, t.im, product.im))

    def scalar(self, e, t, c):
        return e.select(e.eq(t, 0.0), t, e.mul(t, c))

    def identities(self, b, t, c):
        array = constant_elements(b, c)
        if array is not None and np.all(np.isfinite(array) & (array > 0)):
            return b.mul(t, c)
        array = constant_elements(b, t)
        if array is not None and np.all(array != 0):
            return b.mul(t, c)
        return None


def _strong_mul_both(b, dc, t):
    """dc t, where a zero of either is strong."""
    return b.select(b.ne(t, b.zeros(t.type)), b.strong_mul(dc, t), b.zeros(t.type))


def has_exact_reciprocal(number: float, dtype) -> bool:
    """Whether dividing by `number` is the same as multiplying by its reciprocal: a power of two whose reciprocal is normal."""
    if number == 0 or not math.isfinite(number):
        return False
    mantissa, exponent = math.frexp(abs(float(number)))
    low, high = {"f64": (-1021, 1022)}.get(dtype, (-125, 126) if dtype in ("f32", "bf16") else (-13, 14))
    return mantissa == 0.5 and low <= exponent <= high


def _neutral_zero(x) -> complex:
    """What added to any number gives that number: -0.0, since -0.0 + 0.0 is 0.0."""
    if x.type.dtype.is_complex:
        return complex(-0.0, -0.0)
    return -0.0 if x.type.dtype.is_float else 0
