"""Spellings of `contract`: matmul, dot_general, linear, einsum."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import NUMBERS, TensorType
from rlxc.primitives.contract import check_letters, fresh_letters
from rlxc.primitives.families import Composite, broadcast_shapes, require_dtype, same_dtype
from rlxc.primitives.reduce import check_axes


def _check_operands(name, *types) -> None:
    for t in types:
        require_dtype(name, t, NUMBERS)
    same_dtype(name, types)


@register
class Matmul(Composite):
    """NumPy's `x @ y`: [..., m, k] times [..., k, n] is [..., m, n]; leading axes broadcast.

    A vector x is a row and a vector y a column, whose axis the result lacks: [k] times [k] is a scalar.
    """

    name = "matmul"
    dtypes = NUMBERS
    samples = (
        "f64[2, 3], f64[3, 4]",
        "f64[3], f64[3]",
        "f64[3], f64[3, 2]",
        "f64[2, 3], f64[3]",
        "f64[2, 1, 2, 3], f64[4, 3, 1]",
        "f64[1, 2, 3], f64[5, 3, 2]",
        "f64[3], f64[2, 3, 4]",
        "f64[2, 0], f64[0, 3]",
        "f64[0, 2, 3], f64[1, 3, 2]",
        "i32[2, 3], i32[3, 2]",
    )

    def infer(self, x, y):
        _check_operands(self.name, x, y)
        if x.rank == 0 or y.rank == 0:
            raise ShapeError(f"matmul takes arrays of rank 1 or more, not {x} and {y}", help="use mul for scalars")
        axis = max(y.rank - 2, 0)
        if x.shape[-1] != y.shape[axis]:
            raise ShapeError(f"matmul: axis {x.rank - 1} of {x} is {x.shape[-1]}, but axis {axis} of {y} is {y.shape[axis]}")
        leading = _leading(x, y)
        fresh_letters(self.name, len(leading) + 3, "")
        return x.with_shape(leading + x.shape[-2:-1] + (y.shape[-1:] if y.rank > 1 else ()))

    def eval(self, x, y):
        if x.dtype.kind not in "iu" and x.dtype.itemsize < 4:
            return np.asarray(np.matmul(x.astype(np.float32), y.astype(np.float32)), x.dtype)
        return np.asarray(np.matmul(x, y), x.dtype)

    def decompose(self, b, x, y):
        stretched = _leading(x.type, y.type)
        letters = fresh_letters(self.name, len(stretched), "mkn")
        x, in_x = _drop_stretched(b, x, letters, stretched)
        y, in_y = _drop_stretched(b, y, letters, stretched)
        in_x += "mk"[-min(_core_rank(x, in_x), 2) :]
        in_y += "kn"[: _core_rank(y, in_y)]
        return b.contract(x, y, spec=f"{in_x},{in_y}->{letters}{'m' * ('m' in in_x)}{'n' * ('n' in in_y)}")


def _leading(x: TensorType, y: TensorType) -> tuple:
    """The result's axes before the last two."""
    return broadcast_shapes("matmul", (x.with_shape(x.shape[:-2]), y.with_shape(y.shape[:-2])))


def _core_rank(x, leading) -> int:
    return x.type.rank - len(leading)


def _drop_stretched(b, x, letters, stretched):
    """`x` without the leading axes of size 1 that the result has in another size, and the letters of those it keeps."""
    own = x.type.shape[:-2]
    offset = len(stretched) - len(own)
    kept = [i for i, n in enumerate(own) if n == stretched[offset + i]]
    if len(kept) < len(own):
        x = b.reshape(x, shape=(*(own[i] for i in kept), *x.type.shape[-2:]))
    return x, "".join(letters[offset + i] for i in kept)


