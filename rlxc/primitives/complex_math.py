"""Functions of complex arrays on real and imaginary planes: what primitives' `planes` rules emit.

Quotients and absolute values are scaled, so that nothing overflows on the way. Inverse functions are Kahan's ("Branch cuts for complex
elementary functions", 1987): signs of zeros choose the side of a cut. Where a part of an operand is infinite or nan, results are those of the
formulas, which differ from C99's Annex G in places (see docs/language.md).
"""

from __future__ import annotations

import math
from typing import Any

from rlxc.ir.core import Value
from rlxc.primitives.planes import Planes

Z = Planes

#: by dtype: where exp of a real part overflows, and how far it is moved; where tanh is 1; whose reciprocal is nothing beside 1
_LIMITS = {"f32": (88.0, 20.0, 10.0, 1e9), "f64": (709.0, 100.0, 22.0, 1e18)}


def is_zero(b: Any, z: Z) -> Value:
    return b.and_(b.eq(z.re, 0.0), b.eq(z.im, 0.0))


def is_negative(b: Any, x: Value) -> Value:
    """Whether the sign bit of a real x is set, which that of -0.0 is."""
    bits = b.bitcast(x, dtype="i32" if x.type.dtype == "f32" else "i64")
    return b.lt(bits, 0)


def with_sign_of(b: Any, size: Value, x: Value) -> Value:
    return b.select(is_negative(b, x), b.neg(size), size)


def select(b: Any, condition: Value, x: Z, y: Z) -> Z:
    return Z(b.select(condition, x.re, y.re), b.select(condition, x.im, y.im))


def real_constant(b: Any, number: float, like: Z) -> Z:
    return Z(b.constant(number, like=like.re), b.zeros(like.re.type))


def times_i(b: Any, z: Z) -> Z:
    return Z(b.neg(z.im), z.re)


def over_i(b: Any, z: Z) -> Z:
    return Z(z.im, b.neg(z.re))


# arithmetic


def mul(b: Any, x: Z, y: Z) -> Z:
    return Z(b.sub(b.mul(x.re, y.re), b.mul(x.im, y.im)), b.add(b.mul(x.re, y.im), b.mul(x.im, y.re)))


def scaled(b: Any, z: Z, factor: Any) -> Z:
    return Z(b.mul(z.re, factor), b.mul(z.im, factor))


def div(b: Any, x: Z, y: Z) -> Z:
    """Smith's algorithm, as NumPy's: divided by the larger part of y first."""
    first = b.ge(b.abs(y.re), b.abs(y.im))
    larger, smaller = b.select(first, y.re, y.im), b.select(first, y.im, y.re)
    is_zero_ = b.eq(larger, 0.0)
    ratio = b.select(is_zero_, larger, b.div(smaller, b.select(is_zero_, b.constant(1.0, like=larger), larger)))
    scale = b.div(1.0, b.add(larger, b.mul(smaller, ratio)))
    turned = b.neg(x.re)
    u, v = b.select(first, x.re, x.im), b.select(first, x.im, x.re)
    s, t = b.select(first, x.im, turned), b.select(first, turned, x.im)
    return Z(b.mul(b.add(u, b.mul(v, ratio)), scale), b.mul(b.add(s, b.mul(t, ratio)), scale))


def abs(b: Any, z: Z) -> Value:
    """sqrt(re² + im²), with squares of ratios only; inf where a part is infinite, even beside a nan."""
    larger, ratio = _size(b, z)
    size = b.mul(larger, b.sqrt(b.add(b.mul(ratio, ratio), 1.0)))
    infinite = b.or_(b.eq(b.abs(z.re), math.inf), b.eq(b.abs(z.im), math.inf))
    return b.select(infinite, b.constant(math.inf, like=size), size)


def _size(b: Any, z: Z) -> tuple[Value, Value]:
    """The larger of |re| and |im|, and the smaller one over it; 1 where they are equal, be they 0 or inf."""
    x, y = b.abs(z.re), b.abs(z.im)
    larger, smaller = b.max(x, y), b.min(x, y)
    return larger, b.select(b.eq(x, y), b.constant(1.0, like=x), b.div(smaller, larger))


