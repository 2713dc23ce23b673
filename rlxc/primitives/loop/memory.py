"""Memory: allocation, views, loads and stores. A vector access touches consecutive elements, or those that offsets name."""

from __future__ import annotations

import numpy as np

from rlxc.errors import DTypeError, ShapeError
from rlxc.ir.attributes import Dense
from rlxc.ir.primitive import register
from rlxc.ir.types import ALIGNMENT, INDEX, MemType, VectorType
from rlxc.primitives.loop.base import LoopPrimitive, require_vector


def _require_memory(name, memory, index) -> None:
    if not isinstance(memory, MemType):
        raise DTypeError(f"{name} takes memory, not {memory}")
    if len(index) != len(memory.shape):
        raise ShapeError(f"{name}: {memory} takes {len(memory.shape)} indices, not {len(index)}")
    for i in index:
        if i is not INDEX and i != INDEX:
            raise DTypeError(f"{name}: an index is of type index, not {i}")


def _require_lanes(name, value, other) -> None:
    if not isinstance(other, VectorType) or other.lanes != value.lanes:
        raise DTypeError(f"{name}: {value} and {other} differ in lanes")


def flat_offset(memory: np.ndarray, index) -> int:
    """Position of an element in row-major order."""
    return int(np.ravel_multi_index(tuple(int(i) for i in index), memory.shape)) if memory.ndim else 0


def _in_bounds(memory: np.ndarray, index) -> tuple[int, ...]:
    """`index`, checked: NumPy would count a negative one from the end, where native code reads what lies before the memory."""
    assert all(0 <= i < n for i, n in zip(index, memory.shape, strict=True)), f"index {list(map(int, index))} out of bounds of {list(memory.shape)}"
    return tuple(index)


@register
class Alloc(LoopPrimitive):
    """Memory of the kernel's own, not initialized: the same in every iteration of a loop; inside `for {parallel = true}`, one for each thread."""

    name = "alloc"
    cycles = 0.0
    tabular = True
    typed = True
    pure = False
    has_effect = False
    allocates = True
    widens = False

    def infer(self, *, type: MemType):
        return type

    def eval(self, *, type):
        return np.zeros(type.shape, type.dtype.numpy)

    def llvm(self, w, type):
        return w.allocate(type)


@register
class Global(LoopPrimitive):
    """Read-only memory with a constant in it."""

    name = "global"
    cycles = 0.0
    tabular = True
    inline_attr = "value"
    typed = True

    def infer(self, *, value: Dense, type: MemType):
        if value.type != type.tensor:
            raise ShapeError(f"global: {value.type} is not {type}")
        return type

    def eval(self, *, value, type):
        return np.ascontiguousarray(value.numpy())

    def llvm(self, w, type, *, value):
        return w.global_data(value)


@register
class Slot(LoopPrimitive):
    """A part of a block of bytes, as memory of its own type."""

    name = "slot"
    tabular = True
    typed = True
    pure = False  # of two slots at one place, each has its own life

    def infer(self, block, *, offset: int, type: MemType):
        if not isinstance(block, MemType) or block.dtype != "u8" or len(block.shape) != 1:
            raise DTypeError(f"slot takes a block of bytes, mem u8[n], not {block}")
        if offset < 0 or offset % ALIGNMENT or offset + type.nbytes > block.size:
            raise ShapeError(f"slot: {type} does not fit into {block} at {offset}, or not at a multiple of {ALIGNMENT}")
        return type

    def eval(self, block, *, offset, type):
        return block[offset : offset + type.nbytes].view(type.dtype.numpy).reshape(type.shape)

    def llvm(self, w, type, block, *, offset):
        return w.part_of(block, offset)


@register
class View(LoopPrimitive):
    """The same memory under another shape."""

    name = "view"
    cycles = 0.0
    tabular = True

    def infer(self, memory, *, shape: tuple[int, ...]):
        if not isinstance(memory, MemType):
            raise DTypeError(f"view takes memory, not {memory}")
        result = MemType(memory.dtype, shape)
        if result.size != memory.size or any(n < 0 for n in shape):
            raise ShapeError(f"view: {memory} has {memory.size} elements, {result} has {result.size}")
        return result

    def eval(self, memory, *, shape):
        view = memory.reshape(shape)
        assert view.size == 0 or np.shares_memory(view, memory)
        return view

    def llvm(self, w, type, memory, *, shape):
        return memory.text


@register
class Load(LoopPrimitive):
    """The element at an index; with `lanes`, that many consecutive ones."""

    name = "load"
    cycles = 2.0  # they are seldom near
    pure = False
    access = True
    indexed = True

    def parts(self, operands):
        """Memory, what is stored (nothing), and the index."""
        return operands[0], None, operands[1:]

    def infer(self, memory, *index, lanes: int = 1):
        _require_memory(self.name, memory, index)
        return VectorType(memory.dtype, lanes)

    def eval(self, memory, *index, lanes):
        if lanes == 1:
            return memory[_in_bounds(memory, index)]
        start = flat_offset(memory, index)
        assert 0 <= start <= memory.size - lanes, "load out of bounds"
        return memory.reshape(-1)[start : start + lanes].copy()

    def llvm(self, w, type, memory, *index, lanes):
        return w.load(type, w.address(memory, index))


