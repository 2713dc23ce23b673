"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import INEXACT
from rlxc.primitives import complex_math
from rlxc.primitives.exact import exactly
from rlxc.primitives.families import Direct

_SPECIAL = Sample(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-300, 1e300, 1.0, -1.0]))


class Hyperbolic(Direct):
    """Of one operand, dear enough to keep."""

    dtypes = INEXACT
    cost = Cost(flops=18, recompute=False)
    samples = ("f64[5]", "f64[]", "f64[2, 0]", _SPECIAL)


@register
class Sinh(Hyperbolic):
    """(exp(x) - exp(-x)) / 2, exact near 0."""

    name = "sinh"

    def eval(self, x):
        return exactly(np.sinh, x)

    def planes(self, b, x):
        return complex_math.sinh(b, x)

    def partials(self, b, out, x):
        return (b.cosh(x),)


@register
class Cosh(Hyperbolic):
    """(exp(x) + exp(-x)) / 2."""

    name = "cosh"

    def eval(self, x):
        return exactly(np.cosh, x)

    def planes(self, b, x):
        return complex_math.cosh(b, x)

    def partials(self, b, out, x):
        return (b.sinh(x),)


@register
class Tanh(Hyperbolic):
    """sinh x / cosh x."""

    name = "tanh"
    singular = False

    def eval(self, x):
        return exactly(np.tanh, x)

    def planes(self, b, x):
        return complex_math.tanh(b, x)

    def partials(self, b, out, x):
        return (b.sub(1.0, b.mul(out, out)),)


@register
class Asinh(Hyperbolic):
    """The inverse of sinh."""

    name = "asinh"
    singular = False

    def eval(self, x):
        return exactly(np.arcsinh, x)

    def planes(self, b, x):
        return complex_math.asinh(b, x)

    def partials(self, b, out, x):
        return (b.rsqrt(b.add(b.mul(x, x), 1.0)),)


@register
class Acosh(Hyperbolic):
    """The inverse of cosh: 0 or more; nan below 1."""

    name = "acosh"
    domain = (1.25, 4.0)

    def eval(self, x):
        return exactly(np.arccosh, x)

    def planes(self, b, x):
        return complex_math.acosh(b, x)

    def partials(self, b, out, x):
        return (b.rsqrt(b.mul(b.sub(x, 1.0), b.add(x, 1.0))),)


@register
class Atanh(Hyperbolic):
    """The inverse of tanh; inf at 1, -inf at -1, nan beyond."""

    name = "atanh"
    domain = (-0.8, 0.8)

    def eval(self, x):
        return exactly(np.arctanh, x)

    def planes(self, b, x):
        return complex_math.atanh(b, x)

    def partials(self, b, out, x):
        return (b.div(1.0, b.mul(b.sub(1.0, x), b.add(x, 1.0))),)
