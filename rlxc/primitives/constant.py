"""Values out of nothing: constants and counters."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import ShapeError, Unsupported
from rlxc.ir.attributes import Dense, Resource
from rlxc.ir.primitive import Primitive, Sample, merge_shape, register
from rlxc.ir.types import REALS, DType, TensorType
from rlxc.primitives.families import require_dtype
from rlxc.primitives.planes import Planes


@register
class Constant(Primitive):
    """An array known at compile time: `constant dense<[1.0, 2.0]> : f32[2]`; one element fills any shape; a resource names a file."""

    name = "constant"
    inline_attr = "value"
    typed = True
    index_map = True
    differentiable = False
    samples = (Sample(value=Dense(2.5, TensorType(DType("f64"), (3,))), type=TensorType(DType("f64"), (3,))),)

    def infer(self, *, value: Dense | Resource, type: TensorType):
        if isinstance(value, Dense) and value.type != type:
            raise ShapeError(f"constant: {value.type} is not {type}")
        return type

    def eval(self, *, value, type):
        if isinstance(value, Resource):
            raise Unsupported(f"resource {value.file!r} has not been loaded", code="RLX0603")
        return value.numpy()

    def jvp(self, b, primals, tangents, outs, **attrs):
        return (None,)

    def batch(self, b, *xs, batched, **attrs: Any):
        return b.apply(self, **attrs)

    def planes(self, b, *, value, type):
        if isinstance(value, Resource):
            raise Unsupported(f"resource {value.file!r} has not been loaded", code="RLX0603")
        part = type.with_dtype(type.dtype.part)
        return Planes(*(b.constant(Dense(array, part)) for array in (value.array.real, value.array.imag)))

    def trace_axes(self, operands, result, ranks, *, value, type):
        return ([], result) if isinstance(value, Dense) and value.is_splat else None

    def resized(self, result, *, value, type):
        return {"value": Dense(value.array, result), "type": result}

    def axis_breaks(self, rank, types, *, value, type):
        return () if isinstance(value, Dense) and value.is_splat else range(1, rank)

    def merge(self, b, *, runs, space, result, value, type):
        return b.constant(value.array, type=type.with_shape(merge_shape(type.shape, runs)))

    def element(self, e, index, *, value, type):
        return e.constant_element(value, index)


@register
class Iota(Primitive):
    """0, 1, 2, ... along `axis`, the same along the others."""

    name = "iota"
    typed = True
    index_map = True
    differentiable = False
    samples = (Sample(axis=1, type=TensorType(DType("i32"), (2, 3))), Sample(axis=0, type=TensorType(DType("f64"), (3, 2))))

    def infer(self, *, axis: int, type: TensorType):
        require_dtype(self.name, type, REALS)
        if not 0 <= axis < type.rank:
            raise ShapeError(f"iota: {type} has no axis {axis}")
        return type

    def eval(self, *, axis, type):
        counts = np.arange(type.shape[axis]).astype(type.dtype.numpy)
        shape = [1] * type.rank
        shape[axis] = -1
        return np.broadcast_to(counts.reshape(shape), type.shape)

    def jvp(self, b, primals, tangents, outs, **attrs):
        return (None,)

    def batch(self, b, *, batched, axis, type):
        return b.apply(self, axis=axis, type=type)

    def decompose(self, b, *, axis, type):
        """Counts along one axis, broadcast along the others."""
        counts = b.apply(self, axis=0, type=TensorType(type.dtype, (type.shape[axis],)))
        return b.broadcast(counts, shape=type.shape, axes=tuple(a for a in range(type.rank) if a != axis))

    def element(self, e, index, *, axis, type):
        return e.convert(index[axis], dtype=type.dtype)
