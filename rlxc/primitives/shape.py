"""The same elements in another arrangement: broadcast, reshape, transpose."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.primitive import Cost, Sample, merge_shape, register
from rlxc.ir.types import ANY, Dim, TensorType
from rlxc.primitives.families import LinearMap, require_dtype

_FREE = Cost(flops=0)


@register
class Broadcast(LinearMap):
    """Repeat x along the new `axes` of the result, whose shape is `shape`."""

    name = "broadcast"
    index_map = True
    cost = _FREE
    samples = (Sample("f64[3]", shape=(2, 3), axes=(0,)), Sample("f64[2, 3]", shape=(2, 4, 3), axes=(1,)), Sample("f32[]", shape=(2, 0), axes=(0, 1)))

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

    def along_rows(self, result, *, shape, axes):
        rows = len(shape) - len(axes)
        return rows if set(axes) == set(range(rows, len(shape))) else None

    def axis_breaks(self, rank, types, *, shape, axes):
        return [a for a in range(1, len(shape)) if (a in axes) != (a - 1 in axes)]

    def merged_operands(self, runs, shape, types, **attrs):
        return [merge_shape(shape[: len(attrs["shape"])], [run for run in runs if run[0] not in attrs["axes"]])]

    def merge(self, b, x, *, runs, shape, result, axes):
        merged = merge_shape(result.shape, runs)
        return b.broadcast(x, shape=merged, axes=tuple(i for i, run in enumerate(runs) if run[0] in axes))

    def element(self, e, index, x, *, shape, axes):
        return x([i for a, i in enumerate(index) if a not in axes])


@register
class Reshape(LinearMap):
    """The same elements in row-major order under another `shape`."""

    name = "reshape"
    cost = _FREE
    view = True
    samples = (Sample("f64[2, 3]", shape=(3, 2)), Sample("f64[2, 3]", shape=(6,)), Sample("f64[1]", shape=()), Sample("f32[0, 2]", shape=(0,)))

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


def _factors(shape):
    """Sizes of a shape with named dimensions, as the product of the known ones and the sorted names."""
    size = 1
    for n in shape:
        if not isinstance(n, Dim):
            size *= n
    return size, sorted(n for n in shape if isinstance(n, Dim))


@register
class Transpose(LinearMap):
    """Axes in another order: axis i of the result is axis `perm[i]` of x."""

    name = "transpose"
    index_map = True
    cost = _FREE
    samples = (Sample("f64[2, 3]", perm=(1, 0)), Sample("f64[2, 3, 4]", perm=(2, 0, 1)), Sample("f64[]", perm=()))

    def infer(self, x, *, perm: tuple[int, ...]):
        require_dtype(self.name, x, ANY)
        if sorted(perm) != list(range(x.rank)):
            raise AttrError(f"transpose: {list(perm)} is not an order of the {x.rank} axes of {x}")
        return x.with_shape(x.shape[p] for p in perm)

    def eval(self, x, *, perm):
        return np.transpose(x, perm)

    def transpose(self, b, cts, operands, *, perm):
        return (b.transpose(cts[0], perm=inverse(perm)),)

    def batch(self, b, x, *, batched, perm):
        return b.transpose(x, perm=(0, *(p + 1 for p in perm)))

    def element(self, e, index, x, *, perm):
        return x([index[p] for p in inverse(perm)])


def inverse(perm):
    """The permutation that undoes `perm`."""
    back = [0] * len(perm)
    for i, p in enumerate(perm):
        back[p] = i
    return tuple(back)


def drop_axes(type: TensorType, axes) -> TensorType:
    """`type` without `axes`."""
    return type.with_shape(n for a, n in enumerate(type.shape) if a not in axes)
