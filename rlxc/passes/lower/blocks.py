"""A blocked op as loops around its region: blocks of the operands are copied to scratch memory, the region is computed, results are put in place.

for batch axes          parallel        operands that do not go along rows are copied here, and what depends on them alone is done: some are packed
  for other axes
    for blocks of rows                  the others are copied here; then the ops of the region, one after another
    the rows that are left              the same once more, in the second region

Axes over which a result is summed are never batch axes. What is packed, then or as an op is computed, is read where it lies, and not copied before.
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
from rlxc.primitives.fused import anchor_of

MIN_PARALLEL = 2  # batches from which on they are shared by threads

Prepared = dict[int, Any]
LowerOp = Callable[[Emitter, Op, Sequence[Any], Sequence[Memory], Prepared], None]
PrepareOp = Callable[[Emitter, Op, Sequence[Any], Sequence[Memory], Collection[int]], Prepared]


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
        shared = _Shared(self, at)
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

    def copy_in(self, source: _Placed, scratch: Memory | None = None) -> Memory:
        """A block of an operand, in scratch memory."""
        e, type_ = self.e, source.type
        scratch = scratch or e.alloc(type_.dtype, type_.shape)
        e.for_each(type_.shape, lambda index: scratch.store(index, source(index)))
        return scratch


class _Placed:
    """A reader of the block of an operand at one place."""

    def __init__(self, blocks: _Blocks, number: int, type: Any, at: Sequence[Index]) -> None:
        self.blocks = blocks
        self.read = blocks.reads[number]
        self.axes = blocks.op.attrs["takes"][number]
        self.type = type
        self.at = at

    def __call__(self, index: Sequence[Index]) -> Value:
        return self.read(self.blocks.place(index, self.axes, self.at))


class _Shared:
    """Operands that do not go along rows, at one place of the batch axes; copies of them are made once."""

    def __init__(self, blocks: _Blocks, at: Sequence[Index]) -> None:
        self.blocks = blocks
        args = enumerate(zip(blocks.op.regions[0].args, blocks.op.attrs["takes"], strict=True))
        self.sources = {i: _Placed(blocks, i, arg.type, at) for i, (arg, axes) in args if blocks.rows.isdisjoint(axes)}
        self.copies: dict[int, Memory] = {}

    def copy(self, i: int) -> Memory:
        if i not in self.copies:
            self.copies[i] = self.blocks.copy_in(self.sources[i])
        return self.copies[i]


class _Block:
    """A block of rows, for any place: its memory, and what is the same for all of them."""

    def __init__(self, blocks: _Blocks, region: Func, shared: _Shared, add: bool) -> None:
        self.blocks = blocks
        self.e = blocks.e
        self.region = region
        self.shared = shared
        self.add = add
        self.number = {arg: i for i, arg in enumerate(region.args)}
        self.fixed = {region.args[i] for i in shared.sources}
        for op in region.ops:
            if self.fixed.issuperset(op.operands):
                self.fixed.update(op.results)
        self.in_place = self.find_in_place()
        self.memory: dict[Value, Memory] = {}
        self.placed: dict[Value, _Placed] = {region.args[i]: source for i, source in shared.sources.items()}  # operands that are not copied
        self.packed = self.find_packed()
        for arg in region.args:
            if arg not in self.fixed and arg not in self.packed:
                self.memory[arg] = self.e.alloc(arg.type.dtype, arg.type.shape)
        for op in region.ops:
            self.give_memory(op)
        self.prepared = {op: self.ahead(op) for op in region.ops}
        for arg in self.fixed.intersection(region.results).intersection(region.args):
            self.fetch(arg)

    def find_packed(self) -> set[Value]:
        """Arguments that go along rows, and that nothing reads but ops that pack them."""
        found = set(self.region.args) - self.fixed - set(self.region.results)
        for op in self.region.ops:
            found.difference_update(v for j, v in enumerate(op.operands) if not packs(op, j))
        return found

    def fetch(self, v: Value) -> None:
        """Have memory for a value that is the same for all blocks."""
        if v not in self.memory:
            self.memory[v] = self.shared.copy(self.number[v])

    def find_in_place(self) -> dict[Op, dict[int, int]]:
        """Results that take the memory of an operand, but for one that later blocks need."""
        source = sources(self.region)
        found = results_in_place(self.region, ())
        return {op: {i: j for i, j in taken.items() if source[op.operands[j]] not in self.fixed} for op, taken in found.items()}

    def give_memory(self, op: Op) -> None:
        e = self.e
        if op.prim.view:
            if op.operands[0] in self.fixed:
                self.fetch(op.operands[0])
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
            for v in op.operands:
                self.fetch(v)
            self.lower(op, {})
            return {}
        prepared = self.blocks.prepare_one(self.e, op, self.reads(op), self.results(op), fixed) if fixed else {}
        for j in fixed & positions_read(op, prepared):
            self.fetch(op.operands[j])
        return prepared

    def has_no_loops(self, op: Op) -> bool:
        return op.prim.view or (not op.operands and bool(op.prim.inline_attr))

    def run(self, at: list[Index]) -> None:
        """The block at one place."""
        for i, arg in enumerate(self.region.args):
            if arg in self.fixed:
                continue
            self.placed[arg] = _Placed(self.blocks, i, arg.type, at)
            if arg not in self.packed:
                self.blocks.copy_in(self.placed[arg], self.memory[arg])
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

    def reads(self, op: Op) -> list[Any]:
        """Readers of the operands: memory, or operands of the whole where they lie."""
        taken = self.in_place.get(op, {}).values()
        return [self.reader(v, j in taken) for j, v in enumerate(op.operands)]

    def reader(self, v: Value, changes: bool) -> Any:
        if v in self.memory:
            return self.memory[v] if changes else self.unchanging(self.memory[v])
        return self.placed.get(v) or _Placed(self.blocks, self.number[v], v.type, [0] * len(self.blocks.sizes))

    def results(self, op: Op) -> list[Memory]:
        return [self.memory[v] for v in op.results]

    def unchanging(self, memory: Memory) -> Memory:
        """Memory that nothing writes to while one op is computed: a name for it that is known from here on, and as such read-only."""
        view = self.e.keep(make_op(lookup("view", "loop"), (memory.value,), {"shape": memory.type.shape}, loc=self.e.loc)).result
        self.e.read_only.add(view)
        return Memory(self.e, view)


def positions_read(op: Op, prepared: Prepared) -> set[int]:
    """Operands that are read still where something is prepared."""
    if not prepared or not op.prim.kernel:
        return set(range(len(op.operands))) - prepared.keys()
    (region,) = op.regions
    anchor = anchor_of(region)
    needed = set(region.results).union(v for i, v in enumerate(anchor.operands) if i not in prepared)
    for inner in reversed(region.ops):
        if inner is not anchor and not needed.isdisjoint(inner.results):
            needed.update(inner.operands)
    return {j for j, arg in enumerate(region.args) if arg in needed}


def packs(op: Op, j: int) -> bool:
    """Whether an op reads its operand number `j` only to pack what it computes from it."""
    if not op.prim.kernel or op.attrs["rows"] >= 0:
        return False
    (region,) = op.regions
    anchor = anchor_of(region)
    made = {region.args[j]}
    for inner in region.ops[: region.ops.index(anchor)]:
        if not made.isdisjoint(inner.operands):
            made.update(inner.results)
    after = region.ops[region.ops.index(anchor) + 1 :]
    used_after = any(not made.isdisjoint(inner.operands) for inner in after) or not made.isdisjoint(region.results)
    return not used_after and region.args[j] not in anchor.operands and all(anchor.prim.packs(i) for i, v in enumerate(anchor.operands) if v in made)