# exponentials and logarithms


def exp(b: Any, z: Z) -> Z:
    limit, step, *_ = _LIMITS[z.re.type.dtype]
    high = b.gt(z.re, limit)  # where the product with a small cosine may be a number still
    size = b.exp(b.select(high, b.sub(z.re, step), z.re))
    again = b.select(high, b.constant(math.exp(step), like=size), b.constant(1.0, like=size))
    gone = b.eq(size, 0.0)
    re = b.select(gone, size, b.mul(b.mul(size, b.cos(z.im)), again))
    im = b.select(gone, size, b.strong_mul(b.strong_mul(b.sin(z.im), size), again))
    return Z(re, im)


def exp2(b: Any, z: Z) -> Z:
    return exp(b, scaled(b, z, math.log(2)))


def expm1(b: Any, z: Z) -> Z:
    """Exact near 0: expm1(re) cos(im) - 2 sin²(im / 2)."""
    half = b.sin(b.mul(z.im, 0.5))
    re = b.sub(b.mul(b.expm1(z.re), b.cos(z.im)), b.mul(b.mul(half, half), 2.0))
    return Z(re, b.strong_mul(b.sin(z.im), b.exp(z.re)))


def log(b: Any, z: Z) -> Z:
    return Z(log_abs(b, z), b.atan2(z.im, z.re))


def log_abs(b: Any, z: Z) -> Value:
    """log |z|; near |z| = 1 by way of |z|² - 1, which does not cancel twice."""
    larger, ratio = _size(b, z)
    smaller = b.min(b.abs(z.re), b.abs(z.im))
    far = b.add(b.log(larger), b.mul(b.log1p(b.mul(ratio, ratio)), 0.5))
    excess = b.add(b.mul(b.sub(larger, 1.0), b.add(larger, 1.0)), b.mul(smaller, smaller))
    near = b.mul(b.log1p(excess), 0.5)
    return b.select(b.and_(b.gt(larger, 0.5), b.lt(larger, 2.0)), near, far)


def log2(b: Any, z: Z) -> Z:
    return scaled(b, log(b, z), 1 / math.log(2))


def log1p(b: Any, z: Z) -> Z:
    """Exact near 0: |1 + z|² - 1 = re (2 + re) + im²."""
    moved = Z(b.add(z.re, 1.0), z.im)
    excess = b.add(b.mul(z.re, b.add(z.re, 2.0)), b.mul(z.im, z.im))
    small = b.lt(b.max(b.abs(z.re), b.abs(z.im)), 0.25)
    re = b.select(small, b.mul(b.log1p(excess), 0.5), log_abs(b, moved))
    return Z(re, b.atan2(z.im, moved.re))


# powers and roots


def sqrt(b: Any, z: Z) -> Z:
    """The root with a real part of 0 or more; on the negative real axis the sign of a zero imaginary part decides."""
    larger, ratio = _size(b, z)
    x, y = b.abs(z.re), b.abs(z.im)
    share = b.select(b.eq(x, larger), b.constant(1.0, like=x), ratio)  # |re| over the larger of both
    length = b.sqrt(b.add(b.mul(ratio, ratio), 1.0))
    root = b.mul(b.sqrt(larger), b.sqrt(b.mul(b.add(share, length), 0.5)))
    divisor = b.select(b.eq(root, 0.0), b.constant(1.0, like=root), b.mul(root, 2.0))
    other = b.select(b.eq(y, math.inf), y, b.div(y, divisor))
    left = b.lt(z.re, 0.0)
    return Z(b.select(left, other, root), with_sign_of(b, b.select(left, root, other), z.im))


def rsqrt(b: Any, z: Z) -> Z:
    return div(b, real_constant(b, 1.0, z), sqrt(b, z))


def pow(b: Any, x: Z, n: Z) -> Z:
    """exp(n log x); at x = 0 it is 1 for n = 0, 0 for positive real parts of n, and nan otherwise."""
    origin = is_zero(b, x)
    one = real_constant(b, 1.0, x)
    power = exp(b, mul(b, n, log(b, select(b, origin, one, x))))
    nothing, nan = b.zeros(x.re.type), b.constant(math.nan, like=x.re)
    of_zero = b.select(b.gt(n.re, 0.0), nothing, nan)
    at_zero = Z(of_zero, of_zero)
    return select(b, is_zero(b, n), one, select(b, origin, at_zero, power))


