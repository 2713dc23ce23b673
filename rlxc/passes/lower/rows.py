"""A fused region over one space as a loop over rows, and in each row one loop for each stage.

A reduction splits what is inside a row into stages: what is computed before it is known, and what needs it.

    softmax of f32[8, 64], rows = 1        for row in 0..8 {
                                             for j in 0..64 { m = max(m, x[row, j]) }                            stage 0
                                             for j in 0..64 { e = exp(x[row, j] - m); s = s + e; kept[j] = e }   stage 1
                                             for j in 0..64 { y[row, j] = kept[j] / s }                          stage 2
                                           }

A value that a later stage needs again is computed again if that is cheap and another rounding of it would not show (`fuse/rounding.py`), else kept in
a row of scratch memory. A reduction across rows adds to memory (`accumulate.py`); where there is nothing but those, a step takes several rows at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

from rlxc.ir.core import Func, Op, Value
from rlxc.ir.emitter import Emitter, Index, Memory
from rlxc.passes.fuse.readings import Readings
from rlxc.passes.fuse.rounding import Rounding
from rlxc.passes.lower.accumulate import Accumulator, even
from rlxc.passes.lower.readers import Readers
from rlxc.passes.lower.stages import Stages

TILE = 1 << 16  # elements of a space that one tile of a reduction across rows goes over, at least
MAX_TILES = 16
FEW = 16  # a tile has no fewer rows
LONG = 1 << 14  # elements of a row that are combined into one partial result; those are combined in order
SHORT, NARROW = 9, 4  # elements of a row that is written out, and of its last axis: loads with such strides are cheap
MANY = 8  # stores: more are done as soon as they can be, so that values need not wait in registers
BLOCK = 4  # rows in a step
MAX_BLOCK_OPS = 48  # ops that such a step may repeat


def lower_rows(e: Emitter, region: Func, reads: Sequence[Memory], writes: Sequence[Memory], rows: int) -> None:
    """Emit the loops of a region whose values have one shape, its first `rows` axes, or are reduced across those."""
    _Rows(e, region, reads, writes, rows).run()


class _Rows:
    def __init__(self, e: Emitter, region: Func, reads: Sequence[Memory], writes: Sequence[Memory], rows: int) -> None:
        self.e = e
        self.region = region
        self.rows = rows
        self.now = 0  # the stage being written
        self.stages = Stages(region, rows)
        self.shape = self.stages.shape
        if not self.is_short(region.results, self.stages.kept()):  # there nothing is computed twice
            self.stages = Stages(region, rows, Rounding(region, Readings(region)).compared)
        self.level = self.stages.level
        self.readers = Readers(e)
        self.readers.bind_memory(region.args, reads)
        self.reads = dict(zip(region.args, (memory.value for memory in reads), strict=True))
        self.outputs: dict[Value, list[Memory]] = {}
        for v, memory in zip(region.results, writes, strict=True):
            self.outputs.setdefault(v, []).append(memory)
        self.kept: dict[Value, Memory] = {}
        for v, last in self.stages.kept().items():
            self.kept[v] = self.place_to_keep(v, last)
        for op in region.ops:
            if not op.prim.reduction:
                self.define(op)
        self.along, self.across = self.stages.along, self.accumulators()

    def place_to_keep(self, v: Value, last: int) -> Memory:
        """Memory for a value until stage `last`: its own result's, that of a result that is stored only then, or a row of scratch."""
        if v in self.outputs:
            return self.outputs[v][0]
        taken = [*self.reads.values(), *(memory.value for memory in self.kept.values())]
        for w, (place, *_) in self.outputs.items():
            free = self.stages.is_full(w) and self.level[w] >= last and place.value not in taken
            if free and w.type.dtype == v.type.dtype:  # type: ignore[union-attr]
                return place
        return self.e.alloc(v.type.dtype, self.shape[self.rows :])  # type: ignore[union-attr]

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

    def accumulators(self) -> dict[Op, Accumulator]:
        """What gathers each reduction across rows."""
        tiles = -(-self.shape[0] // self.tile_rows()) if self.rows and self.shape[0] else 1
        return {op: Accumulator(self.e, op, self.shape, self.outputs[op.result][0], tiles) for op in self.stages.across if op.result in self.outputs}

    def tile_rows(self) -> int:
        """Places of the first axis in a tile."""
        n = self.shape[0]
        wanted = max(1, min(math.prod(self.shape) // TILE, n // FEW, MAX_TILES))
        return -(-n // even(n, wanted))

    # loops over rows

    def run(self) -> None:
        gathered = [acc for acc in self.across.values() if acc.first == 0]
        if any(acc.tiles > 1 for acc in gathered):
            t, n = self.tile_rows(), self.shape[0]
            self.each(0, n // t, lambda tile: self.tile(tile, self.e.index_mul(tile, t), t))
            if n % t:
                self.tile(n // t, n - n % t, n % t)
        else:
            self.tile(0, 0, self.shape[0] if self.rows else 1)
        for acc in gathered:
            acc.close()
        for op in self.across:
            first, *others = self.outputs[op.result]
            for memory in others:
                self.e.for_each(memory.type.shape, lambda at, memory=memory, first=first: memory.store(at, first(at)))  # type: ignore[misc, arg-type]

    def tile(self, tile: Index, start: Index, count: int) -> None:
        """The rows from `start` on in the first axis."""
        if self.rows == 0:
            self.step(tile, [[]])
            return
        for acc in self.across.values():
            if acc.first == 0:
                acc.open(tile, ())
        self.over(tile, [], start, count)

    def over(self, tile: Index, before: list[Index], start: Index, count: int) -> None:
        """`count` places from `start` on in one axis of the rows, `before` being the index along the axes before it."""
        e, axis = self.e, len(before)
        if axis < self.rows - 1:

            def nested(i: Index) -> None:
                index = [*before, e.index_add(start, i)]
                for acc in self.across.values():
                    if acc.first == axis + 1:
                        acc.open(tile, index)
                self.over(tile, index, 0, self.shape[axis + 1])

            self.each(0, count, nested)
            return
        block = self.block(count)
        whole = count - count % block
        self.each(0, whole, lambda i: self.step(tile, [[*before, e.index_add(start, e.index_add(i, r))] for r in range(block)]), block)
        if whole < count:
            self.step(tile, [[*before, e.index_add(start, r)] for r in range(whole, count)])

    def each(self, start: int, stop: int, body: Callable[[Index], None], step: int = 1) -> None:
        """A loop; what it runs once is written without."""
        if 0 < stop - start <= step:
            body(start)
        else:
            self.e.for_(start, stop, lambda i: body(i), step=step)

    def block(self, count: int) -> int:
        """How many of `count` rows to take in a step: more than one where rows are only added up, and to the same place."""
        last = self.rows - 1
        same = any(max(acc.axes) == last for acc in self.across.values()) and all(last in acc.axes for acc in self.across.values())
        if self.along or not same:
            return 1
        most = min(BLOCK, count, MAX_BLOCK_OPS // max(1, len(self.region.ops)))
        return max(most, 1) if most < 2 or count % most else most

    # one step: a row, or some rows that are added up

    def step(self, tile: Index, rows: list[list[Index]]) -> None:
        """All stages of these rows."""
        for stage in range(self.stages.count):
            self.stage(tile, rows, stage)
            for v, places in self.outputs.items():
                if not self.stages.is_full(v) and v not in self.stages.known_last and stage == max(self.level[v] - 1, 0):
                    for memory in places:
                        for row in rows:
                            memory.store(row, self.readers[v](row))

    def stage(self, tile: Index, rows: list[list[Index]], stage: int) -> None:
        """One loop over what is inside the rows: reductions and stores whose inputs are known now."""
        along = [op for op in self.along if self.level[op.operands[0]] == stage]
        across = [op for op in self.across if self.level[op.operands[0]] == stage]
        summed = along + [op for op in across if max(op.attrs["axes"]) >= self.rows]
        beside = [op for op in across if op not in summed]
        stores = self.stores(stage)
        if not summed and not beside and not stores:
            return
        order = self.stages.needed([op.operands[0] for op in along + across] + [v for v, _ in stores], stage, self.kept)
        early = self.early(order, stores)
        late = [(v, memory) for v, memory in stores if v not in early]
        e = self.e

        def body(inner: list[Index], *carried: Value) -> tuple[Value, ...]:
            places = [[*row, *inner] for row in rows]
            if stage == 1:
                self.prefetch(rows[0], inner)
            for index in places:
                for v in order:
                    element = self.readers[v](index)
                    for memory in early.get(v, ()):
                        memory.store(index, element)
                for op in along + across:  # before anything is stored, perhaps in its place
                    self.readers[op.operands[0]](index)
                elements = [self.readers[v](index) for v, _ in late]
                for (_, memory), element in zip(late, elements, strict=True):
                    memory.store(index if len(memory.type.shape) == len(index) else inner, element)
            for op in beside:
                self.across[op].add(tile, places[0], self.total(op, places))
            return tuple(combine(e, op, acc, self.total(op, places)) for op, acc in zip(summed, carried, strict=True))

        self.now = stage
        for op, total in zip(summed, self.inside(summed, body), strict=True):
            if op in self.across:
                self.across[op].add(tile, rows[0], total)
            else:
                self.readers.bind(op.result, _Known(op.result, total))

    def prefetch(self, row: Sequence[Index], inner: Sequence[Index]) -> None:
        """Ask for the next row of what each row reads first: where rows are pages, the processor does not foresee it."""
        if not row or len(inner) != 1 or math.prod(self.shape) * 4 < self.e.target.l2:
            return
        following = [*row[:-1], self.e.index_add(row[-1], 1), *inner]
        for a in self.region.args:
            if a.type.shape == self.shape:  # type: ignore[union-attr]
                self.e.prefetch(self.reads[a], *map(self.e.as_index, following))

    def stores(self, stage: int) -> list[tuple[Value, Memory]]:
        """Values of the whole space that are stored in this stage, and where."""
        found: list[tuple[Value, Memory]] = []
        for v in self.level:
            if self.stages.is_full(v) and self.level[v] == stage:
                found += [(v, memory) for memory in self.outputs.get(v, [])]
                if v in self.kept and v not in self.outputs:
                    found.append((v, self.kept[v]))
        return found

    def early(self, order: Sequence[Value], stores: Sequence[tuple[Value, Memory]]) -> dict[Value, list[Memory]]:
        """Where values are stored right when they are computed: in memory that nothing is read from."""
        if len(stores) <= MANY:
            return {}
        read = {*self.reads.values(), *(memory.value for memory in self.kept.values())}
        places: dict[Value, list[Memory]] = {}
        for v, memory in stores:
            places.setdefault(v, []).append(memory)
        return {v: places[v] for v in order if v in places and read.isdisjoint(memory.value for memory in places[v])}

    def total(self, op: Op, places: Sequence[Sequence[Index]]) -> Value:
        """What the op reduces, at all of `places`, combined pairwise."""
        values = [self.readers[op.operands[0]](index) for index in places]
        while len(values) > 1:
            pairs = [combine(self.e, op, x, y) for x, y in zip(values[::2], values[1::2], strict=False)]
            values = pairs + values[2 * len(pairs) :]
        return values[0]

    def is_short(self, outputs: Collection[Value], kept: Collection[Value]) -> bool:
        """Whether what is inside a row is so little that it is written out: the loop over rows is the innermost then, and becomes vector code."""
        sizes = self.shape[self.rows :]
        stores = any(map(self.stages.is_full, outputs)) or bool(kept)
        return bool(self.rows and sizes) and 0 < math.prod(sizes) <= SHORT and sizes[-1] <= NARROW and not stores

    def inside(self, summed: Sequence[Op], body: Callable[..., tuple[Value, ...]]) -> tuple[Value, ...]:
        """Loops over what is inside a row, and the reductions `summed`; a long row is combined part by part."""
        e, sizes = self.e, self.shape[self.rows :]
        starts = [e.constant(op.prim.neutral(op.result.type.dtype), dtype=op.result.type.dtype) for op in summed]  # type: ignore[attr-defined, union-attr]
        if self.is_short(self.outputs, self.kept):
            totals = tuple(starts)
            for inner in itertools.product(*map(range, sizes)):
                totals = body(list(inner), *totals)
            return totals
        if not summed or len(sizes) != 1 or sizes[0] < 2 * LONG:
            return e.loop(sizes, starts, body)
        (n,), part = sizes, even(sizes[0], LONG)

        def more(start: Index, size: int, totals: Sequence[Value]) -> tuple[Value, ...]:
            partial = e.loop((size,), starts, lambda j, *carried: body([e.index_add(start, j[0])], *carried))
            return tuple(combine(e, op, x, y) for op, x, y in zip(summed, totals, partial, strict=True))

        totals = e.for_(0, n // part, lambda i, *totals: more(e.index_mul(i, part), part, totals), starts)
        return more(n - n % part, n % part, totals) if n % part else totals


def combine(e: Emitter, op: Op, x: Value, y: Value) -> Value:
    """x and y by the operation of a reduction."""
    return getattr(e, op.prim.combine)(x, y)  # type: ignore[attr-defined]


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
