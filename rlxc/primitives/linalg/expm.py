"""The matrix exponential."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.primitive import Sample, lookup, register
from rlxc.primitives.families import Composite
from rlxc.primitives.linalg.embedding import COMPLEX, embedded, unembedded
from rlxc.primitives.linalg.matrices import WIDE, check_matrix, identity, product

#: of the Pade approximant of degree (13, 13), and the norm up to which it is exact to f64 (Higham 2005, table 2.3)
_PADE = (64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0, 670442572800.0,
         33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0)  # fmt: skip
_NORM = 5.371920351148152
LARGE = 16  # rows from which one matrix alone is squared only where that is wanted


@register
class Expm(Composite):
    """exp of matrices x [..., n, n], as a power series: by scaling, an approximant of degree 13, and at most `squarings` squarings.

    A matrix whose 1-norm is beyond 5.37 times 2 to that number gives nan. (Higham, "The scaling and squaring method for the matrix exponential
    revisited", 2005.)
    """

    name = "expm"
    dtypes = (*WIDE, *COMPLEX)
    samples = (
        Sample(np.array([[0.5, -1.0], [2.0, 0.25]]), squarings=1),
        Sample(np.stack([np.array([[1.5, 9.0], [-4.0, 0.5]]), np.zeros((2, 2))]), squarings=3),
        Sample(np.array([[0.5 + 1.0j]]), squarings=0),
        Sample("f64[0, 0]", squarings=2),
    )
    domain = (-16.0, 16.0)

    def infer(self, x, *, squarings: int = 16):
        check_matrix(self.name, x, square=True, dtypes=self.dtypes)
        if not 0 <= squarings <= 64:
            raise AttrError(f"expm: squarings are 0 to 64, not {squarings}")
        return x

    def eval(self, x, *, squarings=16):
        n = x.shape[-1]
        norm = np.abs(x).sum(-2).max(-1, initial=0)
        with np.errstate(all="ignore"):
            count = np.ceil(np.maximum(np.log2(norm / _NORM), 0))
            a = (x * np.exp2(-count)[..., None, None]).astype(x.dtype)
        one = np.broadcast_to(np.eye(n, dtype=x.dtype), x.shape)
        p = [(c / _PADE[0]) for c in _PADE]
        a2 = a @ a
        a4, a6 = a2 @ a2, a2 @ a2 @ a2
        odd = a @ (a6 @ (p[13] * a6 + p[11] * a4 + p[9] * a2) + p[7] * a6 + p[5] * a4 + p[3] * a2 + p[1] * one)
        even = a6 @ (p[12] * a6 + p[10] * a4 + p[8] * a2) + p[6] * a6 + p[4] * a4 + p[2] * a2 + p[0] * one
        fits = np.isfinite(norm) & (count <= squarings)
        right = np.where(fits[..., None, None], even - odd, one)
        r = np.linalg.solve(right, np.where(fits[..., None, None], even + odd, np.nan)) if n else even
        with np.errstate(all="ignore"):
            for k in range(squarings):
                r = np.where((count > k)[..., None, None], r @ r, r)
        return r.astype(x.dtype)

    def decompose(self, b, x, *, squarings):
        type, rank = x.type, x.type.rank
        if type.shape[-1] == 0:
            return x
        if type.dtype.is_complex:
            return unembedded(b, b.expm(embedded(b, x), squarings=squarings))

        def spread(v):
            return b.broadcast(v, shape=type.shape, axes=(rank - 2, rank - 1))

        def polynomial(*terms):
            total = None
            for factor, power in terms:
                term = b.mul(power, factor / _PADE[0])
                total = term if total is None else b.add(total, term)
            return total

        norm = b.stop_gradient(b.reduce_max(b.reduce_sum(b.abs(x), axes=(rank - 2,)), axes=(rank - 2,)))
        count = b.ceil(b.max(b.log2(b.div(norm, _NORM)), b.zeros(norm.type)))
        a = b.mul(x, spread(b.exp2(b.neg(count))))
        one = identity(b, type)
        a2 = product(b, a, a)
        a4 = product(b, a2, a2)
        a6 = product(b, a4, a2)
        c = _PADE
        high, low = polynomial((c[13], a6), (c[11], a4), (c[9], a2)), polynomial((c[7], a6), (c[5], a4), (c[3], a2), (c[1], one))
        odd = product(b, a, b.add(product(b, a6, high), low))
        high, low = polynomial((c[12], a6), (c[10], a4), (c[8], a2)), polynomial((c[6], a6), (c[4], a4), (c[2], a2), (c[0], one))
        even = b.add(product(b, a6, high), low)
        r = b.solve(b.sub(even, odd), b.add(even, odd))
        for k in range(squarings):
            wanted = b.gt(count, float(k))
            if rank == 2 and type.shape[-1] >= LARGE:
                r = b.with_regions(lookup("cond"), [wanted, r], {}, _square_or_not(r.type))[0]
            else:
                r = b.select(spread(wanted), product(b, r, r), r)
        fits = b.le(count, float(squarings))
        return b.select(spread(fits), r, b.constant(np.nan, type=type))


def _square_or_not(type):
    """Two regions: x times x, and x as it is."""
    x, y = Value(type, "x"), Value(type, "x")
    b = Builder()
    return Func("", (x,), (), (product(b, x, x),), "region").with_(ops=tuple(b.ops)), Func("", (y,), (), (y,), "region")
