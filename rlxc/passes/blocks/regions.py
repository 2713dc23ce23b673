"""A space written as blocked ops, one for each level."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.primitive import lookup
from rlxc.passes.blocks.spaces import Labels, Space
from rlxc.passes.dce import live_ops

ROWS, FEW = 128, 32  # of a block, at most, and at least if there are as many


def write_blocked(func: Func, space: Space, l2: int) -> Func:
    """The function with the ops of the space replaced; ops come level by level."""
    return _Writing(func, space, l2).run()


class _Writing:
    def __init__(self, func: Func, space: Space, l2: int) -> None:
        self.func = func
        self.space = space
        self.producer = {v: op for op in space.ops for v in op.results}
        self.block_rows = _rows_of_block(space, l2)
        self.out = Builder()
        self.env: dict[Value, Value] = {}

    def run(self) -> Func:
        inside = set(self.space.ops)
        levels = sorted(set(self.space.level.values()))
        for level in levels:
            members = [op for op in self.func.ops if self.space.level[op] == level]
            for op in members:
                if op not in inside or op in self.space.shared:
                    self.out.rebuild(op, self.env)
            mine = [op for op in members if op in inside and op not in self.space.shared]
            if mine:
                self.write(level, mine)
        results = tuple(self.env.get(v, v) for v in self.func.results)
        return self.func.with_(ops=tuple(live_ops(self.out.ops, results)), results=results)

    def write(self, level: int, ops: Sequence[Op]) -> None:
        """One blocked op for the ops of a level, and what is large and came before."""
        outputs = self.outputs(level, ops)
        if not outputs:
            return
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
        names = [v.name for v in outputs]
        op = self.out.emit(lookup("blocked"), region.operands, attrs, regions=tuple(bodies), names=names, loc=ops[-1].loc)
        self.env.update(zip(outputs, op.results, strict=True))

    def outputs(self, level: int, ops: Sequence[Op]) -> list[Value]:
        """What later ops read, or those outside."""
        made = dict.fromkeys(v for op in ops for v in op.results)
        inside = set(ops)
        used: set[Value] = set(self.func.results)
        for op in self.func.ops:
            if op in inside:
                continue
            again = op in self.space.reads  # computes what is large once more
            used.update(v for v in op.operands if not again or not self.again(v, self.space.level[op]))
        for op in self.func.ops:  # what a level computes once more, it needs the small operands of
            if op in self.space.reads and self.space.level[op] > level:
                used.update(self.needed_again(op))
        return [v for v in made if v in used]

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
        self.operands.append(self.writing.env.get(v, v))
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
