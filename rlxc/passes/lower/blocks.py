"""A blocked op as loops around its region: blocks of the operands are copied to scratch memory, the region is computed, results are put in place.

for batch axes          parallel        operands that do not go along rows are copied here
  for blocks of rows                    the others here; then the ops of the region, one after another
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rlxc.ir.core import Op, Value
from rlxc.ir.emitter import Emitter, Index, Memory
from rlxc.ir.types import MemType

MIN_PARALLEL = 2  # batches from which on they are shared by threads

LowerOp = Callable[[Emitter, Op, Sequence[Memory], Sequence[Memory]], None]


def lower_blocks(e: Emitter, op: Op, reads: Sequence[Any], writes: Sequence[Any], lower_one: LowerOp) -> None:
    """Emit the loops of a blocked op; `lower_one` lowers an op of its region."""
    _Blocks(e, op, reads, writes, lower_one).run()


class _Blocks:
    def __init__(self, e: Emitter, op: Op, reads: Sequence[Any], writes: Sequence[Any], lower_one: LowerOp) -> None:
        self.e = e
        self.op = op
        self.reads = reads
        self.writes = writes
        self.lower_one = lower_one
        (self.region,) = op.regions
        self.sizes, self.blocks = op.attrs["sizes"], op.attrs["blocks"]
        self.rows = len(self.sizes) - 1
        self.memory: dict[Value, Memory] = {}

    def run(self) -> None:
        e = self.e
        counts = [n // b for n, b in zip(self.sizes[:-1], self.blocks[:-1], strict=True)]
        total = math.prod(counts)

        def batch(flat: Index) -> None:
            at = [e.index_mul(i, b) for i, b in zip(e.unravel(flat, counts), self.blocks[:-1], strict=True)]
            self.batch(at)

        if total == 1:
            batch(0)
        else:
            e.for_(0, total, batch, parallel=total >= MIN_PARALLEL)

    def batch(self, at: list[Index]) -> None:
        """All rows of one place along the batch axes."""
        e = self.e
        self.copy_in(at, along_rows=False)
        count = self.sizes[-1] // self.blocks[-1]
        if count > 1:
            for out, v, axes in self.summed():
                e.for_each(v.type.shape, partial(self.clear, out, axes, at))

        def block(b: Index) -> None:
            where = [*at, e.index_mul(b, self.blocks[-1])]
            self.copy_in(where, along_rows=True)
            for op in self.region.ops:
                self.lower_op(op)
            self.copy_out(where, add=count > 1)

        if count == 1:
            block(0)
        else:
            e.for_(0, count, block)

    def summed(self) -> list[tuple[Any, Value, Sequence[int]]]:
        """Results that are summed over rows."""
        whole = zip(self.writes, self.region.results, self.op.attrs["results"], strict=True)
        return [(out, v, axes) for out, v, axes in whole if self.rows not in axes]

    def place(self, index: Sequence[Index], axes: Sequence[int], at: Sequence[Index]) -> list[Index]:
        """Where an element of a block lies in the whole."""
        return [i if a < 0 else self.e.index_add(i, at[a]) for i, a in zip(index, axes, strict=True)]

    def clear(self, out: Any, axes: Sequence[int], at: Sequence[Index], i: list[Index]) -> None:
        out.store(self.place(i, axes, at), 0)

    def copy_in(self, at: Sequence[Index], *, along_rows: bool) -> None:
        """Blocks of the operands that go along rows, or of those that do not."""
        e = self.e

        def copy(scratch: Memory, read: Any, axes: Sequence[int], i: list[Index]) -> None:
            scratch.store(i, read(self.place(i, axes, at)))

        for arg, read, axes in zip(self.region.args, self.reads, self.op.attrs["args"], strict=True):
            if (self.rows in axes) == along_rows:
                self.memory[arg] = e.alloc(arg.type.dtype, arg.type.shape)
                e.for_each(arg.type.shape, partial(copy, self.memory[arg], read, axes))

    def copy_out(self, at: Sequence[Index], *, add: bool) -> None:
        """Results to their places; with `add`, those that are summed over rows are added to what is there."""
        e = self.e

        def put(out: Any, axes: Sequence[int], block: Memory, i: list[Index]) -> None:
            to = self.place(i, axes, at)
            value = block(i)
            out.store(to, e.add(out(to), value) if add and self.rows not in axes else value)

        for v, out, axes in zip(self.region.results, self.writes, self.op.attrs["results"], strict=True):
            e.for_each(v.type.shape, partial(put, out, axes, self.memory[v]))

    def lower_op(self, op: Op) -> None:
        """One op of the region, in scratch memory."""
        e = self.e
        if op.prim.view:
            source = self.memory[op.operands[0]]
            self.memory[op.result] = Memory(e, e.view(source.value, shape=op.result.type.shape))
            return
        if not op.operands and op.prim.inline_attr:
            self.memory[op.result] = Memory(e, e.global_(value=op.attrs[op.prim.inline_attr], type=MemType(op.result.type.dtype, op.result.type.shape)))
            return
        for v in op.results:
            self.memory[v] = e.alloc(v.type.dtype, v.type.shape)
        self.lower_one(e, op, [self.memory[v] for v in op.operands], [self.memory[v] for v in op.results])
