"""Many elements into one: sum, product, extremes, any and all.

What is empty reduces to the neutral element: 0 for the sum, 1 for the product, false for any, true for all, and for max and min the
lowest and highest number of the dtype (-inf and inf for floats).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from rlxc.errors import DTypeError
from rlxc.ir.attributes import Dense
from rlxc.ir.primitive import Cost, Primitive, Sample, register
from rlxc.ir.types import BOOL, NUMBERS, REALS, Dim, DType, dtype_of
from rlxc.primitives import complex_math
from rlxc.primitives.axes import check_axes, drop_axes
from rlxc.primitives.families import LinearMap, NonDifferentiable, require_dtype
from rlxc.primitives.pad import shifted
from rlxc.primitives.planes import Planes
from rlxc.primitives.shape import Broadcast, inverse
from rlxc.primitives.slice import slice_axis

__all__ = ["ReduceSum", "Reduction", "check_axes", "highest", "in_f32", "lowest"]


def lowest(dtype: DType) -> Any:
    """The lowest number of a dtype: -inf for floats."""
    _require_order(dtype)
    return -np.inf if dtype.is_float else int(np.iinfo(dtype.numpy).min)


def highest(dtype: DType) -> Any:
    """The highest number of a dtype: inf for floats."""
    _require_order(dtype)
    return np.inf if dtype.is_float else int(np.iinfo(dtype.numpy).max)


def _require_order(dtype: DType) -> None:
    if dtype.is_complex:
        raise DTypeError(f"numbers of {dtype} have no order", help="take real, imag or abs first")


def in_f32(x: np.ndarray) -> np.ndarray:
    """A narrow float array as f32, in which its arithmetic happens; others as they are."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind not in "iu" else x


class Reduction(Primitive):
    """Elements over `axes`, which disappear, combined by an associative operation. Narrow floats are combined in f32."""

    reduction = True
    dtypes: ClassVar = REALS
    ufunc: ClassVar[np.ufunc]
    combine: ClassVar[str]  # the operation of the loop level
    idempotent: ClassVar[bool] = False  # combining an element with itself changes nothing
    cost = Cost(flops=1, recompute=False)

    def trace_axes(self, operands, result, ranks, *, axes):
        x = operands[0]
        if x is None:
            known = iter(result)
            x = tuple(-1 if a in axes else next(known) for a in range(ranks[0]))
        return [x], tuple(label for a, label in enumerate(x) if a not in axes)

    def neutral(self, dtype: DType) -> Any:
        """What nothing combines to."""
        raise self.missing("neutral")

    def infer(self, x, *, axes: tuple[int, ...]):
        require_dtype(self.name, x, self.dtypes)
        check_axes(self.name, x, axes)
        return drop_axes(x, axes)

    def eval(self, x, *, axes):
        x = np.asarray(x)
        if any(x.shape[a] == 0 for a in axes):
            kept = [n for a, n in enumerate(x.shape) if a not in axes]
            return np.full(kept, self.neutral(dtype_of(x.dtype)), x.dtype)
        wide = in_f32(x)
        return np.asarray(self.ufunc.reduce(wide, axis=axes, dtype=wide.dtype)).astype(x.dtype)

    def legalize(self, b, x, *, axes):
        if not x.type.dtype.is_narrow:
            return None
        return b.convert(b.apply(self, b.convert(x, dtype="f32"), axes=axes), dtype=x.type.dtype)

    def batch(self, b, x, *, batched, axes):
        return b.apply(self, x, axes=tuple(a + 1 for a in axes))

    def element(self, e, index, x, *, axes):
        return e.reduce(x, index, axes, init=self.neutral(x.type.dtype), combine=getattr(e, self.combine))

    def reuses(self, operand):
        return False

    def axis_breaks(self, rank, types, *, axes):
        return [a for a in range(1, rank) if (a in axes) != (a - 1 in axes)]

    def merge(self, b, x, *, runs, space, result, axes):
        return b.apply(self, x, axes=tuple(i for i, run in enumerate(runs) if run[0] in axes))

    def fold(self, b, x, *, axes):
        """No axes; axes of size 1; axes along which x was broadcast."""
        if not axes:
            return x
        if all(x.type.shape[a] == 1 for a in axes):
            return b.reshape(x, shape=drop_axes(x.type, axes).shape)
        inner = b.producer(x)
        if inner is None or not isinstance(inner.prim, Broadcast):
            return None
        repeated = inner.attrs["axes"]
        gone = [a for a in axes if a in repeated]
        times = math.prod(1 if isinstance(x.type.shape[a], Dim) else x.type.shape[a] for a in gone)
        if not gone or not times or any(isinstance(x.type.shape[a], Dim) for a in gone):
            return None
        smaller = self.repeated(b, inner.operands[0], times)
        if smaller is None:
            return None
        kept = [a for a in range(x.type.rank) if a not in gone]
        again = tuple(kept.index(a) for a in repeated if a not in gone)
        if again:
            smaller = b.broadcast(smaller, shape=tuple(x.type.shape[a] for a in kept), axes=again)
        left = tuple(kept.index(a) for a in axes if a not in gone)
        return b.apply(self, smaller, axes=left) if left else smaller

    def repeated(self, b, x, times):
        """`times` equal elements combined, or None where that is no simpler."""
        return x if self.idempotent else None


