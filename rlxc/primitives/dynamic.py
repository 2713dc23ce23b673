"""Slices that start where the program says: dynamic_slice, dynamic_update_slice.

One scalar start for each axis, of any integer dtype. A start is clamped so that the slice lies inside x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import ShapeError, VerifyError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import ANY, INTEGERS, TensorType
from rlxc.primitives.axes import check_one_per_axis
from rlxc.primitives.families import batch_size, is_linear, require_dtype, same_dtype, with_batch_axis
from rlxc.primitives.gather import as_place
from rlxc.primitives.shape import Movement


def check_starts(name: str, x: TensorType, starts: Any, sizes: Any) -> None:
    """Raise unless there is a scalar start for each axis, and the sizes fit into x."""
    for i in starts:
        require_dtype(f"{name} as a start", i, INTEGERS)
        if i.rank:
            raise ShapeError(f"{name}: a start is a scalar, not {i}")
    if len(starts) != x.rank:
        raise VerifyError(f"{name}: {len(starts)} starts for the {x.rank} axes of {x}")
    if any(m != n and (not isinstance(m, int) or not isinstance(n, int) or not 0 <= m <= n) for m, n in zip(sizes, x.shape, strict=True)):
        raise ShapeError(f"{name}: a slice of sizes {list(sizes)} does not fit into {x}")


def clamped_starts(starts: Any, shape: Any, sizes: Any) -> list[int]:
    """Starts as Python ints, moved so that the slice lies inside."""
    return [max(0, min(int(i), n - m)) for i, n, m in zip(starts, shape, sizes, strict=True)]


def emitted_starts(e, starts, shape, sizes):
    """Starts as loop-level indices, moved so that the slice lies inside."""
    return [0 if n == m else e.max(e.min(as_place(e, i([]), n), n - m), 0) for i, n, m in zip(starts, shape, sizes, strict=True)]


def slice_places(b, starts, shape, sizes):
    """Index arrays of the elements of slices, for batched starts `i64[n]`: each in the shape `(n, *sizes)`."""
    (n,) = starts[0].type.shape
    whole = (n, *sizes)
    result = []
    for axis, (start, size, m) in enumerate(zip(starts, shape, sizes, strict=True)):
        wide = b.convert(b.min(start, size) if start.type.dtype == "u64" else start, dtype="i64")
        inside = b.max(b.min(wide, size - m), 0)
        repeated = b.broadcast(inside, shape=whole, axes=tuple(range(1, len(whole))))
        result.append(b.add(repeated, b.iota(axis=axis + 1, type=TensorType("i64", whole))))
    return result


@register
class DynamicSlice(Movement):
    """The part of x of `sizes` that begins at the scalar starts, which are clamped to where it fits."""

    name = "dynamic_slice"
    index_map = True
    samples = (
        Sample("f64[5]", np.array(2), sizes=(3,)),
        Sample("f64[5, 4]", np.array(1, np.int32), np.array(3, np.int32), sizes=(2, 2)),
        Sample("f64[5]", np.array(-7), sizes=(2,)),
        Sample("f64[5]", np.array(255, np.uint8), sizes=(5,)),
        Sample("f64[5]", np.array(1), sizes=(0,)),
        Sample("f64[]", sizes=()),
    )

    def infer(self, x, *starts, sizes: tuple[int, ...]):
        require_dtype(self.name, x, ANY)
        check_one_per_axis(self.name, x, sizes=sizes)
        check_starts(self.name, x, starts, sizes)
        return x.with_shape(sizes)

    def eval(self, x, *starts, sizes):
        first = clamped_starts(starts, np.shape(x), sizes)
        return x[tuple(slice(i, i + m) for i, m in zip(first, sizes, strict=True))]

    def transpose(self, b, cts, operands, *, sizes):
        x, *starts = operands
        return b.dynamic_update_slice(b.zeros(x.type), cts[0], *starts), *(None for _ in starts)

    def batch(self, b, x, *starts, batched, sizes):
        if not any(batched[1:]):
            return b.dynamic_slice(x, b.constant(0, type=TensorType("i64")), *starts, sizes=(x.type.shape[0], *sizes))
        n = batch_size((x, *starts), batched)
        starts = [i if flag else with_batch_axis(b, i, n) for i, flag in zip(starts, batched[1:], strict=True)]
        common = int(batched[0])
        indices = slice_places(b, starts, x.type.shape[common:], sizes)
        return b.gather(x, *indices, axes=tuple(range(common, x.type.rank)), batch=common)

    def element(self, e, index, x, *starts, sizes):
        first = emitted_starts(e, starts, x.type.shape, sizes)
        return x([e.index_add(i, j) for i, j in zip(first, index, strict=True)])

    def reuses(self, operand):
        return operand > 0

    def fold(self, b, x, *starts, sizes):
        """All of x; starts that are known, which make it a slice."""
        if sizes == x.type.shape:
            return x
        known = [b.splat_of(i) for i in starts]
        if any(i is None for i in known) or not x.type.is_static:
            return None
        first = clamped_starts(known, x.type.shape, sizes)
        return b.slice(x, start=tuple(first), stop=tuple(i + m for i, m in zip(first, sizes, strict=True)))


@register
class DynamicUpdateSlice(Movement):
    """x with `update` in place of the part that begins at the scalar starts, which are clamped to where it fits."""

    name = "dynamic_update_slice"
    index_map = True
    linear_in = ((0, 1),)
    samples = (
        Sample("f64[5]", "f64[3]", np.array(2)),
        Sample("f64[5, 4]", "f64[2, 2]", np.array(1, np.int32), np.array(3, np.int32)),
        Sample("f64[5]", "f64[2]", np.array(-7)),
        Sample("f64[5]", "f64[5]", np.array(255, np.uint8)),
        Sample("f64[5]", "f64[0]", np.array(1)),
        Sample("f64[]", "f64[]"),
    )

    def infer(self, x, update, *starts):
        require_dtype(self.name, x, ANY)
        require_dtype(self.name, update, ANY)
        same_dtype(self.name, (x, update))
        if update.rank != x.rank:
            raise ShapeError(f"dynamic_update_slice: ranks of {x} and the update {update} differ")
        check_starts(self.name, x, starts, update.shape)
        return x

    def eval(self, x, update, *starts):
        result = np.array(x)
        first = clamped_starts(starts, np.shape(x), np.shape(update))
        result[tuple(slice(i, i + m) for i, m in zip(first, np.shape(update), strict=True))] = update
        return result

    def add_to(self, b, total, x, update, *starts, zeros, carried):
        """An update of zeros is added to a part of the total."""
        if not zeros[0] or not carried:
            return None
        part = b.dynamic_slice(total, *starts, sizes=update.type.shape)
        return b.dynamic_update_slice(total, b.add(part, update), *starts)

    def transpose(self, b, cts, operands):
        x, update, *starts = operands
        dx = b.dynamic_update_slice(cts[0], b.zeros(update.type), *starts) if is_linear(x) else None
        du = b.dynamic_slice(cts[0], *starts, sizes=update.type.shape) if is_linear(update) else None
        return dx, du, *(None for _ in starts)

    def batch(self, b, x, update, *starts, batched):
        n = batch_size((x, update, *starts), batched)
        x = x if batched[0] else with_batch_axis(b, x, n)
        update = update if batched[1] else with_batch_axis(b, update, n)
        if not any(batched[2:]):
            return b.dynamic_update_slice(x, update, b.constant(0, type=TensorType("i64")), *starts)
        starts = [i if flag else with_batch_axis(b, i, n) for i, flag in zip(starts, batched[2:], strict=True)]
        indices = slice_places(b, starts, x.type.shape[1:], update.type.shape[1:])
        return b.scatter_set(x, update, *indices, axes=tuple(range(1, x.type.rank)), batch=1)

    def element(self, e, index, x, update, *starts):
        first = emitted_starts(e, starts, x.type.shape, update.type.shape)
        return e.read_or(update, [e.index_sub(j, i) for i, j in zip(first, index, strict=True)], x(index))

    def update(self, e, y, reads):
        update, *starts = reads
        first = emitted_starts(e, starts, y.type.shape, update.type.shape)
        e.for_each(update.type.shape, lambda index: y.store([e.index_add(i, j) for i, j in zip(first, index, strict=True)], update(index)))

    def reuses(self, operand):
        return operand > 0

    def fold(self, b, x, update, *starts):
        """Everything is replaced, or nothing."""
        if update.type.shape == x.type.shape:
            return update
        return x if 0 in update.type.shape else None
