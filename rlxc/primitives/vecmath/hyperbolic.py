"""tanh, sinh, cosh and their inverses, by way of e^x - 1, e^x and log(1 + x), which keep small arguments accurate."""

from __future__ import annotations

from .double import quick_two_sum
from .exp import exp_reduced, quarter_expm1
from .floats import INF, NAN, at_most, format_of, scale
from .log import log1p_of_sum

_LN2 = 0.6931471805599453


def tanh(e, x):
    """t / (t + 2) with t = e^(2|x|) - 1; 1 from where it rounds to 1."""
    one_from = {"f32": 9.02, "f64": 19.1}[x.type.dtype]
    a = at_most(e, e.abs(x), one_from)
    q = quarter_expm1(e, e.add(a, a))  # t / 4
    y = e.div(q, e.add(q, 0.5))
    y = e.select(e.lt(a, 2.0 ** -(format_of(x).mantissa // 2 + 2)), a, y)
    return e.copysign(y, x)


def sinh(e, x):
    """h + h / (2h + 1) with h = (e^|x| - 1) / 2, which overflows where sinh does."""
    a = at_most(e, e.abs(x), {"f32": 90.0, "f64": 711.0}[x.type.dtype])
    q = quarter_expm1(e, a)
    h = e.add(q, q)
    y = e.add(h, e.div(h, e.add(e.add(h, h), 1.0)))
    y = e.select(e.lt(a, 2.0 ** -(format_of(x).mantissa // 2 + 2)), a, y)
    return e.copysign(y, x)


def cosh(e, x):
    """w + 1 / (4w) with w = e^|x| / 2."""
    a = at_most(e, e.abs(x), {"f32": 90.0, "f64": 711.0}[x.type.dtype])
    y, t = exp_reduced(e, a)
    w = scale(e, y, e.sub(t, 1.0))
    return e.add(w, e.div(e.constant(0.25, like=x), w))


def asinh(e, x):
    """log(1 + a + a^2 / (1 + sqrt(1 + a^2))), a = |x|; log(a) + ln2 for large a."""
    a = e.abs(x)
    large = e.gt(a, 2.0 ** (format_of(x).mantissa // 2 + 4))
    safe = e.select(large, 1.0, a)
    square = e.mul(safe, safe)
    bend = e.div(square, e.add(e.sqrt(e.add(square, 1.0)), 1.0))
    return e.copysign(_finish(e, a, large, *_ordered_sum(e, safe, bend)), x)


def acosh(e, x):
    """log(1 + t + sqrt(2t + t^2)), t = x - 1; log(x) + ln2 for large x; NaN below 1."""
    large = e.gt(x, 2.0 ** (format_of(x).mantissa // 2 + 4))
    t = e.sub(e.select(large, 2.0, x), 1.0)
    root = e.sqrt(e.fma(t, t, e.add(t, t)))
    return e.select(e.lt(x, 1.0), NAN, _finish(e, x, large, *_ordered_sum(e, root, t)))


def atanh(e, x):
    """log(1 + 2a / (1 - a)) / 2, a = |x|, with the quotient to double-word accuracy; NaN beyond 1."""
    a = e.abs(x)
    inside = e.select(e.lt(a, 1.0), a, 0.0)
    below, below_low = quick_two_sum(e, e.constant(1.0, like=x), e.neg(inside))
    twice = e.add(inside, inside)
    quotient = e.div(twice, below)
    remainder = e.fma(e.neg(quotient), below_low, e.fma(e.neg(quotient), below, twice))
    y = e.mul(log1p_of_sum(e, quotient, e.div(remainder, below)), 0.5)
    y = e.select(e.lt(a, 2.0 ** -(format_of(x).mantissa // 2 + 2)), a, y)
    y = e.select(e.eq(a, 1.0), INF, e.select(e.gt(a, 1.0), NAN, y))
    return e.copysign(e.select(e.ne(a, a), a, y), x)


def _ordered_sum(e, a, b):
    return quick_two_sum(e, a, b)


def _finish(e, a, large, argument, argument_low):
    """log(1 + argument), or log(a) + ln2 for large a (where log(1 + a) = log(a)); tiny a and inf are themselves."""
    y = log1p_of_sum(e, e.select(large, a, argument), e.select(large, 0.0, argument_low))
    y = e.select(large, e.add(y, _LN2), y)
    y = e.select(e.lt(a, 2.0 ** -(format_of(a).mantissa // 2 + 2)), a, y)
    return e.select(e.lt(a, INF), y, a)
