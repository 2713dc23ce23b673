"""Comparisons: two arrays to bool, false where a nan takes part (but for `ne`)."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import ANY, BOOL, ORDERED
from rlxc.primitives.families import Direct, NonDifferentiable

_SPECIAL = Sample(np.array([0.0, -0.0, np.inf, np.nan, np.nan, 1.0]), np.array([-0.0, 0.0, np.inf, np.nan, 0.0, np.nan]))


class Compare(NonDifferentiable, Direct):
    """Compares two arrays of one dtype; the result is bool and has no derivative. On bool, false < true."""

    dtypes = ORDERED
    holds_on_equal = False  # what comparing a number with itself gives
    strict = False  # false for nan as for equal numbers
    samples = (
        "f64[3], f64[3]",
        "f64[2, 1, 3], f64[4, 1]",
        "f64[], f64[0]",
        "i32[5], i32[5]",
        "u64[3], u64[3]",
        "bool[4], bool[4]",
        _SPECIAL,
    )

    def result_dtype(self, dtype, **attrs):
        return BOOL

    def identities(self, b, x, y):
        if x is not y or (x.type.dtype.differentiable and not self.strict):
            return None
        return b.constant(self.holds_on_equal, like=x, dtype="bool")


@register
class Eq(Compare):
    """Whether x = y; -0.0 = 0.0, and nan equals nothing."""

    name = "eq"
    dtypes = ANY
    commutative = True
    holds_on_equal = True

    def eval(self, x, y):
        return np.equal(x, y)

    def planes(self, b, x, y):
        return b.and_(b.eq(x.re, y.re), b.eq(x.im, y.im))


@register
class Ne(Compare):
    """Whether x and y differ; nan differs from everything, itself included."""

    name = "ne"
    dtypes = ANY
    commutative = True

    def eval(self, x, y):
        return np.not_equal(x, y)

    def planes(self, b, x, y):
        return b.or_(b.ne(x.re, y.re), b.ne(x.im, y.im))


@register
class Lt(Compare):
    """Whether x < y."""

    name = "lt"
    strict = True

    def eval(self, x, y):
        return np.less(x, y)


@register
class Le(Compare):
    """Whether x <= y."""

    name = "le"
    holds_on_equal = True

    def eval(self, x, y):
        return np.less_equal(x, y)


@register
class Gt(Compare):
    """Whether x > y."""

    name = "gt"
    strict = True

    def eval(self, x, y):
        return np.greater(x, y)


@register
class Ge(Compare):
    """Whether x >= y."""

    name = "ge"
    holds_on_equal = True

    def eval(self, x, y):
        return np.greater_equal(x, y)
