"""Exponentials and logarithms."""

from __future__ import annotations

import math

import numpy as np

from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import INEXACT
from rlxc.primitives import complex_math
from rlxc.primitives.exact import exactly
from rlxc.primitives.families import Direct

_COST = Cost(flops=12, recompute=False)
_SPECIAL = Sample(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-300, -1e-300, 1e300, -1e300]))
_SHAPES = ("f64[5]", "f64[]", "f64[2, 0]", _SPECIAL)


class Exponential(Direct):
    """Of one operand, dear enough to keep."""

    cost = _COST
    samples = _SHAPES


class Logarithm(Exponential):
    """Of positive numbers."""

    domain = (0.25, 4.0)


@register
class Exp(Exponential):
    """e to the power x."""

    name = "exp"
    dtypes = INEXACT

    def eval(self, x):
        return exactly(np.exp, x)

    def planes(self, b, x):
        return complex_math.exp(b, x)

    def partials(self, b, out, x):
        return (out,)


@register
class Exp2(Exponential):
    """2 to the power x."""

    name = "exp2"
    dtypes = INEXACT

    def eval(self, x):
        return exactly(np.exp2, x)

    def planes(self, b, x):
        return complex_math.exp2(b, x)

    def partials(self, b, out, x):
        return (b.mul(out, math.log(2)),)


@register
class Expm1(Exponential):
    """exp(x) - 1, exact near 0."""

    name = "expm1"
    dtypes = INEXACT

    def eval(self, x):
        return exactly(np.expm1, x)

    def planes(self, b, x):
        return complex_math.expm1(b, x)

    def partials(self, b, out, x):
        return (b.add(out, 1.0),)


@register
class Log(Logarithm):
    """The natural logarithm; -inf at 0, nan below."""

    name = "log"
    dtypes = INEXACT

    def eval(self, x):
        return exactly(np.log, x)

    def planes(self, b, x):
        return complex_math.log(b, x)

    def partials(self, b, out, x):
        return (b.div(1.0, x),)


@register
class Log2(Logarithm):
    """The logarithm to base 2; -inf at 0, nan below."""

    name = "log2"
    dtypes = INEXACT

    def eval(self, x):
        return exactly(np.log2, x)

    def planes(self, b, x):
        return complex_math.log2(b, x)

    def partials(self, b, out, x):
        return (b.div(1.0 / math.log(2), x),)


@register
class Log1p(Exponential):
    """log(1 + x), exact near 0; -inf at -1, nan below."""

    name = "log1p"
    dtypes = INEXACT
    domain = (-0.75, 4.0)

    def eval(self, x):
        return exactly(np.log1p, x)

    def planes(self, b, x):
        return complex_math.log1p(b, x)

    def partials(self, b, out, x):
        return (b.div(1.0, b.add(x, 1.0)),)


@register
class Logistic(Exponential):
    """1 / (1 + exp(-x)), without overflow."""

    name = "logistic"
    singular = False

    def eval(self, x):
        return exactly(_logistic, x)

    def partials(self, b, out, x):
        return (b.mul(out, b.sub(1.0, out)),)


def _logistic(x):
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)
