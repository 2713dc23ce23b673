"""pow and cbrt.

pow(x, y) = e^(y log x), where log x must be good to some 10 bits more than the result because y log x may be near
1000. f32 computes in f64, in base 2. f64 computes log x as a double word from s = (m - 1) / (m + 1) by the series of
2 atanh(s) = 2s + s z (2/3 + z p(z)), z = s^2, of which all but p(z) is double-word arithmetic.

cbrt: a polynomial of a few bits, then one step of Halley's method with the residual y^3 - a computed exactly enough.
"""

from __future__ import annotations

from functools import partial

from rlxc.primitives.vecmath.coefficients import CBRT, CBRT_2, CBRT_4, EXP2_WIDE, LN2, LOG2_WIDE, LOG_DOUBLE, TWO_THIRDS
from rlxc.primitives.vecmath.double import quick_two_sum, two_product
from rlxc.primitives.vecmath.exp import exp_of_sum
from rlxc.primitives.vecmath.floats import FORMATS, INF, NAN, clamp, format_of, is_scalar, power_of_two, scale, split_exponent
from rlxc.primitives.vecmath.log import SQRT_HALF
from rlxc.primitives.vecmath.polynomial import polynomial


def pow(e, x, y):
    """x^y with all the special cases of C99. Bound: 0.75 ulp.

    They stand behind a branch that is taken unless every x is positive and normal and every y finite.
    """
    ordinary = e.and_(e.and_(e.ge(x, format_of(x).smallest_normal), e.lt(x, INF)), e.lt(e.abs(y), INF))
    of_any = e.pow_any if is_scalar(x) else partial(pow_any, e)
    return e.cond(e.any(e.not_(ordinary)), lambda: of_any(x, y), lambda: _pow_of_positive(e, x, y, denormals=False), rare=True)


def pow_any(e, x, y):
    """x^y of any arguments."""
    a = e.abs(x)
    return _pow_specials(e, x, y, a, _pow_of_positive(e, a, y, denormals=True))


def _pow_of_positive(e, a, y, denormals):
    return (_pow_f32 if a.type.dtype == "f32" else _pow_f64)(e, a, y, denormals)


def cbrt(e, x):
    """Cube root, odd. Bound: 0.55 ulp."""
    f, dtype = format_of(x), x.type.dtype
    a = e.abs(x)
    m, k, _ = split_exponent(e, a, 1.0)
    third = e.floor(e.fma(k, 1.0 / 3.0, 1.0 / 6.0))  # the 1/6 keeps rounding away from the integers
    j = e.fma(third, -3.0, k)
    one, two = e.eq(j, 1.0), e.eq(j, 2.0)
    m = e.mul(m, e.select(two, e.constant(4.0, like=x), e.select(one, e.constant(2.0, like=x), 1.0)))
    y = polynomial(e, e.sub(split_exponent(e, a, 1.0)[0], 1.5), CBRT[dtype])
    root = e.select(two, e.constant(CBRT_4[dtype][0], like=x), e.select(one, e.constant(CBRT_2[dtype][0], like=x), 1.0))
    y = e.mul(y, root)
    square, square_low = two_product(e, y, y)
    residual = e.fma(square_low, y, e.fma(square, y, e.neg(m)))
    # Halley: y - y (y^3 - m) / (2 y^3 + m), and 2 y^3 + m = 3 m + 2 residual.
    step = e.div(e.mul(y, residual), e.fma(residual, 2.0, e.mul(m, 3.0)))
    y = e.mul(e.sub(y, step), power_of_two(e, e.add(third, f.magic)))
    y = e.copysign(y, x)
    return e.select(e.and_(e.gt(a, 0.0), e.lt(a, INF)), y, x)


def _pow_f32(e, a, y, denormals):
    m, k, _ = split_exponent(e, a, SQRT_HALF, denormals)
    f = e.convert(e.sub(m, 1.0), "f64")
    log2 = e.fma(f, polynomial(e, f, LOG2_WIDE["f64"]), e.convert(k, "f64"))
    power = clamp(e, e.mul(e.convert(y, "f64"), log2), -160.0, 130.0)
    magic = FORMATS["f64"].magic
    t = e.add(power, magic)
    r = e.sub(power, e.sub(t, magic))
    result = e.fma(polynomial(e, r, EXP2_WIDE["f64"]), r, 1.0)
    return e.convert(e.mul(result, power_of_two(e, t)), "f32")


def _pow_f64(e, a, y, denormals):
    log, log_low = _double_log(e, a, denormals)
    power, power_low = two_product(e, y, log)
    power_low = e.fma(y, log_low, power_low)
    # Out of range the low word is rounding noise or NaN.
    power_low = e.select(e.lt(e.abs(power), 800.0), power_low, 0.0)
    return scale(e, *exp_of_sum(e, clamp(e, power, -746.0, 710.0), power_low))


def _double_log(e, a, denormals):
    """log(a) as a double word, to about 2^-66 relative."""
    m, k, _ = split_exponent(e, a, SQRT_HALF, denormals)
    f = e.sub(m, 1.0)
    below, below_low = quick_two_sum(e, e.constant(2.0, like=a), f)
    inverse = e.div(e.constant(1.0, like=a), below)
    s = e.mul(f, inverse)
    s_low = e.mul(e.fma(e.neg(s), below_low, e.fma(e.neg(s), below, f)), inverse)
    z, z_low = two_product(e, s, s)
    z_low = e.fma(e.add(s, s), s_low, z_low)
    third, third_low = TWO_THIRDS["f64"]
    p, p_low = quick_two_sum(e, e.constant(third, like=a), e.mul(z, polynomial(e, z, LOG_DOUBLE["f64"])))
    p_low = e.add(p_low, third_low)
    w, w_low = two_product(e, z, p)
    w_low = e.add(w_low, e.fma(z, p_low, e.mul(z_low, p)))
    u, u_low = quick_two_sum(e, e.constant(2.0, like=a), w)
    u_low = e.add(u_low, w_low)
    log_m, log_m_low = two_product(e, s, u)
    log_m_low = e.add(log_m_low, e.fma(s, u_low, e.mul(s_low, u)))
    ln2, ln2_low = LN2["f64"]
    total, total_low = quick_two_sum(e, e.mul(k, ln2), log_m)
    return quick_two_sum(e, total, e.add(total_low, e.fma(k, ln2_low, log_m_low)))


def _pow_specials(e, x, y, a, magnitude):
    result = e.select(e.eq(a, 1.0), 1.0, magnitude)  # 1^inf
    # Zero and infinity to a power: one of the two again.
    grows = e.xor(e.eq(a, 0.0), e.gt(y, 0.0))
    extreme = e.select(grows, e.constant(INF, like=x), 0.0)
    result = e.select(e.or_(e.eq(a, 0.0), e.eq(a, INF)), extreme, result)
    half = e.mul(y, 0.5)
    whole = e.eq(e.trunc(y), y)
    odd = e.and_(whole, e.ne(e.trunc(half), half))
    result = e.select(odd, e.copysign(result, x), result)
    fraction_of_negative = e.and_(e.and_(e.lt(x, 0.0), e.gt(x, -INF)), e.not_(whole))
    unordered = e.or_(e.ne(x, x), e.ne(y, y))
    result = e.select(e.or_(fraction_of_negative, unordered), NAN, result)
    return e.select(e.or_(e.eq(y, 0.0), e.eq(x, 1.0)), 1.0, result)
