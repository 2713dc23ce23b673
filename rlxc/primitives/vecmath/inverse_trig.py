"""asin, acos, atan and atan2.

asin: x + x z p(z), z = x^2, for |x| <= 1/2; beyond, pi/2 - 2 asin(sqrt((1 - |x|) / 2)), the root as a double word.
atan2(y, x): with a = |y|, b = |x|, the angle of (b, a) is atan(a / b), or pi/4 + atan((a - b) / (a + b)) near the
    diagonal, or pi/2 - atan(b / a): the argument of the polynomial stays within tan(pi/8), with one division in all.
"""

from __future__ import annotations

from rlxc.primitives.vecmath.coefficients import ASIN, ATAN, HALF_PI, QUARTER_PI, TAN_EIGHTH_PI
from rlxc.primitives.vecmath.floats import INF, NAN, format_of
from rlxc.primitives.vecmath.polynomial import polynomial


def asin(e, x):
    """NaN beyond 1. Bound: 1.5 ulp."""
    small, y, y_low = _asin_parts(e, x)
    half_pi, half_pi_low, _ = HALF_PI[x.type.dtype]
    far = e.sub(half_pi, e.add(e.add(y, y), e.fma(y_low, 2.0, -half_pi_low)))
    return e.copysign(e.select(small, e.add(y, y_low), far), x)


def acos(e, x):
    """NaN beyond 1. Bound: 1 ulp."""
    small, y, y_low = _asin_parts(e, x)
    half_pi, half_pi_low, _ = HALF_PI[x.type.dtype]
    middle = e.sub(half_pi, e.add(y, e.sub(y_low, half_pi_low)))
    right = e.add(e.add(y, y), e.add(y_low, y_low))
    left = e.sub(2 * half_pi, e.add(e.add(y, y), e.fma(y_low, 2.0, -2 * half_pi_low)))
    return e.select(small, middle, e.select(e.lt(x, 0.0), left, right))


def atan(e, x):
    """Bound: 2 ulp."""
    a = e.abs(x)
    return e.copysign(_angle(e, a, e.constant(1.0, like=x)), x)


def atan2(e, y, x):
    """The angle of the point (x, y), in [-pi, pi], with the signs of zeros respected. Bound: 2.5 ulp."""
    a, b = e.abs(y), e.abs(x)
    a, b = _both_infinite(e, a, b)
    a, b = _away_from_the_edges(e, a, b)
    angle = _angle(e, a, b)
    angle = e.select(e.eq(a, 0.0), a, angle)  # 0 / 0
    f = format_of(x)
    half_pi, half_pi_low, _ = HALF_PI[x.type.dtype]
    left = e.lt(e.bitcast(x, f.signed), 0)  # x < 0 or x = -0
    angle = e.select(left, e.sub(2 * half_pi, e.sub(angle, 2 * half_pi_low)), angle)
    angle = e.copysign(angle, y)
    return e.select(e.or_(e.ne(x, x), e.ne(y, y)), NAN, angle)


def _asin_parts(e, x):
    """(|x| <= 1/2, y, y_low): asin(x) = y + y_low, or where |x| > 1/2 asin of the root."""
    a = e.abs(x)
    small = e.le(a, 0.5)
    z_far = e.fma(a, -0.5, 0.5)  # exact where it is used
    root = e.sqrt(z_far)
    safe = e.select(e.gt(root, 0.0), root, 1.0)
    root_low = e.div(e.mul(e.fma(e.neg(root), root, z_far), 0.5), safe)
    z = e.select(small, e.mul(x, x), z_far)
    y = e.select(small, x, root)
    y_low = e.select(small, 0.0, root_low)
    p = polynomial(e, z, ASIN[x.type.dtype])
    return small, y, e.fma(e.mul(y, z), p, y_low)


def _angle(e, a, b):
    """atan(a / b) in [0, pi/2] for a, b >= 0."""
    dtype = a.type.dtype
    edge = TAN_EIGHTH_PI[dtype][0]
    quarter, quarter_low = QUARTER_PI[dtype]
    low = e.lt(a, e.mul(b, edge))
    high = e.gt(e.mul(a, edge), b)
    numerator = e.select(low, a, e.select(high, e.neg(b), e.sub(a, b)))
    denominator = e.select(low, b, e.select(high, a, e.add(a, b)))
    t = e.div(numerator, denominator)
    z = e.mul(t, t)
    tail = e.mul(e.mul(t, z), polynomial(e, z, ATAN[dtype]))
    base = e.select(low, 0.0, e.select(high, e.constant(2 * quarter, like=a), quarter))
    base_low = e.select(low, 0.0, e.select(high, e.constant(2 * quarter_low, like=a), quarter_low))
    return e.add(base, e.add(t, e.add(tail, base_low)))


def _both_infinite(e, a, b):
    """inf / inf counts as 1, inf / x and x / inf as they are."""
    both = e.and_(e.eq(a, INF), e.eq(b, INF))
    return e.select(both, 1.0, a), e.select(both, 1.0, b)


def _away_from_the_edges(e, a, b):
    """Scaled by a power of two so that a + b does not overflow and the quotient loses nothing to denormals."""
    f = format_of(a)
    far = 2.0 ** (f.bias - 2)
    near = 2.0 ** -(f.bias - 2 * f.mantissa)
    large = e.or_(e.gt(a, far), e.gt(b, far))
    small = e.and_(e.lt(a, near), e.lt(b, near))
    factor = e.select(large, e.constant(0.25, like=a), e.select(small, e.constant(2.0 ** (f.mantissa + 4), like=a), 1.0))
    return e.mul(a, factor), e.mul(b, factor)
