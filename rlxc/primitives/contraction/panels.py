"""The loops of one block of the summed axes.

      for blocks of rows                                the part of x that they read fits the second cache
        for panels of columns           parallel        as wide as a tile; packed just before use, or all at first if there are more blocks of rows
          for tiles of rows                             sums in registers

With few panels and many tiles, tiles are the outer loop of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rlxc.ir.core import Value
from rlxc.ir.emitter import Index, Memory
from rlxc.primitives.contraction.micro_kernel import Read, steps_together
from rlxc.primitives.contraction.packing import Packing, Panels
from rlxc.primitives.contraction.plan import Plan
from rlxc.primitives.contraction.tile import Panel, Place, Step, TileWriter
from rlxc.primitives.contraction.tiles import Parts, cut

GROUP = 8  # panels that are packed one while another is used

Readers = Callable[[Index], Read]  # of the scalars of a tile, by its number


def lower_block(e: Any, plan: Plan, place: Place, step: Step, tiles: TileWriter, packed: Sequence[Memory] | None) -> None:
    """Emit the loops of a block; `packed` are y's panels, if they are packed already."""
    _Block(e, plan, place, step, tiles).run(packed)


def pack_all(e: Any, plan: Plan, place: Place, step: Step) -> list[Memory]:
    """All panels of y in a block, packed, by width."""
    block = _Block(e, plan, place, step, TileWriter(e, plan, place, None))
    return [block.pack_width(p) for p in plan.panels]