@register
class Store(LoopPrimitive):
    """Put a scalar at an index, or a vector at consecutive places from there."""

    name = "store"
    cycles = 4.0
    pure = False
    access = True
    indexed = True
    has_effect = True

    def parts(self, operands):
        """Memory, what is stored, and the index."""
        return operands[0], operands[1], operands[2:]

    def infer(self, memory, value, *index):
        _require_memory(self.name, memory, index)
        require_vector(self.name, value)
        if value.dtype != memory.dtype:
            raise DTypeError(f"store: {value} into {memory}")
        return ()

    def eval(self, memory, value, *index):
        if np.ndim(value) == 0:
            memory[_in_bounds(memory, index)] = value
            return ()
        start = flat_offset(memory, index)
        assert 0 <= start <= memory.size - len(value), "store out of bounds"
        memory.reshape(-1)[start : start + len(value)] = value
        return ()

    def llvm(self, w, type, memory, value, *index):
        w.store(value, w.address(memory, index))


@register
class Prefetch(LoopPrimitive):
    """Ask for memory to be brought near: `lanes` elements from an index on, which may lie outside."""

    name = "prefetch"
    pure = False
    has_effect = True
    access = True
    hint = True

    def parts(self, operands):
        """Memory, what is stored (nothing), and the index."""
        return operands[0], None, operands[1:]

    def infer(self, memory, *index, lanes: int = 1):
        _require_memory(self.name, memory, index)
        return ()

    def eval(self, memory, *index, lanes):
        return ()

    def llvm(self, w, type, memory, *index, lanes):
        w.prefetch(w.address(memory, index), lanes * memory.type.dtype.size)


@register
class MaskedLoad(LoopPrimitive):
    """Consecutive elements, in the lanes where the mask holds; 0 in the others, which are not touched."""

    name = "masked_load"
    cycles = 2.0
    pure = False
    indexed = True

    def parts(self, operands):
        return operands[0], None, operands[2:]

    def mask(self, operands):
        return operands[1]

    def infer(self, memory, mask, *index):
        _require_memory(self.name, memory, index)
        require_vector(self.name, mask, "b")
        return VectorType(memory.dtype, mask.lanes)

    def eval(self, memory, mask, *index):
        flat, start = memory.reshape(-1), flat_offset(memory, index)
        result = np.zeros(len(mask), memory.dtype)
        lanes = np.flatnonzero(mask)
        result[lanes] = flat[start + lanes]
        return result

    def llvm(self, w, type, memory, mask, *index):
        return w.masked_load(type, w.address(memory, index), mask)


@register
class MaskedStore(LoopPrimitive):
    """Put the lanes where the mask holds at consecutive places."""

    name = "masked_store"
    cycles = 4.0
    pure = False
    indexed = True
    has_effect = True

    def parts(self, operands):
        return operands[0], operands[1], operands[3:]

    def mask(self, operands):
        return operands[2]

    def infer(self, memory, value, mask, *index):
        _require_memory(self.name, memory, index)
        require_vector(self.name, mask, "b")
        _require_lanes(self.name, value, mask)
        if value.dtype != memory.dtype:
            raise DTypeError(f"masked_store: {value} into {memory}")
        return ()

    def eval(self, memory, value, mask, *index):
        lanes = np.flatnonzero(mask)
        memory.reshape(-1)[flat_offset(memory, index) + lanes] = value[lanes]
        return ()

    def llvm(self, w, type, memory, value, mask, *index):
        w.masked_store(value, w.address(memory, index), mask)


@register
class Gather(LoopPrimitive):
    """The elements at `offsets` in row-major order; with a mask, 0 where it does not hold."""

    name = "gather"
    cycles = 16.0
    pure = False

    def infer(self, memory, offsets, mask=None):
        if not isinstance(memory, MemType):
            raise DTypeError(f"gather takes memory, not {memory}")
        require_vector(self.name, offsets, "iu")
        if mask is not None:
            _require_lanes(self.name, offsets, mask)
        return VectorType(memory.dtype, offsets.lanes)

    def eval(self, memory, offsets, mask=None):
        lanes = np.arange(len(offsets)) if mask is None else np.flatnonzero(mask)
        result = np.zeros(len(offsets), memory.dtype)
        assert lanes.size == 0 or offsets[lanes].min() >= 0
        result[lanes] = memory.reshape(-1)[offsets[lanes]]
        return result

    def llvm(self, w, type, memory, offsets, mask=None):
        return w.gather(type, memory, offsets, mask)


@register
class Scatter(LoopPrimitive):
    """Put each lane at its offset in row-major order, lower lanes first."""

    name = "scatter"
    cycles = 16.0
    pure = False
    has_effect = True

    def infer(self, memory, value, offsets, mask=None):
        if not isinstance(memory, MemType) or not isinstance(value, VectorType) or value.dtype != memory.dtype:
            raise DTypeError(f"scatter: {value} into {memory}")
        require_vector(self.name, offsets, "iu")
        _require_lanes(self.name, value, offsets)
        if mask is not None:
            _require_lanes(self.name, value, mask)
        return ()

    def eval(self, memory, value, offsets, mask=None):
        lanes = range(len(offsets)) if mask is None else np.flatnonzero(mask)
        flat = memory.reshape(-1)
        for lane in lanes:
            assert offsets[lane] >= 0
            flat[offsets[lane]] = value[lane]
        return ()

    def llvm(self, w, type, memory, value, offsets, mask=None):
        w.scatter(value, memory, offsets, mask)
