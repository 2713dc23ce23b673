"""Determinants."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.primitives.families import Composite, require_dtype
from rlxc.primitives.linalg.elimination import MATRICES, determinants
from rlxc.primitives.linalg.embedding import COMPLEX
from rlxc.primitives.linalg.lu import _A, I32, Lu
from rlxc.primitives.linalg.matrices import WIDE, MatrixPrimitive, check_matrix, identity

EXPANDED = 3  # rows of a matrix whose determinant is written out
_SAMPLES = (Sample(_A), Sample(np.stack([_A[:2, :2], _A[1:, 1:]])), Sample(np.array([[-0.5]])), "f64[0, 0]", "f64[2, 0, 0]")
_LARGER = np.kron(_A[:2, :2], _A[1:, 1:])
_COMPLEX_SAMPLES = (*map(Sample, MATRICES), "c128[0, 0]", "c128[2, 0, 0]")
_MATRICES = (_A, np.stack([_A[:2, :2], _A[1:, 1:]]), np.array([[-0.5]]), np.zeros((0, 0)))


class OfFactors(MatrixPrimitive):
    """A function of the determinant of a, of which native code uses only the results of `lu`, and derivatives a itself."""

    domain = (-8.0, 8.0)
    samples: ClassVar = tuple(Sample(a, *Lu().eval(a)) for a in _MATRICES)

    def consistent(self, arrays):
        """The laws move a: factors are those of a."""
        return arrays[0], *Lu().eval(arrays[0])

    def check(self, a, lu, pivots, permutation):
        check_matrix(self.name, a, square=True)
        for x in (pivots, permutation):
            require_dtype(f"{self.name} as rows", x, (I32,))
        if lu != a or pivots.shape != a.shape[:-1] or permutation.shape != a.shape[:-1]:
            raise ShapeError(f"{self.name}: {lu}, {pivots} and {permutation} are not the results of lu on {a}")

    def logarithmic(self, b, primals, tangents):
        """The trace of a^-1 da; None where a has no tangent."""
        (a, lu, _, permutation), da = primals, tangents[0]
        if da is None:
            return None
        inverse = b.lu_solve(a, lu, permutation, identity(b, a.type), transposed=True)
        rank = a.type.rank
        return b.reduce_sum(b.mul(da, inverse), axes=(rank - 2, rank - 1))


@register
class LuSlogdet(OfFactors):
    """The sign of the determinant of a, and the logarithm of its size, from the results of `lu` on a. The tangent is the trace of a^-1 da."""

    name = "lu_slogdet"

    def infer(self, a, lu, pivots, permutation):
        self.check(a, lu, pivots, permutation)
        return (a.with_shape(a.shape[:-2]),) * 2

    def eval(self, a, lu, pivots, permutation):
        sign, size = np.linalg.slogdet(a)
        return np.asarray(sign, a.dtype), np.asarray(size, a.dtype)

    def jvp(self, b, primals, tangents, outs):
        return None, self.logarithmic(b, primals, tangents)

    def ranks(self, reads, writes):
        return 2, 2, 1, 1, 0, 0

    def one(self, e, reads, writes):
        (_, lu, pivots, _), (sign, size) = reads, writes
        n, dtype = lu.shape[0], lu.dtype
        minus = e.constant(-1.0, dtype=dtype)
        one, zero = e.constant(1.0, dtype=dtype), e.constant(0.0, dtype=dtype)

        def step(i, s, total):
            u = lu(*i, *i)
            flip = e.select(e.lt(u, 0.0), minus, one)
            exchanged = e.ne(e.convert(pivots(*i), dtype="index"), e.as_index(*i))
            s = e.mul(s, e.select(e.eq(u, 0.0), zero, e.select(exchanged, e.neg(flip), flip)))
            return s, e.add(total, e.log(e.abs(u)))

        s, total = e.loop((n,), (one, zero), step)
        sign.store(s)
        size.store(total)


@register
class LuDet(OfFactors):
    """The determinant of a, from the results of `lu` on a. The tangent is det(a) times the trace of a^-1 da: nan where a is singular."""

    name = "lu_det"

    def infer(self, a, lu, pivots, permutation):
        self.check(a, lu, pivots, permutation)
        return a.with_shape(a.shape[:-2])

    def eval(self, a, lu, pivots, permutation):
        return np.asarray(np.linalg.det(a), a.dtype)

    def jvp(self, b, primals, tangents, outs):
        relative = self.logarithmic(b, primals, tangents)
        return (None if relative is None else b.mul(relative, outs[0]),)

    def ranks(self, reads, writes):
        return 2, 2, 1, 1, 0

    def one(self, e, reads, writes):
        (_, lu, pivots, _), (det,) = reads, writes

        def step(i, total):
            u = lu(*i, *i)
            exchanged = e.ne(e.convert(pivots(*i), dtype="index"), e.as_index(*i))
            return e.mul(total, e.select(exchanged, e.neg(u), u))

        (total,) = e.loop(lu.shape[:1], (e.constant(1.0, dtype=lu.dtype),), step)
        det.store(total)


@register
class Slogdet(Composite):
    """The sign of the determinant of x [..., n, n], and the logarithm of its absolute value: 0 and -inf where x is singular."""

    name = "slogdet"
    dtypes = (*WIDE, *COMPLEX)
    domain = (-8.0, 8.0)
    samples = (*_SAMPLES, *_COMPLEX_SAMPLES)

    def infer(self, x):
        check_matrix(self.name, x, square=True, dtypes=self.dtypes)
        one = x.with_shape(x.shape[:-2])
        return one, one.with_dtype(x.dtype.part) if x.dtype.is_complex else one

    def eval(self, x):
        sign, size = np.linalg.slogdet(x)
        return np.asarray(sign, x.dtype), np.asarray(size, x.real.dtype)

    def decompose(self, b, x):
        if x.type.dtype.is_complex:
            _, sign, log = determinants(b, b.stop_gradient(x))
            return b.slogdet_of(x, sign, log)
        return b.lu_slogdet(x, *b.lu(b.stop_gradient(x)))


@register
class Det(Composite):
    """The determinant of x [..., n, n]. Up to three rows it is a polynomial, with all its derivatives; beyond, the derivative at a singular x is nan."""

    name = "det"
    dtypes = (*WIDE, *COMPLEX)
    domain = (-8.0, 8.0)
    samples = (*_SAMPLES, *_COMPLEX_SAMPLES, Sample(_LARGER), Sample(_LARGER * (1 - 0.5j)))

    def infer(self, x):
        check_matrix(self.name, x, square=True, dtypes=self.dtypes)
        return x.with_shape(x.shape[:-2])

    def eval(self, x):
        return LuDet().eval(x, None, None, None)

    def decompose(self, b, x):
        if 0 < x.type.shape[-1] <= EXPANDED:
            return _expanded(b, x)
        if x.type.dtype.is_complex:
            return b.det_of(x, determinants(b, b.stop_gradient(x))[0])
        return b.lu_det(x, *b.lu(b.stop_gradient(x)))


def _expanded(b, x):
    """The determinant by its first row (Leibniz): no division, so that singular matrices are like others."""
    *batch, n, _ = x.type.shape

    def at(i, j):
        whole = tuple(batch)
        element = b.slice(x, start=(*(0 for _ in whole), i, j), stop=(*whole, i + 1, j + 1))
        return b.reshape(element, shape=whole)

    def minor(rows, columns):
        if len(rows) == 1:
            return at(rows[0], columns[0])
        terms = [b.mul(at(rows[0], j), minor(rows[1:], [k for k in columns if k != j])) for j in columns]
        total = terms[0]
        for k, term in enumerate(terms[1:], 1):
            total = b.sub(total, term) if k % 2 else b.add(total, term)
        return total

    return minor(list(range(n)), list(range(n)))
