"""exp, exp2, expm1 and logistic.

Range reduction (Cody and Waite): x = n ln2 + r with n the nearest integer, |r| <= ln2 / 2, and ln2 split in two parts
of which the first is so short that n times it is exact. Then e^x = 2^n e^r with a polynomial for e^r, and 2^n is put
into the exponent bits. Overflow, underflow and denormal results come out of that last scaling.
"""

from __future__ import annotations

from rlxc.primitives.vecmath.coefficients import EXP, EXP2, LN2, LOG2E
from rlxc.primitives.vecmath.double import divide, quick_two_sum
from rlxc.primitives.vecmath.floats import at_least, clamp, format_of, power_of_two, scale
from rlxc.primitives.vecmath.polynomial import polynomial

# Beyond these the result has rounded to infinity or to zero for sure, and n still fits the two-step scaling.
_LIMITS = {"f32": (-104.0, 89.0), "f64": (-746.0, 710.0)}


def exp(e, x):
    """e^x. Bound: 1 ulp, denormal results included."""
    x = clamp(e, x, *_LIMITS[x.type.dtype])
    return scale(e, *exp_reduced(e, x))


def exp2(e, x):
    """2^x: n = round(x), r = x - n exact. Bound: 1 ulp."""
    f = format_of(x)
    x = clamp(e, x, -f.bias - f.mantissa - 2.0, f.bias + 1.0)
    return scale(e, *exp2_reduced(e, x))


def expm1(e, x):
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1), where only the last step cancels, and exactly. Bound: 1.1 ulp.

    For |x| so small that the result is x, it is x (keeps -0 and denormals).
    """
    f = format_of(x)
    lowest = {"f32": -20.0, "f64": -40.0}[x.type.dtype]
    clamped = clamp(e, x, lowest, _LIMITS[x.type.dtype][1])
    y = e.mul(e.add(*quarter_expm1(e, clamped)), 4.0)
    return e.select(e.lt(e.abs(x), 2.0 ** -(f.mantissa + 2)), x, y)


def logistic(e, x):
    """1 / (1 + e^-x), as z / (1 + z) for negative x, where z = e^-|x| <= 1. Bound: 1.5 ulp, denormals included.

    It is reached for z just above a power of two and a result just below: half an ulp of z is a whole one there. But then r is near 0
    and z as good as exact before it is rounded, so a plain e^x does.
    """
    lowest = _LIMITS[x.type.dtype][0]
    z = scale(e, *exp_reduced(e, at_least(e, e.neg(e.abs(x)), lowest)))
    below, below_low = quick_two_sum(e, e.constant(1.0, like=x), z)
    return divide(e, e.select(e.lt(x, 0.0), z, 1.0), None, below, below_low)


def exp_reduced(e, x):
    """(y, t) with e^x = y * 2^n, t = n + magic."""
    t, n = _nearest_power(e, x)
    hi, lo = LN2[x.type.dtype]
    r = e.fma(n, -lo, e.fma(n, -hi, x))
    q = polynomial(e, r, EXP[x.type.dtype])
    return e.fma(e.fma(q, r, 1.0), r, 1.0), t


def exp_of_sum(e, x, tail):
    """(y, t) with e^(x + tail) = y * 2^n, t = n + magic, for |tail| << |x|; y within about 0.51 ulp."""
    t, n = _nearest_power(e, x)
    hi, lo = LN2[x.type.dtype]
    r, r_low = quick_two_sum(e, e.fma(n, -hi, x), e.fma(n, -lo, tail))
    q = polynomial(e, r, EXP[x.type.dtype])
    one_plus_r, low = quick_two_sum(e, e.constant(1.0, like=x), r)
    return e.add(one_plus_r, e.add(low, e.fma(e.mul(r, r), q, r_low))), t


def exp2_reduced(e, x):
    """(y, t) with 2^x = y * 2^n, t = n + magic."""
    magic = format_of(x).magic
    t = e.add(x, magic)
    r = e.sub(x, e.sub(t, magic))
    return e.fma(polynomial(e, r, EXP2[x.type.dtype]), r, 1.0), t


def exp2_of_product(e, x, factor):
    """(y, t) with 2^(x factor) = y * 2^n, t = n + magic, for a constant factor = high + low."""
    high, low = factor
    magic = format_of(x).magic
    t = e.fma(x, high, magic)
    r = e.fma(x, low, e.fma(x, high, e.sub(magic, t)))
    return e.fma(polynomial(e, r, EXP2[x.type.dtype]), r, 1.0), t


def quarter_expm1(e, x, full_range: bool = True):
    """(e^x - 1) / 4 as a double word, which does not overflow before sinh does; x not below about -40.

    Without `full_range`, 1/4 of an ulp is lost around x = 17 (f32), 37 (f64), which tanh does not see.
    """
    t, n = _nearest_power(e, x)
    hi, lo = LN2[x.type.dtype]
    r_high = e.fma(n, -hi, x)  # exact
    r_low = e.mul(n, -lo)
    r = e.add(r_high, r_low)
    q = polynomial(e, r, EXP[x.type.dtype])
    tail = e.fma(e.mul(r, r), q, r_low)  # e^r - 1 = r_high + tail
    s = power_of_two(e, e.sub(t, 2.0))
    base = e.sub(s, 0.25)
    high, low = quick_two_sum(e, base, e.mul(s, r_high))
    if full_range:
        low = e.add(low, e.sub(e.sub(s, base), 0.25))  # what s - 1/4 rounded off
    return high, e.fma(s, tail, low)


def _nearest_power(e, x):
    magic = format_of(x).magic
    t = e.fma(x, LOG2E[x.type.dtype][0], magic)
    return t, e.sub(t, magic)
