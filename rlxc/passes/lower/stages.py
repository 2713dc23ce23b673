"""The stages of a row: which values of a fused region are computed when, and which are kept for later ones.

softmax of f32[8, 64], rows = 1            stage 0   m = max of x
                                           stage 1   e = exp(x - m), s = sum of e; e is kept
                                           stage 2   y = e / s
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rlxc.ir.core import Func, Op, Value


class Stages:
    """What a region computes in each stage of a row.

    A reduction along the row splits it in what is computed before it is known and what needs it. One across rows does not:
    nothing in the region reads it. Values in `exact` are never computed a second time, in which they might be rounded otherwise.
    """

    def __init__(self, region: Func, rows: int, exact: Collection[Value] = ()) -> None:
        self.region = region
        self.rows = rows
        self.exact = exact
        self.shape = _space(region)
        self.producer: dict[Value, Op] = {v: op for op in region.ops for v in op.results}
        reductions = [op for op in region.ops if op.prim.reduction]
        self.along = [op for op in reductions if min(op.attrs["axes"]) >= rows]
        self.across = [op for op in reductions if min(op.attrs["axes"]) < rows]
        self.level = self._levels()

    def is_full(self, v: Value) -> bool:
        """Whether there is an element of `v` for each place in the space."""
        return len(v.type.shape) == len(self.shape)  # type: ignore[union-attr]

    @property
    def count(self) -> int:
        needed = [self.level[v] for v in self.region.results if v not in self.known_last] + [self.level[op.operands[0]] for op in self.along + self.across]
        return max(needed, default=0) + 1

    @property
    def known_last(self) -> set[Value]:
        """Results that are known after the last row."""
        return {op.result for op in self.across}

    def _levels(self) -> dict[Value, int]:
        """The stage in which each value can be computed: one later than a reduction along the row that it depends on."""
        level: dict[Value, int] = dict.fromkeys(self.region.args, 0)
        for op in self.region.ops:
            level[op.result] = max((level[v] for v in op.operands), default=0) + op.prim.reduction
        return level

    def kept(self) -> dict[Value, int]:
        """Values of the whole space that a later stage reads, and that are not to be computed twice; with the last such stage."""
        last = self.last_read()
        later = {op.result: last.get(op.result, 0) for op in self.region.ops if self.is_full(op.result) and self._is_kept(op)}
        return {v: stage for v, stage in later.items() if stage > self.level[v]}

    def last_read(self) -> dict[Value, int]:
        """The last stage in which each value is read."""
        last: dict[Value, int] = {}
        for op in self.region.ops:
            stage = self.level[op.operands[0]] if op.prim.reduction else self.level[op.result]
            for v in op.operands:
                last[v] = max(last.get(v, 0), stage)
        # A cheap value that is read later is computed again there, and so reads its operands later too.
        for op in reversed(self.region.ops):
            again = last.get(op.result, 0)
            if again > self.level[op.result] and self.is_full(op.result) and not self._is_kept(op):
                for x in op.operands:
                    last[x] = max(last.get(x, 0), again)
        return last

    def _is_kept(self, op: Op) -> bool:
        """Whether its result is kept rather than computed again."""
        return op.prim.elementwise and (not op.prim.cost.recompute or op.result in self.exact)

    def needed(self, roots: Sequence[Value], stage: int, kept: Collection[Value]) -> list[Value]:
        """Values of the whole space that `roots` depend on and that are computed in this stage, in order."""
        wanted = set()
        stack = list(roots)
        while stack:
            v = stack.pop()
            if v in wanted or v not in self.producer or not self.is_full(v) or (v in kept and self.level[v] < stage):
                continue
            wanted.add(v)
            if self.producer[v].prim.elementwise:
                stack += self.producer[v].operands
        return [op.result for op in self.region.ops if op.result in wanted and op.prim.elementwise]


def _space(region: Func) -> tuple[int, ...]:
    """The shape that the loops go over."""
    shapes = [v.type.shape for op in region.ops for v in (*op.operands, *op.results) if op.prim.elementwise or op.prim.reduction]  # type: ignore[union-attr]
    shapes += [v.type.shape for v in region.results]  # type: ignore[union-attr]
    return max(shapes, key=len)  # type: ignore[return-value]
