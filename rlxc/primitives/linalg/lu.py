"""The LU factorization, and what is solved with it."""

from __future__ import annotations

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import DType
from rlxc.primitives.families import is_linear, require_dtype
from rlxc.primitives.linalg import lapack, tiny, triangular_solve
from rlxc.primitives.linalg.matrices import (
    MatrixPrimitive,
    check_matrix,
    check_same_batch,
    flat_batch,
    identity,
    lower_part,
    product,
    scratch,
    upper_part,
    where,
)
from rlxc.primitives.slice import slice_axis

SMALL = 6  # rows up to which loops are as fast as the library
I32 = DType("i32")

_A = np.array([[0.5, 2.0, -1.0], [3.0, 0.25, 1.0], [-1.0, 1.5, 2.0]])
_TALL = np.array([[1.0, -3.0], [2.5, 0.5], [-0.5, 1.0]])
_SEVEN = np.cos(np.arange(49.0) ** 2).reshape(7, 7)


@register
class Lu(MatrixPrimitive):
    """x [..., m, n] as products of triangular matrices, rows exchanged: x[permutation] = l u.

    The results are l below the diagonal (where it has ones) and u on and above it, in one matrix; the row with which each of the first min(m, n)
    rows was exchanged in turn; and the permutation that this is. Of the rows left, the one with the largest element comes next, of equal ones the
    first. A singular x has a zero on the diagonal of u. The tangents of l and u are l tril(y) and triu(y) u with y = l^-1 dx u^-1 (de Hoog,
    Anderssen, Lukas, "Differentiation of matrix functionals using triangular factorization", 2011).
    """

    name = "lu"
    domain = (-8.0, 8.0)
    samples = (
        Sample(_A),
        Sample(_TALL),
        Sample(_TALL.T),
        Sample(np.stack([_A[:2, :2], _TALL[:2]])),
        Sample(_SEVEN[:, :2]),
        Sample(_SEVEN[:2]),
        Sample(np.array([[-2.0]])),
        "f64[0, 0]",
        "f64[0, 3, 2]",
    )

    def infer(self, x):
        check_matrix(self.name, x)
        m, n = x.shape[-2:]
        if not isinstance(m, int) or not isinstance(n, int):
            k = n if m == n else None
        else:
            k = min(m, n)
        if k is None:
            raise ShapeError(f"lu: {x} has no sizes yet", code="RLX0206")
        return x, x.with_shape((*x.shape[:-2], k)).with_dtype(I32), x.with_shape(x.shape[:-1]).with_dtype(I32)

    def eval(self, x):
        m, n = x.shape[-2:]
        lu = np.array(flat_batch(x))
        batch = np.arange(len(lu))
        pivots = np.zeros((len(lu), min(m, n)), np.int32)
        permutation = np.tile(np.arange(m, dtype=np.int32), (len(lu), 1))
        with np.errstate(all="ignore"):
            for j in range(min(m, n)):
                at = j + np.argmax(np.abs(lu[:, j:, j]), axis=1)
                pivots[:, j] = at
                lu[batch, at], lu[:, j] = lu[:, j].copy(), lu[batch, at]
                permutation[batch, at], permutation[:, j] = permutation[:, j].copy(), permutation[batch, at]
                pivot = lu[:, j, j, None]
                lu[:, j + 1 :, j] /= np.where(pivot == 0, 1, pivot).astype(x.dtype)
                lu[:, j + 1 :, j + 1 :] -= lu[:, j + 1 :, j, None] * lu[:, j, None, j + 1 :]
        leading = x.shape[:-2]
        return lu.reshape(x.shape), pivots.reshape(*leading, min(m, n)), permutation.reshape(*leading, m)

    def jvp(self, b, primals, tangents, outs):
        lu, _, permutation = outs
        l, u = _square_lower(b, lu), _square_upper(b, lu)  # noqa: E741
        moved = permuted(b, tangents[0], permutation)
        half = b.triangular_solve(l, moved, lower=True, unit=True)
        y = b.triangular_solve(u, half, right=True)
        dl = product(b, l, lower_part(b, y, diagonal=False))
        du = product(b, upper_part(b, y), u)
        return b.add(dl, du), None, None

    def flops(self, operands, results):
        m, n = operands[0].shape[-2:]
        return operands[0].size * min(m, n) * 2 / 3

    def packs(self, operand):
        return True

    def ranks(self, reads, writes):
        return 2, 2, 1, 1

    def one(self, e, reads, writes):
        (x,), (lu, pivots, permutation) = reads, writes
        permutation.fill(lambda i: e.convert(i, dtype="i32"))
        if tiny.is_tiny(x.shape):
            tiny.factorize(e, x, lu, pivots)
        elif e.target.lapack and min(x.shape) > SMALL:
            _by_library(e, x, lu, pivots)
        else:
            lu.fill(x)
            _by_loops(e, lu, pivots)

        def exchange(j):
            at = e.convert(pivots(*j), dtype="index")
            ours, theirs = permutation(*j), permutation(at)
            permutation.store(ours, at)
            permutation.store(theirs, *j)

        e.for_each(pivots.shape, exchange)


