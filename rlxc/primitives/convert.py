"""From one element type to another: convert, bitcast; and stop_gradient, which changes nothing but the derivative."""

from __future__ import annotations

import numpy as np

from rlxc.errors import DTypeError
from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import ANY, REALS, DType
from rlxc.primitives import numerics
from rlxc.primitives.families import Direct, Elementwise, NonDifferentiable, require_dtype
from rlxc.primitives.planes import Planes


class DTypeChange(Direct):
    """One operand, of any dtype; the result has the dtype that the attribute says."""

    dtypes = ANY
    computes = False

    def result_dtype(self, dtype, **attrs):
        return attrs["dtype"]


@register
class Convert(DTypeChange):
    """x as elements of `dtype`.

    Floats are rounded to nearest even (integers to bf16 by way of f32); integers wrap around; float to integer goes toward zero,
    saturates and takes nan to 0; to bool is x != 0. Complex numbers become complex numbers or bool only. Between floats, and complex
    numbers, it is linear; otherwise the derivative is zero.
    """

    name = "convert"
    linear_in = (0,)
    singular = False
    samples = (
        Sample("f64[3]", dtype=DType("f32")),
        Sample("f32[2, 0]", dtype=DType("f64")),
        Sample("f64[]", dtype=DType("f64")),
        Sample("f64[4]", dtype=DType("f16")),
        Sample("i32[4]", dtype=DType("f64")),
        Sample("i64[4]", dtype=DType("u8")),
        Sample("bool[4]", dtype=DType("f32")),
        Sample("f64[3]", dtype=DType("c64")),
        Sample("f64[4]", dtype=DType("bool")),
        Sample(np.array([1.9, -1.9, 1e10, -1e10, np.nan, np.inf, -np.inf]), dtype=DType("i32")),
        Sample(np.array([1.9, -1.9, 1e20, np.nan]), dtype=DType("u64")),
    )

    def infer(self, x, *, dtype: DType):
        require_dtype(self.name, x, ANY)
        if dtype not in ANY:
            raise DTypeError(f"convert does not make {dtype} of {x}", help=f"it makes {', '.join(ANY)}")
        if x.dtype.is_complex and not dtype.is_complex and not dtype.is_bool:
            raise DTypeError(f"convert does not make {dtype} of {x}, which is complex", help="take real, imag or abs of it")
        return x.with_dtype(dtype)

    def eval(self, x, *, dtype: DType):
        return numerics.convert(x, dtype)

    def linear_groups(self, types, *, dtype):
        between_floats = dtype.differentiable and types[0].dtype.differentiable
        return super().linear_groups(types, dtype=dtype) if between_floats else ()

    def jvp(self, b, primals, tangents, outs, *, dtype):
        return (b.convert(tangents[0], dtype=dtype) if dtype.differentiable else None,)

    def transpose(self, b, cts, operands, *, dtype):
        ct, source = cts[0], operands[0].type.dtype
        if dtype.is_complex and not source.is_complex:
            ct = b.real(ct)
        return (b.convert(ct, dtype=source),)

    def planes(self, b, x, *, dtype):
        if not isinstance(x, Planes):
            re = b.convert(x, dtype=dtype.part)
            return Planes(re, b.zeros(re.type))
        if dtype.is_bool:
            return b.or_(*(b.convert(part, dtype=dtype) for part in x))
        return Planes(*(b.convert(part, dtype=dtype.part) for part in x))

    def identities(self, b, x, *, dtype):
        source = x.type.dtype
        if source == dtype:
            return x
        inner = b.producer(x)
        if inner is not None and inner.prim is self and may_skip(inner.operands[0].type.dtype, source, dtype):
            return b.convert(inner.operands[0], dtype=dtype)
        return None


def may_skip(first: DType, middle: DType, last: DType) -> bool:
    """Whether converting by way of `middle` is the same as converting at once."""
    wraps = first.is_integer and last.is_integer and not loses_nothing(first, last)
    rounds_twice = first.is_integer and last == "bf16" and not loses_nothing(first, DType("f32"))
    return loses_nothing(first, middle) and not (wraps and middle.is_float) and not rounds_twice  # a float would saturate


def loses_nothing(source: DType, target: DType) -> bool:
    """Whether every number of `source` is one of `target`."""
    if source == target or source.is_bool:
        return True
    if source.is_complex or target.is_complex:
        return target.is_complex and loses_nothing(source.part, target.part)
    if source.is_float:
        return target.is_float and (target.bits > source.bits)
    if target.is_float:
        return source.bits - (source.kind == "i") < {"f64": 54, "f32": 25, "f16": 12, "bf16": 9}[target]
    if source.kind == target.kind:
        return target.bits >= source.bits
    return target.kind == "i" and target.bits > source.bits


@register
class Bitcast(NonDifferentiable, DTypeChange):
    """The bits of x read as `dtype`, which must have as many. The derivative is zero."""

    name = "bitcast"
    dtypes = REALS
    samples = (
        Sample("f64[3]", dtype=DType("i64")),
        Sample("i32[2, 2]", dtype=DType("f32")),
        Sample("u8[]", dtype=DType("i8")),
        Sample(np.array([0.0, -0.0, np.nan, np.inf]), dtype=DType("u64")),
    )

    def infer(self, x, *, dtype: DType):
        require_dtype(self.name, x, REALS)
        if dtype not in REALS or dtype.bits != x.dtype.bits:
            same = ", ".join(d for d in REALS if d.bits == x.dtype.bits)
            raise DTypeError(f"bitcast cannot read {x} as {dtype}", help=f"{x.dtype} can be read as {same}")
        return x.with_dtype(dtype)

    def eval(self, x, *, dtype: DType):
        return np.ascontiguousarray(x).view(dtype.numpy).reshape(np.shape(x))

    def identities(self, b, x, *, dtype):
        if x.type.dtype == dtype:
            return x
        inner = b.producer(x)
        return b.bitcast(inner.operands[0], dtype=dtype) if inner is not None and inner.prim is self else None


@register
class StopGradient(NonDifferentiable, Elementwise):
    """x itself, taken as a constant by differentiation."""

    name = "stop_gradient"
    dtypes = ANY
    computes = False
    by_parts = True
    cost = Cost(flops=0)
    samples = ("f64[3]", "f64[]", "i32[0]", "bool[2]")

    def eval(self, x):
        return x

    def scalar(self, e, x):
        return x
