"""The Cholesky factorization."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Sample, register
from rlxc.primitives.linalg import lapack, tiny
from rlxc.primitives.linalg.embedding import COMPLEX, interleaved, uninterleaved
from rlxc.primitives.linalg.matrices import (
    WIDE,
    MatrixPrimitive,
    check_matrix,
    each,
    lower_part,
    mean_with_transpose,
    product,
    scratch,
    symmetric,
    where,
)

SMALL = 6  # rows up to which loops are as fast as the library

_SPD = np.array([[4.0, 1.0, -0.5], [0.8, 3.0, 0.25], [-0.3, 0.35, 2.0]])


@register
class Cholesky(MatrixPrimitive):
    """The lower triangular l with `l l' = x` of positive definite matrices x [..., n, n]; of x that is not symmetric, (x + x') / 2 is taken.

    x' is conjugated too, if x is complex; l then is that of a real matrix of twice the size.

    A matrix that is not positive definite gives nan in the whole lower triangle. The tangent is l phi(l^-1 dx l^-T), where phi takes the lower
    triangle and half of the diagonal (Murray, "Differentiation of the Cholesky decomposition", 2016).
    """

    name = "cholesky"
    dtypes = (*WIDE, *COMPLEX)
    domain = (-8.0, 8.0)
    samples = (
        Sample(_SPD),
        Sample(np.stack([_SPD[:2, :2], 2 * np.eye(2)])),
        Sample(np.array([[2.25]])),
        Sample(_SPD + 0.5j * (_SPD - 1)),
        "f64[0, 0]",
        "f64[0, 2, 2]",
        Sample(np.eye(7) * 4 + np.cos(np.arange(49.0)).reshape(7, 7)),
    )

    def infer(self, x):
        check_matrix(self.name, x, square=True, dtypes=self.dtypes)
        return x

    def eval(self, x):
        l = np.tril(each(mean_with_transpose(x), np.linalg.cholesky))  # noqa: E741
        nothing = np.tril(np.full_like(l, np.nan))
        if np.iscomplexobj(l):
            nothing.imag = np.tril(np.full_like(l.real, np.nan), -1)
        return np.where(np.isnan(l).any((-1, -2), keepdims=True), nothing, l)

    def legalize(self, b, x):
        if not x.type.dtype.is_complex:
            return None
        re, im = uninterleaved(b, b.cholesky(interleaved(b, x)))
        return b.complex(re, lower_part(b, im, diagonal=False))

    def jvp(self, b, primals, tangents, outs):
        (l,) = outs  # noqa: E741
        half = b.triangular_solve(l, symmetric(b, tangents[0]), lower=True)
        whole = b.triangular_solve(l, half, lower=True, transposed=True, right=True)
        phi = where(b, "eq", b.mul(whole, 0.5), lower_part(b, whole))
        return (product(b, l, phi),)

    def flops(self, operands, results):
        return results[0].size * results[0].shape[-1] / 3

    def packs(self, operand):
        return True

    def one(self, e, reads, writes):
        (x,), (l,) = reads, writes  # noqa: E741
        n = x.shape[0]
        if tiny.is_tiny(x.shape):
            tiny.cholesky(e, x, l)
            return
        l.fill(lambda i, j: e.mul(e.add(x(i, j), x(j, i)), 0.5))
        if e.target.lapack and n > SMALL:
            _by_library(e, l)
        else:
            _by_loops(e, l)
        corner = l(n - 1, n - 1)
        bad = e.ne(corner, corner)
        nan, zero = (e.constant(v, dtype=l.dtype) for v in (np.nan, 0.0))
        l.fill(lambda i, j: e.select(e.ge(e.as_index(i), e.as_index(j)), e.select(bad, nan, l(i, j)), zero))


def _by_library(e, l):  # noqa: E741
    """In place; our lower triangle is the upper one there. If it fails, the last element is nan."""
    n = l.shape[0]
    info = scratch(e, "i32", 1)
    lapack.call(e, "potrf", l.dtype, "U", n, l, n, info, flops=n**3 / 3)
    l.store(e.select(e.eq(info(0), 0), l(n - 1, n - 1), e.constant(np.nan, dtype=l.dtype)), n - 1, n - 1)


def _by_loops(e, l):  # noqa: E741
    """In place, column by column; if it fails, the last element is nan. The upper triangle is spoilt."""
    n = l.shape[0]
    column = scratch(e, l.dtype, n)
    zero, nan = (e.constant(v, dtype=l.dtype) for v in (0.0, np.nan))

    def step(j):
        d = l(j, j)
        root = e.select(e.gt(d, 0.0), e.sqrt(d), nan)
        e.for_each((n,), lambda i: column.store(e.select(e.gt(e.as_index(*i), e.as_index(j)), e.div(l(*i, j), root), zero), *i))
        e.for_each((n,), lambda i: l.store(e.select(e.gt(e.as_index(*i), e.as_index(j)), column(*i), l(*i, j)), *i, j))
        l.store(root, j, j)

        def row(i):
            factor = column(*i)
            e.for_each((n,), lambda k: l.store(e.sub(l(*i, *k), e.mul(factor, column(*k))), *i, *k))

        e.for_each((n,), row)

    e.for_each((n,), lambda j: step(*j))
