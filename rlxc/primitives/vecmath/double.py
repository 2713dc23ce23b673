"""Double-word arithmetic: an unevaluated sum hi + lo of two floats (Dekker, Knuth, Ogita-Rump-Oishi).

These need every add and sub rounded as written: no reassociation. (Contraction to fma does no harm: the products
whose error is wanted are explicit fmas.)
"""

from __future__ import annotations


def quick_two_sum(e, a, b):
    """a + b = hi + lo exactly, for |a| >= |b| (or a = 0)."""
    hi = e.add(a, b)
    return hi, e.sub(b, e.sub(hi, a))


def two_sum(e, a, b):
    """a + b = hi + lo exactly, any a and b."""
    hi = e.add(a, b)
    b_part = e.sub(hi, a)
    a_part = e.sub(hi, b_part)
    return hi, e.add(e.sub(a, a_part), e.sub(b, b_part))


def two_product(e, a, b):
    """a * b = hi + lo exactly (but for underflow)."""
    hi = e.mul(a, b)
    return hi, e.fma(a, b, e.neg(hi))


def divide(e, a, a_low, b, b_low):
    """(a + a_low) / (b + b_low), nearly correctly rounded; a_low may be None."""
    inverse = e.div(e.constant(1.0, like=b), b)
    quotient = e.mul(a, inverse)
    remainder = e.fma(e.neg(quotient), b_low, e.fma(e.neg(quotient), b, a))
    if a_low is not None:
        remainder = e.add(remainder, a_low)
    return e.fma(remainder, inverse, quotient)
