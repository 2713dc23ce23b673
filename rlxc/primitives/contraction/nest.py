"""The loops around the tiles of a contraction.

    for blocks of the summed axes                       a panel of y fits a part of the second cache
      for blocks of rows                                the part of x that they read fits another one
        for panels of columns           parallel        as wide as a tile; packed just before use, or all at first if there are more blocks of rows
          for tiles of rows                             sums in registers

The sums of a block are added to those of the blocks before, which are kept in the result itself, or, where the result is not plain memory,
in memory of their own. Once complete, elements go to the result one by one: there, what was fused to the contraction is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rlxc.ir.core import Value
from rlxc.ir.emitter import Index, Memory
from rlxc.ir.types import DType, VectorType
from rlxc.primitives.contraction.letters import Roles
from rlxc.primitives.contraction.micro_kernel import Read, Sums, steps_together, sum_products
from rlxc.primitives.contraction.packing import Depth, Packing, Panels
from rlxc.primitives.contraction.tiles import Parts, choose_depth, choose_rows, choose_tiling, cut

PARALLEL_FLOPS = 200_000  # a contraction of fewer operations is not worth several threads
SMALL = 64 << 10  # bytes of y that are read in place although their rows are not neighbours
GROUP = 8  # panels that are packed one while another is used
SEVERAL = 8  # tiles of rows from which on packing y pays

Place = Mapping[str, Index]


def lower_contraction(e: Any, roles: Roles, *, add: bool = False, parallel: bool = True, packed: Sequence[Memory] | None = None) -> None:
    """Emit the loops of a contraction; none of its sizes is 0.

    With `add`, the sums are added to what is in the result, which is plain memory. Loops are `parallel` where that pays.
    `packed` is what `pack_ahead` returned for the same roles.
    """
    _Nest(e, roles, add, parallel, packed).run()


def pack_ahead(e: Any, roles: Roles) -> list[Memory] | None:
    """All of y in panels, for contractions of it with one x after another; None where y is not packed, or not all at once."""
    return _Nest(e, roles, False, False).pack_ahead()


@dataclass(frozen=True, slots=True)
class _Step:
    """One block of the summed axes: where the sums start from, and whether they are complete after it.

    `before` is a mask of lanes, all or none, where one piece of code is for the first block and those behind it: there were blocks before.
    """

    block: Depth
    depth: int
    first: bool
    last: bool
    before: Value | None = None


class _Nest:
    def __init__(self, e: Any, roles: Roles, add: bool, parallel: bool, packed: Sequence[Memory] | None = None) -> None:
        self.e = e
        self.roles = roles
        self.add = add
        self.dtype: DType = roles.x.access.type.dtype
        size = self.dtype.size
        self.m, self.n, self.k = roles.size(roles.m), roles.size(roles.n), roles.size(roles.k)
        self.tiling = choose_tiling(self.m, self.n, self.k, size, e.target)
        self.lanes = self.tiling.lanes
        self.packing = Packing(e, roles, self.lanes)
        self.panels = self.split_tail()
        self.vector = VectorType(self.dtype, self.lanes)
        self.depth = choose_depth(self.k, self.tiling, size, e.target)
        self.out = roles.out.memory if roles.out.access.type.dtype == self.dtype else None
        self.partial: Memory | None = None
        around = math.prod(roles.shape(roles.around))
        work = 2 * around * self.m * self.n * self.k * parallel
        self.split_around = work >= PARALLEL_FLOPS and around >= 4
        self.split_inside = work >= PARALLEL_FLOPS and not self.split_around
        self.packed = packed
        self.pack_y = packed is not None or self.must_pack_y() or self.should_pack_y()

    def split_tail(self) -> list[Panels]:
        """Panels by width; the one with a vector that is not full stands alone."""
        tail = self.n % self.lanes
        panels = [Panels(p.start, p.count, p.size) for p in self.tiling.panels]
        if tail:
            last = panels.pop()
            if last.count > 1:
                panels.append(Panels(last.start, last.count - 1, last.size))
            panels.append(Panels(last.start + (last.count - 1) * last.size, 1, last.size, tail))
        return panels

    # what is packed

    def must_pack_y(self) -> bool:
        """Whether vectors of y cannot be loaded as they lie."""
        y, roles = self.roles.y, self.roles
        if y.stays:
            return False
        in_place = y.memory is not None and len(roles.n) == 1 and y.last == roles.n
        return not in_place or (bool(self.n % self.lanes) and not self.e.target.has_masks)

    def should_pack_y(self) -> bool:
        size = self.dtype.size
        if self.roles.y.stays:
            return False
        if self.tiling.tile_count < SEVERAL or self.depth * self.n * size <= SMALL:
            return False
        return self.tiling.panel_count > 1 or self.n * size % 64 != 0

    def pack_x(self) -> bool:
        """Whether scalars of x are not read in place: there they should be neighbours along the summed axis, and few of them far apart."""
        x, roles = self.roles.x, self.roles
        if x.memory is None or len(roles.m) > 1:
            return True
        if self.tiling.panel_count == 1:
            return False
        if roles.m and x.last == roles.m:
            return self.m > 64 and self.tiling.tile_count > 1
        row_bytes = self.k * self.dtype.size
        return row_bytes >= 8192 and row_bytes % 1024 == 0 and self.m > 256

    # loops

    def run(self) -> None:
        """All loops around."""
        e, roles = self.e, self.roles
        sizes = roles.shape(roles.around)

        def nest(at: int, place: dict[str, Index]) -> None:
            if at == len(sizes):
                self.sums(place)
            elif sizes[at] == 1:
                nest(at + 1, {**place, roles.around[at]: 0})
            else:
                parallel = self.split_around and all(n == 1 for n in sizes[:at])
                e.for_(0, sizes[at], lambda i: nest(at + 1, {**place, roles.around[at]: i}), parallel=parallel)

        nest(0, {})

    def sums(self, place: Place) -> None:
        """Everything at one place of the loops around: blocks of the summed axes."""
        e, letters = self.e, self.roles.k
        shape = self.roles.shape(letters)
        split = len(shape)  # the axis that is cut; those before it are loops, those behind it are whole
        inner = 1
        while split > 0 and inner * shape[split - 1] <= self.depth:
            split -= 1
            inner *= shape[split]
        whole = dict(zip(letters, shape, strict=True))
        if split == 0:
            self.block(place, _Step(Depth(dict.fromkeys(letters, 0), whole), self.k, not self.add, True))
            return
        cut_letter = letters[split - 1]
        pieces = cut(shape[split - 1], max(1, self.depth // inner))
        loops = shape[: split - 1]
        if self.out is None:
            self.partial = e.alloc(self.dtype, (self.m, self.n))
        several = math.prod(loops) > 1

        def blocks(outer: list[Index]) -> None:
            first, total = not several and not self.add, sum(p.count for p in pieces)
            for number, parts in enumerate(pieces):
                base = dict(zip(letters, outer, strict=False))
                steps = {a: 1 for a in letters[: split - 1]} | {cut_letter: parts.size} | {a: whole[a] for a in letters[split:]}

                def one(start: Index, first: bool, last: bool, before=None, base=base, steps=steps, parts=parts) -> None:
                    starts = {**dict.fromkeys(letters, 0), **base, cut_letter: start}
                    self.block(place, _Step(Depth(starts, steps), parts.size * inner, first, last, before))

                def some(b: Index, masked=False, parts=parts, one=one) -> None:
                    before = e.splat(e.gt(e.as_index(b), 0), lanes=self.lanes) if masked else None
                    one(e.index_add(e.index_mul(b, parts.size), parts.start), False, False, before)

                at, end = 0, parts.count
                final = not several and number == len(pieces) - 1 and self.out is None
                stop = end - 1 if final else end
                masked = first and stop > 1 and self.lanes > 1 and e.target.has_masks
                if first and not masked:
                    one(parts.start, True, total == 1)
                    at = 1
                first = False
                if at < stop:
                    e.for_(at, stop, partial(some, masked=masked))
                if final and at < end:
                    one(parts.start + (end - 1) * parts.size, False, True)

        if several:
            if not self.add:
                self.clear(place)
            e.for_each(loops, blocks)
            if self.partial is not None:
                self.finish(place)
        else:
            blocks([0] * len(loops))

    def clear(self, place: Place) -> None:
        e = self.e
        e.for_each((self.m, self.n), lambda i: self.partial_sums(place).store(self.partial_index(place, *i), 0))

    def finish(self, place: Place) -> None:
        """Complete sums to the result."""
        e, out = self.e, self.roles.out
        assert self.partial is not None
        e.for_each((self.m, self.n), lambda i: out.access.store(out.index(self.out_place(place, *i)), self.partial(i)))  # type: ignore[misc]

    def block(self, place: Place, step: _Step) -> None:
        """A block of the summed axes: blocks of rows, panels, tiles."""
        most = choose_rows(step.depth, self.tiling, self.dtype.size, self.e.target)
        together = sum(r.count for r in self.tiling.rows) <= most
        tiles_outside = together and self.split_inside and self.tiling.panel_count < 4 <= self.tiling.tile_count
        packed: list[Memory | None] = [*self.packed] if self.packed else [None] * len(self.panels)
        if self.pack_y and self.packed is None and (not together or tiles_outside):
            packed = [self.pack_all(place, step, p) for p in self.panels]
        if not together:
            for rows in self.tiling.rows:
                self.blocks_of_rows(place, step, rows, -(-rows.count // -(-rows.count // most)), packed)
            return
        x = [(rows, self.read_x(place, step, rows, 0, rows.count)) for rows in self.tiling.rows]
        if tiles_outside:
            for rows, read in x:
                self.each(rows.count, partial(self.row_of_tiles, place, step, rows, read, packed))
        else:
            for p, memory in zip(self.panels, packed, strict=True):
                if self.pack_y and memory is None and self.copies_along(step, p):
                    self.row_of_panels(place, step, p, x)
                else:
                    self.each(p.count, partial(self.panel, place, step, p, memory, x))

    def copies_along(self, step: _Step, p: Panels) -> bool:
        """Whether panels are packed while products are added: a vector in each iteration is enough, and not far too much.

        See Note [Packing].
        """
        if p.count == 1 or not self.packing.copies_rows(p):
            return False
        room = self.iterations(step, p)
        return step.depth * p.size <= room <= 5 * step.depth * p.size

    def iterations(self, step: _Step, p: Panels) -> int:
        """Iterations of the innermost loop in all tiles of a panel."""
        return sum(rows.count * (step.depth // steps_together(self.e.target, step.depth, rows.size, p.size, busy=True)) for rows in self.tiling.rows)

    def row_of_panels(self, place: Place, step: _Step, p: Panels, x: list[tuple[Parts, Any]]) -> None:
        """Panels of one width, in groups; the next one in the group is packed while the products of this one are added."""
        e = self.e

        def group(start: int, size: int, g: Index) -> None:
            first = e.index_add(e.index_mul(g, size), start)
            memory = self.packing.panels(p, step.depth, count=2)
            self.packing.pack_panel(memory, 0, place, step.block, p, first)

            def panel(i: Index) -> None:
                slot, other = e.index_rem(i, 2), e.index_rem(e.index_add(i, 1), 2)
                here = e.index_add(first, i)
                following = e.index_add(first, e.min(e.as_index(e.index_add(i, 1)), e.as_index(size - 1)))
                column = e.index_mul(e.index_add(e.index_mul(following, p.size), p.start), self.lanes)
                before = 0
                for rows, read in x:
                    each = step.depth // steps_together(e.target, step.depth, rows.size, p.size, busy=True)  # vectors copied with a tile
                    self.loop(rows.count, partial(tile, rows, read, each, before, here, slot, other, column))
                    before += rows.count * each

            def tile(rows: Parts, read: Any, each: int, before: int, here: Index, slot: Index, other: Index, column: Index, t: Index) -> None:
                copy = self.packing.copy_rows(memory, other, place, step.block, p, column, e.index_add(e.index_mul(t, each), before))
                self.tile(place, step, rows, t, read(t), p, here, memory, slot, copy)

            self.loop(size, panel)

        for groups in cut(p.count, GROUP):
            self.each(groups.count, partial(group, groups.start, groups.size))

    def pack_ahead(self) -> list[Memory] | None:
        roles = self.roles
        if not self.pack_y or self.k > self.depth or math.prod(roles.shape(roles.around)) > 1:
            return None
        whole = Depth(dict.fromkeys(roles.k, 0), {a: roles.sizes[a] for a in roles.k})
        step, place = _Step(whole, self.k, True, True), dict.fromkeys(roles.around, 0)
        return [self.pack_all(place, step, p) for p in self.panels]

    def pack_all(self, place: Place, step: _Step, p: Panels) -> Memory:
        """All panels of one width, packed."""
        memory = self.packing.panels(p, step.depth)
        self.each(p.count, lambda i: self.packing.pack_panel(memory, i, place, step.block, p, i))
        return memory

    def blocks_of_rows(self, place: Place, step: _Step, rows: Parts, count: int, packed: list[Memory | None]) -> None:
        """Tiles in blocks of `count`, of which the last one may be shorter; in a block, panel by panel."""
        e = self.e

        def block(b: Index) -> None:
            first = e.index_mul(b, count)
            read = self.read_x(place, step, rows, first, count)
            for p, memory in zip(self.panels, packed, strict=True):
                self.each(p.count, partial(panel, first, read, p, memory))

        def panel(first: Index, read: Any, p: Panels, memory: Memory | None, i: Index) -> None:
            self.loop(count, partial(tile, first, read, p, memory, i))

        def tile(first: Index, read: Any, p: Panels, memory: Memory | None, i: Index, t: Index) -> None:
            number = e.index_add(t, first)
            run = partial(self.tile, place, step, rows, number, read(t), p, i, memory, i)
            if rows.count % count == 0 or isinstance(number, int):
                run()
            else:
                e.cond(e.lt(e.as_index(number), rows.count), run, lambda: None)

        loop = self.each if self.tiling.panel_count < 4 else self.loop
        loop(-(-rows.count // count), block)

    def each(self, count: int, body: Callable[[Index], None]) -> None:
        """A loop whose iterations may run at once, if it is not inside another one of this kind."""
        if count == 1 or not self.split_inside:
            self.loop(count, body)
            return
        self.split_inside = False
        self.e.for_(0, count, body, parallel=True)
        self.split_inside = True

    def loop(self, count: int, body: Callable[[Index], None]) -> None:
        if count == 1:
            body(0)
        else:
            self.e.for_(0, count, body)

    def panel(self, place: Place, step: _Step, p: Panels, packed: Memory | None, x: list[tuple[Parts, Any]], i: Index) -> None:
        """One panel: all tiles of rows."""
        e = self.e
        memory, at, fetch = packed, i, False
        if self.pack_y and memory is None:
            memory, at = self.packing.panels(p, step.depth, count=1), 0
            self.packing.pack_panel(memory, at, place, step.block, p, i)
            fetch = self.tiling.panel_count > 1

        def tile(rows: Parts, read: Any, t: Index) -> None:
            meanwhile = None
            if fetch:
                before = sum(r.count for r in self.tiling.rows if r.start < rows.start)
                following = e.index_mul(e.index_add(e.index_mul(e.index_add(i, 1), p.size), p.start), self.lanes)
                meanwhile = self.packing.fetch_panel(place, step.block, p, following, e.index_add(t, before))
            self.tile(place, step, rows, t, read(t), p, i, memory, at, meanwhile)

        for rows, read in x:
            self.loop(rows.count, partial(tile, rows, read))

    def row_of_tiles(self, place: Place, step: _Step, rows: Parts, read: Any, packed: list[Memory | None], t: Index) -> None:
        """A tile of rows: all panels."""

        def tile(p: Panels, memory: Memory | None, i: Index) -> None:
            self.tile(place, step, rows, t, read(t), p, i, memory, i)

        for p, memory in zip(self.panels, packed, strict=True):
            self.loop(p.count, partial(tile, p, memory))

    def read_x(self, place: Place, step: _Step, rows: Parts, first: Index, count: int) -> Any:
        """Readers of the scalars of a tile, by its number from `first` on."""
        e, roles = self.e, self.roles
        if self.pack_x():
            tiles = self.packing.pack_tiles(place, step.block, step.depth, rows, first, count, parallel=self.split_inside)
            return tiles.reader

        def reader(t: Index) -> Read:
            start = e.index_add(e.index_mul(e.index_add(t, first), rows.size), rows.start)

            def read(i: int, ks: Sequence[Index]) -> Value:
                return roles.x({**place, **step.block.where(e, ks), **roles.place(e, roles.m, e.index_add(start, i))})

            return read

        return reader

    # one tile

    def tile(
        self, place: Place, step: _Step, rows: Parts, t: Index, read_x: Any, p: Panels, i: Index, packed: Memory | None, at: Index, meanwhile: Any = None
    ) -> None:
        """The sums of one tile, from where they start to where they go."""
        e = self.e
        row = e.index_add(e.index_mul(t, rows.size), rows.start)
        column = e.index_mul(e.index_add(e.index_mul(i, p.size), p.start), self.lanes)
        zero = e.constant(0, type=self.vector)
        zeros = [[zero] * p.size for _ in range(rows.size)]
        sums = sum_products(e, self.steps(step), zeros, read_x, self.read_y(place, step, column, p, packed, at), meanwhile)
        if not step.first:
            sums = self.add_to_partial(place, step, row, column, p, sums)
        if not step.last or self.out is not None:
            self.store_sums(place, row, column, p, sums)
        else:
            self.store_elements(place, row, column, p, sums)

    def read_y(self, place: Place, step: _Step, column: Index, p: Panels, packed: Memory | None, at: Index) -> Read:
        """Vector (j, ks) of a panel."""
        e, roles, memory = self.e, self.roles, self.roles.y.memory
        if packed is not None:
            return lambda j, ks: self.load(packed, [at, step.block.flat(e, ks), j * self.lanes])
        assert memory is not None

        def read(j: int, ks: Sequence[Index]) -> Value:
            where = {**place, **step.block.where(e, ks), roles.n: e.index_add(column, j * self.lanes)}
            return self.load(memory, roles.y.index(where), self.mask(p, j))

        return read

    def steps(self, step: _Step) -> list[int]:
        """The loops over the summed axes: one for all, if both operands are packed; else one for each."""
        return [step.depth] if self.pack_y and self.pack_x() else step.block.shape

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

    def add_to_partial(self, place: Place, step: _Step, row: Index, column: Index, p: Panels, sums: Sums) -> Sums:
        """What is there already, and `sums`."""
        e, memory = self.e, self.partial_sums(place)

        def lanes(j: int) -> Value | None:
            there = self.mask(p, j)
            return there if step.before is None else step.before if there is None else e.and_(there, step.before)

        def before(i: int, j: int) -> Value:
            index = self.partial_index(place, e.index_add(row, i), e.index_add(column, j * self.lanes))
            return self.load(memory, index, lanes(j))

        return [[e.add(before(i, j), value) for j, value in enumerate(values)] for i, values in enumerate(sums)]

    def partial_sums(self, place: Place) -> Memory:
        memory = self.partial or self.out
        assert memory is not None
        return memory

    def partial_index(self, place: Place, row: Index, column: Index) -> list[Index]:
        return [row, column] if self.partial is not None else self.roles.out.index(self.out_place(place, row, column))

    def out_place(self, place: Place, row: Index, column: Index) -> dict[str, Index]:
        return {**place, self.roles.m[:1]: row, self.roles.n[:1]: column}

    def store_sums(self, place: Place, row: Index, column: Index, p: Panels, sums: Sums) -> None:
        """Vectors to plain memory."""
        e, memory = self.e, self.partial_sums(place)
        for i, values in enumerate(sums):
            for j, value in enumerate(values):
                index = self.partial_index(place, e.index_add(row, i), e.index_add(column, j * self.lanes))
                at, mask = [e.as_index(x) for x in index], self.mask(p, j)
                if mask is None:
                    e.store(memory.value, value, *at)
                else:
                    e.masked_store(memory.value, value, mask, *at)

    def store_elements(self, place: Place, row: Index, column: Index, p: Panels, sums: Sums) -> None:
        """Elements one by one, by way of a buffer of the tile's size: what is fused to them is computed on the way."""
        e, out = self.e, self.roles.out
        buffer = e.alloc(self.dtype, (len(sums), p.size * self.lanes))
        for i, values in enumerate(sums):
            for j, value in enumerate(values):
                e.store(buffer.value, value, e.as_index(i), e.as_index(j * self.lanes))

        def store(index: list[Index]) -> None:
            i, j = index
            where = self.out_place(place, e.index_add(row, i), e.index_add(column, j))
            out.access.store(out.index(where), buffer(index))

        e.for_(0, len(sums), lambda i: e.for_each((p.columns(self.lanes),), lambda j: store([i, *j])), apart=True)


# Note [Packing]
# --------------
# Rows of y lie far apart: in pages of their own, and often in few sets of the caches. They are copied to a panel, which tiles then read from end to
# end. The copy costs about as much as a tile, and waits for memory. So the next panel is copied while the products of this one are added: the
# multiply-adds of an iteration leave room for a load and a store. With fewer than eight tiles there are not enough iterations for that, and as few
# tiles do not pay for a copy at all; with very many tiles, copying before is cheaper than copying the last row again and again. Loops that may run
# at once must be independent, so panels go in groups, and the first one of a group is copied before.