def _square_lower(b, lu):
    """The lower triangle below ones, as a matrix of as many columns as rows."""
    m, n = lu.type.shape[-2:]
    low = lower_part(b, slice_axis(b, lu, lu.type.rank - 1, 0, min(m, n)), diagonal=False)
    whole = _padded(b, low, 0, m - min(m, n))
    return where(b, "eq", identity(b, whole.type), whole)


def _square_upper(b, lu):
    """The upper triangle, as a matrix of as many rows as columns; further ones on the diagonal where there are more columns."""
    m, n = lu.type.shape[-2:]
    up = upper_part(b, slice_axis(b, lu, lu.type.rank - 2, 0, min(m, n)))
    whole = _padded(b, up, n - min(m, n), 0)
    if m >= n:
        return whole
    square = lu.type.with_shape((*lu.type.shape[:-2], m, m))
    ones = b.sub(identity(b, whole.type), _padded(b, identity(b, square), n - m, n - m))
    return b.add(whole, ones)


def _padded(b, x, rows, columns):
    """x with rows below and columns to the right of zeros."""
    if not rows and not columns:
        return x
    leading = (0,) * (x.type.rank - 2)
    zero = b.constant(0.0, type=x.type.with_shape(()))
    return b.pad(x, zero, low=(0,) * x.type.rank, high=(*leading, rows, columns))


def permuted(b, x, permutation):
    """Rows of x in the order that the permutation says."""
    batch = permutation.type.rank - 1
    if x.type.shape[-2] == 0:
        return x
    return b.gather(x, permutation, axes=(batch,), batch=batch)


def _by_library(e, x, lu, pivots):
    """Rows are exchanged, so the matrix has to lie there as here: it is transposed on the way in, and back."""
    m, n = x.shape
    columns, info = scratch(e, x.dtype, n, m), scratch(e, "i32", 1)
    columns.fill(lambda j, i: x(i, j))
    lapack.call(e, "getrf", x.dtype, m, n, columns, m, pivots, info, flops=m * n * min(m, n) * 2 / 3)
    lu.fill(lambda i, j: columns(j, i))
    pivots.fill(lambda i: e.sub(pivots(i), 1))


def _by_loops(e, lu, pivots):
    """In place, column by column; what is before a column in its row, and above it, is left alone by zeros in `below` and `right`."""
    m, n = lu.shape
    zero = e.constant(0.0, dtype=lu.dtype)
    ours, theirs, right = (scratch(e, lu.dtype, n) for _ in range(3))
    below = scratch(e, lu.dtype, m)

    def larger(j):
        def step(i, best, at):
            size = e.abs(lu(*i, j))
            better = e.and_(e.ge(e.as_index(*i), e.as_index(j)), e.gt(size, best))
            return e.select(better, size, best), e.select(better, e.as_index(*i), at)

        return step

    def step(j):
        _, at = e.loop((m,), (e.constant(-1.0, dtype=lu.dtype), e.as_index(j)), larger(j))
        pivots.store(e.convert(at, dtype="i32"), j)
        e.for_each((n,), lambda k: ours.store(lu(j, *k), *k))
        e.for_each((n,), lambda k: theirs.store(lu(at, *k), *k))
        e.for_each((n,), lambda k: lu.store(ours(*k), at, *k))
        e.for_each((n,), lambda k: lu.store(theirs(*k), j, *k))
        pivot = theirs(j)
        divisor = e.select(e.eq(pivot, 0.0), e.constant(1.0, like=pivot), pivot)
        e.for_each((n,), lambda k: right.store(e.select(e.gt(e.as_index(*k), e.as_index(j)), theirs(*k), zero), *k))
        e.for_each((m,), lambda i: below.store(e.select(e.gt(e.as_index(*i), e.as_index(j)), e.div(lu(*i, j), divisor), zero), *i))
        e.for_each((m,), lambda i: lu.store(e.select(e.gt(e.as_index(*i), e.as_index(j)), below(*i), lu(*i, j)), *i, j))

        def row(i):
            factor = below(*i)
            e.for_each((n,), lambda k: lu.store(e.sub(lu(*i, *k), e.mul(factor, right(*k))), *i, *k))

        e.for_each((m,), row)

    e.for_each((min(m, n),), lambda j: step(*j))


