"""sin, cos and tan of any finite argument.

Range reduction to r = x - n pi/2, |r| <= pi/4, as a double word r + r_low:

    |x| < 2^17 (f32), 2^30 (f64): Cody and Waite with pi/2 in three parts. x - n P0 is exact in one fma, the error of
        subtracting n P1 is caught by a two-product and a two-sum, n P2 goes into r_low.
    beyond (Payne and Hanek): with x = m 2^q, only the bits of 2/pi from weight 2^(1-q) on matter, the ones before
        contribute whole turns. Three words of them, times the integer m modulo 2^(3 words), hold the quadrant in their
        top two bits and the fraction of the quadrant, to more bits than any float comes close to a multiple of pi/2.

    f32 does the same in f64: 2/pi without those bits is a double word, in a table by the exponent of x.

The second way is a function of its own, which a real branch calls if some lane needs it.
Then sin and cos of r by polynomials, chosen by the quadrant.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import ldexp, pi

from rlxc.primitives.vecmath.coefficients import COS, HALF_PI, SIN, TWO_OVER_PI, TWO_OVER_PI_WORDS
from rlxc.primitives.vecmath.double import quick_two_sum, two_product
from rlxc.primitives.vecmath.floats import FORMATS, INF, flip_sign, format_of, format_of_word
from rlxc.primitives.vecmath.polynomial import polynomial

KEPT = 180  # bits of 2/pi, times a power of two, below one
_FAR = {"f32": 2.0**17, "f64": 2.0**30}


def sin(e, x):
    """Bound: 1 ulp everywhere."""
    y = _near_or_far(e, x, _sin(e, *_reduce_near(e, x)), e.sin_far)
    return e.select(e.eq(x, 0.0), x, y)


def cos(e, x):
    """cos(x) = sin(x + pi/2): one quadrant on. Bound: 1 ulp everywhere."""
    return _near_or_far(e, x, _cos(e, *_reduce_near(e, x)), e.cos_far)


def tan(e, x):
    """sin / cos in even quadrants, -cos / sin in odd ones. Bound: 2.5 ulp everywhere."""
    y = _near_or_far(e, x, _tan(e, *_reduce_near(e, x)), e.tan_far)
    return e.select(e.eq(x, 0.0), x, y)


def sin_far(e, x):
    """sin of lanes that are far."""
    return _sin(e, *_reduce_far(e, x))


def cos_far(e, x):
    """cos of lanes that are far."""
    return _cos(e, *_reduce_far(e, x))


def tan_far(e, x):
    """tan of lanes that are far."""
    return _tan(e, *_reduce_far(e, x))


def _near_or_far(e, x, near, of_far):
    a = e.abs(x)
    far = e.and_(e.ge(a, _FAR[x.type.dtype]), e.lt(a, INF))
    return e.cond(e.any(far), lambda: e.select(far, of_far(x), near), lambda: near, rare=True)


def _cos(e, r, r_low, quadrant):
    return _sin(e, r, r_low, e.add(quadrant, 1))


def _sin(e, r, r_low, quadrant):
    f = format_of(r)
    odd = e.ne(e.and_(quadrant, 1), 0)
    sign = e.shift_left(e.and_(quadrant, 2), f.width - 2)
    sin_r, cos_r = _sin_cos(e, r, r_low)
    return flip_sign(e, e.select(odd, cos_r, sin_r), sign)


def _tan(e, r, r_low, quadrant):
    odd = e.ne(e.and_(quadrant, 1), 0)
    sin_r, cos_r = _sin_cos(e, r, r_low)
    return e.div(e.select(odd, e.neg(cos_r), sin_r), e.select(odd, sin_r, cos_r))


def _sin_cos(e, r, r_low):
    """sin(r + r_low) and cos(r + r_low) for |r| <= pi/4."""
    dtype = r.type.dtype
    z = e.mul(r, r)
    bow = e.fma(z, -0.5, 1.0)  # 1 - z/2, with the rounding error caught in bow_low
    bow_low = e.fma(z, -0.5, e.sub(1.0, bow))
    sin_r = e.add(r, e.fma(e.mul(r, z), polynomial(e, z, SIN[dtype]), e.mul(r_low, bow)))
    cos_tail = e.fma(e.mul(z, z), polynomial(e, z, COS[dtype]), e.fma(e.neg(r), r_low, bow_low))
    return sin_r, e.add(bow, cos_tail)


def _reduce_near(e, x):
    """(r, r_low, n as integer bits of which the low two count)."""
    f = format_of(x)
    t = e.fma(x, TWO_OVER_PI[x.type.dtype][0], f.magic)
    n = e.sub(t, f.magic)
    p0, p1, p2 = HALF_PI[x.type.dtype]
    first = e.fma(n, -p0, x)  # exact: a multiple of the last place of p0, and small
    second, second_low = two_product(e, n, e.constant(p1, like=n))
    r = e.sub(first, second)
    # `first` has few enough bits that this is the exact error of r, whichever of the two is larger.
    r_error = e.sub(e.sub(first, r), second)
    return r, e.sub(r_error, e.fma(n, p2, second_low)), e.bitcast(t, f.signed)


def _reduce_far(e, x):
    return _reduce_far_f32(e, x) if x.type.dtype == "f32" else _reduce_far_f64(e, x)


def _reduce_far_f32(e, x):
    """In f64, whose product with a double word is exact to 2^-80 of a quadrant."""
    exponent = e.bitcast(e.and_(e.shift_right(e.bitcast(x, "u32"), 23), 255), "i32")
    high, low = (e.table(table, exponent, dtype="f64") for table in _two_over_pi_modulo_4())
    wide, magic = e.convert(x, "f64"), FORMATS["f64"].magic
    quadrants, rest = two_product(e, wide, high)
    t = e.add(quadrants, magic)
    fraction = e.add(e.sub(quadrants, e.sub(t, magic)), e.fma(wide, low, rest))
    angle = e.mul(fraction, pi / 2)
    r = e.convert(angle, "f32")
    return r, e.convert(e.sub(angle, e.convert(r, "f64")), "f32"), e.convert(e.and_(e.bitcast(t, "i64"), 3), "i32")


@cache
def _two_over_pi_modulo_4() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """By the biased exponent of an f32, 2/pi without the bits that contribute whole turns, as high and low words."""
    words, bits = TWO_OVER_PI_WORDS["f64"], 64 * len(TWO_OVER_PI_WORDS["f64"])
    whole = sum(word << (bits - 64 * (i + 1)) for i, word in enumerate(words))
    highs, lows = [], []
    for exponent in range(255):
        q = max(exponent - 150, -2)  # x is an integer times 2^q
        rest = (whole & ((1 << (bits - q + 2)) - 1)) >> (bits - q - KEPT)  # of weight 2^-(q + KEPT)
        high = float(rest)
        highs.append(ldexp(high, -q - KEPT))
        lows.append(ldexp(float(rest - int(high)), -q - KEPT))
    return (*highs, 0.0), (*lows, 0.0)


def _reduce_far_f64(e, x):
    f = format_of(x)
    high, low = _turns(e, x)
    quadrant = e.shift_right(e.add(high, 1 << (f.width - 3)), f.width - 2)
    fraction, fraction_low = _signed_fraction(e, high, low)
    p0, p1, _ = HALF_PI[x.type.dtype]
    r, r_low = two_product(e, fraction, e.constant(p0, like=x))
    r_low = e.add(r_low, e.fma(fraction, p1, e.mul(fraction_low, p0)))
    negative = e.lt(x, 0.0)
    n = e.bitcast(quadrant, f.signed)
    return (
        e.select(negative, e.neg(r), r),
        e.select(negative, e.neg(r_low), r_low),
        e.select(negative, e.neg(n), n),
    )


def _turns(e, x):
    """|x| / (2 pi) modulo 1, as the two words of a fixed-point fraction."""
    f = format_of(x)
    bits = e.bitcast(e.abs(x), f.unsigned)
    m = e.or_(e.and_(bits, f.mantissa_mask), 1 << f.mantissa)
    exponent = e.shift_right(bits, f.mantissa)
    # x = m 2^q. The window begins at bit q - 1 of 2/pi (counted from 1); a word of zeros is put in front of the table
    # because q - 1 may be negative. Lanes whose x is too small to need this read some window.
    first_bit_at_bias = f.width - f.mantissa - 2 - f.bias
    lowest = f.mantissa + f.bias - f.width + 2
    exponent = e.select(e.lt(exponent, lowest), lowest, exponent)
    first_bit = e.add(e.bitcast(exponent, f.signed), first_bit_at_bias)
    word = e.convert(e.shift_right(first_bit, f.width.bit_length() - 1), "i32")
    left = e.bitcast(e.and_(first_bit, f.width - 1), f.unsigned)
    right = e.sub(e.constant(f.width - 1, like=left), left)
    table = (0, *TWO_OVER_PI_WORDS[f.dtype])
    words = [e.table(table, e.add(word, i), dtype=f.unsigned) for i in range(4)]
    w0, w1, w2 = (e.or_(e.shift_left(a, left), e.shift_right(e.shift_right(b, 1), right)) for a, b in pairwise(words))
    from_w2 = e.mul_high(m, w2)
    low = e.add(e.mul(m, w1), from_w2)
    carry = e.select(e.lt(low, from_w2), e.constant(1, like=low), e.constant(0, like=low))
    high = e.add(e.add(e.mul(m, w0), e.mul_high(m, w1)), carry)
    return high, low


def _signed_fraction(e, high, low):
    """Where in its quadrant, from the nearest multiple of pi/2, in [-1/2, 1/2]: a double word."""
    f = format_of_word(high)
    fraction = e.or_(e.shift_left(high, 2), e.shift_right(low, f.width - 2))
    fraction_low = e.shift_left(low, 2)
    negative = e.shift_right(e.bitcast(fraction, f.signed), f.width - 1)  # all ones or all zeros
    magnitude = e.xor(e.bitcast(fraction, f.signed), negative)
    magnitude_low = e.xor(fraction_low, e.bitcast(negative, f.unsigned))
    # Half words convert exactly.
    half_mask = (1 << (f.width // 2)) - 1
    top = e.mul(e.convert(e.and_(magnitude, ~half_mask), f.dtype), 2.0**-f.width)
    middle = e.mul(e.convert(e.and_(magnitude, half_mask), f.dtype), 2.0**-f.width)
    bottom = e.convert(e.bitcast(e.shift_right(magnitude_low, 1), f.signed), f.dtype)
    bottom = e.mul(bottom, 2.0 ** (1 - 2 * f.width))
    sum_, rest = quick_two_sum(e, top, middle)
    sum_, rest = quick_two_sum(e, sum_, e.add(rest, bottom))
    sign = e.and_(negative, -(1 << (f.width - 1)))
    return flip_sign(e, sum_, sign), flip_sign(e, rest, sign)
