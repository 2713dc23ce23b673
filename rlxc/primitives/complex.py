"""Complex numbers and their parts: complex, real, imag, conj, angle; and interleave, which puts parts side by side as memory has them.

Derivatives are real-linear: the transpose is the adjoint for <a, b> = Re(conj(a) b), so that of z -> c z is ct -> conj(c) ct, and conj is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rlxc.errors import DTypeError, ShapeError
from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import ANY, COMPLEX, DType
from rlxc.primitives.families import Composite, Elementwise, batch_size, is_linear, require_dtype, same_dtype, with_batch_axis
from rlxc.primitives.identities import produced_by
from rlxc.primitives.planes import Planes
from rlxc.primitives.shape import Movement, Reshape
from rlxc.primitives.slice import stride_of

_PARTS = {DType("f32"): DType("c64"), DType("f64"): DType("c128")}


class Parts(Elementwise):
    """Between complex numbers and their parts: nothing is computed."""

    dtypes: ClassVar[Sequence[DType]] = COMPLEX
    by_parts = True
    singular = False
    computes = False
    linear_in: ClassVar[Sequence[Any]] = ((0,),)
    cost = Cost(flops=0)


@register
class Complex(Parts):
    """re + i im, of two real arrays: c64 of f32, c128 of f64."""

    name = "complex"
    dtypes = tuple(_PARTS)
    linear_in = ((0, 1),)
    samples = ("f64[3], f64[3]", "f64[2, 1], f64[3]", "f64[], f64[0]", Sample(np.array([0.0, -0.0, np.inf]), np.array([-0.0, np.nan, 1.0])))

    def result_dtype(self, dtype, **attrs):
        return _PARTS[dtype]

    def eval(self, re, im):
        z = np.empty(np.broadcast_shapes(np.shape(re), np.shape(im)), np.complex64 if re.dtype == np.float32 else np.complex128)
        z.real, z.imag = re, im
        return z

    def jvp(self, b, primals, tangents, outs):
        re, im = (b.zeros(x.type) if dx is None else dx for x, dx in zip(primals, tangents, strict=True))
        return (b.complex(re, im),)

    def transpose(self, b, cts, operands):
        return b.real(cts[0]), b.imag(cts[0])

    def planes(self, b, re, im):
        return Planes(re, im)

    def identities(self, b, re, im):
        of_re, of_im = produced_by(b, re, "real"), produced_by(b, im, "imag")
        return of_re[0] if of_re and of_re == of_im else None


@register
class Real(Parts):
    """The real part."""

    name = "real"
    samples = ("c128[3]", "c128[]", "c128[0, 2]", Sample(np.array([complex(-0.0, np.nan), complex(np.inf, 1)])))

    def result_dtype(self, dtype, **attrs):
        return dtype.part

    def eval(self, z):
        return np.real(z)

    def jvp(self, b, primals, tangents, outs):
        return (b.real(tangents[0]),)

    def transpose(self, b, cts, operands):
        return (b.complex(cts[0], b.zeros(cts[0].type)),)

    def planes(self, b, z):
        return z.re

    def identities(self, b, z):
        if parts := produced_by(b, z, "complex"):
            return parts[0]
        inner = produced_by(b, z, "conj")
        return b.real(inner[0]) if inner else None


@register
class Imag(Parts):
    """The imaginary part."""

    name = "imag"
    samples = ("c128[3]", "c128[]", "c128[0, 2]", Sample(np.array([complex(np.nan, -0.0), complex(1, np.inf)])))

    def result_dtype(self, dtype, **attrs):
        return dtype.part

    def eval(self, z):
        return np.imag(z)

    def jvp(self, b, primals, tangents, outs):
        return (b.imag(tangents[0]),)

    def transpose(self, b, cts, operands):
        return (b.complex(b.zeros(cts[0].type), cts[0]),)

    def planes(self, b, z):
        return z.im

    def identities(self, b, z):
        if parts := produced_by(b, z, "complex"):
            return parts[1]
        inner = produced_by(b, z, "conj")
        return b.neg(b.imag(inner[0])) if inner else None


@register
class Conj(Parts):
    """The complex conjugate, re - i im."""

    name = "conj"
    samples = ("c128[3]", "c128[]", "c128[0, 2]", Sample(np.array([complex(np.nan, -0.0), complex(1, np.inf), 0])))

    def eval(self, z):
        return np.conj(z)

    def jvp(self, b, primals, tangents, outs):
        return (b.conj(tangents[0]),)

    def transpose(self, b, cts, operands):
        return (b.conj(cts[0]),)

    def planes(self, b, z):
        return Planes(z.re, b.neg(z.im))

    def identities(self, b, z):
        inner = produced_by(b, z, "conj")
        return inner[0] if inner else None


@register
class Angle(Composite):
    """The argument of a complex number, in [-pi, pi]: atan2(im, re). The derivative at 0 is 0."""

    name = "angle"
    dtypes = COMPLEX
    samples = ("c128[3]", "c128[]", "c128[0]")

    def infer(self, z):
        require_dtype(self.name, z, COMPLEX)
        return z.with_dtype(z.dtype.part)

    def eval(self, z):
        return np.arctan2(z.imag, z.real)

    def decompose(self, b, z):
        return b.atan2(b.imag(z), b.real(z))


@register
class Interleave(Movement):
    """Elements of x and y in turn along the last axis: x[..., 0], y[..., 0], x[..., 1], ... So complex numbers lie in memory."""

    name = "interleave"
    linear_in = ((0, 1),)
    stores_once = True
    samples = ("f64[3], f64[3]", "f64[2, 5], f64[2, 5]", "f64[0], f64[0]", "f64[2, 1], f64[2, 1]", "f64[40], f64[40]")

    def infer(self, x, y):
        require_dtype(self.name, x, ANY)
        require_dtype(self.name, y, ANY)
        same_dtype(self.name, (x, y))
        if x != y or not x.rank:
            raise ShapeError(f"interleave takes two arrays of one shape, not {x} and {y}")
        if not isinstance(x.shape[-1], int):
            raise ShapeError(f"interleave: the last axis of {x} has no size yet", code="RLX0206")
        return x.with_shape((*x.shape[:-1], 2 * x.shape[-1]))

    def eval(self, x, y):
        return np.stack([x, y], -1).reshape(*np.shape(x)[:-1], -1) if np.size(x) else np.empty((*np.shape(x)[:-1], 2 * np.shape(x)[-1]), x.dtype)

    def transpose(self, b, cts, operands):
        return tuple(every_second(b, cts[0], k) if is_linear(x) else None for k, x in enumerate(operands))

    def batch(self, b, x, y, *, batched):
        n = batch_size((x, y), batched)
        x, y = (v if flag else with_batch_axis(b, v, n) for v, flag in zip((x, y), batched, strict=True))
        return b.interleave(x, y)

    def lower(self, e, reads, writes):
        (z,) = writes

        def pair(index):
            first = e.index_mul(index[-1], 2)
            for k, x in enumerate(reads):
                z.store([*index[:-1], e.index_add(first, k)], x(index))

        e.for_each(reads[0].type.shape, pair)

    def fold(self, b, x, y):
        """What lies side by side already; a reshape, which may as well follow."""
        p, q = b.producer(x), b.producer(y)
        if p is None or q is None or p.prim is not q.prim:
            return None
        if stride_of(p) == (0, 2) and stride_of(q) == (1, 2):
            source, other = (_before_reshape(b, op.operands[0]) for op in (p, q))
            return b.reshape(source, shape=self.infer(x.type, y.type).shape) if source is other else None
        if not isinstance(p.prim, Reshape) or p.operands[0].type != q.operands[0].type or p.operands[0].type.rank == 0:
            return None
        return b.reshape(b.interleave(p.operands[0], q.operands[0]), shape=self.infer(x.type, y.type).shape)


def _before_reshape(b, x):
    op = b.producer(x)
    return op.operands[0] if op is not None and isinstance(op.prim, Reshape) else x


def every_second(b, x, first):
    """Elements `first`, `first` + 2, ... along the last axis, which has an even size."""
    shape = x.type.shape
    start = (*(0 for _ in shape[:-1]), min(first, shape[-1]))
    return b.slice(x, start=start, stop=shape, step=(*(1 for _ in shape[:-1]), 2))


def complex_of(dtype: DType) -> DType:
    """The complex dtype whose parts are of `dtype`; raises DTypeError where there is none."""
    found = _PARTS.get(dtype)
    if found is None:
        raise DTypeError(f"there are no complex numbers with parts of {dtype}", help="convert to f32 or f64 first")
    return found
