"""Rounding to whole numbers, and telling numbers from what is not one. All derivatives are zero."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import BOOL
from rlxc.primitives.families import Direct, Elementwise, NonDifferentiable
from rlxc.primitives.identities import produced_by

_SPECIAL = Sample(np.array([0.5, -0.5, 1.5, 2.5, -2.5, 0.0, -0.0, 0.49999999999999994, 2.0**52 + 1, np.inf, -np.inf, np.nan]))
_SAMPLES = (Sample("f64[7]", domain=(-4.0, 4.0)), "f64[]", "f64[2, 0]", _SPECIAL)


class Rounding(NonDifferentiable, Direct):
    """To a whole number of the same dtype; infinities, nan and the sign of zero stay."""

    samples = _SAMPLES

    def identities(self, b, x):
        whole = ("floor", "ceil", "round", "trunc")
        return x if any(produced_by(b, x, name) for name in whole) else None


@register
class Floor(Rounding):
    """The largest whole number <= x."""

    name = "floor"

    def eval(self, x):
        return np.floor(x)


@register
class Ceil(Rounding):
    """The smallest whole number >= x."""

    name = "ceil"

    def eval(self, x):
        return np.ceil(x)


@register
class Round(Rounding):
    """The nearest whole number; of two equally near, the even one."""

    name = "round"

    def eval(self, x):
        return np.rint(x)


@register
class Trunc(Rounding):
    """x without its fraction."""

    name = "trunc"

    def eval(self, x):
        return np.trunc(x)


class Classify(NonDifferentiable, Elementwise):
    """A bool that says what kind of number x is."""

    samples = _SAMPLES

    def result_dtype(self, dtype, **attrs):
        return BOOL


@register
class IsFinite(Classify):
    """Whether x is neither infinite nor nan."""

    name = "is_finite"

    def eval(self, x):
        return np.isfinite(x)

    def scalar(self, e, x):
        return e.lt(e.abs(x), float("inf"))


@register
class IsNan(Classify):
    """Whether x is nan."""

    name = "is_nan"

    def eval(self, x):
        return np.isnan(x)

    def scalar(self, e, x):
        return e.ne(x, x)
