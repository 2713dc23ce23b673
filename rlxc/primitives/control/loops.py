"""What scan and while have in common at the loop level: memory for what is carried, and steps that read it and write it.

A body that is lowered by itself goes from memory to memory. What it carries is either replaced where it lies, or two buffers take turns;
what it stacks as well is carried in the stack:

    in place      for %t { call @body(%h) }
    in turn       call @body(%init, %a)   for %t step 2 { call @body(%a, %b)   call @body(%b, %a) }
    in the stack  call @body(%init, %ys[0])   for %t { call @body(%ys[t - 1], %ys[t]) }
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product
from typing import Any

from rlxc.ir.emitter import Emitter, Index, Memory
from rlxc.ir.types import TensorType


def copy(source: Any, target: Memory) -> None:
    """Store all elements of `source` in `target`, unless they are there."""
    if not (isinstance(source, Memory) and source.value is target.value):
        e = target.e
        e.for_each(target.type.shape, lambda index: target.store(index, source(index)))  # type: ignore[arg-type]


def part(e: Emitter, memory: Memory, at: Index) -> Memory:
    """What lies at an index along the first axis."""
    return Memory(e, e.part(memory.value, e.as_index(at)))


def elements(type: TensorType) -> list[tuple[int, ...]]:
    """The indices of a small array, in order."""
    return list(product(*map(range, type.shape)))  # type: ignore[arg-type]


class Known:
    """A reader of a small array whose elements are at hand, in order."""

    def __init__(self, e: Emitter, values: Sequence[Any], type: TensorType) -> None:
        self.e = e
        self.values = values
        self.type = type

    def __call__(self, index: Sequence[Index]) -> Any:
        at = self.e.ravel(index, self.type.shape)  # type: ignore[arg-type]
        if isinstance(at, int):
            return self.values[at]
        found = self.values[0]
        for i, value in enumerate(self.values[1:], 1):
            found = self.e.select(self.e.eq(at, i), value, found)
        return found


def known(e: Emitter, values: Sequence[Any], types: Sequence[TensorType]) -> list[Known]:
    """Readers of several small arrays, whose elements follow each other."""
    rest = iter(values)
    return [Known(e, list(islice(rest, t.size)), t) for t in types]  # type: ignore[arg-type]


class At:
    """A reader of what lies at an index along the first axis of what another reads."""

    def __init__(self, read: Any, at: Index) -> None:
        self.read = read
        self.at = at
        self.type = read.type.with_shape(read.type.shape[1:])

    def __call__(self, index: Sequence[Index]) -> Any:
        return self.read([self.at, *index])


class InPlace:
    """A carried value that each step replaces where it lies."""

    turns = 1

    def __init__(self, init: Memory, last: Memory) -> None:
        copy(init, last)
        self.memory = last

    def read(self, step: Index, turn: int) -> Memory:
        return self.memory

    write = read


class InTurn:
    """A carried value that steps read from one buffer and write to another one: such that the last of `length` steps writes to `last`."""

    turns = 2

    def __init__(self, e: Emitter, init: Memory, last: Memory, length: int) -> None:
        self.init = init
        self.last = last
        self.length = length
        self.other = e.alloc(last.type.dtype, last.type.shape) if length > 1 else last  # type: ignore[arg-type]

    def write(self, step: Index, turn: int) -> Memory:
        """`turn` is the number of the step, or one that differs from it by an even number."""
        return self.last if (self.length - 1 - turn) % 2 == 0 else self.other

    def read(self, step: Index, turn: int) -> Memory:
        return self.init if isinstance(step, int) and step == 0 else self.write(step, turn - 1)


class InStack:
    """A carried value that is stacked too: a step finds it where the step before stacked it."""

    turns = 1

    def __init__(self, e: Emitter, init: Memory, stack: Memory, reverse: bool) -> None:
        self.e = e
        self.init = init
        self.stack = stack
        self.reverse = reverse

    def at(self, step: Index) -> Memory:
        return part(self.e, self.stack, place(self.e, step, self.stack.type.shape[0], self.reverse))  # type: ignore[arg-type]

    def write(self, step: Index, turn: int) -> None:
        """It has no place but that in the stack."""

    def read(self, step: Index, turn: int) -> Memory:
        return self.init if isinstance(step, int) and step == 0 else self.at(self.e.index_sub(step, 1))


def place(e: Emitter, step: Index, length: int, reverse: bool) -> Index:
    """The element that a step takes."""
    return e.index_sub(length - 1, step) if reverse else step
