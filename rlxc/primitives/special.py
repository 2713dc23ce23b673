"""Special functions: the error function and its kin, the logarithm of the gamma function and its derivatives."""

from __future__ import annotations

import math

import numpy as np

from rlxc.errors import AttrError
from rlxc.ir.primitive import Cost, Sample, register
from rlxc.primitives import special_exact
from rlxc.primitives.exact import exactly
from rlxc.primitives.families import Direct, Elementwise
from rlxc.primitives.special_exact import bernoulli, cotangent_derivative

MAX_POLYGAMMA = 100
_SPECIAL = Sample(np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-300, 27.0]))
_SHAPES = ("f64[5]", "f64[]", "f64[2, 0]", _SPECIAL)


@register
class Erf(Direct):
    """The error function: 2/sqrt(pi) times the integral of exp(-t²) from 0 to x."""

    name = "erf"
    singular = False
    cost = Cost(flops=24, recompute=False)
    samples = _SHAPES

    def eval(self, x):
        return exactly(special_exact.erf, x)

    def partials(self, b, out, x):
        return (_gauss(b, x),)


@register
class Erfc(Direct):
    """1 - erf(x), exact where that is small."""

    name = "erfc"
    singular = False
    cost = Cost(flops=30, recompute=False)
    samples = _SHAPES

    def eval(self, x):
        return exactly(special_exact.erfc, x)

    def partials(self, b, out, x):
        return (b.neg(_gauss(b, x)),)


def _gauss(b, x):
    """2/sqrt(pi) exp(-x²), the derivative of erf."""
    return b.mul(b.exp(b.neg(b.mul(x, x))), 2 / math.sqrt(math.pi))


@register
class ErfInv(Direct):
    """The y with erf(y) = x; inf at 1, -inf at -1, nan beyond."""

    name = "erf_inv"
    cost = Cost(flops=40, recompute=False)
    domain = (-0.9, 0.9)
    samples = _SHAPES

    def eval(self, x):
        return exactly(special_exact.erf_inv, x)

    def partials(self, b, out, x):
        return (b.mul(b.exp(b.strong_mul(out, out)), math.sqrt(math.pi) / 2),)


@register
class Lgamma(Direct):
    """log |gamma(x)|; inf at 0, -1, -2, ... and at both infinities."""

    name = "lgamma"
    cost = Cost(flops=40, recompute=False)
    domain = (0.5, 5.0)
    samples = (*_SHAPES, Sample("f64[3]", domain=(-2.9, -2.1)))

    def eval(self, x):
        return exactly(special_exact.lgamma, x)

    def partials(self, b, out, x):
        return (b.digamma(x),)


@register
class Digamma(Direct):
    """The derivative of lgamma; -inf at 0.0, inf at -0.0, nan at -1, -2, ... and -inf."""

    name = "digamma"
    cost = Cost(flops=40, recompute=False)
    domain = (0.5, 5.0)
    samples = (*_SHAPES, Sample("f64[3]", domain=(-2.8, -2.2)))

    def eval(self, x):
        return exactly(special_exact.digamma, x)

    def partials(self, b, out, x):
        return (b.polygamma(x, n=1),)