@register
class LuSolve(MatrixPrimitive):
    """x with `a x = b`, or `a' x = b` if `transposed`, where `lu` and `permutation` are results of `lu` on a.

    Native code uses only those; derivatives go by a (da and db give a^-1 (db - da x)), so that one factorization serves them all. a is [..., n, n],
    b is [..., n, k]. A singular a gives inf or nan.
    """

    name = "lu_solve"
    linear_in = (3,)
    domain = (-8.0, 8.0)
    samples = (
        Sample(_A, *Lu().eval(_A)[::2], np.array([[1.0, -2.0], [0.5, 0.25], [-1.5, 2.0]])),
        Sample(_A, *Lu().eval(_A)[::2], np.array([[1.0], [0.5], [-1.5]]), transposed=True),
        Sample(np.stack([_A, _A.T]), *Lu().eval(np.stack([_A, _A.T]))[::2], np.cos(np.arange(54.0)).reshape(2, 3, 9)),
        Sample(_SEVEN, *Lu().eval(_SEVEN)[::2], np.arange(7.0).reshape(7, 1)),
        Sample(_SEVEN, *Lu().eval(_SEVEN)[::2], np.arange(56.0).reshape(7, 8) / 20, transposed=True),
        Sample(np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0, np.int32), np.zeros((0, 2))),
    )

    def infer(self, a, lu, permutation, b, *, transposed: bool = False):
        check_matrix(self.name, a, square=True)
        check_matrix(self.name, b)
        require_dtype(f"{self.name} as a permutation", permutation, (I32,))
        check_same_batch(self.name, a, lu, permutation, b, ranks=(2, 2, 1, 2))
        if lu != a or permutation.shape != a.shape[:-1] or b.shape[-2] != a.shape[-1]:
            raise ShapeError(f"{self.name}: {lu}, {permutation} and {b} do not fit {a}", help="b is [..., n, k]")
        return b

    def consistent(self, arrays):
        """The laws move a and b: factors are those of a."""
        a, _, _, b = arrays
        lu, _, permutation = Lu().eval(a)
        return a, lu, permutation, b

    def eval(self, a, lu, permutation, b, *, transposed=False):
        lu, _, permutation = Lu().eval(np.asarray(a))
        solve, places = triangular_solve.TriangularSolve().eval, np.expand_dims(permutation, -1)
        if not transposed:
            y = solve(lu, np.take_along_axis(b, places, -2), lower=True, unit=True)
            return solve(lu, y)
        y = solve(lu, solve(lu, b, transposed=True), lower=True, unit=True, transposed=True)
        x = np.empty_like(y)
        np.put_along_axis(x, places, y, -2)
        return x

    def jvp(self, b, primals, tangents, outs, *, transposed):
        a, lu, permutation, _ = primals
        da, _, _, dy = tangents
        right = dy
        if da is not None:
            moved = product(b, da, outs[0], "ji,jk->ik" if transposed else "ij,jk->ik")
            right = b.neg(moved) if dy is None else b.sub(dy, moved)
        if right is None:
            return (None,)
        return (b.lu_solve(a, lu, permutation, right, transposed=transposed),)

    def transpose(self, b, cts, operands, *, transposed):
        a, lu, permutation, right = operands
        assert is_linear(right)
        return None, None, None, b.lu_solve(a, lu, permutation, cts[0], transposed=not transposed)

    def batch(self, b, a, lu, permutation, y, *, batched, transposed):
        """Of right sides alone: more columns, for one factorization."""
        if any(batched[:3]):
            return super().batch(b, a, lu, permutation, y, batched=batched, transposed=transposed)
        axis = y.type.rank - 1
        columns = triangular_solve.beside(b, y, axis)
        return triangular_solve.apart(b, b.lu_solve(a, lu, permutation, columns, transposed=transposed), axis, y.type.shape)

    def flops(self, operands, results, *, transposed):
        return 2.0 * operands[0].shape[-1] * results[0].size

    def packs(self, operand):
        return True

    def ranks(self, reads, writes):
        return 2, 2, 1, 2, 2

    def one(self, e, reads, writes, *, transposed):
        (_, lu, permutation, b), (x,) = reads, writes
        lu = triangular_solve.in_memory(e, lu)
        if not transposed:
            x.fill(lambda i, j: b(e.convert(permutation(i), dtype="index"), j))
            triangular_solve.solve(e, lu, x, x, lower=True, unit=True)
            triangular_solve.solve(e, lu, x, x, lower=False)
            return
        y = scratch(e, x.dtype, *x.shape)
        triangular_solve.solve(e, lu, b, y, lower=False, transposed=True)
        triangular_solve.solve(e, lu, y, y, lower=True, unit=True, transposed=True)

        def put(i):
            at = e.convert(permutation(*i), dtype="index")
            e.for_each(x.shape[1:], lambda j: x.store(y(*i, *j), at, *j))

        e.for_each(x.shape[:1], put)
