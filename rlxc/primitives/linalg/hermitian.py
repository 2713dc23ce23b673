"""Eigenvectors of complex Hermitian matrices from those of real symmetric ones of twice the size, and what derivatives know of them.

[[re, -im], [im, re]] has each eigenvalue twice. An eigenvector of it, its halves taken as real and imaginary parts, is one of the complex matrix; of
two that belong together the second is a multiple of the first. So complex vectors are made orthogonal to those kept before, one after the other, and
kept if more is left than rounding. Of m equal eigenvalues there are 2 m vectors, the sum of whose projections is twice that on their space: unless m of
them are kept, one of the others has a square of 1 / m or more outside of those.
"""

from __future__ import annotations

import math

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.primitive import Sample, lookup, register
from rlxc.ir.types import DType, TensorType
from rlxc.primitives.families import require_dtype
from rlxc.primitives.linalg.embedding import COMPLEX, embedded, unstacked
from rlxc.primitives.linalg.matrices import MatrixPrimitive, check_matrix, diagonal, each_finite, hermitian, identity, mean_with_transpose, product
from rlxc.primitives.linalg.signs import NEAR

I32 = DType("i32")
_H = np.array([[3.0, 1.0 - 0.5j, -0.5j], [0.8 + 1.0j, -1.0, 0.25], [-0.3 + 0.5j, 0.35, 1.0]])
MATRICES = (_H, np.stack([_H[:2, :2], _H[1:, 1:]]), np.array([[-0.5 + 0.0j]]))


def eigh_of_complex(b, x):
    """Eigenvalues and eigenvectors of complex x [..., n, n], both as they are; derivatives do not go through."""
    *leading, n, _ = x.type.shape
    if not all(isinstance(size, int) for size in x.type.shape):
        raise ShapeError(f"eigh: {x.type} has no sizes yet", code="RLX0206")
    part = x.type.dtype.part
    count = math.prod(leading)
    values, vectors = b.eigh(embedded(b, b.stop_gradient(x)))
    if n == 0:
        return b.reshape(values, shape=(*leading, n)), x
    vectors = b.transpose(b.reshape(unstacked(b, vectors), shape=(count, n, 2 * n)), perm=(2, 0, 1))
    values = b.transpose(b.reshape(values, shape=(count, 2 * n)), perm=(1, 0))
    start = [
        b.zeros(TensorType(x.type.dtype, (count, n, n))),
        b.zeros(TensorType(part, (count, n))),
        b.zeros(TensorType(I32, (count,))),
    ]
    operands = [*start, vectors, values]
    attrs = {"consts": 0, "carries": 3, "length": 2 * n, "reverse": False, "checkpoint": 0}
    region = _keep_if_new([v.type for v in start], b.loc)
    v, w, _ = b.with_regions(lookup("scan"), operands, attrs, (region,))
    first = b.mul(b.reshape(b.slice(values, start=(0, 0), stop=(1, count)), shape=(count,)), 0.0)  # nan where there are no eigenvalues
    w = b.add(w, b.broadcast(first, shape=w.type.shape, axes=(1,)))
    nothing = b.broadcast(first, shape=v.type.shape, axes=(1, 2))
    v = turned(b, b.add(v, b.complex(nothing, nothing)))
    return b.reshape(w, shape=(*leading, n)), b.reshape(v, shape=x.type.shape)


def _keep_if_new(types, loc) -> Func:
    b = Builder()
    b.loc = loc
    shape = types[0].shape
    many, n, part = shape[0], shape[1], types[1].dtype
    vector = TensorType(types[0].dtype, (many, n))
    number = TensorType(part, (many,))
    v, w, found, x, value = args = [Value(t, name, loc=loc) for t, name in zip([*types, vector, number], ["v", "w", "found", "x", "value"], strict=True)]
    rest = x
    for _ in range(2):
        along = b.contract(b.conj(v), rest, spec="bij,bi->bj")
        rest = b.sub(rest, b.contract(v, along, spec="bij,bj->bi"))
    square = b.reduce_sum(b.add(_squares(b, b.real(rest)), _squares(b, b.imag(rest))), axes=(1,))
    is_new = b.gt(square, 0.5 / n)
    length = b.sqrt(b.select(is_new, square, b.constant(1.0, like=square)))
    place = b.one_hot(b.select(is_new, found, b.constant(-1, like=found)), size=n, dtype=part)
    unit = b.complex(*(b.div(p, b.broadcast(length, shape=p.type.shape, axes=(1,))) for p in (b.real(rest), b.imag(rest))))
    column = b.broadcast(unit, shape=shape, axes=(2,))
    there = b.broadcast(place, shape=shape, axes=(1,))
    v = b.complex(b.add(b.real(v), b.mul(b.real(column), there)), b.add(b.imag(v), b.mul(b.imag(column), there)))
    w = b.add(w, b.mul(b.broadcast(value, shape=w.type.shape, axes=(1,)), place))
    found = b.add(found, b.convert(is_new, dtype=I32))
    return Func("", tuple(args), tuple(b.ops), (v, w, found), kind="region", loc=loc)


