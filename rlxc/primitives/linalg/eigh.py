"""Eigenvalues and eigenvectors of symmetric matrices."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Sample, register
from rlxc.primitives.linalg import lapack
from rlxc.primitives.linalg.embedding import COMPLEX
from rlxc.primitives.linalg.hermitian import MATRICES, eigh_of_complex, eval_eigh
from rlxc.primitives.linalg.jacobi import diagonalize
from rlxc.primitives.linalg.matrices import (
    WIDE,
    MatrixPrimitive,
    check_matrix,
    diagonal,
    each_finite,
    identity,
    largest,
    mean_with_transpose,
    product,
    scratch,
    square_safely,
    symmetric,
)
from rlxc.primitives.linalg.signs import sign, signs_of_columns

SMALL = 4  # rows up to which loops are as fast as the library

_S = np.array([[3.0, 1.0, -0.5], [0.8, -1.0, 0.25], [-0.3, 0.35, 1.0]])
_COMPLEX_SAMPLES = tuple(map(Sample, MATRICES))
_SAMPLES = (Sample(_S), Sample(np.stack([_S[:2, :2], _S[1:, 1:]])), Sample(np.array([[-0.5]])), "f64[0, 0]", "f64[0, 2, 2]")


@register
class Eigh(MatrixPrimitive):
    """Eigenvalues of symmetric matrices x [..., n, n], in ascending order, and eigenvectors, the columns of v: `x v = v diag(w)`.

    Of x that is not symmetric, (x + x') / 2 is taken. Of each eigenvector, the first component that is about as large as the largest (27/32 of it) is
    positive. dw is the diagonal of y = v' dx v, and dv is v (f * y) with f[i, j] = 1 / (w[j] - w[i]) off the diagonal (Giles, "Collected matrix
    derivative results", 2008). Where eigenvalues are equal their eigenvectors have no derivative, and dv is nan or inf; dw is right as far as results do
    not depend on their order. What has no finite elements gives nan.

    Of complex x, transposes are conjugated, eigenvalues are real, and of each eigenvector that component is real and positive. They are those of a real
    matrix of twice the size; see `eigh_of`.
    """

    name = "eigh"
    dtypes = (*WIDE, *COMPLEX)
    domain = (-8.0, 8.0)
    samples = (*_SAMPLES, *_COMPLEX_SAMPLES)

    def infer(self, x):
        check_matrix(self.name, x, square=True, dtypes=self.dtypes)
        w = x.with_shape(x.shape[:-1])
        return w.with_dtype(x.dtype.part) if x.dtype.is_complex else w, x

    def legalize(self, b, x):
        return b.eigh_of(x, *eigh_of_complex(b, x)) if x.type.dtype.is_complex else None

    def eval(self, x):
        if np.iscomplexobj(x):
            return eval_eigh(x)
        both = each_finite(mean_with_transpose(x), lambda m: np.concatenate([(r := np.linalg.eigh(m))[0][..., None, :], r[1]], -2))
        w, v = both[..., 0, :], both[..., 1:, :]
        return np.ascontiguousarray(w), np.ascontiguousarray(v * signs_of_columns(v))

    def jvp(self, b, primals, tangents, outs):
        w, v = outs
        turned = product(b, v, product(b, symmetric(b, tangents[0]), v), "ji,jk->ik")
        rank = v.type.rank
        one = identity(b, v.type)
        across, down = (b.broadcast(w, shape=v.type.shape, axes=(axis,)) for axis in (rank - 2, rank - 1))
        f = b.sub(b.div(b.constant(1.0, type=v.type), b.add(b.sub(across, down), one)), one)
        return diagonal(b, turned), product(b, v, b.mul(turned, f))

    def flops(self, operands, results):
        return 10.0 * operands[0].size * operands[0].shape[-1]

    def packs(self, operand):
        return True

    def ranks(self, reads, writes):
        return 2, 1, 2

    def one(self, e, reads, writes):
        (x,), (w, v) = reads, writes
        n = x.shape[0]
        rows = scratch(e, x.dtype, n, n)
        _decompose(e, x, w, rows)

        def put(i):
            s = sign(e, lambda k: rows(*i, k), n, x.dtype)
            e.for_each((n,), lambda k: v.store(e.mul(s, rows(*i, *k)), *k, *i))

        e.for_each((n,), put)


@register
class Eigvalsh(MatrixPrimitive):
    """Eigenvalues of symmetric matrices x [..., n, n], in ascending order; see `eigh`."""

    name = "eigvalsh"
    dtypes = (*WIDE, *COMPLEX)
    domain = (-8.0, 8.0)
    samples = (*_SAMPLES, *_COMPLEX_SAMPLES)

    def infer(self, x):
        check_matrix(self.name, x, square=True, dtypes=self.dtypes)
        w = x.with_shape(x.shape[:-1])
        return w.with_dtype(x.dtype.part) if x.dtype.is_complex else w

    def legalize(self, b, x):
        return b.eigh_of(x, *eigh_of_complex(b, x))[0] if x.type.dtype.is_complex else None

    def eval(self, x):
        return np.ascontiguousarray(each_finite(mean_with_transpose(x), np.linalg.eigvalsh).real)

    def jvp(self, b, primals, tangents, outs):
        """The diagonal of v' dx v."""
        _, v = b.eigh(primals[0])
        along = product(b, symmetric(b, tangents[0]), v)
        return (b.reduce_sum(b.mul(along, v), axes=(v.type.rank - 2,)),)

    def flops(self, operands, results):
        return 4.0 * operands[0].size * operands[0].shape[-1] / 3

    def packs(self, operand):
        return True

    def ranks(self, reads, writes):
        return 2, 1

    def one(self, e, reads, writes):
        _decompose(e, reads[0], writes[0], None)


def _decompose(e, x, w, rows):
    """Eigenvalues into w, eigenvectors into `rows` (None: they are not wanted); nan if that fails."""
    n, dtype = x.shape[0], x.dtype
    nan = e.constant(np.nan, dtype=dtype)
    size = largest(e, x)
    finite = e.lt(size, np.inf)
    factor, back = square_safely(e, size)

    def element(i, j):
        mean = e.mul(e.add(e.mul(x(i, j), factor), e.mul(x(j, i), factor)), 0.5)
        return e.select(finite, mean, e.constant(0.0, dtype=dtype))

    if e.target.lapack and n > SMALL:
        work = scratch(e, dtype, n, n) if rows is None else rows
        work.fill(element)
        bad = _by_library(e, work, w, vectors=rows is not None)
    else:
        work = scratch(e, dtype, n, n)
        work.fill(element)
        bad = diagonalize(e, work, w, rows)
    bad = e.or_(bad, e.not_(finite))
    w.fill(lambda i: e.select(bad, nan, e.mul(w(i), back)))
    if rows is not None:
        rows.fill(lambda i, j: e.select(bad, nan, rows(i, j)))


def _by_library(e, a, w, *, vectors):
    """Eigenvectors are columns there, so they are rows here. Whether it failed."""
    n = a.shape[0]
    room, places = (1 + 6 * n + 2 * n * n, 3 + 5 * n) if vectors else (2 * n + 1, 1)
    work, at, info = scratch(e, a.dtype, room), scratch(e, "i32", places), scratch(e, "i32", 1)
    flops = (9 if vectors else 4 / 3) * n**3
    lapack.call(e, "syevd", a.dtype, "V" if vectors else "N", "L", n, a, n, w, work, room, at, places, info, flops=flops)
    return e.ne(info(0), 0)
