"""Systems of linear equations, and the inverse."""

from __future__ import annotations

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.primitives.families import Composite, broadcast_shapes, broadcast_to, same_dtype
from rlxc.primitives.linalg.embedding import COMPLEX, embedded, stacked, unstacked
from rlxc.primitives.linalg.lu import _A, LuSolve
from rlxc.primitives.linalg.matrices import WIDE, check_matrix, identity
from rlxc.primitives.slice import slice_axis


@register
class Solve(Composite):
    """x with `a x = b`, for a [..., n, n] and b [..., n, k], or [n]; leading axes broadcast. A singular a gives inf or nan. Complex systems are real
    ones of twice the size.

    One factorization serves the value and its derivatives: dx = a^-1 (db - da x) (Giles, "Collected matrix derivative results", 2008).
    """

    name = "solve"
    dtypes = (*WIDE, *COMPLEX)
    domain = (-8.0, 8.0)
    samples = (
        Sample(_A[1:, 1:], np.array([1.0, -2.0])),
        Sample(np.stack([_A, _A.T]), np.array([[1.0], [0.5], [-1.5]])),
        Sample(_A[:2, :2] + 1j * _A[1:, 1:], np.array([1.0 + 2.0j, -0.5])),
        "f64[0, 0], f64[0, 3]",
    )

    def infer(self, a, b):
        check_matrix(self.name, a, square=True, dtypes=self.dtypes)
        same_dtype(self.name, (a, b))
        if b.rank == 0 or b.shape[0 if b.rank == 1 else -2] != a.shape[-1]:
            raise ShapeError(f"solve: {b} does not fit {a}", help="b is [..., n, k], or [n]")
        core = 1 if b.rank == 1 else 2
        return b.with_shape((*_leading(a, b), *b.shape[-core:]))

    def eval(self, a, b):
        column = b[:, None] if b.ndim == 1 else b
        leading = np.broadcast_shapes(a.shape[:-2], column.shape[:-2])
        a, column = (np.broadcast_to(x, (*leading, *x.shape[-2:])) for x in (a, column))
        x = LuSolve().eval(a, None, None, column)
        return x[..., 0] if b.ndim == 1 else x

    def decompose(self, b, a, y):
        leading = _leading(a.type, y.type)
        column = y if y.type.rank > 1 else b.reshape(y, shape=(*y.type.shape, 1))
        column = broadcast_to(b, column, (*leading, *column.type.shape[-2:]))
        if a.type.dtype.is_complex:
            x = unstacked(b, solve_columns(b, embedded(b, a), stacked(b, column), leading))
        else:
            x = solve_columns(b, a, column, leading)
        return x if y.type.rank > 1 else b.reshape(x, shape=x.type.shape[:-1])


def _leading(a, y):
    """The result's axes before those of one system."""
    return broadcast_shapes("solve", (a.with_shape(a.shape[:-2]), y.with_shape(y.shape[:-2])))


def solve_columns(b, a, columns, leading):
    """The solution for columns [..., n, k] that have the leading axes already."""
    lu, _, permutation = b.lu(b.stop_gradient(a))
    n = a.type.shape[-1]
    whole = [broadcast_to(b, x, (*leading, *core)) for x, core in ((a, (n, n)), (lu, (n, n)), (permutation, (n,)))]
    return b.lu_solve(*whole, columns)


@register
class Inv(Composite):
    """The inverse of x [..., n, n]. A singular matrix gives inf or nan. The tangent is -y dx y for the inverse y (Giles 2008)."""

    name = "inv"
    dtypes = (*WIDE, *COMPLEX)
    domain = (-8.0, 8.0)
    samples = (Sample(_A), Sample(np.stack([_A[:2, :2], _A[1:, 1:]])), Sample(_A[:2, :2] + 1j * _A[1:, 1:]), "f64[2, 0, 0]")

    def infer(self, x):
        check_matrix(self.name, x, square=True, dtypes=self.dtypes)
        return x

    def eval(self, x):
        ones = np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
        return LuSolve().eval(x, None, None, ones)

    def decompose(self, b, x):
        if x.type.dtype.is_complex:
            real = embedded(b, x)
            ones = slice_axis(b, identity(b, real.type), real.type.rank - 1, 0, x.type.shape[-1])
            return unstacked(b, solve_columns(b, real, ones, x.type.shape[:-2]))
        return solve_columns(b, x, identity(b, x.type), x.type.shape[:-2])
