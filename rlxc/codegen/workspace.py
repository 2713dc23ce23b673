"""How much workspace each kernel needs: what it allocates, and after that what the kernels it calls need, one call after the other.

@f | own 192 bytes | the largest of @f.k0, @f.k1, ... |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func
from rlxc.ir.types import MemType

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Workspace:
    """Bytes that a kernel allocates itself, and with the kernels it calls."""

    own: int
    total: int


def workspaces(funcs: Iterable[Func]) -> dict[str, Workspace]:
    """The workspace of every kernel; calls must not go in circles."""
    by_name = {f.name: f for f in funcs}
    result: dict[str, Workspace] = {}
    waiting = list(by_name)
    while waiting:
        name = waiting[-1]
        if name in result:
            waiting.pop()
            continue
        func = by_name[name]
        callees = {callee: None for op in func.walk() if (callee := callee_of(op)) is not None}
        unknown = [c for c in callees if c not in result]
        if unknown:
            waiting += unknown
            continue
        own = sum(room(op.result.type) for op in func.walk() if getattr(op.prim, "allocates", False))
        result[name] = Workspace(own, own + max((result[c].total for c in callees), default=0))
        waiting.pop()
    return result


def room(type: MemType) -> int:
    """Bytes that memory of a type takes, up to where the next one may start."""
    return -(-max(type.nbytes, 1) // ALIGNMENT) * ALIGNMENT
