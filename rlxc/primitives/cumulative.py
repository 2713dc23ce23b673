"""Running totals along an axis: cumsum, cumprod, cummax, cummin, and the linear recurrence that their derivatives are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Cost, Primitive, Sample, register
from rlxc.ir.types import INEXACT, NUMBERS, REALS, DType
from rlxc.primitives.axes import check_axis
from rlxc.primitives.complex_recurrence import recurrence
from rlxc.primitives.families import LinearMap, batch_size, conj, require_dtype, same_dtype, with_batch_axis
from rlxc.primitives.pad import shifted
from rlxc.primitives.reduce import highest, in_f32, lowest


class Cumulative(Primitive):
    """Element k of the result combines elements 0 to k along `axis`; with `reverse`, k to the last. Narrow floats are combined in f32."""

    dtypes: ClassVar = REALS
    stores_once = True
    ufunc: ClassVar[np.ufunc]
    combine: ClassVar[str]  # the operation of the loop level
    cost = Cost(flops=1, recompute=False)
    samples: ClassVar[Sequence[Any]] = (
        Sample("f64[4]", axis=0),
        Sample("f64[2, 3]", axis=1, reverse=True),
        Sample("f64[3, 2, 2]", axis=0),
        Sample("f64[2, 3, 2]", axis=1, reverse=True),
        Sample("f64[1]", axis=0),
        Sample("f64[2, 0]", axis=1),
        Sample("f64[0, 2]", axis=1),
    )

    def neutral(self, dtype: DType) -> Any:
        """What the first element is combined with."""
        raise self.missing("neutral")

    def infer(self, x, *, axis: int, reverse: bool = False):
        require_dtype(self.name, x, self.dtypes)
        check_axis(self.name, x, axis)
        return x

    def eval(self, x, *, axis, reverse=False):
        wide = in_f32(x)
        wide = np.flip(wide, axis) if reverse else wide
        out = self.ufunc.accumulate(wide, axis=axis, dtype=wide.dtype)
        return (np.flip(out, axis) if reverse else out).astype(x.dtype)

    def legalize(self, b, x, *, axis, reverse):
        if not x.type.dtype.is_narrow:
            return None
        return b.convert(b.apply(self, b.convert(x, dtype="f32"), axis=axis, reverse=reverse), dtype=x.type.dtype)

    def batch(self, b, x, *, batched, axis, reverse):
        return b.apply(self, x, axis=axis + 1, reverse=reverse)

    def lower(self, e, reads, writes, *, axis, reverse):
        (x,), combine = reads, getattr(e, self.combine)
        init = e.constant(self.neutral(x.type.dtype), dtype=x.type.dtype)
        scan(e, writes[0], axis, reverse, init, lambda index, acc: combine(acc, x(index)))

    def reuses(self, operand):
        return False

    def fold(self, b, x, *, axis, reverse):
        """One element, or none."""
        return x if x.type.shape[axis] in (0, 1) else None


def scan(e, y, axis, reverse, init, step):
    """Store `acc = step(index, acc)` along `axis` of `y`, one row after the other; along an outer axis, all rows abreast."""
    shape = y.type.shape
    n, outer, inner = shape[axis], shape[:axis], shape[axis + 1 :]

    def place(k):
        return e.index_sub(n - 1, k) if reverse else k

    def along_row(at):
        def one(k, acc):
            index = [*at[:axis], place(k[0]), *at[axis:]]
            acc = step(index, acc)
            y.store(index, acc)
            return acc

        e.loop((n,), (init,), one)

    def abreast(at):
        so_far = e.alloc(y.type.dtype, inner)

        def put(k, rest, acc):
            index = [*at, place(k), *rest]
            acc = step(index, acc)
            so_far.store(rest, acc)
            y.store(index, acc)

        def first(rest):
            put(0, rest, init)

        def row(k):
            e.for_each(inner, lambda rest: put(k, rest, so_far(rest)))
            return ()

        e.for_each(inner, first)
        e.for_(1, n, row)

    if n and all(i == 1 for i in inner):
        e.for_each((*outer, *inner), along_row)
    elif n:
        e.for_each(outer, abreast)


@register
class Cumsum(Cumulative, LinearMap):
    """Sums of the elements so far along `axis`; integers wrap around."""

    name = "cumsum"
    dtypes = NUMBERS
    ufunc = np.add
    combine = "add"

    def neutral(self, dtype):
        return 0

    def transpose(self, b, cts, operands, *, axis, reverse):
        return (b.cumsum(cts[0], axis=axis, reverse=not reverse),)


@register
class Cumprod(Cumulative):
    """Products of the elements so far along `axis`; integers wrap around."""

    name = "cumprod"
    dtypes = NUMBERS
    ufunc = np.multiply
    combine = "mul"
    samples = (*Cumulative.samples, Sample(np.array([2.0, 0.0, 3.0, 0.0, 1.5]), axis=0), Sample(np.array([2.0, 0.0, 3.0]), axis=0, reverse=True))

    def neutral(self, dtype):
        return 1

    def jvp(self, b, primals, tangents, outs, *, axis, reverse):
        """dy[k] = x[k] dy[k-1] + y[k-1] dx[k], which is right for zeros too."""
        before = shifted(b, outs[0], axis, by=-1 if reverse else 1, fill=1)
        return (b.linear_recurrence(primals[0], b.mul(tangents[0], before), axis=axis, reverse=reverse),)

    def planes(self, b, x, *, axis, reverse):
        return recurrence(b, x, None, axis, reverse)


class RunningExtremum(Cumulative):
    """The largest or smallest element so far; nan wins. The tangent is the mean of those of the elements so far that attain it."""

    samples = (*Cumulative.samples, Sample(np.array([1.0, 3.0, 3.0, -1.0, -1.0, 4.0]), axis=0))

    def jvp(self, b, primals, tangents, outs, *, axis, reverse):
        (x,), (dx,), (y,) = primals, tangents, outs
        zero, by = b.zeros(dx.type), -1 if reverse else 1
        attains = b.eq(x, y)
        stays = b.convert(b.eq(y, shifted(b, y, axis, by=by, fill=np.nan)), dtype=x.type.dtype)
        count = b.linear_recurrence(stays, b.convert(attains, dtype=x.type.dtype), axis=axis, reverse=reverse)
        total = b.linear_recurrence(stays, b.select(attains, dx, zero), axis=axis, reverse=reverse)
        return (b.div(total, count),)


@register
class Cummax(RunningExtremum):
    """The largest element so far along `axis`; nan from the first nan on."""

    name = "cummax"
    ufunc = np.maximum
    combine = "max"

    def neutral(self, dtype):
        return lowest(dtype)


@register
class Cummin(RunningExtremum):
    """The smallest element so far along `axis`; nan from the first nan on."""

    name = "cummin"
    ufunc = np.minimum
    combine = "min"

    def neutral(self, dtype):
        return highest(dtype)


@register
class LinearRecurrence(Primitive):
    """y[k] = a[k] y[k-1] + x[k] along `axis`, starting from y = 0; with `reverse`, from the last k down. Shapes of a and x are equal."""

    name = "linear_recurrence"
    stores_once = True
    dtypes = INEXACT
    linear_in = (1,)
    cost = Cost(flops=2, recompute=False)
    samples = (
        Sample("f64[4], f64[4]", axis=0),
        Sample("f64[2, 3], f64[2, 3]", axis=1, reverse=True),
        Sample("f64[3, 2], f64[3, 2]", axis=0),
        Sample("f64[1], f64[1]", axis=0),
        Sample("f64[2, 0], f64[2, 0]", axis=1),
    )

    def infer(self, a, x, *, axis: int, reverse: bool = False):
        require_dtype(self.name, a, INEXACT)
        require_dtype(self.name, x, INEXACT)
        same_dtype(self.name, (a, x))
        if a.shape != x.shape:
            raise ShapeError(f"linear_recurrence: the shapes of {a} and {x} differ")
        check_axis(self.name, x, axis)
        return x

    def eval(self, a, x, *, axis, reverse=False):
        dtype = x.dtype
        out = np.empty_like(in_f32(x))
        rows, a, x = (np.moveaxis(v, axis, 0) for v in (out, in_f32(a), in_f32(x)))
        last = np.zeros(rows.shape[1:], out.dtype)
        for k in range(len(rows))[:: -1 if reverse else 1]:
            last = rows[k] = a[k] * last + x[k]
        return out.astype(dtype)

    def legalize(self, b, a, x, *, axis, reverse):
        if not x.type.dtype.is_narrow:
            return None
        wide = b.linear_recurrence(b.convert(a, dtype="f32"), b.convert(x, dtype="f32"), axis=axis, reverse=reverse)
        return b.convert(wide, dtype=x.type.dtype)

    def jvp(self, b, primals, tangents, outs, *, axis, reverse):
        (a, _), (da, dx) = primals, tangents
        drive = dx
        if da is not None:
            moved = b.mul(da, shifted(b, outs[0], axis, by=-1 if reverse else 1))
            drive = moved if dx is None else b.add(dx, moved)
        return (b.linear_recurrence(a, drive, axis=axis, reverse=reverse),)

    def transpose(self, b, cts, operands, *, axis, reverse):
        after = conj(b, shifted(b, operands[0], axis, by=1 if reverse else -1))
        return None, b.linear_recurrence(after, cts[0], axis=axis, reverse=not reverse)

    def planes(self, b, a, x, *, axis, reverse):
        return recurrence(b, a, x, axis, reverse)

    def batch(self, b, a, x, *, batched, axis, reverse):
        n = batch_size((a, x), batched)
        a, x = (v if flag else with_batch_axis(b, v, n) for v, flag in zip((a, x), batched, strict=True))
        return b.linear_recurrence(a, x, axis=axis + 1, reverse=reverse)

    def lower(self, e, reads, writes, *, axis, reverse):
        a, x = reads
        init = e.constant(0, dtype=x.type.dtype)
        scan(e, writes[0], axis, reverse, init, lambda index, acc: e.add(e.mul(a(index), acc), x(index)))

    def reuses(self, operand):
        return False
