"""Jacobi's methods: planes are rotated, one after the other, until a matrix is diagonal, or its rows are orthogonal.

They are short, accurate, and fast where matrices are small. A sweep goes through all planes; less than ten do, and there are at most `SWEEPS`.
"""

from __future__ import annotations

import numpy as np

from rlxc.ir.types import DType
from rlxc.primitives.linalg.matrices import scratch

SWEEPS = 40


def diagonalize(e, a, w, rows):
    """Eigenvalues of the symmetric matrix a, which is spoilt, in ascending order into w; eigenvectors into the rows of `rows`, unless None.

    Returns whether it failed. It is done when what is left off the diagonal is rounding, beside the whole matrix.
    """
    n, dtype = a.shape[0], a.dtype
    zero = e.constant(0.0, dtype=dtype)
    turns = None if rows is None else _identity(e, dtype, n)

    def squares(skip_diagonal=True):
        def add(index, total):
            x = a(*index)
            if skip_diagonal:
                x = e.select(e.ne(*map(e.as_index, index)), x, zero)
            return e.add(total, e.mul(x, x))

        return e.loop((n, n), (zero,), add)[0]

    limit = e.mul(squares(skip_diagonal=False), float(np.finfo(DType(dtype).numpy).eps) ** 2 / 4)

    def rotate(p, q):
        c, s = _rotation(e, a(p, p), a(q, q), a(p, q))
        _turn(e, lambda k: (p, k), lambda k: (q, k), a, c, s)
        _turn(e, lambda k: (k, p), lambda k: (k, q), a, c, s)
        a.store(zero, p, q)
        a.store(zero, q, p)
        if turns is not None:
            _turn(e, lambda k: (p, k), lambda k: (q, k), turns, c, s)

    def sweep(_):
        e.cond(e.gt(squares(), limit), lambda: _planes(e, n, rotate), lambda: None)

    e.for_each((SWEEPS,), lambda i: sweep(*i))
    failed = e.not_(e.le(squares(), limit))
    values = scratch(e, dtype, n)
    values.fill(lambda i: a(i, i))

    def put(i):
        at = _place(e, values, i[0], e.lt)
        w.store(values(*i), at)
        if rows is not None:
            e.for_each((n,), lambda k: rows.store(turns(*i, *k), at, *k))

    e.for_each((n,), put)
    return failed


def orthogonalize(e, a, values, rows, turns):
    """The lengths of rows of `t a` that are orthogonal, in descending order, into `values`; those rows, of length 1, into `rows`, and the rotation t
    into `turns`, unless both are None. a is spoilt. Returns whether it failed.

    A pair of rows is done when its cosine is rounding; each sweep counts those that are not.
    """
    k, n = a.shape
    dtype = a.dtype
    zero, one = e.constant(0.0, dtype=dtype), e.constant(1.0, dtype=dtype)
    eps = float(np.finfo(DType(dtype).numpy).eps)
    own = None if turns is None else _identity(e, dtype, k)
    left = scratch(e, dtype, 1)  # pairs that were rotated in the last sweep
    left.store(one, 0)

    def dot(p, q):
        return e.loop((n,), (zero,), lambda i, total: e.add(total, e.mul(a(p, *i), a(q, *i))))[0]

    def rotate(p, q):
        x, y, z = dot(p, p), dot(q, q), dot(p, q)

        def turn():
            c, s = _rotation(e, x, y, z)
            for matrix in (a, own) if own is not None else (a,):
                _turn(e, lambda i: (p, i), lambda i: (q, i), matrix, c, s)
            left.store(e.add(left(0), one), 0)

        e.cond(e.not_(e.le(e.abs(z), e.mul(e.mul(e.sqrt(x), e.sqrt(y)), eps * 4))), turn, lambda: None)

    def sweep(_):
        def once():
            left.store(zero, 0)
            _planes(e, k, rotate)

        e.cond(e.gt(left(0), 0.0), once, lambda: None)

    e.for_each((SWEEPS,), lambda i: sweep(*i))
    lengths = scratch(e, dtype, k)
    lengths.fill(lambda i: e.sqrt(dot(i, i)))

    def put(i):
        at = _place(e, lengths, i[0], e.gt)
        values.store(lengths(*i), at)
        if rows is None:
            return
        length = lengths(*i)
        divisor = e.select(e.eq(length, 0.0), one, length)
        e.for_each((n,), lambda c: rows.store(e.div(a(*i, *c), divisor), at, *c))
        e.for_each((k,), lambda c: turns.store(own(*i, *c), at, *c))

    e.for_each((k,), put)
    if rows is not None:
        _complete(e, values, rows)
    return e.gt(left(0), 0.0)


