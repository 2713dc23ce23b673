"""Lifetimes: from where to where in a list of ops memory is used, be it through views."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from rlxc.ir.core import Op, Value
from rlxc.ir.types import MemType


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The first and the last op that use some memory, by position."""

    first: int
    last: int


def lifetimes(ops: Sequence[Op], memory: Container[Value]) -> dict[Value, Lifetime]:
    """Lifetimes of those of `memory` that are used at all, in the order of their first uses; one does not count as a view of another."""
    whole: dict[Value, Value] = {}  # what a view is a view of
    found: dict[Value, Lifetime] = {}
    for position, op in enumerate(ops):
        for v in op.operands:
            source = whole.get(v, v)
            if source in memory:
                found[source] = Lifetime(found[source].first if source in found else position, position)
        if is_alias(op) and op.result not in memory:
            whole[op.result] = whole.get(op.operands[0], op.operands[0])
    return found


def is_alias(op: Op) -> bool:
    """Whether the result is memory of the op's operand."""
    return bool(op.operands and op.results) and all(isinstance(v.type, MemType) for v in (*op.operands, *op.results))
