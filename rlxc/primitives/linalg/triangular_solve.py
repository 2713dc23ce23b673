"""Triangular systems of equations."""

from __future__ import annotations

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.primitives.families import is_linear
from rlxc.primitives.linalg import lapack, tiny
from rlxc.primitives.linalg.matrices import (
    MatrixPrimitive,
    check_matrix,
    check_same_batch,
    lower_part,
    product,
    scratch,
    upper_part,
)

FEW = 8  # columns of b: so few are solved one after the other, each as a row
SMALL = 6  # rows up to which loops are as fast as the library

_LOWER = np.array([[2.0, 5.0, 6.0], [0.5, -1.5, 7.0], [1.0, 0.25, 1.25]])
_TWO = np.stack([_LOWER, _LOWER.T + np.eye(3)])
_B = np.array([[1.0, -2.0], [0.5, 0.25], [-1.5, 2.0]])
_SEVEN = np.cos(np.arange(49.0)).reshape(7, 7) + 2 * np.eye(7)
_WIDE = np.sin(np.arange(30.0)).reshape(3, 10)


@register
class TriangularSolve(MatrixPrimitive):
    """x with `a x = b`, or with `x a = b` where `right`; a is [..., n, n], of which one triangle is read: the upper one unless `lower`.

    With `transposed` it is the transpose of that triangle which is solved with; with `unit` ones stand on its diagonal. b is [..., n, k], or
    [..., k, n] where `right`. A zero on the diagonal gives inf or nan.
    """

    name = "triangular_solve"
    linear_in = (1,)
    domain = (-8.0, 8.0)
    samples = (
        Sample(_LOWER, _B, lower=True),
        Sample(_LOWER, _B, lower=False, transposed=True),
        Sample(_TWO, np.stack([_B, _B - 1.0]), lower=True, transposed=True, unit=True),
        Sample(_LOWER, _B.T, lower=False, right=True),
        Sample(_LOWER, _B[:, :1], lower=False),
        Sample(_LOWER, _WIDE, lower=True, unit=True),
        Sample(_SEVEN, _SEVEN[:, 2:4], lower=True),
        Sample(_SEVEN, np.arange(56.0).reshape(7, 8) / 10, transposed=True),
        Sample(_SEVEN, _SEVEN[2:3], lower=True, right=True, unit=True),
        Sample("f64[0, 0], f64[0, 2]", lower=True),
        Sample("f64[2, 0, 0], f64[2, 3, 0]", lower=True, right=True),
    )

    def infer(self, a, b, *, lower: bool = False, transposed: bool = False, unit: bool = False, right: bool = False):
        check_matrix(self.name, a, square=True)
        check_matrix(self.name, b)
        check_same_batch(self.name, a, b)
        if b.shape[-1 if right else -2] != a.shape[-1]:
            raise ShapeError(f"{self.name}: {b} does not fit {a}", help="b is [..., n, k], or [..., k, n] with right = true")
        return b

    def eval(self, a, b, *, lower=False, transposed=False, unit=False, right=False):
        """Substitution, column by column of a."""
        if right:
            flipped = self.eval(a, np.swapaxes(b, -1, -2), lower=lower, transposed=not transposed, unit=unit)
            return np.ascontiguousarray(np.swapaxes(flipped, -1, -2))
        a = np.swapaxes(a, -1, -2) if transposed else a
        n = a.shape[-1]
        x = np.array(b)
        with np.errstate(all="ignore"):
            for k in range(n) if lower != transposed else range(n - 1, -1, -1):
                if not unit:
                    x[..., k, :] /= a[..., k, k, None]
                rest = slice(k + 1, None) if lower != transposed else slice(0, k)
                x[..., rest, :] -= a[..., rest, k, None] * x[..., None, k, :]
        return x

    def jvp(self, b, primals, tangents, outs, **attrs):
        """a dx = db - da x, with the triangle of da that a is read from."""
        (a, _), (da, dy), (x,) = primals, tangents, outs
        right = dy
        if da is not None:
            part = lower_part if attrs["lower"] else upper_part
            kept = part(b, da, diagonal=not attrs["unit"])
            inside = "ji" if attrs["transposed"] else "ij"
            moved = product(b, x, kept, f"ki,{inside}->kj") if attrs["right"] else product(b, kept, x, f"{inside},jk->ik")
            right = b.neg(moved) if dy is None else b.sub(dy, moved)
        return (b.apply(self, a, right, **attrs),)

    def transpose(self, b, cts, operands, *, transposed, **attrs):
        assert is_linear(operands[1])
        return None, b.apply(self, operands[0], cts[0], transposed=not transposed, **attrs)

    def batch(self, b, a, y, *, batched, **attrs):
        """Of right sides alone: more columns, or rows where it is the right one, for one a."""
        if batched[0]:
            return super().batch(b, a, y, batched=batched, **attrs)
        axis = y.type.rank - (2 if attrs["right"] else 1)
        return apart(b, b.apply(self, a, beside(b, y, axis), **attrs), axis, y.type.shape)

    def flops(self, operands, results, **attrs):
        return float(operands[0].shape[-1] * results[0].size)

    def one(self, e, reads, writes, *, lower, transposed, unit, right):
        (a, y), (x,) = reads, writes
        solve(e, in_memory(e, a), y, x, lower=lower, transposed=transposed, unit=unit, right=right)

    def packs(self, operand):
        return True


