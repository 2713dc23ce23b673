"""A blocked op as loops around its region: blocks of the operands are copied to scratch memory, the region is computed, results are put in place.

for batch axes          parallel        operands that do not go along rows are copied here, and what depends on them alone is done: some are packed
  for other axes
    for blocks of rows                  the others are copied here; then the ops of the region, one after another
    the rows that are left              the same once more, in the second region

Axes over which a result is summed are never batch axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from rlxc.ir.builder import make_op
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.emitter import Emitter, Index, Memory
from rlxc.ir.primitive import lookup
from rlxc.ir.types import MemType
from rlxc.passes.lower.in_place import results_in_place, sources

MIN_PARALLEL = 2  # batches from which on they are shared by threads

Prepared = dict[int, Any]
LowerOp = Callable[[Emitter, Op, Sequence[Memory], Sequence[Memory], Prepared], None]
PrepareOp = Callable[[Emitter, Op, Sequence[Memory], Sequence[Memory], Collection[int]], Prepared]


def lower_blocks(e: Emitter, op: Op, reads: Sequence[Any], writes: Sequence[Any], lower_one: LowerOp, prepare_one: PrepareOp) -> None:
    """Emit the loops of a blocked op; `lower_one` lowers an op of a region, `prepare_one` does what can be done ahead of that."""
    _Blocks(e, op, reads, writes, lower_one, prepare_one).run()


class _Blocks:
    def __init__(self, e: Emitter, op: Op, reads: Sequence[Any], writes: Sequence[Any], lower_one: LowerOp, prepare_one: PrepareOp) -> None:
        self.e = e
        self.op = op
        self.reads = reads
        self.writes = writes
        self.lower_one = lower_one
        self.prepare_one = prepare_one
        self.sizes, self.blocks = op.attrs["sizes"], op.attrs["blocks"]
        rows = len(self.sizes) - 1
        self.first_row = min([rows, *(d for axes in op.attrs["gives"] for d in range(rows) if d not in axes)])
        self.rows = frozenset(range(self.first_row, rows + 1))

    def run(self) -> None:
        e = self.e
        counts = [n // b for n, b in zip(self.sizes, self.blocks, strict=True)][: self.first_row]
        total = math.prod(counts)

        def batch(flat: Index) -> None:
            self.batch(self.starts(e.unravel(flat, counts), 0))

        if total == 1:
            batch(0)
        else:
            e.for_(0, total, batch, parallel=total >= MIN_PARALLEL)

    def batch(self, at: list[Index]) -> None:
        """All rows of one place along the batch axes."""
        e = self.e
        left = self.sizes[-1] % self.blocks[-1]
        counts = [n // b for n, b in zip(self.sizes, self.blocks, strict=True)][self.first_row :]
        several = math.prod(counts) > 1 or left > 0
        shared = {i: self.copy_in(i, axes, at) for i, axes in enumerate(self.op.attrs["takes"]) if self.rows.isdisjoint(axes)}
        if several:
            for out, v, axes in self.summed():
                e.for_each(v.type.shape, partial(self.clear, out, axes, at))
        block = _Block(self, self.op.regions[0], shared, several)
        e.for_each(counts, lambda index: block.run([*at, *self.starts(index, self.first_row)]))
        if left:
            rest, end = _Block(self, self.op.regions[1], shared, several), self.sizes[-1] - left
            e.for_each(counts[:-1], lambda index: rest.run([*at, *self.starts(index, self.first_row), end]))

    def starts(self, index: Sequence[Index], first: int) -> list[Index]:
        """Where the block at `index` of the axes from `first` on begins."""
        return [self.e.index_mul(i, b) for i, b in zip(index, self.blocks[first:], strict=False)]

    def summed(self) -> list[tuple[Any, Value, Sequence[int]]]:
        """Results that are summed over rows."""
        whole = zip(self.writes, self.op.regions[0].results, self.op.attrs["gives"], strict=True)
        return [(out, v, axes) for out, v, axes in whole if self.rows.isdisjoint(axes)]

    def place(self, index: Sequence[Index], axes: Sequence[int], at: Sequence[Index]) -> list[Index]:
        """Where an element of a block lies in the whole."""
        return [i if a < 0 else self.e.index_add(i, at[a]) for i, a in zip(index, axes, strict=True)]

    def clear(self, out: Any, axes: Sequence[int], at: Sequence[Index], i: list[Index]) -> None:
        out.store(self.place(i, axes, at), 0)

    def copy_in(self, i: int, axes: Sequence[int], at: Sequence[Index], scratch: Memory | None = None) -> Memory:
        """The block of operand number `i`, in scratch memory."""
        e, read = self.e, self.reads[i]
        arg = self.op.regions[0].args[i]
        scratch = scratch or e.alloc(arg.type.dtype, arg.type.shape)

        def copy(index: list[Index]) -> None:
            scratch.store(index, read(self.place(index, axes, at)))

        e.for_each(scratch.type.shape, copy)  # type: ignore[arg-type]
        return scratch


class _Block:
    """A block of rows, for any place: its memory, and what is the same for all of them."""

    def __init__(self, blocks: _Blocks, region: Func, shared: dict[int, Memory], add: bool) -> None:
        self.blocks = blocks
        self.e = blocks.e
        self.region = region
        self.add = add
        self.fixed = {region.args[i] for i in shared}
        for op in region.ops:
            if self.fixed.issuperset(op.operands):
                self.fixed.update(op.results)
        self.in_place = self.find_in_place()
        self.memory: dict[Value, Memory] = {region.args[i]: memory for i, memory in shared.items()}
        for arg in region.args:
            if arg not in self.memory:
                self.memory[arg] = self.e.alloc(arg.type.dtype, arg.type.shape)
        for op in region.ops:
            self.give_memory(op)
        self.prepared = {op: self.ahead(op) for op in region.ops}

    def find_in_place(self) -> dict[Op, dict[int, int]]:
        """Results that take the memory of an operand, but for one that later blocks need."""
        source = sources(self.region)
        found = results_in_place(self.region, ())
        return {op: {i: j for i, j in taken.items() if source[op.operands[j]] not in self.fixed} for op, taken in found.items()}

    def give_memory(self, op: Op) -> None:
        e = self.e
        if op.prim.view:
            self.memory[op.result] = Memory(e, e.view(self.memory[op.operands[0]].value, shape=op.result.type.shape))
        elif not op.operands and op.prim.inline_attr:
            value = op.attrs[op.prim.inline_attr]
            self.memory[op.result] = Memory(e, e.global_(value=value, type=MemType(op.result.type.dtype, op.result.type.shape)))
        else:
            taken = self.in_place.get(op, {})
            for i, v in enumerate(op.results):
                self.memory[v] = self.memory[op.operands[taken[i]]] if i in taken else e.alloc(v.type.dtype, v.type.shape)

    def ahead(self, op: Op) -> Prepared:
        """What is done once for all blocks: the op itself, if nothing in it changes, or a part of it."""
        fixed = {i for i, v in enumerate(op.operands) if v in self.fixed}
        if self.has_no_loops(op):
            return {}
        if self.fixed.issuperset(op.results):
            self.lower(op, {})
            return {}
        return self.blocks.prepare_one(self.e, op, self.reads(op), self.results(op), fixed) if fixed else {}

    def has_no_loops(self, op: Op) -> bool:
        return op.prim.view or (not op.operands and bool(op.prim.inline_attr))

    def run(self, at: list[Index]) -> None:
        """The block at one place."""
        for i, (arg, axes) in enumerate(zip(self.region.args, self.blocks.op.attrs["takes"], strict=True)):
            if arg not in self.fixed:
                self.blocks.copy_in(i, axes, at, self.memory[arg])
        for op in self.region.ops:
            if not self.has_no_loops(op) and not self.fixed.issuperset(op.results):
                self.lower(op, self.prepared[op])
        self.copy_out(at)

    def copy_out(self, at: Sequence[Index]) -> None:
        """Results to their places; those that are summed over rows may be added to what is there."""
        e, blocks = self.e, self.blocks

        def put(out: Any, axes: Sequence[int], block: Memory, i: list[Index]) -> None:
            to = blocks.place(i, axes, at)
            value = block(i)
            out.store(to, e.add(out(to), value) if self.add and blocks.rows.isdisjoint(axes) else value)

        for v, out, axes in zip(self.region.results, blocks.writes, blocks.op.attrs["gives"], strict=True):
            e.for_each(v.type.shape, partial(put, out, axes, self.memory[v]))

    def lower(self, op: Op, prepared: Prepared) -> None:
        """One op of the region, in scratch memory."""
        self.blocks.lower_one(self.e, op, self.reads(op), self.results(op), prepared)

    def reads(self, op: Op) -> list[Memory]:
        taken = self.in_place.get(op, {}).values()
        return [self.memory[v] if j in taken else self.unchanging(self.memory[v]) for j, v in enumerate(op.operands)]

    def results(self, op: Op) -> list[Memory]:
        return [self.memory[v] for v in op.results]

    def unchanging(self, memory: Memory) -> Memory:
        """Memory that nothing writes to while one op is computed: a name for it that is known from here on, and as such read-only."""
        view = self.e.keep(make_op(lookup("view", "loop"), (memory.value,), {"shape": memory.type.shape}, loc=self.e.loc)).result
        self.e.read_only.add(view)
        return Memory(self.e, view)
