"""Where the extremes are: argmax, argmin."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rlxc.errors import DTypeError, ShapeError
from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import INTEGERS, ORDERED, Dim, DType
from rlxc.primitives.axes import check_axis, drop_axes
from rlxc.primitives.families import NonDifferentiable, require_dtype
from rlxc.primitives.reduce import highest, in_f32, lowest

I32, I64 = DType("i32"), DType("i64")


def check_index_dtype(name, dtype, n) -> None:
    """Raise unless `dtype` is an integer dtype that can count `n` places."""
    if dtype not in INTEGERS:
        raise DTypeError(f"{name}: an index is an integer, not {dtype}", help="dtype = i64 or i32")
    if not isinstance(n, Dim) and n - 1 > np.iinfo(dtype.numpy).max:
        raise DTypeError(f"{name}: {dtype} is too small to index {n} places", help="dtype = i64")


class ArgExtremum(NonDifferentiable):
    """Index along `axis`, which disappears, of the first element that attains the extreme; the first nan, if there is one."""

    dtypes = ORDERED
    cost = Cost(flops=1, recompute=False)
    combine: ClassVar[str]  # the operation of the loop level
    samples = (
        Sample("f64[2, 3]", axis=1),
        Sample("f64[3, 2, 2]", axis=0, dtype=I32),
        Sample("f64[1]", axis=0),
        Sample("f64[0, 2]", axis=1),
        Sample(np.array([1.0, 3.0, 3.0, -1.0, -1.0]), axis=0),
        Sample(np.array([[1.0, np.nan, 3.0, np.nan], [np.nan, 1.0, 2.0, 0.0]]), axis=1),
        Sample(np.array([[-np.inf, -np.inf], [np.inf, np.inf]]), axis=1),
    )

    def infer(self, x, *, axis: int, dtype: DType = I64):
        require_dtype(self.name, x, ORDERED)
        check_axis(self.name, x, axis)
        check_index_dtype(self.name, dtype, x.shape[axis])
        result = drop_axes(x, (axis,)).with_dtype(dtype)
        if x.shape[axis] == 0 and 0 not in result.shape:
            raise ShapeError(f"{self.name}: axis {axis} of {x} is empty, nothing is there to be found")
        return result

    def legalize(self, b, x, *, axis, dtype):
        if x.type.dtype.is_narrow:
            return b.apply(self, b.convert(x, dtype="f32"), axis=axis, dtype=dtype)
        if x.type.dtype.is_bool:
            return b.apply(self, b.convert(x, dtype="u8"), axis=axis, dtype=dtype)
        return None

    def eval(self, x, *, axis, dtype=I64):
        if 0 in x.shape:
            return np.zeros([n for a, n in enumerate(x.shape) if a != axis], dtype.numpy)
        find = np.argmax if self.combine == "max" else np.argmin
        return np.asarray(find(in_f32(x), axis)).astype(dtype.numpy)

    def batch(self, b, x, *, batched, axis, dtype):
        return b.apply(self, x, axis=axis + 1, dtype=dtype)

    def element(self, e, index, x, *, axis, dtype):
        """First the extreme, then the least index at which it is: two plain reductions, which become vector code. If there is a nan, it is the extreme."""
        n, is_float = x.type.shape[axis], x.type.dtype.is_float
        neutral = lowest(x.type.dtype) if self.combine == "max" else highest(x.type.dtype)
        best = e.reduce(x, index, (axis,), init=neutral, combine=getattr(e, self.combine))
        counter = "i32" if n <= 2**31 - 1 else "index"

        def first_that(holds: Any) -> Any:
            none = e.constant(n, dtype=counter)

            def step(k: Any, first: Any) -> Any:
                v = x([*index[:axis], *k, *index[axis:]])
                return e.min(first, e.select(holds(v), e.convert(e.as_index(k[0]), dtype=counter), none))

            (at,) = e.loop((n,), (none,), step)
            return e.convert(at, dtype=dtype)

        at = first_that(lambda v: e.eq(v, best))
        return e.cond(e.ne(best, best), lambda: first_that(lambda v: e.ne(v, v)), lambda: at) if is_float else at

    def reuses(self, operand):
        return True


@register
class Argmax(ArgExtremum):
    """Index of the largest element along `axis`: the first of them, or of the nans."""

    name = "argmax"
    combine = "max"


@register
class Argmin(ArgExtremum):
    """Index of the smallest element along `axis`: the first of them, or of the nans."""

    name = "argmin"
    combine = "min"
