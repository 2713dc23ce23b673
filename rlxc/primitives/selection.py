"""Choosing among operands: select, max, min, clamp."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import ANY, BOOL, REALS, TensorType
from rlxc.primitives.families import Direct, Elementwise, broadcast_shapes, require_dtype, same_dtype
from rlxc.primitives.identities import is_all, produced_by, same_splat

_TIES = Sample(np.array([1.0, 0.0, -0.0, np.nan, 2.0, np.inf]), np.array([1.0, -0.0, 0.0, 2.0, np.nan, np.inf]))


@register
class Select(Direct):
    """x where cond is true, y elsewhere. A cotangent goes to the chosen side; the other side's is a true zero."""

    name = "select"
    dtypes = (BOOL,)
    linear_in = ((1, 2),)
    by_parts = True
    singular = False
    computes = False
    samples = (
        "bool[3], f64[3], f64[3]",
        "bool[2, 1], f64[3], f64[]",
        "bool[], f64[], f64[0]",
        "bool[4], i32[4], i32[4]",
        "bool[4], bool[4], bool[4]",
        Sample(np.array([True, False]), np.array([np.nan, np.nan]), np.array([1.0, 2.0])),
    )

    def infer(self, cond, x, y):
        require_dtype(self.name, cond, self.dtypes)
        require_dtype(self.name, x, ANY)
        require_dtype(self.name, y, ANY)
        return TensorType(same_dtype(self.name, (x, y)), broadcast_shapes(self.name, (cond, x, y)))

    def eval(self, cond, x, y):
        return np.where(cond, x, y)

    def jvp(self, b, primals, tangents, outs):
        _, dx, dy = tangents
        dx = b.zeros(outs[0].type) if dx is None else dx
        dy = b.zeros(outs[0].type) if dy is None else dy
        return (b.select(primals[0], dx, dy),)

    def transpose(self, b, cts, operands):
        cond = operands[0]
        zero = b.zeros(cts[0].type)
        return None, b.select(cond, cts[0], zero), b.select(cond, zero, cts[0])

    def identities(self, b, cond, x, y):
        if is_all(b, cond, True) or same_splat(b, x, y):
            return x
        if is_all(b, cond, False):
            return y
        if x.type.dtype.is_bool and is_all(b, x, True) and is_all(b, y, False):
            return cond
        if negated := produced_by(b, cond, "not"):
            return b.select(negated[0], y, x)
        if (inner := produced_by(b, x, "select")) and inner[0] is cond:
            return b.select(cond, inner[1], y)
        if (inner := produced_by(b, y, "select")) and inner[0] is cond:
            return b.select(cond, x, inner[2])
        return None


@register
class Max(Direct):
    """The larger of x and y; nan where either is nan. Of 0.0 and -0.0 it may be either. Ties share the derivative equally."""

    name = "max"
    dtypes = REALS
    commutative = True
    singular = False
    samples = ("f64[5], f64[5]", "f64[2, 1, 3], f64[4, 1]", "f64[], f64[0]", "i32[5], i32[5]", "u64[3], u64[3]", _TIES)

    def eval(self, x, y):
        return larger(x, y)

    def jvp(self, b, primals, tangents, outs):
        x, y = primals
        return (_chosen(b, tangents, b.lt(x, y), b.gt(x, y), b.eq(x, y)),)

    def identities(self, b, x, y):
        return _known_extreme(b, x, y, -np.inf)


@register
class Min(Direct):
    """The smaller of x and y; nan where either is nan. Of 0.0 and -0.0 it may be either. Ties share the derivative equally."""

    name = "min"
    dtypes = REALS
    commutative = True
    singular = False
    samples = ("f64[5], f64[5]", "f64[2, 1, 3], f64[4, 1]", "f64[], f64[0]", "i32[5], i32[5]", "u64[3], u64[3]", _TIES)

    def eval(self, x, y):
        return smaller(x, y)

    def jvp(self, b, primals, tangents, outs):
        x, y = primals
        return (_chosen(b, tangents, b.gt(x, y), b.lt(x, y), b.eq(x, y)),)

    def identities(self, b, x, y):
        return _known_extreme(b, x, y, np.inf)


def _known_extreme(b, x, y, neutral):
    """The operand that wins for sure: either, if they are one value, and what stands beside `neutral`."""
    if x is y or (x.type.dtype.is_float and is_all(b, y, neutral)):
        return x
    return y if x.type.dtype.is_float and is_all(b, x, neutral) else None


def larger(x, y):
    """y where it is larger or nan, else x: equal numbers (0.0 and -0.0 are) give x, as native code does."""
    return np.where((y > x) | (y != y), y, x)


def smaller(x, y):
    """y where it is smaller or nan, else x: equal numbers (0.0 and -0.0 are) give x, as native code does."""
    return np.where((y < x) | (y != y), y, x)


def _chosen(b, tangents, lost_x, lost_y, tie):
    """Tangent of the winner. The loser's is cut off by a select rather than a product, so that even an infinite one is gone."""
    share = b.select(tie, b.constant(0.5, like=tie, dtype=_dtype(tangents)), b.constant(1.0, like=tie, dtype=_dtype(tangents)))
    total = None
    for dx, lost in zip(tangents, (lost_x, lost_y), strict=True):
        if dx is None:
            continue
        term = b.select(lost, b.zeros(dx.type), b.mul(dx, share))
        total = term if total is None else b.add(total, term)
    return total


def _dtype(tangents):
    return next(dx.type.dtype for dx in tangents if dx is not None)


@register
class Clamp(Elementwise):
    """min(max(x, lo), hi): x kept between lo and hi (hi, if lo > hi); nan where any is nan.

    The derivative goes to x strictly inside, to lo below it, to hi above it, and is zero on the bounds themselves.
    """

    name = "clamp"
    dtypes = REALS
    singular = False
    samples = (
        Sample("f64[], f64[6], f64[]"),
        "f64[3], f64[2, 3], f64[1]",
        "f64[], f64[0], f64[]",
        "i32[4], i32[4], i32[4]",
        Sample(np.array(-1.0), np.array([-2.0, -1.0, 0.0, 1.0, 2.0, np.nan, -np.inf]), np.array(1.0)),
        Sample(np.array([1.0, np.nan]), np.array([0.0, 0.0]), np.array([-1.0, 1.0])),
    )

    def eval(self, lo, x, hi):
        return smaller(larger(x, lo), hi)

    def jvp(self, b, primals, tangents, outs):
        lo, x, hi = primals
        active = (
            b.and_(b.lt(x, lo), b.lt(lo, hi)),
            b.and_(b.gt(x, lo), b.lt(x, hi)),
            b.gt(b.max(x, lo), hi),
        )
        total = None
        for dx, where in zip(tangents, active, strict=True):
            if dx is None:
                continue
            term = b.select(where, dx, b.zeros(dx.type))
            total = term if total is None else b.add(total, term)
        return (total,)

    def scalar(self, e, lo, x, hi):
        return e.min(e.max(x, lo), hi)
