"""A fused region over one space as a loop over rows, and in each row one loop for each stage.

A reduction splits what is inside a row into stages: what is computed before it is known, and what needs it.

    softmax of f32[8, 64], rows = 1        for row in 0..8 {
                                             for j in 0..64 { m = max(m, x[row, j]) }                            stage 0
                                             for j in 0..64 { e = exp(x[row, j] - m); s = s + e; kept[j] = e }   stage 1
                                             for j in 0..64 { y[row, j] = kept[j] / s }                          stage 2
                                           }

A value that a later stage needs again is computed again if that is cheap, else kept in a row of scratch memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.ir.core import Func, Op, Value
from rlxc.ir.emitter import Emitter, Index, Memory
from rlxc.passes.lower.readers import Readers


def lower_rows(e: Emitter, region: Func, reads: Sequence[Memory], writes: Sequence[Memory], rows: int) -> None:
    """Emit the loops of a region whose values have one shape, or its first `rows` axes."""
    _Rows(e, region, reads, writes, rows).run()


class _Rows:
    def __init__(self, e: Emitter, region: Func, reads: Sequence[Memory], writes: Sequence[Memory], rows: int) -> None:
        self.e = e
        self.region = region
        self.rows = rows
        self.now = 0  # the stage being written
        self.shape = self.space()
        self.readers = Readers(e)
        self.producer = {v: op for op in region.ops for v in op.results}
        self.level = self.levels()
        self.reductions = {op.result: op for op in region.ops if op.prim.reduction}
        for a, memory in zip(region.args, reads, strict=True):
            self.readers.bind(a, memory)
        self.outputs: dict[Value, list[Memory]] = {}
        for v, memory in zip(region.results, writes, strict=True):
            self.outputs.setdefault(v, []).append(memory)
        self.kept = self.values_to_keep()
        for op in region.ops:
            if op.result not in self.reductions:
                self.define(op)

    def space(self) -> tuple[int, ...]:
        """The shape that the loops go over."""
        shapes = [v.type.shape for op in self.region.ops for v in (*op.operands, *op.results) if op.prim.elementwise or op.prim.reduction]
        shapes += [v.type.shape for v in self.region.results]
        return max(shapes, key=len)

    def is_full(self, v: Value) -> bool:
        return len(v.type.shape) == len(self.shape)

    # stages

    def levels(self) -> dict[Value, int]:
        """The stage in which each value can be computed: one later than a reduction it depends on."""
        level: dict[Value, int] = dict.fromkeys(self.region.args, 0)
        for op in self.region.ops:
            at = max((level[v] for v in op.operands), default=0)
            level[op.result] = at + (op.prim.reduction)
        return level

    def values_to_keep(self) -> dict[Value, Memory]:
        """Values of the whole space that a later stage reads, and that cost too much to compute twice; with their memory."""
        readers: dict[Value, int] = {}
        for op in self.region.ops:
            stage = self.level[op.operands[0]] if op.prim.reduction else self.level[op.result]
            for v in op.operands:
                readers[v] = max(readers.get(v, 0), stage)
        # A cheap value that is read later is computed again there, and so reads its operands later too.
        for op in reversed(self.region.ops):
            v = op.result
            last = readers.get(v, 0)
            if last > self.level[v] and self.is_full(v) and not self.worth_keeping(op):
                for x in op.operands:
                    readers[x] = max(readers.get(x, 0), last)
        keep: dict[Value, Memory] = {}
        for op in self.region.ops:
            v = op.result
            if self.is_full(v) and readers.get(v, 0) > self.level[v] and self.worth_keeping(op):
                place = self.outputs.get(v)
                keep[v] = place[0] if place else self.e.alloc(v.type.dtype, self.shape[self.rows :])  # type: ignore[union-attr]
        return keep

    def worth_keeping(self, op: Op) -> bool:
        return op.prim.elementwise and not op.prim.cost.recompute

    # loops

    def run(self) -> None:
        self.e.for_each(self.shape[: self.rows], self.row)

    def row(self, row: list[Index]) -> None:
        """All stages of one row."""
        last = max([self.level[v] for v in self.region.results] + [self.level[op.operands[0]] for op in self.reductions.values()], default=0)
        for stage in range(last + 1):
            self.stage(row, stage)
            for v, places in self.outputs.items():
                if not self.is_full(v) and stage == self.known_after(v):
                    for memory in places:
                        memory.store(row, self.readers[v](row))

    def known_after(self, v: Value) -> int:
        """The stage after which a value of the row is known: its reductions were done in it."""
        return max(self.level[v] - 1, 0)

    def stage(self, row: list[Index], stage: int) -> None:
        """One loop over what is inside the row: reductions and stores whose inputs are known now."""
        reductions = [op for v, op in self.reductions.items() if self.level[op.operands[0]] == stage]
        stores: list[tuple[Value, Memory]] = []
        for v in self.level:
            if self.is_full(v) and self.level[v] == stage:
                stores += [(v, memory) for memory in self.outputs.get(v, [])]
                if v in self.kept and v not in self.outputs:
                    stores.append((v, self.kept[v]))
        if not reductions and not stores:
            return
        order = self.needed([op.operands[0] for op in reductions] + [v for v, _ in stores], stage)
        e = self.e
        inits = [e.constant(op.prim.neutral(op.result.type.dtype), dtype=op.result.type.dtype) for op in reductions]  # type: ignore[attr-defined, union-attr]

        def body(inner: list[Index], *carried: Value) -> tuple[Value, ...]:
            index = [*row, *inner]
            for v in order:
                self.readers[v](index)
            for v, memory in stores:
                value = self.readers[v](index)
                memory.store(index if len(memory.type.shape) == len(index) else inner, value)
            inputs = [self.readers[op.operands[0]](index) for op in reductions]
            combine = [getattr(e, op.prim.combine) for op in reductions]  # type: ignore[attr-defined]
            return tuple(f(acc, x) for f, acc, x in zip(combine, carried, inputs, strict=True))

        self.now = stage
        totals = e.loop(self.shape[self.rows :], inits, body)
        for op, total in zip(reductions, totals, strict=True):
            self.readers.bind(op.result, _Known(op.result, total))

    def needed(self, roots: Sequence[Value], stage: int) -> list[Value]:
        """Values of the whole space that `roots` depend on and that are computed in this stage, in order."""
        wanted = set()
        stack = list(roots)
        while stack:
            v = stack.pop()
            if v in wanted or v not in self.producer or not self.is_full(v) or (v in self.kept and self.level[v] < stage):
                continue
            wanted.add(v)
            if self.producer[v].prim.elementwise:
                stack += self.producer[v].operands
        return [op.result for op in self.region.ops if op.result in wanted and op.prim.elementwise]

    def define(self, op: Op) -> None:
        """A reader of the op's result: from kept memory in later stages, else by its element rule."""
        self.readers.define(op)
        v = op.result
        if v not in self.kept:
            return
        compute, memory = self.readers[v], self.kept[v]

        def read(index: Sequence[Index]) -> Value:
            if self.now == self.level[v]:
                return compute(index)
            return memory(index if len(memory.type.shape) == len(index) else list(index)[self.rows :])

        self.readers.bind(v, _Kept(v, read))


class _Known:
    """A value of the row that has been computed."""

    def __init__(self, value: Value, result: Value) -> None:
        self.type = value.type
        self.result = result

    def __call__(self, index: Sequence[Index]) -> Value:
        return self.result


class _Kept:
    """A value that is computed in one stage and read from memory in later ones."""

    def __init__(self, value: Value, read: Any) -> None:
        self.type = value.type
        self.read = read

    def __call__(self, index: Sequence[Index]) -> Value:
        return self.read(index)
