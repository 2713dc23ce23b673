"""Matrices so small that all their elements are in registers: no loops, no branches, so that many of them go through quickly."""

from __future__ import annotations

import numpy as np

TINY = 6  # rows and columns


def is_tiny(*shapes):
    return all(n <= TINY for shape in shapes for n in shape)


def elements(x):
    """All elements, by rows."""
    rows, columns = x.shape
    return [[x(i, j) for j in range(columns)] for i in range(rows)]


def factorize(e, x, lu, pivots):
    """Gaussian elimination; rows change places by selects."""
    rows = elements(x)
    m, n = x.shape
    for j in range(min(m, n)):
        best, at = e.abs(rows[j][j]), e.constant(j, dtype="i32")
        for i in range(j + 1, m):
            size = e.abs(rows[i][j])
            better = e.gt(size, best)
            best, at = e.select(better, size, best), e.select(better, e.constant(i, dtype="i32"), at)
        pivots.store(at, j)
        ours = rows[j]
        for i in range(j + 1, m):
            exchanged = e.eq(at, i)
            rows[j] = [e.select(exchanged, theirs, mine) for theirs, mine in zip(rows[i], rows[j], strict=True)]
            rows[i] = [e.select(exchanged, mine, theirs) for theirs, mine in zip(rows[i], ours, strict=True)]
        pivot = rows[j][j]
        divisor = e.select(e.eq(pivot, 0.0), e.constant(1.0, like=pivot), pivot)
        for i in range(j + 1, m):
            factor = e.div(rows[i][j], divisor)
            rows[i] = [*rows[i][:j], factor, *[e.sub(a, e.mul(factor, b)) for a, b in zip(rows[i][j + 1 :], rows[j][j + 1 :], strict=True)]]
    for i in range(m):
        for j in range(n):
            lu.store(rows[i][j], i, j)


def substitute(e, a, y, x, *, forward, transposed, unit, right):
    """Unknowns one after the other, for each system; y and x may be the same."""
    t = elements(a)
    n = len(t)
    t = [list(column) for column in zip(*t, strict=True)] if transposed != right else t  # a row has what one equation needs
    systems = x.shape[0] if right else x.shape[1]

    def solve(at):
        place = (lambda i: (*at, i)) if right else (lambda i: (i, *at))
        known = {}
        for i in range(n) if forward else reversed(range(n)):
            rest = y(*place(i))
            for k, v in known.items():
                rest = e.sub(rest, e.mul(t[i][k], v))
            known[i] = rest if unit else e.div(rest, t[i][i])
        for i in range(n):
            x.store(known[i], *place(i))

    e.for_each((systems,), solve)


def cholesky(e, x, l):  # noqa: E741
    """Row by row; all nan below the diagonal where a pivot is not positive."""
    n = x.shape[0]
    nan, zero = (e.constant(v, dtype=x.dtype) for v in (np.nan, 0.0))
    found = {}
    for i in range(n):
        for j in range(i + 1):
            rest = e.mul(e.add(x(i, j), x(j, i)), 0.5)
            for k in range(j):
                rest = e.sub(rest, e.mul(found[i, k], found[j, k]))
            found[i, j] = e.div(rest, found[j, j]) if j < i else e.select(e.gt(rest, 0.0), e.sqrt(rest), nan)
    last = found[n - 1, n - 1]
    for i in range(n):
        for j in range(n):
            l.store(e.select(e.eq(last, last), found[i, j], nan) if j <= i else zero, i, j)