@register
class DotGeneral(Composite):
    """XLA's product: sums over the contracting axes, pairs the batch axes; the result has batch axes, then those left of x, then of y."""

    name = "dot_general"
    dtypes = NUMBERS
    samples = (
        Sample("f64[2, 3]", "f64[4, 3]", lhs_contracting=(1,), rhs_contracting=(1,)),
        Sample("f64[2, 3, 4]", "f64[4, 5, 2, 3]", lhs_contracting=(2, 1), rhs_contracting=(0, 3), lhs_batch=(0,), rhs_batch=(2,)),
        Sample("f64[2]", "f64[3]"),
    )

    def infer(
        self,
        x,
        y,
        *,
        lhs_contracting: tuple[int, ...] = (),
        rhs_contracting: tuple[int, ...] = (),
        lhs_batch: tuple[int, ...] = (),
        rhs_batch: tuple[int, ...] = (),
    ):
        _check_operands(self.name, x, y)
        check_axes(self.name, x, lhs_batch + lhs_contracting)
        check_axes(self.name, y, rhs_batch + rhs_contracting)
        for ours, theirs, what in ((lhs_contracting, rhs_contracting, "contracting"), (lhs_batch, rhs_batch, "batch")):
            if len(ours) != len(theirs):
                raise AttrError(f"dot_general: {len(ours)} {what} axes of x, but {len(theirs)} of y")
            for i, j in zip(ours, theirs, strict=True):
                if x.shape[i] != y.shape[j]:
                    raise ShapeError(f"dot_general: {what} axis {i} of {x} does not fit axis {j} of {y}")
        free_x = [n for i, n in enumerate(x.shape) if i not in lhs_batch + lhs_contracting]
        free_y = [n for j, n in enumerate(y.shape) if j not in rhs_batch + rhs_contracting]
        fresh_letters(self.name, x.rank + len(free_y), "")
        return x.with_shape((*(x.shape[i] for i in lhs_batch), *free_x, *free_y))

    def eval(self, x, y, *, lhs_contracting, rhs_contracting, lhs_batch, rhs_batch):
        wide = x.dtype if x.dtype.kind in "iu" or x.dtype.itemsize >= 4 else np.float32
        free_x = [i for i in range(x.ndim) if i not in lhs_batch + lhs_contracting]
        free_y = [j for j in range(y.ndim) if j not in rhs_batch + rhs_contracting]
        batch, sum_size = [x.shape[i] for i in lhs_batch], int(np.prod([x.shape[i] for i in lhs_contracting]))
        left = x.transpose(*lhs_batch, *free_x, *lhs_contracting).reshape(*batch, int(np.prod([x.shape[i] for i in free_x])), sum_size)
        right = y.transpose(*rhs_batch, *rhs_contracting, *free_y).reshape(*batch, sum_size, int(np.prod([y.shape[j] for j in free_y])))
        shape = (*batch, *(x.shape[i] for i in free_x), *(y.shape[j] for j in free_y))
        return np.matmul(left.astype(wide), right.astype(wide)).reshape(shape).astype(x.dtype)

    def decompose(self, b, x, y, *, lhs_contracting, rhs_contracting, lhs_batch, rhs_batch):
        in_x = fresh_letters(self.name, x.type.rank, "")
        spare = iter(fresh_letters(self.name, y.type.rank - len(rhs_batch + rhs_contracting), in_x))
        pair = dict(zip(rhs_contracting + rhs_batch, lhs_contracting + lhs_batch, strict=True))
        in_y = "".join(in_x[pair[j]] if j in pair else next(spare) for j in range(y.type.rank))
        batch = "".join(in_x[i] for i in lhs_batch)
        free_x = "".join(letter for i, letter in enumerate(in_x) if i not in lhs_batch + lhs_contracting)
        free_y = "".join(letter for j, letter in enumerate(in_y) if j not in pair)
        return b.contract(x, y, spec=f"{in_x},{in_y}->{batch}{free_x}{free_y}")