_SAMPLES = (
    Sample("f64[2, 3]", axes=(0,)),
    Sample("f64[2, 3, 4]", axes=(0, 2)),
    Sample("f64[2, 0]", axes=(1,)),
    Sample("f64[0, 2]", axes=(1,)),
    Sample("f64[3, 1]", axes=(1, 0)),
    Sample("f64[2]", axes=()),
    Sample("f64[]", axes=()),
)


@register
class ReduceSum(Reduction, LinearMap):
    """Sum over `axes`, which disappear. Where all that is summed is -0.0, the result is a zero of either sign."""

    name = "reduce_sum"
    dtypes = NUMBERS
    ufunc = np.add
    combine = "add"
    samples = _SAMPLES

    def neutral(self, dtype):
        return 0

    def transpose(self, b, cts, operands, *, axes):
        return (b.broadcast(cts[0], shape=operands[0].type.shape, axes=axes),)

    def batch_sum(self, b, x, *, batched, axes):
        return b.reduce_sum(x, axes=(0, *(a + 1 for a in axes)))

    def repeated(self, b, x, times):
        dtype = x.type.dtype
        if dtype.is_narrow:
            return None
        return b.mul(x, float(times) if dtype.differentiable else int(np.array(times).astype(dtype.numpy)))

    def fold(self, b, x, *, axes):
        """As for any reduction, and a sum of equal constants."""
        folded = Reduction.fold(self, b, x, axes=axes)
        value = b.splat_of(x)
        if folded is not None or value is None or not x.type.is_static or x.type.dtype.is_narrow:
            return folded
        result = drop_axes(x.type, axes)
        times = np.array(math.prod(x.type.shape[a] for a in axes)).astype(x.type.dtype.numpy)
        return b.constant(Dense(np.multiply(np.asarray(value), times), result), type=result)


