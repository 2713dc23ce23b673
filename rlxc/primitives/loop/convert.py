"""The same number, or the same bits, in another dtype."""

from __future__ import annotations

import numpy as np

from rlxc.errors import DTypeError
from rlxc.ir.primitive import register
from rlxc.ir.types import DType
from rlxc.primitives import numerics
from rlxc.primitives.loop.base import LoopPrimitive, require_vector


@register
class Convert(LoopPrimitive):
    """Another dtype: to floats rounded to nearest; from floats to integers truncated and saturated, nan gives 0; to bool, whether not zero."""

    name = "convert"

    def infer(self, x, *, dtype: DType, checked: bool = True):
        require_vector(self.name, x)
        return x.with_dtype(dtype)

    def eval(self, x, *, dtype, checked):
        return numerics.convert(x, dtype)

    def affine(self, steps, constants):
        return steps[0]

    def llvm(self, w, type, x, *, dtype, checked):
        return w.convert(x, type, checked=checked)


@register
class Bitcast(LoopPrimitive):
    """The same bits as another dtype of the same width."""

    name = "bitcast"

    def infer(self, x, *, dtype: DType):
        require_vector(self.name, x)
        if x.dtype.bits != dtype.bits or x.dtype.is_bool != dtype.is_bool:
            raise DTypeError(f"bitcast: {x.dtype} and {dtype} differ in width")
        return x.with_dtype(dtype)

    def eval(self, x, *, dtype):
        return np.asarray(x).view(dtype.numpy)[()]

    def llvm(self, w, type, x, *, dtype):
        if w.type(type) == w.type(x.type):
            return x.text
        return w.inst(f"bitcast {w.type(x.type)} {x.text} to {w.type(type)}")
