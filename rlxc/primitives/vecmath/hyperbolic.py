"""tanh, sinh, cosh and their inverses, by way of e^x - 1, e^x and log(1 + x), which keep small arguments accurate."""

from __future__ import annotations

from rlxc.primitives.vecmath.coefficients import TANH, TWO_LOG2E
from rlxc.primitives.vecmath.double import divide, quick_two_sum, two_sum
from rlxc.primitives.vecmath.exp import exp2_of_product, exp_reduced, quarter_expm1
from rlxc.primitives.vecmath.floats import INF, NAN, at_most, format_of, power_of_two, scale
from rlxc.primitives.vecmath.log import log1p_of_sum
from rlxc.primitives.vecmath.polynomial import polynomial

_LN2 = 0.6931471805599453


def tanh(e, x):
    """Bound: 1 ulp.

    f32: x + x z p(z), z = x^2, for |x| < 1, else 1 - 2 / (e^2|x| + 1), whose second term is small.
    f64, where that polynomial would be long: t / (t + 2) with t = e^2|x| - 1, a quotient of double words.
    Either way the argument stops where the result rounds to 1.
    """
    return (_tanh_f32 if x.type.dtype == "f32" else _tanh_f64)(e, x)


def _tanh_f32(e, x):
    a = e.abs(x)
    z = e.mul(x, x)
    near = e.fma(e.mul(x, z), polynomial(e, z, TANH["f32"]), x)
    y, t = exp2_of_product(e, at_most(e, a, 9.1), TWO_LOG2E["f32"])
    far = e.sub(1.0, e.div(e.constant(2.0, like=x), e.fma(y, power_of_two(e, t), 1.0)))
    return e.copysign(e.select(e.lt(a, 1.0), near, far), x)


def _tanh_f64(e, x):
    a = at_most(e, e.abs(x), 19.1)
    q, q_low = quick_two_sum(e, *quarter_expm1(e, e.add(a, a), full_range=False))  # t / 4
    below, below_low = two_sum(e, e.constant(0.5, like=x), q)
    y = divide(e, q, q_low, below, e.add(below_low, q_low))
    y = e.select(e.lt(a, 2.0 ** -(format_of(x).mantissa // 2 + 2)), a, y)
    return e.copysign(y, x)


def sinh(e, x):
    """2 (q + q / (4q + 1)) with q = (e^|x| - 1) / 4, which does not overflow before sinh does. Bound: 2 ulp."""
    a = at_most(e, e.abs(x), {"f32": 89.5, "f64": 710.6}[x.type.dtype])
    q, q_low = quick_two_sum(e, *quarter_expm1(e, a))
    half = e.add(q, e.add(e.div(e.add(q, q_low), e.fma(q, 4.0, 1.0)), q_low))
    y = e.add(half, half)
    y = e.select(e.lt(a, 2.0 ** -(format_of(x).mantissa // 2 + 2)), a, y)
    return e.copysign(y, x)


def cosh(e, x):
    """w + 1 / (4w) with w = e^|x| / 2. Bound: 1.5 ulp."""
    a = at_most(e, e.abs(x), {"f32": 90.0, "f64": 711.0}[x.type.dtype])
    y, t = exp_reduced(e, a)
    w = scale(e, y, e.sub(t, 1.0))
    return e.add(w, e.div(e.constant(0.25, like=x), w))


def asinh(e, x):
    """log(1 + a + a^2 / (1 + sqrt(1 + a^2))), a = |x|; log(a) + ln2 for large a. Bound: 1.25 ulp."""
    a = e.abs(x)
    large = e.gt(a, 2.0 ** (format_of(x).mantissa // 2 + 4))
    safe = e.select(large, 1.0, a)
    square = e.mul(safe, safe)
    bend = e.div(square, e.add(e.sqrt(e.add(square, 1.0)), 1.0))
    return e.copysign(_finish(e, a, large, *quick_two_sum(e, safe, bend)), x)


def acosh(e, x):
    """log(1 + t + sqrt(2t + t^2)), t = x - 1; log(x) + ln2 for large x; NaN below 1. Bound: 2 ulp."""
    large = e.gt(x, 2.0 ** (format_of(x).mantissa // 2 + 4))
    t = e.sub(e.select(large, 2.0, x), 1.0)
    root = e.sqrt(e.fma(t, t, e.add(t, t)))
    return e.select(e.lt(x, 1.0), NAN, _finish(e, x, large, *quick_two_sum(e, root, t)))


def atanh(e, x):
    """log(1 + 2a / (1 - a)) / 2, a = |x|, with the quotient to double-word accuracy; NaN beyond 1. Bound: 1.25 ulp."""
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


def _finish(e, a, large, argument, argument_low):
    """log(1 + argument), or log(a) + ln2 for large a; tiny a and inf are themselves."""
    minus_one, minus_one_low = quick_two_sum(e, a, e.constant(-1.0, like=a))
    argument = e.select(large, minus_one, argument)
    y = log1p_of_sum(e, argument, e.select(large, minus_one_low, argument_low))
    y = e.select(large, e.add(y, _LN2), y)
    y = e.select(e.lt(a, 2.0 ** -(format_of(a).mantissa // 2 + 2)), a, y)
    return e.select(e.lt(a, INF), y, a)
