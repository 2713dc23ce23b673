"""Singular values and vectors."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Sample, register
from rlxc.primitives.linalg import lapack
from rlxc.primitives.linalg.embedding import COMPLEX
from rlxc.primitives.linalg.jacobi import orthogonalize
from rlxc.primitives.linalg.lu import _A, _TALL
from rlxc.primitives.linalg.matrices import (
    WIDE,
    MatrixPrimitive,
    check_matrix,
    diagonal,
    each_finite,
    identity,
    largest,
    product,
    scratch,
    square_safely,
    times_columns,
    times_rows,
    transposed,
)
from rlxc.primitives.linalg.qr import smaller_side
from rlxc.primitives.linalg.signs import sign, signs_of_columns
from rlxc.primitives.slice import slice_axis

SMALL = 8  # rows and columns up to which loops are as fast as the library

_SAMPLES = (Sample(_A), Sample(_TALL), Sample(_TALL.T), Sample(np.stack([_A[:2, :2], _A[1:, 1:]])), Sample(np.array([[-2.0]])), "f64[0, 0]", "f64[2, 0, 3]")


@register
class Svd(MatrixPrimitive):
    """x [..., m, n] as `u diag(s) vh`: orthonormal columns u [..., m, k], singular values s [..., k] in descending order, orthonormal rows vh [..., k, n].

    k is the lesser of m and n. Of each column of u, the first component that is about as large as the largest (27/32 of it) is positive. ds is the
    diagonal of y = u' dx v; of du and dv what lies in the spaces of u and v goes by f[i, j] = 1 / (s[j]^2 - s[i]^2) (Giles, "Collected matrix derivative
    results", 2008). Where singular values are equal their vectors have no derivative, nor where one is 0 and x is not square: it is nan or inf.
    What has no finite elements gives nan.
    """

    name = "svd"
    domain = (-8.0, 8.0)
    samples = _SAMPLES

    def infer(self, x):
        check_matrix(self.name, x)
        m, n = x.shape[-2:]
        k, leading = smaller_side(self.name, x), x.shape[:-2]
        return x.with_shape((*leading, m, k)), x.with_shape((*leading, k)), x.with_shape((*leading, k, n))

    def eval(self, x):
        m = x.shape[-2]

        def whole(a):
            u, s, vh = np.linalg.svd(a, full_matrices=False)
            return np.concatenate([u, s[..., None, :], np.swapaxes(vh, -1, -2)], -2)

        found = each_finite(x, whole) if 0 not in x.shape else np.zeros((*x.shape[:-2], sum(x.shape[-2:]) + 1, min(x.shape[-2:])), x.dtype)
        u, s, v = found[..., :m, :], found[..., m, :], found[..., m + 1 :, :]
        flips = signs_of_columns(u)
        return np.ascontiguousarray(u * flips), np.ascontiguousarray(s), np.ascontiguousarray(np.swapaxes(v * flips, -1, -2))

    def jvp(self, b, primals, tangents, outs):
        (u, s, vh), dx = outs, tangents[0]
        m, n = dx.type.shape[-2:]
        v = transposed(b, vh)
        y = product(b, u, product(b, dx, v), "ji,jk->ik")
        rank = y.type.rank
        one = identity(b, y.type)
        across, down = (b.broadcast(s, shape=y.type.shape, axes=(axis,)) for axis in (rank - 2, rank - 1))
        gaps = b.mul(b.add(across, down), b.sub(across, down))
        f = b.sub(b.div(b.constant(1.0, type=y.type), b.add(gaps, one)), one)
        right, left = times_columns(b, y, s), times_rows(b, s, y)
        du = product(b, u, b.mul(b.add(right, transposed(b, right)), f))
        dv = product(b, v, b.mul(b.add(left, transposed(b, left)), f))
        inverse = b.div(b.constant(1.0, type=s.type), s)
        if m > n:
            du = b.add(du, times_columns(b, _outside(b, u, product(b, dx, v)), inverse))
        if n > m:
            dv = b.add(dv, times_columns(b, _outside(b, v, product(b, dx, u, "ji,jk->ik")), inverse))
        return du, diagonal(b, y), transposed(b, dv)

    def flops(self, operands, results):
        return 12.0 * operands[0].size * min(operands[0].shape[-2:])

    def packs(self, operand):
        return True

    def ranks(self, reads, writes):
        return 2, 2, 1, 2

    def one(self, e, reads, writes):
        (x,), (u, s, vh) = reads, writes
        m, n = x.shape
        k = min(m, n)
        bad = _decompose(e, x, s, u, vh)
        nan = e.constant(np.nan, dtype=x.dtype)

        def put(i):
            flip = e.select(bad, nan, sign(e, lambda r: u(r, *i), m, x.dtype))
            e.for_each((m,), lambda r: u.store(e.mul(flip, u(*r, *i)), *r, *i))
            e.for_each((n,), lambda c: vh.store(e.mul(flip, vh(*i, *c)), *i, *c))

        e.for_each((k,), put)
        s.fill(lambda i: e.select(bad, nan, s(i)))


@register
class SingularValues(MatrixPrimitive):
    """The singular values of x [..., m, n] in descending order; see `svd`. Those of complex x are eigenvalues of [[0, x], [x', 0]]."""

    name = "singular_values"
    dtypes = (*WIDE, *COMPLEX)
    domain = (-8.0, 8.0)
    samples = (*_SAMPLES, Sample(_TALL + 1j * _TALL[::-1]), Sample(_TALL.T - 1j * _TALL.T[::-1]), "c128[2, 0, 3]")

    def infer(self, x):
        check_matrix(self.name, x, dtypes=self.dtypes)
        s = x.with_shape((*x.shape[:-2], smaller_side(self.name, x)))
        return s.with_dtype(x.dtype.part) if x.dtype.is_complex else s

    def legalize(self, b, x):
        if not x.type.dtype.is_complex:
            return None
        *leading, m, n = x.type.shape
        k, rank = smaller_side(self.name, x.type), len(leading) + 1
        if k == 0 or 0 in leading:
            return b.zeros(self.infer(x.type))
        zeros = [b.zeros(x.type.with_shape((*leading, size, size))) for size in (m, n)]
        upper, lower = b.concat(zeros[0], x, axis=rank), b.concat(b.conj(transposed(b, x)), zeros[1], axis=rank)
        values = b.eigvalsh(b.concat(upper, lower, axis=rank - 1))
        return b.abs(b.reverse(slice_axis(b, values, rank - 1, m + n - k, m + n), axes=(rank - 1,)))

    def eval(self, x):
        if 0 in x.shape:
            return np.zeros((*x.shape[:-2], min(x.shape[-2:])), x.real.dtype)
        return np.ascontiguousarray(each_finite(x, lambda a: np.linalg.svd(a, compute_uv=False)).real)

    def jvp(self, b, primals, tangents, outs):
        """The diagonal of u' dx v."""
        u, _, vh = b.svd(primals[0])
        return (b.reduce_sum(b.mul(product(b, u, tangents[0], "ji,jk->ik"), vh), axes=(vh.type.rank - 1,)),)

    def flops(self, operands, results):
        return 3.0 * operands[0].size * min(operands[0].shape[-2:])

    def packs(self, operand):
        return True

    def ranks(self, reads, writes):
        return 2, 1

    def one(self, e, reads, writes):
        (x,), (s,) = reads, writes
        bad = _decompose(e, x, s, None, None)
        s.fill(lambda i: e.select(bad, e.constant(np.nan, dtype=x.dtype), s(i)))


def _outside(b, u, x):
    """x without what the columns of u have of it."""
    return b.sub(x, product(b, u, product(b, u, x, "ji,jk->ik")))


def _decompose(e, x, s, u, vh):
    """Singular values into s, vectors into u and vh (None: they are not wanted). Whether it failed."""
    size = largest(e, x)
    finite = e.lt(size, np.inf)
    factor, back = square_safely(e, size)

    def element(i, j):
        return e.select(finite, e.mul(x(i, j), factor), e.constant(0.0, dtype=x.dtype))

    way = _by_library if e.target.lapack and min(x.shape) > SMALL else _by_loops
    failed = way(e, x.shape, x.dtype, element, s, u, vh)
    s.fill(lambda i: e.mul(s(i), back))
    return e.or_(failed, e.not_(finite))


def _by_library(e, shape, dtype, element, s, u, vh):
    """The transposed matrix there: its left vectors are our right ones, and both lie where they belong. Whether it failed."""
    m, n = shape
    k, most = min(m, n), max(m, n)
    a = scratch(e, dtype, m, n)
    a.fill(element)
    room = 4 * k * k + 7 * k + most * lapack.BLOCK + 8 * most
    work, at, info = scratch(e, dtype, room), scratch(e, "i32", 8 * k), scratch(e, "i32", 1)
    spare = None if u is not None else scratch(e, dtype, 1)
    sides = ("S", vh, n, u, k) if u is not None else ("N", spare, 1, spare, 1)
    kind, left, left_rows, right, right_rows = sides
    flops = (12 if u is not None else 3) * m * n * k
    lapack.call(e, "gesdd", dtype, kind, n, m, a, n, s, left, left_rows, right, right_rows, work, room, at, info, flops=flops)
    return e.ne(info(0), 0)


def _by_loops(e, shape, dtype, element, s, u, vh):
    """The rows of a wide matrix, or the columns of a tall one, are made orthogonal. Whether it failed."""
    m, n = shape
    k, most = min(m, n), max(m, n)
    wide = m < n
    a = scratch(e, dtype, k, most)
    a.fill(element if wide else lambda i, j: element(j, i))
    rows, turns = (None, None) if u is None else (scratch(e, dtype, k, most), scratch(e, dtype, k, k))
    failed = orthogonalize(e, a, s, rows, turns)
    if u is not None:
        ours, theirs = (turns, rows) if wide else (rows, turns)
        u.fill(lambda i, j: ours(j, i))
        vh.fill(theirs)
    return failed
