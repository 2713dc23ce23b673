"""Reductions across rows: each row adds to memory that has an element for each result.

    d beta of f32[1024, 768] = sum over rows          for tile in 0..12: for row in 85 tile ..: for j in 0..768: part[tile, j] += ct[row, j]
                                                      for j in 0..768: d beta[j] = part[0, j] + part[1, j] + ...

Rows are added up in tiles that depend on the shape alone: sums stay accurate, and threads that share the tiles give the same bits as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.ir.core import Op, Value
from rlxc.ir.emitter import Emitter, Index, Memory


class Accumulator:
    """What one reduction over `axes` of a space has gathered; with `tiles`, for each tile of the first axis apart."""

    def __init__(self, e: Emitter, op: Op, shape: Sequence[int], out: Memory, tiles: int) -> None:
        self.e = e
        self.op = op
        self.axes = op.attrs["axes"]
        self.first = min(self.axes)
        self.kept = [a for a in range(len(shape)) if a not in self.axes]
        self.sizes = [shape[a] for a in self.kept]
        self.out = out
        self.tiles = tiles if self.first == 0 else 1
        self.memory = e.alloc(op.result.type.dtype, (self.tiles, *self.sizes)) if self.tiles > 1 else out  # type: ignore[union-attr]

    def open(self, tile: Index, before: Sequence[Index]) -> None:
        """Nothing is gathered yet, of the results at index `before` in the axes before the reduced ones."""
        e, dtype = self.e, self.memory.type.dtype
        neutral = e.constant(self.op.prim.neutral(dtype), dtype=dtype)  # type: ignore[attr-defined]
        self._each(before, lambda at: self.memory.store(self._place(tile, at), neutral))

    def add(self, tile: Index, index: Sequence[Index], value: Value) -> None:
        """Combine `value` with what belongs to `index` of the space."""
        at = self._place(tile, [index[a] for a in self.kept])
        self.memory.store(at, self.combine(self.memory(at), value))

    def close(self) -> None:
        """Combine the tiles, in order."""
        if self.tiles == 1:
            return

        def total(at: list[Index]) -> None:
            first = self.memory([0, *at])
            self.out.store(at, self.e.for_(1, self.tiles, lambda tile, acc: (self.combine(acc, self.memory([tile, *at])),), [first])[0])

        self._each((), total)

    def combine(self, x: Value, y: Value) -> Value:
        return getattr(self.e, self.op.prim.combine)(x, y)  # type: ignore[attr-defined]

    def _each(self, before: Sequence[Index], body: Any) -> None:
        self.e.for_each(self.sizes[len(before) :], lambda rest: body([*before, *rest]))

    def _place(self, tile: Index, at: Sequence[Index]) -> list[Index]:
        return [tile, *at] if self.tiles > 1 else list(at)


def even(size: int, wanted: int) -> int:
    """A divisor of `size` near `wanted`, for tiles that are all alike; `wanted` itself where there is none."""
    near = [d for d in range(max(1, wanted // 2), wanted * 2 + 1) if size % d == 0]
    return min(near, key=lambda d: abs(d - wanted), default=wanted)