@register
class LinearLayer(Composite):
    """x w + bias: x [..., k], w [k, n], bias [n] if given; the result is [..., n]."""

    name = "linear"
    samples = ("f64[2, 3], f64[3, 4], f64[4]", "f64[3], f64[3, 4]", "f64[2, 5, 3], f64[3, 1], f64[1]", "f64[2, 0], f64[0, 3], f64[3]")

    def infer(self, x, w, bias=None):
        given = [t for t in (x, w, bias) if t is not None]
        _check_operands(self.name, *given)
        if x.rank < 1 or w.rank != 2 or x.shape[-1] != w.shape[0]:
            raise ShapeError(f"linear: {x} does not fit weights {w}", help="x is [..., k] and w is [k, n]")
        if bias is not None and bias.shape != w.shape[1:]:
            raise ShapeError(f"linear: bias {bias} does not fit weights {w}", help=f"it is [{w.shape[1]}]")
        fresh_letters(self.name, x.rank + 1, "")
        return x.with_shape((*x.shape[:-1], w.shape[1]))

    def eval(self, x, w, bias=None):
        wide = np.float32 if x.dtype.itemsize < 4 and x.dtype.kind not in "iu" else x.dtype
        out = np.dot(x.astype(wide), w.astype(wide))
        return np.asarray(out if bias is None else out + bias.astype(wide), x.dtype)

    def decompose(self, b, x, w, bias=None):
        leading = fresh_letters(self.name, x.type.rank - 1, "kn")
        out = b.contract(x, w, spec=f"{leading}k,kn->{leading}n")
        return out if bias is None else b.add(out, bias)


@register
class Einsum(Composite):
    """Einstein summation of any number of operands, contracted from left to right: `einsum %x, %y, %z {spec = "ij,jk,kl->il"}`.

    Each operand names an axis once. Without `->`, the result has the letters that stand once, in alphabetical order.
    """

    name = "einsum"
    dtypes = NUMBERS
    samples = (
        Sample("f64[2, 3]", "f64[3, 4]", "f64[4, 2]", spec="ij,jk,kl->il"),
        Sample("f64[2, 3]", "f64[3]", "f64[2]", spec="ij,j,i->"),
        Sample("f64[2, 3, 4]", spec="abc->ca"),
        Sample("f64[2, 3]", "f64[4, 3]", spec="ij,kj"),
        Sample("f64[2]", "f64[3]", "f64[2]", spec="a,b,a->ab"),
    )

    def infer(self, *xs, spec: str):
        if not xs:
            raise ShapeError("einsum takes one operand or more")
        _check_operands(self.name, *xs)
        parts, out = _einsum_letters(spec)
        if len(parts) != len(xs):
            raise AttrError(f'einsum "{spec}" names {len(parts)} operands, not {len(xs)}')
        sizes: dict = {}
        for i, (letters, x) in enumerate(zip(parts, xs, strict=True)):
            check_letters(self.name, spec, letters, f"operand {i}")
            if len(letters) != x.rank:
                raise ShapeError(f'einsum "{spec}": {letters!r} names {len(letters)} axes, but operand {i} is {x}')
            for letter, n in zip(letters, x.shape, strict=True):
                if sizes.setdefault(letter, n) != n:
                    raise ShapeError(f'einsum "{spec}": {letter} is {sizes[letter]}, but {n} in operand {i}, {x}')
        check_letters(self.name, spec, out, "the result")
        for letter in out:
            if letter not in sizes:
                raise AttrError(f'einsum "{spec}": the result\'s {letter} is in no operand', help="use broadcast for a new axis")
        return TensorType(xs[0].dtype, tuple(sizes[letter] for letter in out))

    def eval(self, *xs, spec):
        wide = np.float32 if xs[0].dtype.itemsize < 4 and xs[0].dtype.kind not in "iu" else xs[0].dtype
        return np.asarray(np.einsum(spec, *[x.astype(wide) for x in xs]), xs[0].dtype)

    def decompose(self, b, *xs, spec):
        parts, out = _einsum_letters(spec)
        letters, total = parts[0], xs[0]
        for i, x in enumerate(xs[1:], 1):
            later = out + "".join(parts[i + 1 :])
            merged = "".join(dict.fromkeys(letters + parts[i]))
            kept = "".join(letter for letter in merged if letter in later)
            total = b.contract(total, x, spec=f"{letters},{parts[i]}->{kept}")
            letters = kept
        summed = tuple(i for i, letter in enumerate(letters) if letter not in out)
        if summed:
            total = b.reduce_sum(total, axes=summed)
        letters = "".join(letter for letter in letters if letter in out)
        return total if letters == out else b.transpose(total, perm=tuple(letters.index(letter) for letter in out))


def _einsum_letters(spec: str) -> tuple[list[str], str]:
    operands, arrow, out = spec.partition("->")
    if not arrow:
        out = "".join(sorted(letter for letter in set(operands) - {","} if operands.count(letter) == 1))
    return operands.split(","), out
