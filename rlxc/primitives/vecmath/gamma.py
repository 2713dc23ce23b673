"""lgamma and digamma.

Four ranges of y (y = x, or 1 - x for negative x):
    y < 1      one step up: f(y) = f(y + 1) minus log(y) or 1/y
    [1, 2]     a polynomial with the zeros of the function divided out, so that it is accurate there too
    (2, 8)     steps down to [1, 2], collecting the product of the factors y - 1, y - 2, ... (and its derivative)
    y >= 8     Stirling's series as a polynomial in 1/y^2
Negative x by reflection, behind a branch: lgamma(x) = log(pi / |sin(pi x)|) - lgamma(1 - x),
digamma(x) = digamma(1 - x) - pi / tan(pi x). Near the zeros on the negative axis the error is absolute, not relative.
"""

from __future__ import annotations

from rlxc.primitives.vecmath.coefficients import (
    DIGAMMA,
    DIGAMMA_ROOT,
    DIGAMMA_TAIL,
    HALF_LOG_2PI,
    LGAMMA,
    LOG_PI,
    PI,
    STIRLING,
)
from rlxc.primitives.vecmath.floats import INF, NAN
from rlxc.primitives.vecmath.log import log
from rlxc.primitives.vecmath.polynomial import polynomial
from rlxc.primitives.vecmath.trig import cos, sin

_STIRLING_FROM = 8.0


def lgamma(e, x):
    """log |gamma(x)|; inf at the poles. Bound for x > 0: 8 ulp (f64: 5)."""
    negative = e.lt(x, 0.0)
    y = e.select(negative, e.sub(1.0, x), x)
    right = _lgamma_positive(e, y)
    result = e.cond(e.any(negative), lambda: e.select(negative, _lgamma_reflected(e, x, right), right), lambda: right)
    result = e.select(e.eq(e.abs(x), INF), INF, result)
    return e.select(e.eq(x, 0.0), INF, result)


def digamma(e, x):
    """The derivative of log gamma(x); NaN at the negative integers, -+inf at +-0. Bound for x > 0: 8 ulp (f64: 5)."""
    negative = e.lt(x, 0.0)
    y = e.select(negative, e.sub(1.0, x), x)
    right = _digamma_positive(e, y)
    result = e.cond(e.any(negative), lambda: e.select(negative, _digamma_reflected(e, x, right), right), lambda: right)
    result = e.select(e.eq(x, INF), INF, result)
    return e.select(e.eq(x, 0.0), e.copysign(e.constant(INF, like=x), e.neg(x)), result)


def _lgamma_positive(e, y):
    dtype = y.type.dtype
    large = e.ge(y, _STIRLING_FROM)
    below_one = e.lt(y, 1.0)
    reduced, product, _ = _steps_down(e, y)
    # One logarithm serves the three ranges.
    logarithm = log(e, e.select(e.or_(large, below_one), y, product))
    reduced_minus_one = e.select(below_one, y, e.sub(reduced, 1.0))
    zeros = e.mul(reduced_minus_one, e.sub(reduced_minus_one, 1.0))
    near = e.mul(zeros, polynomial(e, e.sub(reduced_minus_one, 0.5), LGAMMA[dtype]))
    near = e.add(near, e.select(below_one, e.neg(logarithm), logarithm))
    inverse = e.div(e.constant(1.0, like=y), e.select(large, y, 8.0))
    series = e.mul(inverse, polynomial(e, e.mul(inverse, inverse), STIRLING[dtype]))
    far = e.fma(e.sub(y, 0.5), e.sub(logarithm, 1.0), e.add(series, HALF_LOG_2PI[dtype][0] - 0.5))
    return e.select(large, far, near)


def _lgamma_reflected(e, x, right):
    sine = e.abs(sin(e, e.mul(_to_nearest_integer(e, x), PI[x.type.dtype][0])))
    return e.select(e.eq(sine, 0.0), INF, e.sub(e.sub(LOG_PI[x.type.dtype][0], log(e, sine)), right))


def _digamma_positive(e, y):
    dtype = y.type.dtype
    large = e.ge(y, _STIRLING_FROM)
    below_one = e.lt(y, 1.0)
    reduced, product, derivative = _steps_down(e, y)
    root, root_low = DIGAMMA_ROOT[dtype]
    from_one = e.select(below_one, y, e.sub(reduced, 1.0))
    distance = e.sub(e.sub(from_one, root - 1.0), root_low)
    near = e.mul(distance, polynomial(e, e.sub(from_one, 0.5), DIGAMMA[dtype]))
    numerator = e.select(large, 1.0, e.select(below_one, -1.0, derivative))
    quotient = e.div(numerator, e.select(e.or_(large, below_one), y, product))
    z = e.mul(quotient, quotient)
    series = e.fma(z, polynomial(e, z, DIGAMMA_TAIL[dtype]), e.mul(quotient, 0.5))
    far = e.sub(log(e, y), series)
    return e.select(large, far, e.add(near, quotient))


def _digamma_reflected(e, x, right):
    pi, _ = PI[x.type.dtype]
    angle = e.mul(_to_nearest_integer(e, x), pi)
    slope = e.mul(e.div(cos(e, angle), sin(e, angle)), pi)
    return e.select(e.eq(angle, 0.0), NAN, e.sub(right, slope))


def _steps_down(e, y):
    """(reduced, product, derivative): y brought to [1, 2] by steps of one, where y is in (2, 8).

    product = (y - 1) (y - 2) ... reduced, and derivative / product = 1 / (y - 1) + ... + 1 / reduced.
    """
    product, derivative = e.constant(1.0, like=y), e.constant(0.0, like=y)
    for _ in range(int(_STIRLING_FROM) - 2):
        step = e.gt(y, 2.0)
        y = e.select(step, e.sub(y, 1.0), y)
        derivative = e.select(step, e.fma(derivative, y, product), derivative)
        product = e.select(step, e.mul(product, y), product)
    return y, product, derivative


def _to_nearest_integer(e, x):
    """x - round(x): exact, and sin(pi x) is that of it up to sign."""
    return e.sub(x, e.round(x))
