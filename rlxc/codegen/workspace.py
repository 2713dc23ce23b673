"""How much workspace each kernel needs: what it allocates, and after that what the kernels it calls need, one call after the other.

@f | own 192 bytes | the largest of @f.k0, @f.k1, ... |

What is allocated inside a parallel loop is there once for each thread that may run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func, Op


@dataclass(frozen=True, slots=True)
class Workspace:
    """Bytes that a kernel allocates itself, and with the kernels it calls."""

    own: int
    total: int


def workspaces(funcs: Iterable[Func], threads: int = 1) -> dict[str, Workspace]:
    """The workspace of every kernel, of which at most `threads` threads run the parallel loops; calls must not go in circles."""
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
        own = own_room(func.ops, threads)
        result[name] = Workspace(own, own + max((result[c].total for c in callees), default=0))
        waiting.pop()
    return result


def own_room(ops: Sequence[Op], threads: int) -> int:
    """Bytes that `ops` allocate."""
    total = 0
    for op in ops:
        if getattr(op.prim, "allocates", False):
            total += op.result.type.room
        elif is_parallel(op, threads):
            total += slots_of(op, threads) * private_room(op)
        else:
            total += sum(own_room(region.ops, threads) for region in op.regions)
    return total


def is_parallel(op: Op, threads: int) -> bool:
    """Whether `op` is a loop that up to `threads` threads share (0: inside such a loop); one that calls kernels is not."""
    if threads < 1 or op.prim.syntax != "for" or not op.attrs["parallel"]:
        return False
    return trips(op) > 1 and all(callee_of(inner) is None for inner in op.regions[0].walk())


def private_room(op: Op) -> int:
    """Bytes that one thread needs for its own in a parallel loop; loops inside are serial."""
    return own_room(op.regions[0].ops, 0)


def slots_of(op: Op, threads: int) -> int:
    """How many threads can take part in a parallel loop."""
    return min(threads, -(-trips(op) // max(op.attrs["chunk"], 1)))


def trips(op: Op) -> int:
    """How often a loop runs."""
    return max(0, -(-(op.attrs["stop"] - op.attrs["start"]) // op.attrs["step"]))
