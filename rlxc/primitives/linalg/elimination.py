"""Determinants of complex matrices: elimination with pivots as a scan of ops on whole batches, and what derivatives know of its results."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.primitive import Sample, lookup, register
from rlxc.ir.types import DType, TensorType
from rlxc.primitives.families import require_dtype
from rlxc.primitives.linalg.embedding import COMPLEX, embedded, stacked, unstacked
from rlxc.primitives.linalg.matrices import MatrixPrimitive, check_matrix, diagonal
from rlxc.primitives.linalg.solve import solve_columns

_A = np.array([[0.5 + 1.0j, 2.0, -1.0j], [3.0, 0.25 - 0.5j, 1.0], [-1.0 + 0.5j, 1.5, 2.0j]])
MATRICES = (_A, np.stack([_A[:2, :2], _A[1:, 1:]]), np.array([[-0.5j]]))


def determinants(b, x):
    """The determinant of complex x [..., n, n], and its sign and the logarithm of its size."""
    *leading, n, _ = x.type.shape
    if not all(isinstance(size, int) for size in x.type.shape):
        raise ShapeError(f"det: {x.type} has no sizes yet", code="RLX0206")
    part = x.type.dtype.part
    many = TensorType(part, (math.prod(leading),))
    a = b.reshape(x, shape=(many.size, n, n))
    one = b.constant(1.0, type=many.with_dtype(x.type.dtype))
    left = b.constant(1.0, type=TensorType(part, (many.size, n)))
    if n == 0:
        return [b.reshape(v, shape=tuple(leading)) for v in (one, one, b.zeros(many))]
    columns = b.one_hot(b.iota(axis=0, type=TensorType(DType("i32"), (n,))), size=n, dtype=part)
    operands = [a, left, one, one, b.zeros(many), columns]
    attrs = {"consts": 0, "carries": 5, "length": n, "reverse": False, "checkpoint": 0}
    results = b.with_regions(lookup("scan"), operands, attrs, (_step([v.type for v in operands[:5]], columns.type.with_shape((n,)), b.loc),))
    return [b.reshape(v, shape=tuple(leading)) for v in results[2:5]]


def _step(types, column, loc) -> Func:
    """The largest element of a column, in the rows that are left, is subtracted from the other rows that are left, as often as makes zeros there."""
    b = Builder()
    b.loc = loc
    a, left, det, sign, log, unit = args = [
        Value(t, name, loc=loc) for t, name in zip([*types, column], ["a", "left", "det", "sign", "log", "unit"], strict=True)
    ]
    count, n = left.type.shape
    part = left.type.dtype

    def of_parts(z, f):
        return b.complex(f(b.real(z)), f(b.imag(z)))

    def down(v, shape, *axes):
        return b.broadcast(v, shape=shape, axes=axes)

    entries = of_parts(a, lambda x: b.contract(x, unit, spec="bij,j->bi"))
    size = b.add(b.abs(b.real(entries)), b.abs(b.imag(entries)))
    is_left = b.gt(left, 0.5)
    best = b.argmax(b.select(is_left, size, b.constant(-1.0, like=size)), axis=1)
    chosen = b.one_hot(best, size=n, dtype=part)
    row = of_parts(a, lambda x: b.contract(chosen, x, spec="bi,bij->bj"))
    pivot = of_parts(entries, lambda x: b.contract(chosen, x, spec="bi,bi->b"))
    above = b.lt(b.iota(axis=1, type=TensorType(best.type.dtype, (count, n))), down(best, (count, n), 1))
    passed = b.reduce_sum(b.select(above, left, b.zeros(left.type)), axes=(1,))
    odd = b.sub(passed, b.mul(b.floor(b.mul(passed, 0.5)), 2.0))
    flip = b.sub(1.0, b.mul(odd, 2.0))
    flip = b.complex(flip, b.zeros(flip.type))
    length = b.abs(pivot)
    is_zero = b.eq(length, 0.0)
    safe = b.select(is_zero, b.constant(1.0, like=pivot), pivot)
    safe_length = b.select(is_zero, b.constant(1.0, like=length), length)
    direction = b.div(pivot, b.complex(safe_length, b.zeros(length.type)))
    rest = b.sub(left, chosen)
    factors = b.select(b.gt(rest, 0.5), b.div(entries, down(safe, (count, n), 1)), b.zeros(entries.type))
    less = b.mul(down(factors, (count, n, n), 2), down(row, (count, n, n), 1))
    results = b.sub(a, less), rest, b.mul(det, b.mul(pivot, flip)), b.mul(sign, b.mul(direction, flip)), b.add(log, b.log(length))
    return Func("", tuple(args), tuple(b.ops), results, kind="region", loc=loc)


class OfDeterminant(MatrixPrimitive):
    """What is known of the determinant of complex x: native code takes it as it is given, and derivatives go by x."""

    dtypes: ClassVar = COMPLEX
    domain = (-8.0, 8.0)

    def relative(self, b, x, dx):
        """The trace of x^-1 dx."""
        leading = x.type.shape[:-2]
        y = unstacked(b, solve_columns(b, embedded(b, x), stacked(b, dx), leading))
        return b.reduce_sum(diagonal(b, y), axes=(len(leading),))

    def check(self, x, *given):
        check_matrix(self.name, x, square=True, dtypes=COMPLEX)
        require_dtype(self.name, given[0], (x.dtype,))
        for t in given:
            if t.shape != x.shape[:-2]:
                raise ShapeError(f"{self.name}: {t} is not one number for each matrix of {x}")


@register
class DetOf(OfDeterminant):
    """The determinant of complex x [..., n, n], which is d already. The tangent is d times the trace of x^-1 dx."""

    name = "det_of"
    samples = tuple(Sample(a, np.linalg.det(a)) for a in MATRICES)

    def infer(self, x, d):
        self.check(x, d)
        return d

    def consistent(self, arrays):
        """The laws move x: its determinant moves with it."""
        return arrays[0], self.eval(*arrays)

    def eval(self, x, d):
        return np.asarray(np.linalg.det(x), x.dtype)

    def jvp(self, b, primals, tangents, outs):
        if tangents[0] is None:
            return (None,)
        return (b.mul(self.relative(b, primals[0], tangents[0]), outs[0]),)

    def planes(self, b, x, d):
        return d


@register
class SlogdetOf(OfDeterminant):
    """The sign of the determinant of complex x [..., n, n] and the logarithm of its size, which are `sign` and `log` already.

    The tangent of log is the real part of the trace of x^-1 dx, that of the sign is i times its imaginary part, times the sign.
    """

    name = "slogdet_of"
    samples = tuple(Sample(a, *np.linalg.slogdet(a)) for a in MATRICES)

    def infer(self, x, sign, log):
        self.check(x, sign, log)
        require_dtype(self.name, log, (x.dtype.part,))
        return sign, log

    def consistent(self, arrays):
        """The laws move x: its determinant moves with it."""
        return arrays[0], *self.eval(*arrays)

    def eval(self, x, sign, log):
        found = np.linalg.slogdet(x)
        return np.asarray(found[0], x.dtype), np.asarray(found[1], x.real.dtype)

    def jvp(self, b, primals, tangents, outs):
        if tangents[0] is None:
            return None, None
        relative = self.relative(b, primals[0], tangents[0])
        turn = b.imag(relative)
        return b.mul(b.complex(b.zeros(turn.type), turn), outs[0]), b.real(relative)

    def planes(self, b, x, sign, log):
        return sign, log
