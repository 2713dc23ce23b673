"""Operands copied into the order in which tiles read them, by way of their readers: whatever was drawn into a reader is done here.

panels of y     [panel, k, columns of a panel]; columns beyond the last one are zeros
tiles of x      [tile, k, rows of a tile] if rows are neighbours in x, else [tile, rows of a tile, k]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rlxc.ir.core import Value
from rlxc.ir.emitter import Index, Memory
from rlxc.primitives.contraction.letters import Roles
from rlxc.primitives.contraction.micro_kernel import Meanwhile, Read
from rlxc.primitives.contraction.tiles import Parts, cut

TOGETHER = 64
AHEAD = 8  # rows of y
LINE = 64  # bytes of a line of the cache


@dataclass(frozen=True, slots=True)
class Panels(Parts):
    """Panels of one width, in vectors; of the last vector `tail` columns are there, or all (0)."""

    tail: int = 0

    def columns(self, lanes: int) -> int:
        """Columns that are there."""
        return self.size * lanes - (lanes - self.tail if self.tail else 0)


@dataclass(frozen=True, slots=True)
class Depth:
    """A block of the summed axes: along each of them a start and a number of steps."""

    starts: Mapping[str, Index]
    steps: Mapping[str, int]

    @property
    def shape(self) -> list[int]:
        return list(self.steps.values())

    def flat(self, e: Any, ks: Sequence[Index]) -> Index:
        """Position in the block: of an index along each axis, or of one that is flat already."""
        return ks[0] if len(ks) == 1 else e.ravel(ks, self.shape)

    def where(self, e: Any, index: Sequence[Index]) -> dict[str, Index]:
        """The place at `index` in the block."""
        return {a: e.index_add(self.starts[a], i) for a, i in zip(self.steps, index, strict=True)}


class Packing:
    """Packs blocks of the operands of one contraction."""

    def __init__(self, e: Any, roles: Roles, lanes: int) -> None:
        self.e = e
        self.roles = roles
        self.lanes = lanes
        self.dtype = roles.y.access.type.dtype

    def panels(self, panels: Panels, depth: int, *, count: int | None = None) -> Memory:
        """Memory for `count` panels (all of them unless stated)."""
        return self.e.alloc(self.dtype, (panels.count if count is None else count, depth, panels.size * self.lanes))

    def pack_panel(self, memory: Memory, at: Index, place: Mapping[str, Index], block: Depth, panels: Panels, panel: Index) -> None:
        """Fill panel `at` of `memory` with panel number `panel` of y."""
        e, roles = self.e, self.roles
        first = e.index_mul(e.index_add(e.index_mul(panel, panels.size), panels.start), self.lanes)
        columns = panels.columns(self.lanes)

        def copy(index: list[Index]) -> None:
            *ks, j = index
            where = {**place, **block.where(e, ks), **roles.place(e, roles.n, e.index_add(first, j))}
            memory.store([at, e.ravel(ks, block.shape), j], roles.y(where))

        def row(ks: list[Index]) -> None:
            self.prefetch_row(place, block, ks, first, columns)
            e.for_each((columns,), lambda j: copy([*ks, *j]))

        if self.has_runs():
            e.for_each(block.shape, lambda ks: self.copy_runs(memory, at, place, block, panels, ks, first))
        elif roles.y.last in roles.n:
            e.for_each(block.shape, row)
        else:
            e.for_each((columns, *block.shape), lambda index: copy([*index[1:], index[0]]))
        if columns < panels.size * self.lanes:
            e.for_each((memory.type.shape[1], panels.size * self.lanes - columns), lambda i: memory.store([at, i[0], e.index_add(i[1], columns)], 0))

    def has_runs(self) -> bool:
        """Whether columns are several axes, of which the last one is whole vectors of y as they lie."""
        roles = self.roles
        return roles.y.memory is not None and len(roles.n) > 1 and roles.y.last == roles.n[-1] and roles.sizes[roles.n[-1]] % self.lanes == 0

    def copy_runs(self, memory: Memory, at: Index, place: Mapping[str, Index], block: Depth, panels: Panels, ks: list[Index], first: Index) -> None:
        """Copy a row of a panel from column `first` on; no vector of it goes beyond a run."""
        e, roles = self.e, self.roles
        assert roles.y.memory is not None
        for j in range(0, panels.size * self.lanes, self.lanes):
            where = {**place, **block.where(e, ks), **roles.place(e, roles.n, e.index_add(first, j))}
            value = e.load(roles.y.memory.value, *map(e.as_index, roles.y.index(where)), lanes=self.lanes)
            e.store(memory.value, value, *map(e.as_index, [at, e.ravel(ks, block.shape), j]))

    def loop(self, count: int, body: Callable[[Index], None], parallel: bool) -> None:
        if count == 1:
            body(0)
        else:
            self.e.for_(0, count, body, parallel=parallel)

    def prefetch_rows(self, place: Mapping[str, Index], block: Depth, ks: list[Index], first: Index, rows: int) -> None:
        """Ask for a stretch of x that is needed soon, as far as it lies together."""
        e, roles = self.e, self.roles
        if roles.x.memory is None or len(roles.k) != 1 or len(roles.m) != 1:
            return
        ahead = {**place, **block.where(e, [e.index_add(ks[0], AHEAD)])}
        for i in range(0, rows, LINE // self.dtype.size):
            index = roles.x.index({**ahead, roles.m: e.index_add(first, i)})
            e.prefetch(roles.x.memory.value, *map(e.as_index, index))

    def prefetch_row(self, place: Mapping[str, Index], block: Depth, ks: list[Index], first: Index, columns: int) -> None:
        """Ask for a row of y that is needed soon: rows lie so far apart that the processor does not foresee it."""
        e, roles = self.e, self.roles
        if roles.y.memory is None or len(roles.k) != 1 or len(roles.n) != 1:
            return
        size = self.dtype.size
        ahead = {**place, **block.where(e, [e.index_add(ks[0], AHEAD)])}
        for j in range(0, columns, LINE // size):
            index = roles.y.index({**ahead, roles.n: e.index_add(first, j)})
            e.prefetch(roles.y.memory.value, *map(e.as_index, index))

    def fetch_panel(self, place: Mapping[str, Index], block: Depth, panels: Panels, column: Index, tile: Index) -> Meanwhile | None:
        """Ask for the panel that starts at `column`, a part of it with each tile before, a line at a time: by the time it is packed, it is near.

        None where that does not help: where y is no plain memory, or lies in rows that packing itself asks for in time.
        """
        e, roles = self.e, self.roles
        if roles.y.memory is None or len(roles.k) != 1 or len(roles.n) != 1 or roles.y.last != roles.k:
            return None
        (depth,) = block.shape
        per_line = max(1, LINE // self.dtype.size)
        columns = panels.size * self.lanes
        memory = roles.y.memory.value

        def fetch(k: Index, unroll: int) -> None:
            count = e.index_div(k, unroll)  # lines asked for with this tile, of depth // unroll
            line = e.index_add(e.index_mul(tile, max(1, depth // unroll // columns)), e.index_div(count, columns))
            at = e.index_add(block.starts[roles.k], e.index_mul(line, per_line))
            where = {**place, roles.k: at, roles.n: e.index_add(column, e.index_rem(count, columns))}
            e.prefetch(memory, *map(e.as_index, roles.y.index(where)))

        return fetch

    def copies_rows(self, panels: Panels) -> bool:
        """Whether rows of a panel are vectors of y as they lie, so that they can be copied while products are added."""
        roles = self.roles
        return roles.y.memory is not None and len(roles.k) == 1 and len(roles.n) == 1 and roles.y.last == roles.n and not panels.tail

    def copy_rows(self, memory: Memory, slot: Index, place: Mapping[str, Index], block: Depth, panels: Panels, column: Index, first: Index) -> Meanwhile:
        """Copy the panel that starts at `column` to `slot` of `memory`, a vector in each iteration, from vector number `first` on.

        Vectors that are copied soon are asked for. Beyond the last row, that row is copied again.
        """
        e, roles = self.e, self.roles
        (depth,) = block.shape
        source = roles.y.memory
        assert source is not None

        def at(row: Index, j: Index) -> list[Value]:
            where = {**place, roles.k: e.index_add(block.starts[roles.k], row), roles.n: e.index_add(column, e.index_mul(j, self.lanes))}
            return [e.as_index(i) for i in roles.y.index(where)]

        def copy(k: Index, unroll: int) -> None:
            vector = e.index_add(first, e.index_div(k, unroll))
            j = e.index_rem(vector, panels.size)
            row = e.min(e.as_index(e.index_div(vector, panels.size)), e.as_index(depth - 1))
            e.prefetch(source.value, *at(e.index_add(row, AHEAD), j))
            value = e.load(source.value, *at(row, j), lanes=self.lanes)
            e.store(memory.value, value, *map(e.as_index, [slot, row, e.index_mul(j, self.lanes)]))

        return copy

    def pack_tiles(self, place: Mapping[str, Index], block: Depth, depth: int, rows: Parts, first: Index, count: int, *, parallel: bool) -> Tiles | Stretches:
        """`count` tiles of x from tile number `first` on, in memory of their own; beyond the last tile it is repeated."""
        e, roles = self.e, self.roles
        if self.has_stretches(block):
            return self.pack_stretches(place, block, rows, first, count, parallel=parallel)
        by_rows = roles.x.last in roles.m
        shape = (count, depth, rows.size) if by_rows else (count, rows.size, depth)
        memory = e.alloc(self.dtype, shape)

        def start(t: Index) -> Index:
            number = e.index_add(t, first)
            if rows.count % count and not isinstance(number, int):
                number = e.min(number, rows.count - 1)
            return e.index_add(e.index_mul(number, rows.size), rows.start)

        def copy(t: Index, ks: Sequence[Index], i: Index) -> None:
            where = {**place, **block.where(e, ks), **roles.place(e, roles.m, e.index_add(start(t), i))}
            k = e.ravel(ks, block.shape)
            memory.store([t, k, i] if by_rows else [t, i, k], roles.x(where))

        def together(at: int, size: int, g: Index) -> None:
            """Tiles next to each other: for each k, the rows of one after those of the other."""
            t = e.index_add(e.index_mul(g, size), at)

            def row(ks: list[Index]) -> None:
                self.prefetch_rows(place, block, ks, start(t), size * rows.size)
                e.for_each((size, rows.size), lambda i: copy(e.index_add(t, i[0]), ks, i[1]))

            e.for_each(block.shape, row)

        if by_rows:
            for groups in cut(count, max(1, TOGETHER // rows.size)):
                self.loop(groups.count, partial(together, groups.start, groups.size), parallel)
        else:
            self.loop(count, lambda t: e.for_each((rows.size, *block.shape), lambda index: copy(t, index[1:], index[0])), parallel)
        return Tiles(e, memory, by_rows, block)

    def has_stretches(self, block: Depth) -> bool:
        """Whether, for each step of the first summed axis, x has row after row, each of them all elements along the other summed axes."""
        x, m, k = self.roles.x, self.roles.m, self.roles.k
        whole = all(block.steps[a] == self.roles.sizes[a] for a in k[1:])
        return self.roles.y.stays and x.memory is not None and len(m) == 1 and len(k) > 1 and x.letters.endswith(k[0] + m + k[1:]) and whole

    def pack_stretches(self, place: Mapping[str, Index], block: Depth, rows: Parts, first: Index, count: int, *, parallel: bool) -> Stretches:
        """Tiles of x as they lie: [tile, steps of the first summed axis, rows and elements along the others]."""
        e, roles = self.e, self.roles
        depth, *others = block.shape
        each = math.prod(others)
        assert roles.x.memory is not None
        shape = roles.x.memory.type.shape[: -1 - len(others)]
        x = Memory(e, e.view(roles.x.memory.value, shape=(*shape, roles.size(roles.m) * each)))
        memory = e.alloc(self.dtype, (count, depth, rows.size * each))
        size = rows.size * each

        def together(at: int, tiles: int, g: Index) -> None:
            t = e.index_add(e.index_mul(g, tiles), at)

            def copy(index: list[Index]) -> None:
                k, i, q = index
                number = e.index_add(e.index_add(t, i), first)
                if rows.count % count and not isinstance(number, int):
                    number = e.min(number, rows.count - 1)
                where = {**place, roles.m: 0, **block.where(e, [k, *[0] * len(others)])}
                start = e.index_add(e.index_mul(number, size), rows.start * each)
                memory.store([e.index_add(t, i), k, q], x([*roles.x.index(where)[: len(shape)], e.index_add(start, q)]))

            e.for_each((depth, tiles, size), copy)

        for groups in cut(count, max(1, TOGETHER // rows.size)):
            self.loop(groups.count, partial(together, groups.start, groups.size), parallel)
        return Stretches(e, memory, others)


@dataclass(frozen=True, slots=True)
class Stretches:
    """Packed tiles of x, row after row for each step of the first summed axis."""

    e: Any
    memory: Memory
    others: Sequence[int]

    def reader(self, tile: Index) -> Read:
        """Element (i, ks) of a tile."""

        def read(i: int, ks: Sequence[Index]) -> Value:
            first, *inner = ks
            return self.memory([tile, first, self.e.index_add(self.e.ravel(inner, self.others), i * math.prod(self.others))])

        return read


@dataclass(frozen=True, slots=True)
class Tiles:
    """Packed tiles of x."""

    e: Any
    memory: Memory
    by_rows: bool
    block: Depth

    def reader(self, tile: Index) -> Read:
        """Element (i, ks) of a tile."""

        def read(i: int, ks: Sequence[Index]) -> Value:
            k = self.block.flat(self.e, ks)
            return self.memory([tile, k, i] if self.by_rows else [tile, i, k])

        return read