@register
class ReduceProd(Reduction):
    """Product over `axes`, which disappear."""

    name = "reduce_prod"
    dtypes = NUMBERS
    ufunc = np.multiply
    combine = "mul"
    samples = (
        *_SAMPLES,
        Sample(np.array([2.0, 0.0, 3.0]), axes=(0,)),
        Sample(np.array([[2.0, 0.0, 3.0], [0.0, 1.5, 0.0]]), axes=(1,)),
        Sample(np.array([[2.0, 0.0, 3.0], [-1.0, 1.5, 0.5]]), axes=(0, 1)),
    )

    def neutral(self, dtype):
        return 1

    def jvp(self, b, primals, tangents, outs, *, axes):
        """The partial by an element is the product of all others: those before it times those after it, so that zeros do no harm."""
        (x,), (dx,) = primals, tangents
        if not axes:
            return (dx,)
        if 0 in x.type.shape:
            return (None,)
        flat = x if len(axes) == 1 else _axes_last(b, x, axes)
        axis = axes[0] if len(axes) == 1 else flat.type.rank - 1
        before = shifted(b, b.cumprod(flat, axis=axis), axis, fill=1)
        after = shifted(b, b.cumprod(flat, axis=axis, reverse=True), axis, by=-1, fill=1)
        others = b.mul(before, after)
        if len(axes) > 1:
            others = _axes_back(b, others, x.type.shape, axes)
        return (b.reduce_sum(b.mul(dx, others), axes=axes),)

    def planes(self, b, x, *, axes):
        """Elements multiplied in pairs, then the products in pairs, ..."""
        flat = Planes(*(_axes_last(b, part, axes) for part in x))
        while (n := flat.re.type.shape[-1]) > 1:
            last = flat.re.type.rank - 1
            left, right = (Planes(*(slice_axis(b, part, last, at, at + n // 2) for part in flat)) for at in (0, n // 2))
            product = complex_math.mul(b, left, right)
            if n % 2:
                product = Planes(*(b.concat(p, slice_axis(b, part, last, n - 1, n), axis=last) for p, part in zip(product, flat, strict=True)))
            flat = product
        shape = drop_axes(x.re.type, axes).shape
        if n == 0:
            one = b.constant(1.0, type=x.re.type.with_shape(shape))
            return Planes(one, b.zeros(one.type))
        return Planes(*(b.reshape(part, shape=shape) for part in flat))


def _axes_last(b, x, axes):
    """x with `axes` as one last axis."""
    kept = [a for a in range(x.type.rank) if a not in axes]
    x.type.require_static()
    n = math.prod(x.type.shape[a] for a in axes)
    return b.reshape(b.transpose(x, perm=(*kept, *axes)), shape=(*(x.type.shape[a] for a in kept), n))


def _axes_back(b, x, shape, axes):
    """What `_axes_last` did to an array of `shape`, undone."""
    perm = (*[a for a in range(len(shape)) if a not in axes], *axes)
    return b.transpose(b.reshape(x, shape=tuple(shape[p] for p in perm)), perm=inverse(perm))


class Extremum(Reduction):
    """The largest or smallest element; nan wins. The tangent is the mean of those of the elements that attain it."""

    idempotent = True
    samples = (
        *_SAMPLES,
        Sample(np.array([1.0, 3.0, 3.0, -1.0, -1.0]), axes=(0,)),
        Sample(np.array([[1.0, np.inf], [-np.inf, 2.0]]), axes=(1,)),
    )

    def jvp(self, b, primals, tangents, outs, *, axes):
        (x,), (dx,), (y,) = primals, tangents, outs
        if not axes:
            return (dx,)
        if 0 in x.type.shape:
            return (None,)
        attains = b.eq(x, b.broadcast(y, shape=x.type.shape, axes=axes))
        count = b.reduce_sum(b.convert(attains, dtype=x.type.dtype), axes=axes)
        total = b.reduce_sum(b.select(attains, dx, b.zeros(dx.type)), axes=axes)
        return (b.div(total, count),)


@register
class ReduceMax(Extremum):
    """The largest element over `axes`, which disappear; nan if there is one."""

    name = "reduce_max"
    ufunc = np.maximum
    combine = "max"

    def neutral(self, dtype):
        return lowest(dtype)


@register
class ReduceMin(Extremum):
    """The smallest element over `axes`, which disappear; nan if there is one."""

    name = "reduce_min"
    ufunc = np.minimum
    combine = "min"

    def neutral(self, dtype):
        return highest(dtype)


class Logical(Reduction, NonDifferentiable):
    """Of booleans."""

    dtypes = (BOOL,)
    idempotent = True
    samples = (
        Sample("bool[2, 3]", axes=(0,)),
        Sample("bool[2, 3, 2]", axes=(0, 2)),
        Sample("bool[2, 0]", axes=(1,)),
        Sample("bool[]", axes=()),
    )


@register
class ReduceAny(Logical):
    """Whether some element over `axes` is true."""

    name = "reduce_any"
    ufunc = np.logical_or
    combine = "or_"

    def neutral(self, dtype):
        return False


@register
class ReduceAll(Logical):
    """Whether all elements over `axes` are true."""

    name = "reduce_all"
    ufunc = np.logical_and
    combine = "and_"

    def neutral(self, dtype):
        return True