@register
class Polygamma(Elementwise):
    """Derivative `n` of digamma, for n from 0 to 100.

    At 0, -1, -2, ...: inf for odd n, nan for even n (but -inf at 0.0 and inf at -0.0).
    """

    name = "polygamma"
    cost = Cost(flops=100, recompute=False)
    domain = (0.5, 5.0)
    samples = (
        Sample("f64[5]", n=1),
        Sample("f64[]", n=2),
        Sample("f64[2, 0]", n=3),
        Sample("f64[3]", n=0),
        Sample("f64[3]", n=1, domain=(-1.7, -1.3)),
        Sample("f64[3]", n=4, domain=(-1.6, -1.4)),
        Sample(np.array([0.0, -0.0, -1.0, np.inf, -np.inf, np.nan]), n=1),
        Sample(np.array([0.0, -0.0, -1.0, np.inf, -np.inf, np.nan]), n=2),
    )

    def infer(self, x, *, n: int):
        if not 0 <= n <= MAX_POLYGAMMA:
            raise AttrError(f"polygamma: n is {n}", help=f"n goes from 0 to {MAX_POLYGAMMA}")
        return super().infer(x, n=n)

    def eval(self, x, *, n: int):
        return exactly(lambda v: special_exact.polygamma(v, n), x)

    def legalize(self, b, x, *, n):
        """In f64, since n! and the powers of x soon leave the range of f32."""
        dtype = x.type.dtype
        if dtype == "f64":
            return None
        y = b.convert(b.polygamma(b.convert(x, dtype="f64"), n=n), dtype="f32")
        return b.convert(y, dtype=dtype) if dtype.is_narrow else y

    def partials(self, b, out, x, *, n):
        return (b.polygamma(x, n=n + 1),)

    def identities(self, b, x, *, n):
        return b.digamma(x) if n == 0 else None

    def scalar(self, e, x, *, n):
        """(-1)^(n+1) n! zeta(n+1, x), reflected at 1/2 by the derivatives of pi cot(pi x)."""
        if n == 0:
            return e.digamma(x)
        reflected = e.lt(x, 0.5)
        sign = (-1.0) ** (n + 1)
        right = e.mul(_hurwitz_zeta(e, n + 1, e.select(reflected, e.sub(1.0, x), x)), sign * math.factorial(n))
        fraction = e.sub(x, e.round(x))
        size = e.abs(fraction)
        by_half = e.gt(size, 0.25)  # near 1/2, where cot is small, it is the tangent of the rest
        tan = e.tan(e.mul(e.select(by_half, e.sub(0.5, size), size), math.pi))
        cot = e.copysign(e.select(by_half, tan, e.div(1.0, tan)), fraction)
        derivative = e.constant(0.0, like=x)
        for c in reversed(cotangent_derivative(n)):
            derivative = e.add(e.mul(derivative, cot), float(c))
        left = e.sub(e.mul(right, (-1.0) ** n), e.mul(derivative, math.pi ** (n + 1)))
        value = e.select(reflected, left, right)
        infinity = e.constant(math.inf, like=x)
        value = e.select(e.eq(x, infinity), e.constant(sign * 0.0, like=x), value)
        pole = e.and_(e.le(x, 0.0), e.eq(fraction, 0.0))
        if n % 2:
            return e.select(pole, infinity, value)
        at_zero = e.neg(e.copysign(infinity, x))
        return e.select(pole, e.select(e.eq(x, 0.0), at_zero, e.constant(math.nan, like=x)), value)


def _hurwitz_zeta(e, s, x):
    """The sum of (x + k)^-s over k = 0, 1, ... for x >= 1/2, by Euler and Maclaurin; x is a scalar of the loop level."""
    steps = 10 + s // 2
    total = _power(e, e.div(1.0, x), s)
    for k in range(1, steps):
        total = e.add(total, _power(e, e.div(1.0, e.add(x, float(k))), s))
    up = e.add(x, float(steps))
    r = e.div(1.0, up)
    last = _power(e, r, s)
    total = e.add(total, e.add(e.mul(e.mul(last, up), 1.0 / (s - 1)), e.mul(last, 0.5)))
    square, term = e.mul(r, r), e.mul(last, r)
    for j in range(1, 11):
        rising = math.prod(range(s, s + 2 * j - 1))
        total = e.add(total, e.mul(term, float(bernoulli(2 * j) * rising / math.factorial(2 * j))))
        term = e.mul(term, square)
    return total


def _power(e, x, n: int):
    """x^n for n >= 1, by squaring."""
    result = None
    while n:
        if n & 1:
            result = x if result is None else e.mul(result, x)
        n >>= 1
        if n:
            x = e.mul(x, x)
    return result
