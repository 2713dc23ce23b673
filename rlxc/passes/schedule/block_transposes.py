"""What a loop would read or write with strides, where another loop of its nest goes in order, passes through tiles.

    for %i in 0..1024 {                       for %i in 0..1024 step 32 { for %j in 0..1024 step 32 {
      for %j in 0..1024 {                       %tile[ii, jj] = %x[j + jj, i + ii], squares of vectors transposed in registers
        %0 = load %x, %j, %i           =>       for %ii in 0..32 { for %jj in 0..32 {
        store %y, %0, %i, %j                      %0 = load %tile, %ii, %jj
                                                  store %y, %0, %i + ii, %j + jj

At the edges tiles go back, and do some again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.emitter import Index
from rlxc.ir.types import MemType
from rlxc.passes.manager import module_pass
from rlxc.passes.schedule.plan import advance, trips
from rlxc.passes.schedule.rewrite import Rewriter, is_for, rules
from rlxc.passes.schedule.transpose_lanes import part_of, transposed

MAX_LANES = 16
MIN_LANES = 4


@module_pass("block-transposes")
def block_transposes(module: Module, *, bytes: int = 64, l1: int = 32 << 10) -> Module:
    """Transpose what is read or written across its order by squares of vectors of `bytes`, in tiles made for a cache of `l1` bytes."""
    done = []
    for f in module.funcs:
        rewriter = _BlockTransposes(f, bytes, l1) if f.kind == "kernel" else None
        done.append(rewriter.run() if rewriter is not None else f)
    return Module(tuple(done))


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops of which each contains the next and nothing else that matters; `ops` are those in their bodies."""

    loops: tuple[Op, ...]
    ops: tuple[Op, ...]

    def counter(self, at: int) -> Value:
        return self.loops[at].regions[0].args[0]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Accesses of a nest that go in order along the loop `along`, and with strides along the innermost one."""

    along: int
    accesses: tuple[Op, ...]


class _BlockTransposes(Rewriter):
    def __init__(self, func: Func, bytes: int, l1: int) -> None:
        super().__init__(func)
        self.bytes = bytes
        self.tile_bytes = 2 * l1  # long stretches of memory count for more than the nearest cache does
        made = (v for op in func.walk() if not op.operands for v in op.results if isinstance(v.type, MemType))
        self.apart = {a for a in (*func.args, *made)}  # memory that is no other memory's
        self.tiles: dict[Op, Value] = {}
        self.found: dict[Op, tuple[Nest, Crossing]] = {}
        self.at: tuple[Index, Index] = (0, 0)  # place in the tiles

    def run(self) -> Func:
        self.find(self.func)
        return super().run() if self.found else self.func

    def find(self, func: Func) -> None:
        """Note the loops that are to become tiles."""
        for op in func.ops:
            nest = nest_of(op) if is_for(op) else None
            crossing = self.crossing(nest) if nest is not None else None
            if nest is not None and crossing is not None:
                self.found[op] = nest, crossing
                continue
            for region in op.regions:
                self.find(region)

    def changes(self, op: Op) -> bool:
        return op in self.found

    def loop(self, op: Op) -> None:
        if op not in self.found:
            super().loop(op)
        else:
            nest, crossing = self.found[op]
            self.others(nest, crossing, [at for at in range(len(nest.loops) - 1) if at != crossing.along])

    def crossing(self, nest: Nest) -> Crossing | None:
        """What is worth transposing, if iterations may be done in any order, and twice."""
        steps: list[dict[Value, int | None]] = [{nest.counter(at): 1} for at in range(len(nest.loops))]
        moves: list[dict[Op, int | None]] = []
        for of_loop in steps:
            known: dict[Value, int] = {}
            moves.append({op: step for op in nest.ops for step in [advance(op, of_loop, known)] if rules(op).access})
        if not self.any_order(nest, steps):
            return None
        inner = len(nest.loops) - 1
        best = Crossing(0, ())
        for along in reversed(range(inner)):
            found = tuple(op for op in moves[inner] if moves[inner][op] not in (0, 1, None) and moves[along][op] == 1 and self.lanes(nest, along, op))
            if len(found) > len(best.accesses):
                best = Crossing(along, found)
        in_order = any(step == 1 for step in moves[inner].values())
        return best if best.accesses and in_order else None

    def any_order(self, nest: Nest, steps: Sequence[dict[Value, int | None]]) -> bool:
        """Whether each iteration stores to places of its own, in memory that the nest does not read."""
        stored: set[Value] = set()
        for op in nest.ops:
            if not rules(op).access:
                continue
            memory, value, index = rules(op).parts(op.operands)
            if value is None:
                continue
            movers = [[at for at, of_loop in enumerate(steps) if of_loop.get(i, 0) != 0] for i in index]
            if memory in stored or memory not in self.apart or sorted(at for some in movers for at in some) != list(range(len(steps))):
                return False
            if any(len(some) > 1 or any(steps[at][i] is None for at in some) for i, some in zip(index, movers, strict=True)):
                return False
            stored.add(memory)
        read = {op.operands[0] for op in nest.ops for v in op.operands[:1] if isinstance(v.type, MemType)} - stored
        return bool(stored) and read <= self.apart and all(op.operands[0] not in stored for op in nest.ops if op.results and op.operands)

    def lanes(self, nest: Nest, along: int, op: Op) -> int:
        """Side of the squares that are transposed, or 0 where there is no room."""
        memory = op.operands[0].type
        assert isinstance(memory, MemType)
        shortest = min(trips(nest.loops[along]), trips(nest.loops[-1]))
        most = min(MAX_LANES, self.bytes // memory.dtype.size, 1 << (max(shortest, 1).bit_length() - 1))
        return most if most >= MIN_LANES and not memory.dtype.is_bool else 0

    # loops

    def others(self, nest: Nest, crossing: Crossing, left: Sequence[int]) -> None:
        """The loops that stay as they are, and then those over tiles."""
        if not left:
            self.over_tiles(nest, crossing)
            return
        first, *rest = left
        loop = nest.loops[first]

        def body(i: Value) -> None:
            self.env[nest.counter(first)] = i
            self.others(nest, crossing, rest)

        self.e.for_(loop.attrs["start"], loop.attrs["stop"], body, parallel=loop.attrs["parallel"])

    def over_tiles(self, nest: Nest, crossing: Crossing) -> None:
        element = max(op.operands[0].type.dtype.size for op in crossing.accesses)  # type: ignore[union-attr]
        side = 1 << ((self.tile_bytes // element).bit_length() - 1) // 2
        outer, inner = nest.loops[crossing.along], nest.loops[-1]
        square = max(self.lanes(nest, crossing.along, op) for op in crossing.accesses)
        rows, columns = (max(square, _even_part(trips(loop), side)) for loop in (outer, inner))

        def tile_row(i: Index) -> None:
            self.steps(trips(inner), columns, lambda j: self.tile(nest, crossing, (i, j), (rows, columns)))

        self.steps(trips(outer), rows, tile_row, parallel=outer.attrs["parallel"])

    def steps(self, size: int, step: int, body: Callable[[Index], Any], **attrs: Any) -> None:
        """A loop of such steps, of which the last goes back where they do not come out even."""
        e = self.e
        if size <= step:
            body(0)
        else:
            e.for_(0, size, lambda i: body(e.min(i, size - step) if size % step else i), step=step, **attrs)

    def tile(self, nest: Nest, crossing: Crossing, corner: tuple[Index, Index], sizes: tuple[int, int]) -> None:
        e = self.e
        for op in crossing.accesses:
            self.tiles[op] = e.alloc(op.operands[0].type.dtype, sizes).value  # type: ignore[union-attr]
        for op in crossing.accesses:
            if op.results:
                self.transpose(nest, crossing, op, corner, sizes)

        def one(at: list[Index]) -> None:
            self.place(nest, crossing, corner, at)
            self.at = (at[0], at[1])
            self.ops(nest.ops)

        e.for_each(sizes, one)
        for op in crossing.accesses:
            if not op.results:
                self.transpose(nest, crossing, op, corner, sizes)
        self.tiles.clear()

    def place(self, nest: Nest, crossing: Crossing, corner: Sequence[Index], at: Sequence[Index]) -> None:
        """Set the two counters to a place in the tile."""
        for loop, c, i in zip((crossing.along, len(nest.loops) - 1), corner, at, strict=True):
            start = nest.loops[loop].attrs["start"]
            self.env[nest.counter(loop)] = self.e.as_index(self.e.index_add(self.e.index_add(c, i), start))

    def op(self, op: Op) -> None:
        tile = self.tiles.get(op)
        if tile is None:
            super().op(op)
            return
        _, value, _ = rules(op).parts(op.operands)
        at = [self.e.as_index(i) for i in self.at]
        if value is None:
            self.bind(op, [self.e.load(tile, *at)])
        else:
            self.e.store(tile, self.of(value), *at)

    # between a tile and memory

    def transpose(self, nest: Nest, crossing: Crossing, op: Op, corner: tuple[Index, Index], sizes: tuple[int, int]) -> None:
        """Fill the tile of a load, or empty that of a store, square by square."""
        e, tile, lanes = self.e, self.tiles[op], self.lanes(nest, crossing.along, op)
        memory, value, index = rules(op).parts(op.operands)
        needed = _slice(nest.ops, index)

        def places(i: Index, j: Index, count: int) -> list[list[Value]]:
            """Where `count` columns of the tile from i, j on are in memory, in order along the other loop."""
            found = []
            for k in range(count):
                self.place(nest, crossing, corner, (i, e.index_add(j, k)))
                self.ops(needed)
                found.append([self.of(v) for v in index])
            return found

        def in_tile(i: Index, j: Index, count: int) -> list[list[Value]]:
            return [[e.as_index(e.index_add(i, k)), e.as_index(j)] for k in range(count)]

        part = part_of(memory.type.dtype.size, lanes)  # type: ignore[union-attr]

        def parts(i: Index, j: Index, c: Index) -> None:
            """The rows of a square from number c on, of which each has a lane of every column."""
            if value is None:
                i = e.index_add(i, c)
                source, target, reads, writes = self.of(memory), tile, places(i, j, lanes), in_tile(i, j, part)
            else:
                j = e.index_add(j, c)
                source, target, reads, writes = tile, self.of(memory), in_tile(i, j, lanes), places(i, j, part)
            columns = [e.load(source, *at, lanes=part) for at in reads]
            for row, at in zip(transposed(e, columns), writes, strict=True):
                e.store(target, row, *at)

        def square(i: Index, j: Index) -> None:
            self.steps(lanes, part, lambda c: parts(i, j, c))

        self.steps(sizes[1], lanes, lambda j: self.steps(sizes[0], lanes, lambda i: square(i, j)))


def _even_part(size: int, most: int) -> int:
    """The length of parts of at most `most` that `size` is divided into, the last of which lacks as little as can be."""
    return -(-size // -(-size // most))


def nest_of(op: Op) -> Nest | None:
    """The nest that starts with `op`, at least two loops deep; None where a loop carries values, or has more in it than the next one."""
    loops, ops = [], []
    while True:
        (body,) = op.regions
        if op.operands or op.attrs["step"] != 1 or trips(op) < 1:
            return None
        loops.append(op)
        nested = [o for o in body.ops if o.regions]
        ops += [o for o in body.ops if not o.regions]
        if not nested:
            break
        if len(nested) > 1 or nested[0].prim.syntax != "for":
            return None
        op = nested[0]
    usual = all(rules(o).widens and (rules(o).access or not rules(o).has_effect) for o in ops)
    plain = all(o.attrs.get("lanes", 1) == 1 for o in ops if rules(o).access)
    return Nest(tuple(loops), tuple(ops)) if len(loops) > 1 and usual and plain else None


def _slice(ops: Sequence[Op], roots: Sequence[Value]) -> list[Op]:
    """Those of `ops` that `roots` are computed by, in order."""
    wanted, needed = set(roots), []
    for op in reversed(ops):
        if not wanted.isdisjoint(op.results):
            wanted.update(op.operands)
            needed.append(op)
    return needed[::-1]
