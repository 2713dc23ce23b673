"""log, log2 and log1p.

x = 2^k m with m in [sqrt(1/2), sqrt(2)), f = m - 1 (exact), and log(x) = k ln2 + f + tail(f), where
    f32: tail = f^2 (-1/2 + f p(f))
    f64: tail = s (f^2/2 + z p(z)) - f^2/2,  s = f / (2 + f), z = s^2   (the series of 2 atanh(s))
The sum is done in double-word arithmetic where it matters, so the result is close to correctly rounded.
"""

from __future__ import annotations

from functools import partial

from rlxc.primitives.vecmath.coefficients import LN2, LOG, LOG2E
from rlxc.primitives.vecmath.double import quick_two_sum, two_product, two_sum
from rlxc.primitives.vecmath.floats import INF, NAN, format_of, is_scalar, split_exponent
from rlxc.primitives.vecmath.polynomial import polynomial

SQRT_HALF = 0.70710678


def log(e, x):
    """Natural logarithm. Bound: 1 ulp, denormal inputs included."""
    return _ordinary_or_not(e, x, _log_of_positive, e.log_any if is_scalar(x) else partial(log_any, e))


def log_any(e, x):
    """log of any argument."""
    return _specials(e, x, 0.0, _log_of_positive(e, x, True))


def log2(e, x):
    """Base-2 logarithm, exact for powers of two. Bound: 1.25 ulp (f64: 1)."""
    return _ordinary_or_not(e, x, _log2_of_positive, e.log2_any if is_scalar(x) else partial(log2_any, e))


def log2_any(e, x):
    """log2 of any argument."""
    return _specials(e, x, 0.0, _log2_of_positive(e, x, True))


def _log_of_positive(e, x, denormals: bool):
    m, k, _ = split_exponent(e, x, SQRT_HALF, denormals)
    f = e.sub(m, 1.0)
    return sum_of_log(e, k, f, log_tail(e, f))


def _log2_of_positive(e, x, denormals: bool):
    m, k, _ = split_exponent(e, x, SQRT_HALF, denormals)
    f = e.sub(m, 1.0)
    tail = log_tail(e, f)
    scale_high, scale_low = LOG2E[x.type.dtype]
    high, low = two_product(e, f, e.constant(scale_high, like=f))
    low = e.add(low, e.fma(tail, scale_high, e.mul(f, scale_low)))
    total, rest = quick_two_sum(e, k, high)
    return e.add(total, e.add(rest, low))


def log1p(e, x):
    """log(1 + x). Bound: 1 ulp."""
    unusual = e.not_(e.and_(e.gt(x, -1.0), e.lt(x, _huge(x))))
    of_any = e.log1p_any if is_scalar(x) else partial(log1p_any, e)
    y = e.cond(e.any(unusual), lambda: of_any(x), lambda: log1p_of_sum(e, x, None, huge=False), rare=True)
    return e.select(e.eq(x, 0.0), x, y)  # -0


def log1p_any(e, x):
    """log1p of any argument but -0."""
    return _specials(e, x, -1.0, log1p_of_sum(e, x, None))


def log1p_of_sum(e, x, x_low, huge: bool = True):
    """log(1 + x + x_low) for x > -1 (x_low may be None); with `huge` false, for moderate x only.

    1 + x = u + c exactly. m comes from u; c 2^-k, which is below the last place of m, is added to f = m - 1, and what
    that addition rounds off enters to first order.
    """
    f = format_of(x)
    u, c = two_sum(e, e.constant(1.0, like=x), x)
    if x_low is not None:
        c = e.add(c, x_low)
    m, k, k_bits = split_exponent(e, u, SQRT_HALF, denormals=False)
    inverse = e.bitcast(e.sub(e.constant(f.one, like=x, dtype=f.signed), k_bits), f.dtype)
    small = e.mul(c, inverse)
    if huge:  # the correction vanishes, and 2^-k is not a normal number any more
        small = e.select(e.lt(x, _huge(x)), small, 0.0)
    fraction, dropped = two_sum(e, e.sub(m, 1.0), small)
    tail = e.fma(e.neg(dropped), fraction, e.add(log_tail(e, fraction), dropped))
    return sum_of_log(e, k, fraction, tail)


def log_tail(e, f):
    """log(1 + f) - f."""
    coefficients = LOG[f.type.dtype]
    square = e.mul(f, f)
    if f.type.dtype == "f32":
        return e.mul(square, e.fma(polynomial(e, f, coefficients), f, -0.5))
    half_square = e.mul(square, 0.5)
    s = e.div(f, e.add(f, 2.0))
    z = e.mul(s, s)
    return e.fma(s, e.fma(z, polynomial(e, z, coefficients), half_square), e.neg(half_square))


def sum_of_log(e, k, f, tail):
    """k ln2 + f + tail, with one rounding that counts."""
    high, low = LN2[f.type.dtype]
    total, rest = quick_two_sum(e, e.mul(k, high), f)
    return e.add(total, e.add(rest, e.fma(k, low, tail)))


def _huge(x) -> float:
    return 2.0 ** (2 * format_of(x).mantissa)


def _ordinary_or_not(e, x, of_positive, of_any):
    """A branch: zero, negative, denormal, infinite and NaN lanes are rare, and cost a third of the time to see to."""
    ordinary = e.and_(e.ge(x, format_of(x).smallest_normal), e.lt(x, INF))
    return e.cond(e.any(e.not_(ordinary)), lambda: of_any(x), lambda: of_positive(e, x, False), rare=True)


def _specials(e, x, pole, y):
    """The value at the pole (-inf), below it (NaN), at infinity and NaN (x itself)."""
    y = e.select(e.lt(x, INF), y, x)
    y = e.select(e.lt(x, pole), NAN, y)
    return e.select(e.eq(x, pole), -INF, y)
