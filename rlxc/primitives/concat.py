"""Arrays end to end, and apart again: concat, split, stack, squeeze, expand_dims."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import ANY, Dim, TensorType
from rlxc.primitives.axes import check_axes, check_axis, drop_axes, replaced
from rlxc.primitives.families import Composite, batch_size, is_linear, require_dtype, same_dtype, with_batch_axis
from rlxc.primitives.shape import Movement
from rlxc.primitives.slice import Slice, slice_axis


@register
class Concat(Movement):
    """The operands one after the other along `axis`; their other sizes are equal."""

    name = "concat"
    stores_once = True
    samples = (
        Sample("f64[2], f64[3]", axis=0),
        Sample("f64[2, 1], f64[2, 3], f64[2, 2]", axis=1),
        Sample("f64[0, 2], f64[3, 2]", axis=0),
        Sample("f64[2, 3]", axis=0),
    )

    def infer(self, x, *xs, axis: int):
        types = (x, *xs)
        for t in types:
            require_dtype(self.name, t, ANY)
        same_dtype(self.name, types)
        check_axis(self.name, x, axis)
        others = drop_axes(x, (axis,))
        if any(t.rank != x.rank or drop_axes(t, (axis,)) != others for t in types):
            raise ShapeError(f"concat: sizes other than that of axis {axis} differ: {', '.join(map(str, types))}")
        sizes = [t.shape[axis] for t in types]
        if len(sizes) > 1:
            for t in types:
                TensorType(t.dtype, (t.shape[axis],)).require_static()
        return x.with_shape(replaced(x.shape, axis, sizes[0] if len(sizes) == 1 else sum(sizes)))

    def eval(self, *xs, axis):
        return np.concatenate(xs, axis)

    def linear_groups(self, types, *, axis):
        return (frozenset(range(len(types))),)

    def transpose(self, b, cts, operands, *, axis):
        parts, at = [], 0
        for x in operands:
            n = x.type.shape[axis]
            parts.append(slice_axis(b, cts[0], axis, at, at + n) if is_linear(x) and len(operands) > 1 else cts[0] if is_linear(x) else None)
            at = at + n if len(operands) > 1 else at
        return tuple(parts)

    def batch(self, b, *xs, batched, axis):
        n = batch_size(xs, batched)
        return b.concat(*[x if flag else with_batch_axis(b, x, n) for x, flag in zip(xs, batched, strict=True)], axis=axis + 1)

    def lower(self, e, reads, writes, *, axis):
        (y,) = writes
        at = 0
        for x in reads:

            def copy(index, x=x, at=at):
                y.store(replaced(index, axis, e.index_add(index[axis], at)), x(index))

            e.for_each(x.type.shape, copy)
            at += x.type.shape[axis]

    def element(self, e, index, *xs, axis):
        """The element of the last operand that begins before it."""
        found, at = None, 0
        for x in xs:
            n = x.type.shape[axis]
            i = e.index_sub(index[axis], at)
            if n and isinstance(i, int):
                if 0 <= i < n:
                    return x(replaced(index, axis, i))
            elif n:
                here = x(replaced(index, axis, e.min(e.max(i, 0), n - 1)))
                found = here if found is None else e.select(e.ge(i, 0), here, found)
            at += n
        return found

    def fold(self, b, *xs, axis):
        """Operands without elements go; neighbouring slices of one value become one slice; one operand is the result."""
        kept = [x for x in xs if x.type.shape[axis] != 0] or [xs[0]]
        merged = [kept[0]]
        for x in kept[1:]:
            whole = _joined(b, merged[-1], x, axis)
            if whole is None:
                merged.append(x)
            else:
                merged[-1] = whole
        if len(merged) == len(xs):
            return xs[0] if len(xs) == 1 else None
        return merged[0] if len(merged) == 1 else b.concat(*merged, axis=axis)


def _joined(b, x, y, axis):
    """One slice for two that follow each other along `axis` of one value, or None."""
    p, q = b.producer(x), b.producer(y)
    if p is None or q is None or not isinstance(p.prim, Slice) or not isinstance(q.prim, Slice) or p.operands != q.operands:
        return None
    (whole,) = p.operands
    for op in (p, q):
        if op.attrs["step"] is not None and any(s != 1 for s in op.attrs["step"]):
            return None
    for a in range(whole.type.rank):
        if a != axis and (p.attrs["start"][a], p.attrs["stop"][a]) != (q.attrs["start"][a], q.attrs["stop"][a]):
            return None
    if p.attrs["stop"][axis] != q.attrs["start"][axis]:
        return None
    if isinstance(p.attrs["stop"][axis], Dim) or isinstance(q.attrs["stop"][axis], Dim):
        return None
    return b.slice(whole, start=p.attrs["start"], stop=q.attrs["stop"])


@register
class Split(Composite):
    """x cut along `axis` into one result for each of `sizes`, which add up to the size of that axis."""

    name = "split"
    dtypes = ANY
    samples = (Sample("f64[5]", axis=0, sizes=(2, 3)), Sample("f64[2, 6]", axis=1, sizes=(1, 0, 5)), Sample("f64[2]", axis=0, sizes=(2,)))

    def infer(self, x, *, axis: int, sizes: tuple[int, ...]):
        require_dtype(self.name, x, ANY)
        check_axis(self.name, x, axis)
        TensorType(x.dtype, (x.shape[axis],)).require_static()
        if not sizes or any(n < 0 for n in sizes) or sum(sizes) != x.shape[axis]:
            raise AttrError(f"split: sizes {list(sizes)} do not add up to axis {axis} of {x}")
        return tuple(x.with_shape(replaced(x.shape, axis, n)) for n in sizes)

    def eval(self, x, *, axis, sizes):
        return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))

    def decompose(self, b, x, *, axis, sizes):
        parts, at = [], 0
        for n in sizes:
            parts.append(slice_axis(b, x, axis, at, at + n))
            at += n
        return tuple(parts)


@register
class Stack(Composite):
    """The operands, all of one type, along a new axis `axis` of the result."""

    name = "stack"
    dtypes = ANY
    samples = (Sample("f64[2], f64[2]", axis=0), Sample("f64[2, 3], f64[2, 3], f64[2, 3]", axis=2), Sample("f64[]", axis=0))

    def infer(self, x, *xs, axis: int):
        for t in (x, *xs):
            require_dtype(self.name, t, ANY)
        if any(t != x for t in xs):
            raise ShapeError(f"stack: types differ: {', '.join(map(str, (x, *xs)))}")
        if not 0 <= axis <= x.rank:
            raise AttrError(f"stack: a result of rank {x.rank + 1} has no axis {axis}")
        return x.with_shape((*x.shape[:axis], 1 + len(xs), *x.shape[axis:]))

    def eval(self, *xs, axis):
        return np.stack(xs, axis)

    def decompose(self, b, *xs, axis):
        shape = xs[0].type.shape
        return b.concat(*[b.reshape(x, shape=(*shape[:axis], 1, *shape[axis:])) for x in xs], axis=axis)


@register
class Squeeze(Composite):
    """x without `axes`, which have size 1."""

    name = "squeeze"
    dtypes = ANY
    samples = (Sample("f64[1, 3, 1]", axes=(0, 2)), Sample("f64[2, 1]", axes=(1,)), Sample("f64[2]", axes=()))

    def infer(self, x, *, axes: tuple[int, ...]):
        require_dtype(self.name, x, ANY)
        check_axes(self.name, x, axes)
        if any(x.shape[a] != 1 for a in axes):
            raise ShapeError(f"squeeze: not all of the axes {list(axes)} of {x} have size 1")
        return drop_axes(x, axes)

    def eval(self, x, *, axes):
        return np.squeeze(x, axes)

    def decompose(self, b, x, *, axes):
        return b.reshape(x, shape=drop_axes(x.type, axes).shape)


@register
class ExpandDims(Composite):
    """x with new axes of size 1, which are the axes `axes` of the result."""

    name = "expand_dims"
    dtypes = ANY
    samples = (Sample("f64[3]", axes=(0, 2)), Sample("f64[2, 3]", axes=(1,)), Sample("f64[]", axes=(0,)))

    def infer(self, x, *, axes: tuple[int, ...]):
        require_dtype(self.name, x, ANY)
        rank = x.rank + len(axes)
        if any(not 0 <= a < rank for a in axes) or len(set(axes)) != len(axes):
            raise AttrError(f"expand_dims: axes {list(axes)} are not distinct axes of a result of rank {rank}")
        sizes = iter(x.shape)
        return x.with_shape(1 if a in axes else next(sizes) for a in range(rank))

    def eval(self, x, *, axes):
        return np.expand_dims(x, axes)

    def decompose(self, b, x, *, axes):
        return b.reshape(x, shape=self.infer(x.type, axes=axes).shape)
