"""The QR factorization."""

from __future__ import annotations

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.primitives.linalg import lapack
from rlxc.primitives.linalg.lu import _A, _TALL
from rlxc.primitives.linalg.matrices import MatrixPrimitive, check_matrix, largest, lower_part, product, scratch, square_safely, transposed
from rlxc.primitives.slice import slice_axis

SMALL = 4  # columns up to which loops are as fast as the library


def smaller_side(name, x):
    """The number of rows or of columns of x [..., m, n], which is less; raises ShapeError where that is not known yet."""
    m, n = x.shape[-2:]
    if m == n:
        return m
    if not isinstance(m, int) or not isinstance(n, int):
        raise ShapeError(f"{name}: {x} has no sizes yet", code="RLX0206")
    return min(m, n)


@register
class Qr(MatrixPrimitive):
    """x [..., m, n] as q r: q [..., m, k] has orthonormal columns, r [..., k, n] is upper triangular, k is the lesser of m and n.

    The signs are LAPACK's: an element on the diagonal of r has the other sign than what stood there when its column was reflected, unless there was
    nothing to reflect. The derivative takes the first k columns of x to be independent: with y = q' dx r^-1 and w = tril(y, -1) - tril(y, -1)', dr is
    (y - w) r, and dq is q (w - y) + dx r^-1 (Walter, Lehmann, Lamour, "On evaluating higher-order derivatives of the QR decomposition", 2012).
    """

    name = "qr"
    domain = (-8.0, 8.0)
    samples = (Sample(_A), Sample(_TALL), Sample(_TALL.T), Sample(np.stack([_A[:2, :2], _TALL[:2]])), Sample(np.array([[-2.0]])), "f64[0, 0]", "f64[2, 0, 3]")

    def infer(self, x):
        check_matrix(self.name, x)
        m, n = x.shape[-2:]
        k = smaller_side(self.name, x)
        return x.with_shape((*x.shape[:-2], m, k)), x.with_shape((*x.shape[:-2], k, n))

    def eval(self, x):
        q, r = np.linalg.qr(x)
        return np.asarray(q, x.dtype), np.asarray(r, x.dtype)

    def jvp(self, b, primals, tangents, outs):
        (q, r), dx = outs, tangents[0]
        m, n = dx.type.shape[-2:]
        last = dx.type.rank - 1
        first, square = (dx, r) if m >= n else (slice_axis(b, dx, last, 0, m), slice_axis(b, r, last, 0, m))
        scaled = b.triangular_solve(square, first, right=True)
        y = product(b, q, scaled, "ji,jk->ik")
        low = lower_part(b, y, diagonal=False)
        turn = b.sub(low, transposed(b, low))
        dq = b.add(product(b, q, b.sub(turn, y)), scaled)
        if m >= n:
            return dq, product(b, b.sub(y, turn), r)
        return dq, b.sub(product(b, q, dx, "ji,jk->ik"), product(b, turn, r))

    def flops(self, operands, results):
        return 4.0 * operands[0].size * min(operands[0].shape[-2:])

    def packs(self, operand):
        return True

    def one(self, e, reads, writes):
        (x,), (q, r) = reads, writes
        a = scratch(e, x.dtype, *x.shape)
        if e.target.lapack and min(x.shape) > SMALL:
            a.fill(x)
            back = e.constant(1.0, dtype=x.dtype)
            _by_library(e, a, q)
        else:
            factor, back = square_safely(e, largest(e, x))
            a.fill(lambda i, j: e.mul(x(i, j), factor))
            _by_loops(e, a, q)
        zero = e.constant(0.0, dtype=x.dtype)
        r.fill(lambda i, j: e.select(e.le(e.as_index(i), e.as_index(j)), e.mul(a(i, j), back), zero))


def _by_library(e, a, q):
    """Rows there are columns here, and what is orthogonal by rows is so by columns: our QR is LQ there."""
    m, n = a.shape
    k = min(m, n)
    room = max(m, n) * lapack.BLOCK
    tau, work, info = scratch(e, a.dtype, k), scratch(e, a.dtype, room), scratch(e, "i32", 1)
    lapack.call(e, "gelqf", a.dtype, n, m, a, n, tau, work, room, info, flops=2 * m * n * k)
    q.fill(a)
    lapack.call(e, "orglq", a.dtype, k, m, k, q, k, tau, work, room, info, flops=2 * m * k * k)


def _by_loops(e, a, q):
    """Reflections, column by column; each row of `vectors` is one, zero before its own place."""
    m, n = a.shape
    k = min(m, n)
    vectors, factors, sums = scratch(e, a.dtype, k, m), scratch(e, a.dtype, k), scratch(e, a.dtype, n)
    zero, one = e.constant(0.0, dtype=a.dtype), e.constant(1.0, dtype=a.dtype)

    def after(i, j):
        return e.gt(e.as_index(i), e.as_index(j))

    def reflect(matrix, j):
        """I - factor v v', from the left."""
        columns = matrix.shape[1]
        e.for_each((columns,), lambda c: sums.store(zero, *c))

        def add(i):
            v = vectors(j, *i)
            e.for_each((columns,), lambda c: sums.store(e.add(sums(*c), e.mul(v, matrix(*i, *c))), *c))

        def take(i):
            v = e.mul(factors(j), vectors(j, *i))
            e.for_each((columns,), lambda c: matrix.store(e.sub(matrix(*i, *c), e.mul(v, sums(*c))), *i, *c))

        e.for_each((m,), add)
        e.for_each((m,), take)

    def step(j):
        corner = a(j, j)

        def square(i, total):
            x = e.select(after(*i, j), a(*i, j), zero)
            return e.add(total, e.mul(x, x))

        (rest,) = e.loop((m,), (zero,), square)
        done = e.eq(rest, 0.0)
        length = e.sqrt(e.add(rest, e.mul(corner, corner)))
        edge = e.select(done, corner, e.neg(e.copysign(length, corner)))
        factors.store(e.select(done, zero, e.div(e.sub(edge, corner), edge)), j)
        divisor = e.select(done, one, e.sub(corner, edge))
        e.for_each((m,), lambda i: vectors.store(e.select(after(*i, j), e.div(a(*i, j), divisor), zero), j, *i))
        vectors.store(one, j, j)
        reflect(a, j)
        e.for_each((m,), lambda i: a.store(e.select(after(*i, j), zero, a(*i, j)), *i, j))
        a.store(edge, j, j)

    e.for_each((k,), lambda j: step(*j))
    q.fill(lambda i, j: e.select(e.eq(e.as_index(i), e.as_index(j)), one, zero))
    e.for_each((k,), lambda j: reflect(q, e.index_sub(k - 1, *j)))
