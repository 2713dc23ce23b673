"""Many elements into one: sums and their kin."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError
from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import REALS
from rlxc.primitives.families import LinearMap, require_dtype
from rlxc.primitives.shape import drop_axes


def check_axes(name, x, axes) -> None:
    """Raise unless `axes` are distinct axes of `x`, counted from the front."""
    if any(not 0 <= a < x.rank for a in axes) or len(set(axes)) != len(axes):
        raise AttrError(f"{name}: axes {list(axes)} are not distinct axes of {x}", help=f"axes count from 0 to {x.rank - 1}" if x.rank else "it has none")


@register
class ReduceSum(LinearMap):
    """Sum over `axes`, which disappear."""

    name = "reduce_sum"
    dtypes = REALS
    cost = Cost(flops=1, recompute=False)
    combine = "add"

    def neutral(self, dtype):
        return 0

    def axis_breaks(self, rank, types, *, axes):
        return [min(axes)] if axes else []

    def merge(self, b, x, *, runs, shape, result, axes):
        return b.apply(self, x, axes=tuple(i for i, run in enumerate(runs) if run[0] in axes))

    samples = (Sample("f64[2, 3]", axes=(0,)), Sample("f64[2, 3, 4]", axes=(0, 2)), Sample("f64[2, 0]", axes=(1,)), Sample("f64[]", axes=()))

    def infer(self, x, *, axes: tuple[int, ...]):
        require_dtype(self.name, x, REALS)
        check_axes(self.name, x, axes)
        return drop_axes(x, axes)

    def eval(self, x, *, axes):
        return np.sum(x, axis=axes, dtype=x.dtype)

    def legalize(self, b, x, *, axes):
        if not x.type.dtype.is_narrow:
            return None
        return b.convert(b.reduce_sum(b.convert(x, dtype="f32"), axes=axes), dtype=x.type.dtype)

    def transpose(self, b, cts, operands, *, axes):
        return (b.broadcast(cts[0], shape=operands[0].type.shape, axes=axes),)

    def batch(self, b, x, *, batched, axes):
        return b.reduce_sum(x, axes=tuple(a + 1 for a in axes))

    def element(self, e, index, x, *, axes):
        return e.reduce(x, index, axes, init=0, combine=e.add)