def beside(b, y, axis):
    """A batch of matrices with its first axis joined to another one, before it."""
    rank = y.type.rank
    perm = (*range(1, axis), 0, *range(axis, rank))
    shape = y.type.shape
    return b.reshape(b.transpose(y, perm=perm), shape=(*shape[1:axis], shape[0] * shape[axis], *shape[axis + 1 :]))


def apart(b, y, axis, shape):
    """What `beside` joined, as a batch again, of this shape."""
    rank = len(shape)
    split = b.reshape(y, shape=(*shape[1:axis], shape[0], *shape[axis:]))
    return b.transpose(split, perm=(axis - 1, *range(axis - 1), *range(axis, rank)))


def in_memory(e, a):
    """The matrix itself, or a copy of one whose elements are computed where they are read."""
    if a.is_memory:
        return a
    copy = scratch(e, a.dtype, *a.shape)
    copy.fill(a)
    return copy


def solve(e, a, y, x, *, lower, transposed=False, unit=False, right=False):
    """Store in the matrix x the solution for the right side y, which may be x itself."""
    n = a.shape[-1]
    if 0 in x.shape:
        return
    if n <= tiny.TINY:
        tiny.substitute(e, a, y, x, forward=(lower != transposed) != right, transposed=transposed, unit=unit, right=right)
    elif e.target.lapack and n > SMALL:
        if y is not x:
            x.fill(y)
        _by_library(e, a, x, lower, transposed, unit, right)
    else:
        _by_loops(e, a, y, x, lower, transposed, unit, right)


def _by_library(e, a, x, lower, transposed, unit, right):
    """`a x = y` is `x' a' = y'` there."""
    rows, columns = x.shape
    side, uplo = "L" if right else "R", "U" if lower else "L"
    flops = x.shape[0] * x.shape[1] * a.shape[-1]
    letters = side, uplo, "T" if transposed else "N", "U" if unit else "N"
    lapack.call(e, "trsm", x.dtype, *letters, columns, rows, 1.0, a, a.shape[-1], x, columns, flops=flops)


def _by_loops(e, a, y, x, lower, transposed, unit, right):
    """Substitution: once an unknown is known, it leaves the equations that follow.

    What takes it out of them, the rest of its row or column, is copied first with zeros before it, so that loops are the same for all unknowns.
    """
    rows, columns = x.shape
    n = a.shape[-1]
    as_rows = right or columns < FEW  # the unknowns of one system are in a row
    forward = (lower != transposed) != right
    flip = transposed != (as_rows and not right)
    rest = scratch(e, x.dtype, n, n)  # rest[k, i] is what unknown k has in equation i

    def coefficient(k, i):
        row, column = (k, i) if as_rows else (i, k)
        row, column = (column, row) if flip else (row, column)
        after = e.gt(e.as_index(i), e.as_index(k)) if forward else e.lt(e.as_index(i), e.as_index(k))
        return e.select(after, a(row, column), e.constant(0.0, dtype=x.dtype))

    rest.fill(coefficient)
    if as_rows:
        count = rows if right else columns
        row = scratch(e, x.dtype, n)

        def system(r):
            place = (lambda i: (r, i)) if right else (lambda i: (i, r))
            e.for_each((n,), lambda i: row.store(y(*place(*i)), *i))

            def step(at):
                k = at[0] if forward else e.index_sub(n - 1, at[0])
                found = row(k) if unit else e.div(row(k), a(k, k))
                row.store(found, k)
                e.for_each((n,), lambda i: row.store(e.sub(row(*i), e.mul(found, rest(k, *i))), *i))

            e.for_each((n,), step)
            e.for_each((n,), lambda i: x.store(row(*i), *place(*i)))

        e.for_each((count,), lambda r: system(*r))
        return
    if y is not x:
        x.fill(y)
    found = scratch(e, x.dtype, columns)

    def unknown(at):
        k = at[0] if forward else e.index_sub(n - 1, at[0])
        inverse = None if unit else a(k, k)
        e.for_each((columns,), lambda c: found.store(x(k, *c) if unit else e.div(x(k, *c), inverse), *c))
        e.for_each((columns,), lambda c: x.store(found(*c), k, *c))

        def equation(i):
            factor = rest(k, *i)
            e.for_each((columns,), lambda c: x.store(e.sub(x(*i, *c), e.mul(factor, found(*c))), *i, *c))

        e.for_each((n,), equation)

    e.for_each((n,), unknown)
