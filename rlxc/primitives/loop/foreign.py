"""Calls of C functions, and the parts of memory that they are given."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError, DTypeError, ShapeError
from rlxc.ir.foreign import find_foreign, read_prototype
from rlxc.ir.primitive import register
from rlxc.ir.types import INDEX, DType, MemType, VectorType
from rlxc.primitives.loop.base import LoopPrimitive


@register
class ForeignCall(LoopPrimitive):
    """Call a C function, whose prototype is `function`: `%r = foreign %x, %n {function = "f64 norm2(ptr, i64)"} : f64`.

    Memory is passed as its address, numbers as they are. The function may read and store in all memory that it is given. Its address is
    found when code is loaded. `steps` is about how many scalar operations a call takes.
    """

    name = "foreign"
    pure = False
    has_effect = True
    widens = False
    cycles = 100.0

    def infer(self, *operands, function: str, steps: int = 0):
        prototype = read_prototype(function)
        prototype.check(operands)
        if steps < 0:
            raise AttrError(f"foreign: steps are not negative: {steps}")
        return VectorType(DType(prototype.returns)) if prototype.returns else ()

    def eval(self, *operands, function, steps):
        """Through ctypes; a result is a NumPy scalar."""
        found = find_foreign(function)
        call = found.prototype.ctypes(found.address)
        passed = [_address(x) if kind == "ptr" else x.item() for x, kind in zip(operands, found.prototype.takes, strict=True)]
        result = call(*passed)
        returns = found.prototype.returns
        return DType(returns).numpy.type(result) if returns else ()

    def llvm(self, w, type, *operands, function, steps):
        return w.call_foreign(read_prototype(function), type, operands)


def _address(memory: np.ndarray) -> int:
    assert memory.flags.c_contiguous, "memory that a C function is given is contiguous"
    return memory.ctypes.data


@register
class Part(LoopPrimitive):
    """The memory at an index along the first axes, as memory of the others: of `mem f64[8, 3, 3]` at one index, `mem f64[3, 3]`."""

    name = "part"
    cycles = 0.0
    pure = False
    widens = False

    def infer(self, memory, *index):
        if not isinstance(memory, MemType):
            raise DTypeError(f"part takes memory, not {memory}")
        if len(index) > len(memory.shape):
            raise ShapeError(f"part: {memory} has fewer axes than there are indices: {len(index)}")
        if any(i != INDEX for i in index):
            raise DTypeError("part: an index is of type index")
        return MemType(memory.dtype, memory.shape[len(index) :])

    def eval(self, memory, *index):
        assert all(0 <= i < n for i, n in zip(index, memory.shape, strict=False)), "part out of bounds"
        return memory[(*index, ...)]

    def llvm(self, w, type, memory, *index):
        return w.part_at(memory, index)
