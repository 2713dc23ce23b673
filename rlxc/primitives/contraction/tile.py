"""One tile of a contraction: where its sums start from, what they read of y, and where they go.

The sums of a block of the summed axes are added to those of the blocks before, which are kept in the result itself, or, where the result is
not plain memory, in memory of their own. Once complete, elements go to the result one by one: there, what was fused to the contraction is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.core import Value
from rlxc.ir.emitter import Index, Memory
from rlxc.ir.types import DType, VectorType
from rlxc.primitives.contraction.micro_kernel import Meanwhile, Read, Sums, sum_products
from rlxc.primitives.contraction.packing import Depth, Panels
from rlxc.primitives.contraction.plan import Plan
from rlxc.primitives.contraction.tiles import Parts

Place = Mapping[str, Index]


@dataclass(frozen=True, slots=True)
class Step:
    """One block of the summed axes: where the sums start from, and whether they are complete after it.

    `before` is a mask of lanes, all or none, where one piece of code is for the first block and those behind it: there were blocks before.
    """

    block: Depth
    depth: int
    first: bool
    last: bool
    before: Value | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of columns: number `number` of those of its width. If y is packed, it is panel `at` of `packed`."""

    panels: Panels
    number: Index
    packed: Memory | None = None
    at: Index = 0


class TileWriter:
    """Writes the tiles at one place of the loops around; `partial` is memory for incomplete sums, the result's own unless given."""

    def __init__(self, e: Any, plan: Plan, place: Place, partial: Memory | None) -> None:
        self.e = e
        self.plan = plan
        self.roles = plan.roles
        self.place = place
        self.lanes = plan.lanes
        self.vector = VectorType(plan.dtype, plan.lanes)
        self.partial = partial
        self.out = plain_result(plan)

    def tile(self, step: Step, rows: Parts, number: Index, x: Read, panel: Panel, meanwhile: Meanwhile | None = None) -> None:
        """The sums of one tile, from where they start to where they go."""
        e, p = self.e, panel.panels
        row = e.index_add(e.index_mul(number, rows.size), rows.start)
        column = e.index_mul(e.index_add(e.index_mul(panel.number, p.size), p.start), self.lanes)
        zero = e.constant(0, type=self.vector)
        zeros = [[zero] * p.size for _ in range(rows.size)]
        sums = sum_products(e, self.steps(step), zeros, x, self.read_y(step, column, panel), meanwhile)
        if not step.first:
            sums = self.add_to_partial(step, row, column, p, sums)
        if not step.last or self.out is not None:
            self.store_sums(row, column, p, sums)
        else:
            self.store_elements(row, column, p, sums)

    def steps(self, step: Step) -> list[int]:
        """The loops over the summed axes: one for all, if both operands are packed; else one for each."""
        return [step.depth] if self.plan.packs_y and self.plan.packs_x else step.block.shape

    def read_y(self, step: Step, column: Index, panel: Panel) -> Read:
        """Vector (j, ks) of a panel."""
        e, roles, memory = self.e, self.roles, self.roles.y.memory
        packed, at = panel.packed, panel.at
        if packed is not None:
            return lambda j, ks: self.load(packed, [at, step.block.flat(e, ks), j * self.lanes])
        assert memory is not None

        def read(j: int, ks: Sequence[Index]) -> Value:
            where = {**self.place, **step.block.where(e, ks), roles.n: e.index_add(column, j * self.lanes)}
            return self.load(memory, roles.y.index(where), self.mask(panel.panels, j))

        return read

    def mask(self, p: Panels, j: int) -> Value | None:
        """The lanes of a panel's vector that are there; None: all."""
        if not p.tail or j < p.size - 1:
            return None
        e = self.e
        lane = e.lane_index(type=VectorType(DType("i32"), self.lanes))
        return e.lt(lane, e.constant(p.tail, like=lane)) if self.lanes > 1 else None

    def load(self, memory: Memory, index: list[Index], mask: Value | None = None) -> Value:
        e = self.e
        at = [e.as_index(i) for i in index]
        return e.load(memory.value, *at, lanes=self.lanes) if mask is None else e.masked_load(memory.value, mask, *at)

    # sums

    def clear(self) -> None:
        """Incomplete sums become zeros."""
        self.e.for_each((self.plan.m, self.plan.n), lambda i: self.partial_sums().store(self.partial_index(*i), 0))

    def finish(self) -> None:
        """Complete sums, in memory of their own, to the result."""
        out, partial = self.roles.out, self.partial
        assert partial is not None
        self.e.for_each((self.plan.m, self.plan.n), lambda i: out.access.store(out.index(self.out_place(*i)), partial(i)))

    def add_to_partial(self, step: Step, row: Index, column: Index, p: Panels, sums: Sums) -> Sums:
        """What is there already, and `sums`."""
        e, memory = self.e, self.partial_sums()

        def lanes(j: int) -> Value | None:
            there = self.mask(p, j)
            return there if step.before is None else step.before if there is None else e.and_(there, step.before)

        def before(i: int, j: int) -> Value:
            index = self.partial_index(e.index_add(row, i), e.index_add(column, j * self.lanes))
            return self.load(memory, index, lanes(j))

        return [[e.add(before(i, j), value) for j, value in enumerate(values)] for i, values in enumerate(sums)]

    def partial_sums(self) -> Memory:
        memory = self.partial or self.out
        assert memory is not None
        return memory

    def partial_index(self, row: Index, column: Index) -> list[Index]:
        return [row, column] if self.partial is not None else self.roles.out.index(self.out_place(row, column))

    def out_place(self, row: Index, column: Index) -> dict[str, Index]:
        return {**self.place, self.roles.m[:1]: row, self.roles.n[:1]: column}

    def store_sums(self, row: Index, column: Index, p: Panels, sums: Sums) -> None:
        """Vectors to plain memory."""
        e, memory = self.e, self.partial_sums()
        for i, values in enumerate(sums):
            for j, value in enumerate(values):
                index = self.partial_index(e.index_add(row, i), e.index_add(column, j * self.lanes))
                at, mask = [e.as_index(x) for x in index], self.mask(p, j)
                if mask is None:
                    e.store(memory.value, value, *at)
                else:
                    e.masked_store(memory.value, value, mask, *at)

    def store_elements(self, row: Index, column: Index, p: Panels, sums: Sums) -> None:
        """Elements one by one, by way of a buffer of the tile's size: what is fused to them is computed on the way."""
        e, out = self.e, self.roles.out
        buffer = e.alloc(self.plan.dtype, (len(sums), p.size * self.lanes))
        for i, values in enumerate(sums):
            for j, value in enumerate(values):
                e.store(buffer.value, value, e.as_index(i), e.as_index(j * self.lanes))

        def store(index: list[Index]) -> None:
            i, j = index
            where = self.out_place(e.index_add(row, i), e.index_add(column, j))
            out.access.store(out.index(where), buffer(index))

        e.for_(0, len(sums), lambda i: e.for_each((p.columns(self.lanes),), lambda j: store([i, *j])), apart=True)


def plain_result(plan: Plan) -> Memory | None:
    """The result, where it is memory of the sums' type: there it can hold them while they are incomplete."""
    out = plan.roles.out
    return out.memory if out.access.type.dtype == plan.dtype else None
