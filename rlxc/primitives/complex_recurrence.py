"""Complex linear recurrences along the last axis, on planes: what running products and recurrences of complex numbers become."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Cost, Primitive, Sample, register
from rlxc.ir.types import FLOATS
from rlxc.primitives.axes import inverse, scalar
from rlxc.primitives.families import batch_size, require_dtype, with_batch_axis
from rlxc.primitives.pad import shifted
from rlxc.primitives.planes import Planes
from rlxc.primitives.slice import slice_axis


def recurrence(b: Any, a: Planes, x: Planes | None, axis: int, reverse: bool) -> Planes:
    """y[k] = a[k] y[k-1] + x[k] along `axis`, or running products of a where there is no x."""
    rank = a.re.type.rank
    perm = (*(i for i in range(rank) if i != axis), axis)
    if x is None:
        x = Planes(*(_only_first(b, part, axis, reverse) for part in a))
    parts = [b.transpose(v, perm=perm) for v in (*a, *x)]
    out = b.complex_recurrence(*parts, reverse=reverse)
    return Planes(*(b.transpose(v, perm=inverse(perm)) for v in out))


def _only_first(b: Any, x: Any, axis: int, reverse: bool) -> Any:
    """x with zeros in all places along `axis` but the one that a recurrence comes to first."""
    n, rank = x.type.shape[axis], x.type.rank
    if n < 2:
        return x
    at = n - 1 if reverse else 0
    rest, none = tuple((n - 1) * (i == axis) for i in range(rank)), (0,) * rank
    low, high = (rest, none) if reverse else (none, rest)
    return b.pad(slice_axis(b, x, axis, at, at + 1), scalar(b, 0, x), low=low, high=high)


@register
class ComplexRecurrence(Primitive):
    """y[k] = a[k] y[k-1] + x[k] along the last axis for complex a and x, given and returned as parts; with `reverse`, from the last k down.

    Compilation makes it of `linear_recurrence` and `cumprod` of complex numbers; it is linear in the parts of x.
    """

    name = "complex_recurrence"
    dtypes = FLOATS
    linear_in = ((2, 3),)
    cost = Cost(flops=8, recompute=False)
    samples = (
        "f64[4], f64[4], f64[4], f64[4]",
        Sample("f64[2, 3], f64[2, 3], f64[2, 3], f64[2, 3]", reverse=True),
        "f64[2, 0], f64[2, 0], f64[2, 0], f64[2, 0]",
    )

    def infer(self, ar, ai, xr, xi, *, reverse: bool = False):
        for t in (ar, ai, xr, xi):
            require_dtype(self.name, t, FLOATS)
        if not ar == ai == xr == xi or not ar.rank:
            raise ShapeError(f"{self.name}: its operands are of one type, of rank 1 or more, not {ar}, {ai}, {xr} and {xi}")
        return ar, ar

    def eval(self, ar, ai, xr, xi, *, reverse=False):
        wide = [np.asarray(v, np.promote_types(v.dtype, np.float32)) for v in (ar, ai, xr, xi)]
        out = np.empty((2, *xr.shape), wide[0].dtype)
        re = im = np.zeros(xr.shape[:-1], out.dtype)
        for k in range(xr.shape[-1])[:: -1 if reverse else 1]:
            c, d, u, v = (part[..., k] for part in wide)
            re, im = c * re - d * im + u, c * im + d * re + v
            out[..., k] = re, im
        return out[0].astype(xr.dtype), out[1].astype(xr.dtype)

    def legalize(self, b, *xs, reverse):
        dtype = xs[0].type.dtype
        if not dtype.is_narrow:
            return None
        wide = b.complex_recurrence(*(b.convert(x, dtype="f32") for x in xs), reverse=reverse)
        return tuple(b.convert(v, dtype=dtype) for v in wide)

    def jvp(self, b, primals, tangents, outs, *, reverse):
        ar, ai, xr, _ = primals
        dar, dai, dxr, dxi = tangents
        axis, by = ar.type.rank - 1, -1 if reverse else 1
        before_r, before_i = (shifted(b, y, axis, by=by) for y in outs)
        zero = b.zeros(xr.type)
        drive_r, drive_i = dxr or zero, dxi or zero
        if dar is not None:
            drive_r, drive_i = b.add(b.mul(dar, before_r), drive_r), b.add(b.mul(dar, before_i), drive_i)
        if dai is not None:
            drive_r, drive_i = b.sub(drive_r, b.mul(dai, before_i)), b.add(b.mul(dai, before_r), drive_i)
        return b.complex_recurrence(ar, ai, drive_r, drive_i, reverse=reverse)

    def transpose(self, b, cts, operands, *, reverse):
        ar, ai, xr, _ = operands
        axis, by = ar.type.rank - 1, 1 if reverse else -1
        after = shifted(b, ar, axis, by=by), b.neg(shifted(b, ai, axis, by=by))
        whole = [b.zeros(xr.type) if ct is None else ct for ct in cts]
        return (None, None, *b.complex_recurrence(*after, *whole, reverse=not reverse))

    def batch(self, b, *xs, batched, reverse):
        n = batch_size(xs, batched)
        return b.complex_recurrence(*(x if flag else with_batch_axis(b, x, n) for x, flag in zip(xs, batched, strict=True)), reverse=reverse)

    def lower(self, e, reads, writes, *, reverse):
        ar, ai, xr, xi = reads
        *outer, n = ar.type.shape
        zero = e.constant(0, dtype=ar.type.dtype)

        def along(at):
            def one(k, yr, yi):
                index = [*at, e.index_sub(n - 1, k[0]) if reverse else k[0]]
                c, d = ar(index), ai(index)
                re = e.add(e.sub(e.mul(c, yr), e.mul(d, yi)), xr(index))
                im = e.add(e.add(e.mul(c, yi), e.mul(d, yr)), xi(index))
                writes[0].store(index, re)
                writes[1].store(index, im)
                return re, im

            e.loop((n,), (zero, zero), one)

        e.for_each(tuple(outer), along)
