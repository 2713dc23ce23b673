"""The same elements in another arrangement: broadcast, reshape, transpose, reverse."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.primitive import Cost, Sample, merge_shape, register
from rlxc.ir.types import ANY, Dim
from rlxc.primitives.axes import check_axes, drop_axes, inverse
from rlxc.primitives.families import LinearMap, require_dtype

__all__ = ["Broadcast", "Movement", "Reshape", "Reverse", "Transpose", "drop_axes", "inverse"]


class Movement(LinearMap):
    """Elements put elsewhere, none computed: linear, free, and for any dtype. Each is read at most once."""

    dtypes = ANY
    cost = Cost(flops=0)

    def reuses(self, operand):
        return False

    def in_shape(self, b, op, shape):
        """The result of `op` in another shape, where that is the op on what it reads in another shape; else None."""
        return None


@register
class Broadcast(Movement):
    """Repeat x along the new `axes` of the result, whose shape is `shape`."""

    name = "broadcast"
    index_map = True
    samples = (
        Sample("f64[3]", shape=(2, 3), axes=(0,)),
        Sample("f64[2, 3]", shape=(2, 4, 3), axes=(1,)),
        Sample("f64[3]", shape=(2, 3, 2), axes=(0, 2)),
        Sample("f64[2]", shape=(2, 0), axes=(1,)),
        Sample("f64[2]", shape=(2,), axes=()),
        Sample("f32[]", shape=(2, 0), axes=(0, 1)),
    )

    def infer(self, x, *, shape: tuple[int | Dim, ...], axes: tuple[int, ...]):
        require_dtype(self.name, x, ANY)
        if any(not 0 <= a < len(shape) for a in axes) or len(set(axes)) != len(axes):
            raise AttrError(f"broadcast: axes {list(axes)} are not distinct axes of a shape of rank {len(shape)}")
        kept = tuple(n for a, n in enumerate(shape) if a not in axes)
        if kept != x.shape:
            raise ShapeError(f"broadcast: {x} does not fit shape {list(shape)} less axes {list(axes)}")
        return x.with_shape(shape)

    def eval(self, x, *, shape, axes):
        return np.broadcast_to(np.expand_dims(x, axes), shape)

    def transpose(self, b, cts, operands, *, shape, axes):
        return (b.reduce_sum(cts[0], axes=axes),)

    def batch(self, b, x, *, batched, shape, axes):
        n = x.type.shape[0]
        return b.broadcast(x, shape=(n, *shape), axes=tuple(a + 1 for a in axes))

    def trace_axes(self, operands, result, ranks, *, shape, axes):
        if result is None:
            known = iter(operands[0])
            result = tuple(-1 if a in axes else next(known) for a in range(len(shape)))
        return [tuple(x for a, x in enumerate(result) if a not in axes)], result

    def resized(self, result, *, shape, axes):
        return {"shape": result.shape, "axes": axes}

    def along_rows(self, result, *, shape, axes):
        rows = len(shape) - len(axes)
        return rows if set(axes) == set(range(rows, len(shape))) else None

    def axis_breaks(self, rank, types, *, shape, axes):
        return [a for a in range(1, len(shape)) if (a in axes) != (a - 1 in axes)]

    def merged_operands(self, runs, space, types, *, shape, axes):
        return [merge_shape(shape, [run for run in runs if run[0] not in axes])]

    def merge(self, b, x, *, runs, space, result, shape, axes):
        merged = merge_shape(result.shape, runs)
        kept = [run for run in runs if run[-1] < len(shape)]  # an axis of size 1 may go with axes that the result does not have
        new = tuple(i for i, run in enumerate(kept) if run[0] in axes)
        return b.broadcast(x, shape=merged, axes=new) if new else x

    def element(self, e, index, x, *, shape, axes):
        return x([i for a, i in enumerate(index) if a not in axes])

    def reuses(self, operand):
        return True

    def fold(self, b, x, *, shape, axes):
        """Nothing to repeat; a broadcast of a broadcast; a broadcast along axes of size 1, which is a reshape."""
        if not axes:
            return x
        if all(shape[a] == 1 for a in axes):
            return b.reshape(x, shape=shape)
        inner = b.producer(x)
        if inner is not None and isinstance(inner.prim, Broadcast):
            kept = [a for a in range(len(shape)) if a not in axes]
            both = sorted((*axes, *(kept[a] for a in inner.attrs["axes"])))
            return b.broadcast(inner.operands[0], shape=shape, axes=tuple(both))
        return None


@register
class Reshape(Movement):
    """The same elements in row-major order under another `shape`."""

    name = "reshape"
    view = True
    samples = (
        Sample("f64[2, 3]", shape=(3, 2)),
        Sample("f64[2, 3]", shape=(6,)),
        Sample("f64[1]", shape=()),
        Sample("f64[]", shape=(1, 1)),
        Sample("f64[2, 1, 3]", shape=(2, 3)),
        Sample("f32[0, 2]", shape=(0,)),
    )

    def infer(self, x, *, shape: tuple[int | Dim, ...]):
        require_dtype(self.name, x, ANY)
        result = x.with_shape(shape)
        if x.is_static and result.is_static:
            if x.size != result.size:
                raise ShapeError(f"reshape: {x} has {x.size} elements, {result} has {result.size}")
        elif _factors(x.shape) != _factors(shape):
            raise ShapeError(f"reshape: {x} and {result} have different numbers of elements")
        return result

    def eval(self, x, *, shape):
        return np.reshape(x, shape)

    def transpose(self, b, cts, operands, *, shape):
        return (b.reshape(cts[0], shape=operands[0].type.shape),)

    def batch(self, b, x, *, batched, shape):
        return b.reshape(x, shape=(x.type.shape[0], *shape))

    def element(self, e, index, x, *, shape):
        return x(e.unravel(e.ravel(index, shape), x.type.shape))

    def fold(self, b, x, *, shape):
        """The same shape; a reshape of a reshape; a reshape of what can be read in another shape."""
        if x.type.shape == shape:
            return x
        inner = b.producer(x)
        if inner is not None and isinstance(inner.prim, Reshape):
            return b.reshape(inner.operands[0], shape=shape)
        return inner.prim.in_shape(b, inner, shape) if inner is not None and isinstance(inner.prim, Movement) else None


def _factors(shape):
    """Sizes of a shape with named dimensions, as the product of the known ones and the sorted names."""
    size = 1
    for n in shape:
        if not isinstance(n, Dim):
            size *= n
    return size, sorted(n for n in shape if isinstance(n, Dim))


@register
class Transpose(Movement):
    """Axes in another order: axis i of the result is axis `perm[i]` of x."""

    name = "transpose"
    index_map = True
    samples = (
        Sample("f64[2, 3]", perm=(1, 0)),
        Sample("f64[2, 3, 4]", perm=(2, 0, 1)),
        Sample("f64[2, 1, 3]", perm=(1, 0, 2)),
        Sample("f64[2, 0]", perm=(1, 0)),
        Sample("f64[]", perm=()),
    )

    def infer(self, x, *, perm: tuple[int, ...]):
        require_dtype(self.name, x, ANY)
        if sorted(perm) != list(range(x.rank)):
            raise AttrError(f"transpose: {list(perm)} is not an order of the {x.rank} axes of {x}")
        return x.with_shape(x.shape[p] for p in perm)

    def eval(self, x, *, perm):
        return np.transpose(x, perm)

    def trace_axes(self, operands, result, ranks, *, perm):
        x = operands[0] or tuple(result[p] for p in inverse(perm))
        return [x], tuple(x[p] for p in perm)

    def transpose(self, b, cts, operands, *, perm):
        return (b.transpose(cts[0], perm=inverse(perm)),)

    def batch(self, b, x, *, batched, perm):
        return b.transpose(x, perm=(0, *(p + 1 for p in perm)))

    def element(self, e, index, x, *, perm):
        return x([index[p] for p in inverse(perm)])

    def fold(self, b, x, *, perm):
        """The same order; a transpose of a transpose; one that moves only axes of size 1, which is a reshape."""
        if list(perm) == sorted(perm):
            return x
        inner = b.producer(x)
        if inner is not None and isinstance(inner.prim, Transpose):
            return b.transpose(inner.operands[0], perm=tuple(inner.attrs["perm"][p] for p in perm))
        moved = [p for p in perm if x.type.shape[p] != 1]
        return b.reshape(x, shape=tuple(x.type.shape[p] for p in perm)) if moved == sorted(moved) else None


@register
class Reverse(Movement):
    """The elements in opposite order along `axes`."""

    name = "reverse"
    index_map = True
    samples = (
        Sample("f64[3]", axes=(0,)),
        Sample("f64[2, 3, 4]", axes=(0, 2)),
        Sample("f64[2, 0]", axes=(1, 0)),
        Sample("f64[2]", axes=()),
        Sample("f64[]", axes=()),
    )

    def infer(self, x, *, axes: tuple[int, ...]):
        require_dtype(self.name, x, ANY)
        check_axes(self.name, x, axes)
        return x

    def eval(self, x, *, axes):
        return np.flip(x, axes)

    def transpose(self, b, cts, operands, *, axes):
        return (b.reverse(cts[0], axes=axes),)

    def batch(self, b, x, *, batched, axes):
        return b.reverse(x, axes=tuple(a + 1 for a in axes))

    def element(self, e, index, x, *, axes):
        shape = x.type.shape
        return x([e.index_sub(shape[a] - 1, i) if a in axes else i for a, i in enumerate(index)])

    def fold(self, b, x, *, axes):
        """Axes of size 0 and 1 look the same from both ends; a reverse of a reverse."""
        turned = tuple(sorted(a for a in axes if x.type.shape[a] not in (0, 1)))
        if not turned:
            return x
        inner = b.producer(x)
        if inner is not None and isinstance(inner.prim, Reverse):
            left = tuple(sorted(set(turned) ^ set(inner.attrs["axes"])))
            return b.reverse(inner.operands[0], axes=left) if left else inner.operands[0]
        return b.reverse(x, axes=turned) if turned != axes else None