# trigonometric and hyperbolic functions, and their inverses


def sin(b: Any, z: Z) -> Z:
    return over_i(b, sinh(b, times_i(b, z)))


def cos(b: Any, z: Z) -> Z:
    return cosh(b, times_i(b, z))


def tan(b: Any, z: Z) -> Z:
    return over_i(b, tanh(b, times_i(b, z)))


def sinh(b: Any, z: Z) -> Z:
    return Z(b.strong_mul(b.cos(z.im), b.sinh(z.re)), b.strong_mul(b.sin(z.im), b.cosh(z.re)))


def cosh(b: Any, z: Z) -> Z:
    return Z(b.strong_mul(b.cos(z.im), b.cosh(z.re)), b.strong_mul(b.sin(z.im), b.sinh(z.re)))


def tanh(b: Any, z: Z) -> Z:
    """Kahan's: with t = tan(im), (1 + t²) sinh cosh + i t over 1 + (1 + t²) sinh². Far out the imaginary part is 4 sin cos exp(-2 |re|)."""
    far = _LIMITS[z.re.type.dtype][2]
    x = b.max(b.min(z.re, far), -far)
    t, s = b.tan(z.im), b.sinh(x)
    beta = b.add(b.mul(t, t), 1.0)
    below = b.add(b.mul(beta, b.mul(s, s)), 1.0)
    re = b.div(b.mul(beta, b.mul(s, b.cosh(x))), below)
    size = b.abs(z.re)
    tail = b.mul(b.div(t, beta), b.mul(b.exp(b.mul(size, -2.0)), 4.0))
    return Z(re, b.select(b.gt(size, far), tail, b.div(t, below)))


def asin(b: Any, z: Z) -> Z:
    s, t = _roots(b, z)
    re = b.atan2(z.re, b.sub(b.mul(s.re, t.re), b.mul(s.im, t.im)))
    return Z(re, b.asinh(b.sub(b.mul(s.re, t.im), b.mul(s.im, t.re))))


def acos(b: Any, z: Z) -> Z:
    s, t = _roots(b, z)
    return Z(b.mul(b.atan2(s.re, t.re), 2.0), b.asinh(b.sub(b.mul(t.re, s.im), b.mul(t.im, s.re))))


def _roots(b: Any, z: Z) -> tuple[Z, Z]:
    """sqrt(1 - z) and sqrt(1 + z)."""
    return sqrt(b, Z(b.sub(1.0, z.re), b.neg(z.im))), sqrt(b, Z(b.add(z.re, 1.0), z.im))


def atan(b: Any, z: Z) -> Z:
    return over_i(b, atanh(b, times_i(b, z)))


def asinh(b: Any, z: Z) -> Z:
    return over_i(b, asin(b, times_i(b, z)))


def acosh(b: Any, z: Z) -> Z:
    s, t = sqrt(b, Z(b.sub(z.re, 1.0), z.im)), sqrt(b, Z(b.add(z.re, 1.0), z.im))
    return Z(b.asinh(b.add(b.mul(s.re, t.re), b.mul(s.im, t.im))), b.mul(b.atan2(s.im, t.re), 2.0))


def atanh(b: Any, z: Z) -> Z:
    x = b.abs(z.re)
    beside, above = b.sub(1.0, x), b.mul(z.im, z.im)
    re = b.mul(b.log1p(b.div(b.mul(x, 4.0), b.add(b.mul(beside, beside), above))), 0.25)
    im = b.mul(b.atan2(b.mul(z.im, 2.0), b.sub(b.mul(beside, b.add(x, 1.0)), above)), 0.5)
    far = b.gt(b.max(x, b.abs(z.im)), _LIMITS[x.type.dtype][3])
    right_angle = b.constant(math.pi / 2, like=im)
    re = b.select(far, b.abs(div(b, real_constant(b, 1.0, z), z).re), re)
    return Z(with_sign_of(b, re, z.re), b.select(far, with_sign_of(b, right_angle, z.im), im))
