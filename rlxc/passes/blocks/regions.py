"""A space as blocked ops, one for each level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.passes.blocks.spaces import Labels, Space
from rlxc.passes.blocks.uses import Uses

ROWS, FEW = 128, 32  # of a block, at most, and at least if there are as many


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One level of a space: the ops it stands for, what it gives in their place, and the blocked op it will be, of values of the function."""

    ops: Sequence[Op]
    outputs: list[Value]
    operands: list[Value]
    attrs: dict[str, Any]
    regions: tuple[Func, ...]


def write_pieces(uses: Uses, space: Space, l2: int) -> list[Piece]:
    """The pieces of a space whose results are read."""
    return _Writing(uses, space, l2).run()


class _Writing:
    def __init__(self, uses: Uses, space: Space, l2: int) -> None:
        self.uses = uses
        self.space = space
        self.producer = {v: op for op in space.ops for v in op.results}
        self.block_rows = _rows_of_block(space, l2)

    def run(self) -> list[Piece]:
        levels: dict[int, list[Op]] = {}
        for op in self.space.ops:
            if op not in self.space.shared:
                levels.setdefault(self.space.level[op], []).append(op)
        pieces = [self.write(level, levels[level]) for level in sorted(levels)]
        return [piece for piece in pieces if piece is not None]

    def write(self, level: int, ops: Sequence[Op]) -> Piece | None:
        """The ops of a level, and what is large and came before."""
        outputs = self.outputs(level, ops)
        if not outputs:
            return None
        left = self.space.sizes[-1] % self.block_rows
        bodies = []
        for rows in (self.block_rows, left) if left else (self.block_rows,):
            region = _Region(self, level, rows)
            yields = [region.value(v) for v in outputs]
            bodies.append(Func("", tuple(region.args), tuple(region.b.ops), tuple(yields), "region"))
        attrs = {
            "sizes": self.space.sizes,
            "blocks": (*[1] * self.space.rows, self.block_rows),
            "takes": tuple(region.axes),
            "gives": tuple(self.space.labels[v] for v in outputs),
        }
        return Piece(ops, outputs, region.operands, attrs, tuple(bodies))

    def outputs(self, level: int, ops: Sequence[Op]) -> list[Value]:
        """What later ops read, or those outside."""
        inside = set(ops)
        needed: set[Value] = set()
        for op in self.space.ops:  # what a level computes once more, it needs the small operands of
            if self.space.level[op] > level:
                needed.update(self.needed_again(op))
        made = [v for op in ops for v in op.results]
        return [v for v in made if v in needed or v in self.uses.results or any(self.stored_for(op, v) for op in self.uses.readers_of(v) if op not in inside)]

    def stored_for(self, op: Op, v: Value) -> bool:
        """Whether an op of another level, or from outside, reads a value of the space from memory."""
        return op not in self.space.reads or not self.again(v, self.space.level[op])

    def again(self, v: Value, level: int) -> bool:
        """Whether a later level computes a value of the space once more."""
        op = self.producer.get(v)
        if op is None or self.space.level[op] >= level:
            return False
        is_cheap = op.prim.index_map or not op.operands or op in self.space.shared
        return self.space.is_large(v) or is_cheap

    def needed_again(self, op: Op) -> list[Value]:
        """Values of the space that must be stored so that `op` can be computed at its level."""
        found, seen = [], set()
        stack = list(op.operands)
        while stack:
            v = stack.pop()
            if v in seen or v not in self.producer:
                continue
            seen.add(v)
            maker = self.producer[v]
            if self.space.level[maker] == self.space.level[op]:
                continue
            if self.again(v, self.space.level[op]):
                stack += maker.operands
            else:
                found.append(v)
        return found


class _Region:
    """The body of a blocked op while it is written."""

    def __init__(self, writing: _Writing, level: int, rows: int) -> None:
        self.rows = rows
        self.writing = writing
        self.space = writing.space
        self.level = level
        self.b = Builder()
        self.args: list[Value] = []
        self.operands: list[Value] = []
        self.axes: list[Labels] = []
        self.made: dict[tuple[Value, Labels], Value] = {}

    def value(self, v: Value) -> Value:
        """A value of the space, in the region."""
        return self.read(v, self.space.labels[v])

    def read(self, root: Value, labels: Labels) -> Value:
        """The block of a value along these axes; the ops that compute it are written first."""
        stack = [(root, labels)]
        while stack:
            v, axes = stack[-1]
            op = self.writing.producer.get(v)
            if (v, axes) in self.made:
                stack.pop()
            elif op is None or (self.space.level[op] < self.level and not self.writing.again(v, self.level)):
                self.made[v, axes] = self.argument(v, axes)
            else:
                needs = list(zip(op.operands, self.space.reads[op], strict=True))
                missing = [need for need in needs if need not in self.made]
                stack += missing
                if not missing:
                    self.made[v, axes] = self.compute(op, [self.made[need] for need in needs], axes)
        return self.made[root, labels]

    def argument(self, v: Value, axes: Labels) -> Value:
        arg = Value(v.type.with_shape(self.block_shape(v, axes)), v.name, loc=v.loc)
        self.args.append(arg)
        self.operands.append(v)
        self.axes.append(axes)
        return arg

    def block_shape(self, v: Value, axes: Labels) -> list[int]:
        return [n if a < 0 else self.rows if a == self.space.rows else 1 for n, a in zip(v.type.shape, axes, strict=True)]

    def compute(self, op: Op, operands: list[Value], axes: Labels) -> Value:
        type_ = op.result.type.with_shape(self.block_shape(op.result, axes))
        attrs = op.prim.resized(type_, **op.attrs)
        new = self.b.emit(op.prim, operands, dict(attrs), names=[op.result.name], loc=op.loc)
        assert new.result.type == type_
        return new.result


def _rows_of_block(space: Space, l2: int) -> int:
    """Rows of a block: so many that a large value of it stays in the second cache beside what all blocks read; a divisor of all rows, or nearly so."""
    rows = space.sizes[-1]
    row_bytes = space.element_bytes * space.large // math.prod(space.sizes)
    most = min(rows, max(FEW, min(ROWS, l2 // 2 // row_bytes)))
    even = [n for n in range(-(-most * 2 // 3), most + 1) if rows % n == 0]
    return max(even, default=-(-rows // -(-rows // most)))