def _identity(e, dtype, n):
    matrix = scratch(e, dtype, n, n)
    zero, one = e.constant(0.0, dtype=dtype), e.constant(1.0, dtype=dtype)
    matrix.fill(lambda i, j: e.select(e.eq(e.as_index(i), e.as_index(j)), one, zero))
    return matrix


def _planes(e, n, rotate):
    """All pairs p < q."""
    e.for_each((n, n), lambda pq: e.cond(e.lt(*map(e.as_index, pq)), lambda: rotate(*pq), lambda: None))


def _rotation(e, x, y, z):
    """Cosine and sine of the rotation that makes [[x, z], [z, y]] diagonal: the smaller one of the two."""
    zero, one = e.constant(0.0, like=x), e.constant(1.0, like=x)
    ratio = e.div(e.sub(y, x), e.mul(z, 2.0))
    size = e.div(one, e.add(e.abs(ratio), e.sqrt(e.add(e.mul(ratio, ratio), one))))
    tangent = e.select(e.eq(z, 0.0), zero, e.copysign(size, ratio))
    cosine = e.div(one, e.sqrt(e.add(e.mul(tangent, tangent), one)))
    return cosine, e.mul(tangent, cosine)


def _turn(e, first, second, matrix, c, s):
    """Rotate two rows, or two columns."""

    def step(k):
        x, y = matrix(*first(*k)), matrix(*second(*k))
        matrix.store(e.sub(e.mul(c, x), e.mul(s, y)), *first(*k))
        matrix.store(e.add(e.mul(s, x), e.mul(c, y)), *second(*k))

    e.for_each((matrix.shape[1],), step)


def _place(e, values, i, before):
    """Where value i stands in order: as many values come before it, or are the same and stand earlier."""
    n = values.shape[0]
    mine, own = values(i), e.as_index(i)

    def count(j, total):
        other = values(*j)
        earlier = e.or_(before(other, mine), e.and_(e.eq(other, mine), e.lt(e.as_index(*j), own)))
        return e.add(total, e.convert(earlier, dtype="index"))

    return e.min(e.loop((n,), (e.as_index(0),), count)[0], n - 1)


def _complete(e, values, rows):
    """Rows of value 0, which come last, become unit vectors that are orthogonal to those before them."""
    k, n = rows.shape
    dtype = rows.dtype
    zero, one = e.constant(0.0, dtype=dtype), e.constant(1.0, dtype=dtype)

    def before(j, i):
        return e.lt(e.as_index(j), e.as_index(i))

    def search(i):
        """The axis of which most is left, without what the rows before have of it; and that, made orthogonal to them twice."""

        def left(c, best, at):
            taken = e.loop((k,), (zero,), lambda j, total: e.add(total, e.select(before(*j, i), e.mul(rows(*j, *c), rows(*j, *c)), zero)))[0]
            rest = e.sub(one, taken)
            better = e.gt(rest, best)
            return e.select(better, rest, best), e.select(better, e.as_index(*c), at)

        _, axis = e.loop((n,), (e.constant(-1.0, dtype=dtype), e.as_index(0)), left)
        e.for_each((n,), lambda c: rows.store(e.select(e.eq(e.as_index(*c), axis), one, zero), i, *c))

        def subtract(j):
            product = e.loop((n,), (zero,), lambda c, total: e.add(total, e.mul(rows(*j, *c), rows(i, *c))))[0]
            factor = e.select(before(*j, i), product, zero)
            e.for_each((n,), lambda c: rows.store(e.sub(rows(i, *c), e.mul(factor, rows(*j, *c))), i, *c))

        for _ in range(2):
            e.for_each((k,), subtract)
        length = e.sqrt(e.loop((n,), (zero,), lambda c, total: e.add(total, e.mul(rows(i, *c), rows(i, *c))))[0])
        e.for_each((n,), lambda c: rows.store(e.div(rows(i, *c), length), i, *c))

    e.for_each((k,), lambda i: e.cond(e.eq(values(*i), 0.0), lambda: search(*i), lambda: None))
