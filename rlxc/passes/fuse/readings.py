"""What reading a value reads, where some values have no memory of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from rlxc.ir.core import Func, Op, Value
from rlxc.passes.fuse import report

MAX_DEPTH = 8  # index maps drawn into each other; a longer chain is stored in between


class Where(Enum):
    """At which index the sources of a reading are read."""

    HERE = "at the same index"
    ROW = "at the index of the row, the same all along it"
    ELSEWHERE = "at other indices"


@dataclass(frozen=True, slots=True)
class Reading:
    """The values that an operand comes down to, and where they are read; `rows` is the number of row axes of a ROW."""

    sources: tuple[Value, ...]
    where: Where
    rows: int | None = None


class Readings:
    """Readings of the values of a function. Index maps and views are made where they are read: they have no place of their own."""

    def __init__(self, func: Func) -> None:
        self.producer: dict[Value, Op] = {v: op for op in func.ops for v in op.results}
        self.maps = index_maps(func.ops)
        self.known: dict[Value, Reading] = {}

    def is_drawn_in(self, v: Value) -> bool:
        """Whether `v` is an index map's result, computed in whatever reads it."""
        return v in self.maps

    def is_made_where_read(self, v: Value) -> bool:
        """Whether `v` is an index map's result, or another view of its operand's memory."""
        op = self.producer.get(v)
        return op is not None and (op.prim.view or v in self.maps)

    def of(self, v: Value) -> Reading:
        reading = self.known.get(v)
        if reading is None:
            reading = self.known[v] = self._of(v)
        return reading

    def _of(self, v: Value) -> Reading:
        if not self.is_made_where_read(v):
            return Reading((v,), Where.HERE)
        op = self.producer[v]
        rows = op.prim.along_rows(v.type, **op.attrs)
        if rows is not None and len(op.operands) == 1 and not self.is_made_where_read(op.operands[0]):
            return Reading(op.operands, Where.ROW, rows)
        return Reading(tuple(self.sources(v)), Where.ELSEWHERE)

    def sources(self, v: Value) -> list[Value]:
        """The values in memory that reading `v` reads, through views and index maps."""
        found: dict[Value, None] = {}
        stack, seen = [v], set()
        while stack:
            w = stack.pop()
            if w in seen:
                continue
            seen.add(w)
            if self.is_made_where_read(w):
                stack += self.producer[w].operands
            else:
                found[w] = None
        return list(found)


def index_maps(ops: Sequence[Op]) -> set[Value]:
    """Results whose elements are found, without loops, from elements of the operands: these ops are drawn into their readers."""
    depth: dict[Value, int] = {}
    for op in ops:
        is_data = op.prim.inline_attr is not None and not getattr(op.attrs.get("value"), "is_splat", False)
        if op.prim.index_map and len(op.results) == 1 and not is_data:
            at = 1 + max((depth.get(v, 0) for v in op.operands), default=0)
            if at <= MAX_DEPTH:
                depth[op.result] = at
            else:
                report.not_drawn_in(op, MAX_DEPTH)
    return set(depth)