def _squares(b, x):
    return b.mul(x, x)


def turned(b, v):
    """Columns of v times numbers of size 1, such that of each the chosen component is real and positive."""
    first = _component(b, v, _chosen(b, v))
    rank = v.type.rank
    size = b.broadcast(b.abs(first), shape=v.type.shape, axes=(rank - 2,))
    back = b.broadcast(b.conj(first), shape=v.type.shape, axes=(rank - 2,))
    product = b.mul(v, back)
    return b.complex(b.div(b.real(product), size), b.div(b.imag(product), size))


def _chosen(b, v):
    """1 at the first component of each column that is about as large as its largest, else 0."""
    rank = v.type.rank
    size = b.abs(v)
    top = b.mul(b.reduce_max(size, axes=(rank - 2,)), NEAR)
    near = b.ge(size, b.broadcast(top, shape=size.type.shape, axes=(rank - 2,)))
    at = b.argmax(b.convert(near, dtype=I32), axis=rank - 2, dtype=I32)
    rows = b.iota(axis=rank - 2, type=v.type.with_dtype(I32))
    return b.convert(b.eq(rows, b.broadcast(at, shape=v.type.shape, axes=(rank - 2,))), dtype=size.type.dtype)


def _component(b, v, chosen):
    axes = (v.type.rank - 2,)
    return b.complex(b.reduce_sum(b.mul(b.real(v), chosen), axes=axes), b.reduce_sum(b.mul(b.imag(v), chosen), axes=axes))


@register
class EighOf(MatrixPrimitive):
    """Eigenvalues and eigenvectors of complex Hermitian x [..., n, n], which w and v are already: native code takes those, and derivatives go by x.

    With y = v' dx v, dw is the diagonal of y, and dv is v (f * y) with f[i, j] = 1 / (w[j] - w[i]) off the diagonal, turned so that of each vector the
    component that is real stays real.
    """

    name = "eigh_of"
    dtypes = COMPLEX
    domain = (-8.0, 8.0)

    def infer(self, x, w, v):
        check_matrix(self.name, x, square=True, dtypes=COMPLEX)
        require_dtype(self.name, w, (x.dtype.part,))
        if v != x or w.shape != x.shape[:-1]:
            raise ShapeError(f"{self.name}: {w} and {v} are no eigenvalues and eigenvectors of {x}")
        return w, v

    def consistent(self, arrays):
        """The laws move x: its eigenvectors move with it."""
        return arrays[0], *self.eval(*arrays)

    def eval(self, x, w, v):
        return eval_eigh(x)

    def jvp(self, b, primals, tangents, outs):
        if tangents[0] is None:
            return None, None
        w, v = outs
        y = product(b, b.conj(v), product(b, hermitian(b, tangents[0]), v), "ji,jk->ik")
        rank = v.type.rank
        one = identity(b, v.type.with_dtype(w.type.dtype))
        across, down = (b.broadcast(w, shape=v.type.shape, axes=(axis,)) for axis in (rank - 2, rank - 1))
        f = b.sub(b.div(b.constant(1.0, type=one.type), b.add(b.sub(across, down), one)), one)
        dv = product(b, v, b.complex(b.mul(b.real(y), f), b.mul(b.imag(y), f)))
        chosen = _chosen(b, v)
        turn = b.neg(b.div(b.imag(_component(b, dv, chosen)), b.real(_component(b, v, chosen))))
        turn = b.broadcast(turn, shape=v.type.shape, axes=(rank - 2,))
        sideways = b.complex(b.neg(b.mul(b.imag(v), turn)), b.mul(b.real(v), turn))
        return b.real(diagonal(b, y)), b.add(dv, sideways)

    def planes(self, b, x, w, v):
        return w, v


def eval_eigh(x):
    """The meaning, in NumPy."""
    if x.shape[-1] == 0:
        return np.zeros(x.shape[:-1], x.real.dtype), np.array(x)
    both = each_finite(mean_with_transpose(x), lambda m: np.concatenate([(r := np.linalg.eigh(m))[0][..., None, :], r[1]], -2))
    w, v = both[..., 0, :].real, both[..., 1:, :]
    size = np.abs(v)
    near = size >= size.dtype.type(NEAR) * size.max(-2, keepdims=True)
    first = np.take_along_axis(v, np.argmax(near, -2)[..., None, :], -2)
    v = np.where(np.isnan(v), np.array(complex(np.nan, np.nan), v.dtype), v * np.conj(first) / np.abs(first))
    return np.ascontiguousarray(w), np.ascontiguousarray(v.astype(x.dtype))


EighOf.samples = tuple(Sample(a, *eval_eigh(a)) for a in MATRICES)
