"""The pseudo-inverse."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import DType
from rlxc.primitives.families import Composite
from rlxc.primitives.linalg.embedding import COMPLEX, embedded, unembedded
from rlxc.primitives.linalg.lu import _A, _TALL
from rlxc.primitives.linalg.matrices import WIDE, MatrixPrimitive, check_matrix, check_same_batch, each_finite, product, times_columns, transposed

_MATRICES = (_A, _TALL, _TALL.T, np.stack([_A[:2, :2], _A[1:, 1:]]), np.array([[-2.0]]), np.zeros((2, 0, 3)))


def _eval(x, rcond):
    limit = _limit(x.shape, str(x.real.dtype).replace("float", "f"), rcond)
    return each_finite(x, lambda a: np.swapaxes(np.linalg.pinv(a, rcond=limit), -1, -2)).swapaxes(-1, -2)


def _limit(shape, dtype, rcond):
    return max(shape[-2:]) * float(np.finfo(DType(dtype).numpy).eps) if rcond is None else rcond


@register
class PinvOf(MatrixPrimitive):
    """The pseudo-inverse of x [..., m, n], which is y [..., n, m] already. Native code takes y, and derivatives go by x.

    dy is y y' dx' (1 - x y) + (1 - y x) dx' y' y - y dx y, where the rank of x stays the same (Golub, Pereyra, "The differentiation of pseudo-inverses
    and nonlinear least squares problems whose variables separate", 1973).
    """

    name = "pinv_of"
    domain = (-8.0, 8.0)
    samples = tuple(Sample(a, np.linalg.pinv(a)) for a in _MATRICES)

    def infer(self, x, y, *, rcond: float | None = None):
        check_matrix(self.name, x)
        check_matrix(self.name, y)
        check_same_batch(self.name, x, y)
        if y.shape[-2:] != x.shape[:-3:-1]:
            raise ShapeError(f"pinv_of: {y} does not have the shape of the pseudo-inverse of {x}")
        return y

    def consistent(self, arrays):
        """The laws move x: its pseudo-inverse moves with it."""
        return arrays[0], _eval(arrays[0], None)

    def eval(self, x, y, *, rcond=None):
        return _eval(x, rcond)

    def jvp(self, b, primals, tangents, outs, *, rcond):
        (x, _), dx, (y,) = primals, tangents[0], outs
        if dx is None:
            return (None,)
        turned = transposed(b, dx)
        half = product(b, turned, product(b, y, y, "ji,jk->ik"))  # dx' y' y
        other = product(b, product(b, y, y, "ij,kj->ik"), turned)  # y y' dx'
        first = b.sub(other, product(b, product(b, other, x), y))
        second = b.sub(half, product(b, y, product(b, x, half)))
        return (b.sub(b.add(first, second), product(b, product(b, y, dx), y)),)

    def one(self, e, reads, writes, *, rcond):
        writes[0].fill(reads[1])


@register
class Pinv(Composite):
    """The pseudo-inverse of x [..., m, n], by its singular values; those up to `rcond` times the largest count as 0.

    Those of a complex x are those of a real matrix of twice the size.

    Unless stated, rcond is the greater of m and n times the distance of 1 to the next number.
    """

    name = "pinv"
    dtypes = (*WIDE, *COMPLEX)
    domain = (-8.0, 8.0)
    samples = (*(Sample(a) for a in _MATRICES), Sample(_TALL + 1j * _TALL[::-1]), Sample(_TALL.T - 1j * _TALL.T[::-1]))

    def infer(self, x, *, rcond: float | None = None):
        check_matrix(self.name, x, dtypes=self.dtypes)
        if rcond is not None and not rcond >= 0:
            raise AttrError(f"pinv: rcond is not negative: {rcond}")
        return x.with_shape((*x.shape[:-2], x.shape[-1], x.shape[-2]))

    def eval(self, x, *, rcond=None):
        return _eval(x, rcond)

    def decompose(self, b, x, *, rcond):
        if 0 in x.type.shape[-2:]:
            return transposed(b, x)
        if x.type.dtype.is_complex:
            limit = _limit(x.type.shape, x.type.dtype.part, rcond)
            return unembedded(b, b.pinv(embedded(b, x), rcond=float(limit)))
        u, s, vh = b.svd(b.stop_gradient(x))
        top = b.reduce_max(s, axes=(s.type.rank - 1,))
        limit = b.mul(top, float(_limit(x.type.shape, x.type.dtype, rcond)))
        counts = b.gt(s, b.broadcast(limit, shape=s.type.shape, axes=(s.type.rank - 1,)))
        one = b.constant(1.0, type=s.type)
        inverse = b.select(counts, b.div(one, b.select(counts, s, one)), b.mul(s, 0.0))  # nan stays nan
        return b.pinv_of(x, product(b, times_columns(b, transposed(b, vh), inverse), u, "ij,kj->ik"), rcond=rcond)