class _Block:
    def __init__(self, e: Any, plan: Plan, place: Place, step: Step, tiles: TileWriter) -> None:
        self.e = e
        self.plan = plan
        self.roles = plan.roles
        self.tiling = plan.tiling
        self.lanes = plan.lanes
        self.place = place
        self.step = step
        self.depth = step.depth
        self.packing = Packing(e, plan.roles, plan.lanes)
        self.split = plan.split_inside  # whether the next loop may be shared by threads
        self.tile = partial(tiles.tile, step)

    def run(self, given: Sequence[Memory] | None) -> None:
        plan, tiling = self.plan, self.tiling
        most = plan.rows_of_block(self.depth)
        together = tiling.tile_count <= most
        tiles_outside = together and self.split and tiling.panel_count < 4 <= tiling.tile_count
        packed: list[Memory | None] = [*given] if given else [None] * len(plan.panels)
        if plan.packs_y and given is None and (not together or tiles_outside):
            packed = [self.pack_width(p) for p in plan.panels]
        if not together:
            for rows in tiling.rows:
                self.blocks_of_rows(rows, -(-rows.count // -(-rows.count // most)), packed)
            return
        x = [(rows, self.read_x(rows, 0, rows.count)) for rows in tiling.rows]
        if tiles_outside:
            for rows, read in x:
                self.each(rows.count, partial(self.row_of_tiles, rows, read, packed))
        else:
            for p, memory in zip(plan.panels, packed, strict=True):
                if plan.packs_y and memory is None and self.copies_along(p):
                    self.row_of_panels(p, x)
                else:
                    self.each(p.count, partial(self.panel, p, memory, x))

    # loops

    def each(self, count: int, body: Callable[[Index], None]) -> None:
        """A loop whose iterations may run at once, if it is not inside another one of this kind."""
        if count == 1 or not self.split:
            self.loop(count, body)
            return
        self.split = False
        self.e.for_(0, count, body, parallel=True)
        self.split = True

    def loop(self, count: int, body: Callable[[Index], None]) -> None:
        if count == 1:
            body(0)
        else:
            self.e.for_(0, count, body)

    def blocks_of_rows(self, rows: Parts, count: int, packed: list[Memory | None]) -> None:
        """Tiles in blocks of `count`, of which the last one may be shorter; in a block, panel by panel."""
        e = self.e

        def block(b: Index) -> None:
            first = e.index_mul(b, count)
            read = self.read_x(rows, first, count)
            for p, memory in zip(self.plan.panels, packed, strict=True):
                self.each(p.count, partial(panel, first, read, p, memory))

        def panel(first: Index, read: Readers, p: Panels, memory: Memory | None, i: Index) -> None:
            self.loop(count, partial(tile, first, read, Panel(p, i, memory, i)))

        def tile(first: Index, read: Readers, panel: Panel, t: Index) -> None:
            number = e.index_add(t, first)
            run = partial(self.tile, rows, number, read(t), panel)
            if rows.count % count == 0 or isinstance(number, int):
                run()
            else:
                e.cond(e.lt(e.as_index(number), rows.count), run, lambda: None)

        loop = self.each if self.tiling.panel_count < 4 else self.loop
        loop(-(-rows.count // count), block)

    def row_of_tiles(self, rows: Parts, read: Readers, packed: list[Memory | None], t: Index) -> None:
        """A tile of rows: all panels."""

        def tile(p: Panels, memory: Memory | None, i: Index) -> None:
            self.tile(rows, t, read(t), Panel(p, i, memory, i))

        for p, memory in zip(self.plan.panels, packed, strict=True):
            self.loop(p.count, partial(tile, p, memory))

    def panel(self, p: Panels, packed: Memory | None, x: list[tuple[Parts, Readers]], i: Index) -> None:
        """One panel: all tiles of rows. If it is packed here, the next one is asked for meanwhile."""
        e = self.e
        memory, at, fetch = packed, i, False
        if self.plan.packs_y and memory is None:
            memory, at = self.packing.panels(p, self.depth, count=1), 0
            self.packing.pack_panel(memory, at, self.place, self.step.block, p, i)
            fetch = self.tiling.panel_count > 1

        def tile(rows: Parts, read: Readers, t: Index) -> None:
            meanwhile = None
            if fetch:
                before = sum(r.count for r in self.tiling.rows if r.start < rows.start)
                following = self.column(p, e.index_add(i, 1))
                meanwhile = self.packing.fetch_panel(self.place, self.step.block, p, following, e.index_add(t, before))
            self.tile(rows, t, read(t), Panel(p, i, memory, at), meanwhile)

        for rows, read in x:
            self.loop(rows.count, partial(tile, rows, read))

    def column(self, p: Panels, number: Index) -> Index:
        """Where a panel begins."""
        e = self.e
        return e.index_mul(e.index_add(e.index_mul(number, p.size), p.start), self.lanes)

    # operands

    def read_x(self, rows: Parts, first: Index, count: int) -> Readers:
        """Readers of the scalars of a tile, by its number from `first` on."""
        e, roles = self.e, self.roles
        if self.plan.packs_x:
            tiles = self.packing.pack_tiles(self.place, self.step.block, self.depth, rows, first, count, parallel=self.split)
            return tiles.reader

        def reader(t: Index) -> Read:
            start = e.index_add(e.index_mul(e.index_add(t, first), rows.size), rows.start)

            def read(i: int, ks: Sequence[Index]) -> Value:
                value: Value = roles.x({**self.place, **self.step.block.where(e, ks), **roles.place(e, roles.m, e.index_add(start, i))})
                return value

            return read

        return reader

    def pack_width(self, p: Panels) -> Memory:
        """All panels of one width, packed."""
        memory = self.packing.panels(p, self.depth)
        self.each(p.count, lambda i: self.packing.pack_panel(memory, i, self.place, self.step.block, p, i))
        return memory

    # panels that are packed while products are added

    def copies_along(self, p: Panels) -> bool:
        """Whether panels are packed while products are added: a vector in each iteration is enough, and not far too much.

        See Note [Packing].
        """
        if p.count == 1 or not self.packing.copies_rows(p):
            return False
        room = sum(rows.count * self.iterations(rows, p) for rows in self.tiling.rows)
        return self.depth * p.size <= room <= 5 * self.depth * p.size

    def iterations(self, rows: Parts, p: Panels) -> int:
        """Iterations of the innermost loop of a tile, that are busy with something else as well."""
        return self.depth // steps_together(self.e.target, self.depth, rows.size, p.size, busy=True)

    def row_of_panels(self, p: Panels, x: list[tuple[Parts, Readers]]) -> None:
        """Panels of one width, in groups; the next one in the group is packed while the products of this one are added."""
        e = self.e

        def group(start: int, size: int, g: Index) -> None:
            first = e.index_add(e.index_mul(g, size), start)
            memory = self.packing.panels(p, self.depth, count=2)
            self.packing.pack_panel(memory, 0, self.place, self.step.block, p, first)

            def panel(i: Index) -> None:
                slot, other = e.index_rem(i, 2), e.index_rem(e.index_add(i, 1), 2)
                here = Panel(p, e.index_add(first, i), memory, slot)
                column = self.column(p, e.index_add(first, e.min(e.as_index(e.index_add(i, 1)), e.as_index(size - 1))))
                before = 0
                for rows, read in x:
                    each = self.iterations(rows, p)  # vectors copied with a tile
                    self.loop(rows.count, partial(tile, rows, read, each, before, here, other, column))
                    before += rows.count * each

            def tile(rows: Parts, read: Readers, each: int, before: int, here: Panel, other: Index, column: Index, t: Index) -> None:
                first = e.index_add(e.index_mul(t, each), before)
                copy = self.packing.copy_rows(memory, other, self.place, self.step.block, p, column, first)
                self.tile(rows, t, read(t), here, copy)

            self.loop(size, panel)

        for groups in cut(p.count, GROUP):
            self.each(groups.count, partial(group, groups.start, groups.size))


# Note [Packing]
# --------------
# Rows of y lie far apart: in pages of their own, and often in few sets of the caches. They are copied to a panel, which tiles then read from end to
# end. The copy costs about as much as a tile, and waits for memory. So the next panel is copied while the products of this one are added: the
# multiply-adds of an iteration leave room for a load and a store. With fewer than eight tiles there are not enough iterations for that, and as few
# tiles do not pay for a copy at all; with very many tiles, copying before is cheaper than copying the last row again and again. Loops that may run
# at once must be independent, so panels go in groups, and the first one of a group is copied before.
