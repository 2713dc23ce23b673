"""How much memory a compiled function needs, and for what: arguments, results, buffers between kernels, scratch memory in kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlxc.codegen.workspace import workspaces
from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.printer import value_names
from rlxc.passes.memory.lifetimes import lifetimes
from rlxc.passes.memory.placement import most_at_once

LISTED = 20  # buffers in the text of an analysis


@dataclass(frozen=True, slots=True)
class BufferUse:
    """A buffer between kernels: its place in the arena, and the calls of kernels in which it is used, by number."""

    name: str
    bytes: int
    offset: int
    first: int
    last: int
    kernel: str  # that writes to it first


@dataclass(frozen=True, slots=True)
class MemoryAnalysis:
    """Bytes that a call of a function needs. `arena` is for all buffers, `scratch` for the kernel that needs most; results are the caller's."""

    function: str
    arguments: int
    results: int
    arena: int
    scratch: int
    calls: int
    buffers: tuple[BufferUse, ...]

    @property
    def workspace(self) -> int:
        """What is allocated beside arguments and results, and kept for the next call."""
        return self.arena + self.scratch

    @property
    def live(self) -> int:
        """The most bytes of buffers that are needed at once: no arena can be smaller."""
        return most_at_once([b.bytes for b in self.buffers], [b.first for b in self.buffers], [b.last for b in self.buffers])

    def __str__(self) -> str:
        apart = sum(b.bytes for b in self.buffers)
        lines = [
            f"memory of @{self.function}",
            f"  arguments {_size(self.arguments)}",
            f"  results   {_size(self.results)}",
            f"  arena     {_size(self.arena)}   for {len(self.buffers)} buffers between {self.calls} calls: "
            f"{_size(apart).strip()} one by one, {_size(self.live).strip()} live at once",
            f"  scratch   {_size(self.scratch)}   in the kernel that needs most",
        ]
        largest = sorted(self.buffers, key=lambda b: (-b.bytes, b.first))
        if largest:
            width = max(len(b.name) for b in largest[:LISTED])
            lines.append(f"  {'buffer':{max(width, 6)}}        bytes       offset       calls  made by")
        for b in largest[:LISTED]:
            lines.append(f"  {b.name:{max(width, 6)}} {b.bytes:12} {b.offset:12} {f'{b.first}-{b.last}':>11}  @{b.kernel}")
        if len(largest) > LISTED:
            lines.append(f"  and {len(largest) - LISTED} smaller ones")
        return "\n".join(lines)


def memory_analysis(kernels: Module, name: str, arguments: int, threads: int = 1) -> MemoryAnalysis:
    """What kernel `name` of a planned module needs; the first `arguments` of what it takes are arguments, the others results."""
    main = kernels[name]
    need = workspaces(kernels.funcs, threads)[name]
    sizes = [a.type.nbytes for a in main.args]
    return MemoryAnalysis(
        name,
        sum(sizes[:arguments]),
        sum(sizes[arguments:]),
        need.own,
        need.total - need.own,
        sum(callee_of(op) is not None for op in main.ops),
        tuple(_buffers(main)),
    )


def _buffers(main: Func) -> list[BufferUse]:
    """The buffers of a kernel that calls others, in the order of their first uses."""
    offset = _offsets(main.ops)
    calls = {position: number for number, position in enumerate(i for i, op in enumerate(main.ops) if callee_of(op) is not None)}
    names = value_names(main)
    found = []
    for v, life in lifetimes(main.ops, offset).items():
        used = [position for position in (life.first, life.last) if position in calls]
        if used:
            kernel = callee_of(main.ops[used[0]]) or ""
            found.append(BufferUse(names[v], v.type.nbytes, offset[v], calls[used[0]], calls[used[-1]], kernel))
    return found


def _offsets(ops: Sequence[Op]) -> dict[Value, int]:
    """Places of slots, and of allocations that are not divided into slots."""
    offset: dict[Value, int] = {}
    end = 0
    for op in ops:
        if getattr(op.prim, "allocates", False):
            offset[op.result] = end
            end += op.result.type.room
        elif op.operands and "offset" in op.attrs:
            offset[op.result] = op.attrs["offset"]
            offset.pop(op.operands[0], None)
    return offset


def _size(n: int) -> str:
    """A number of bytes, in six places and a unit."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if n >= scale:
            return f"{n / scale:8.2f} {unit}"
    return f"{n:8} B "
