"""Donations: arguments of a function whose memory a result may take, so that a loop that carries it replaces it where it lies.

func @f.b0(%c: f32[64], %x: f32[64]) -> f32[64] {      the memory of %c may be that of the result:
  %a = fused %c, %x ...                                the op that makes the result reads %c last, element by element,
  return %a                                            or what reads %c is done by then
}
"""

from __future__ import annotations

from collections.abc import Callable

from rlxc.ir.core import Func, Op, Value
from rlxc.passes.lower.in_place import sources

Pinned = dict[Op, dict[int, int]]  # of ops: which result is in the memory of which operand
Replaces = Callable[[Op, int, int], bool]  # whether a result of an op may take an operand's memory


def donation(func: Func, result: int, arg: int, replaces: Replaces) -> Pinned | None:
    """What must be in place for the result to be computed in the argument's memory; None if it cannot be."""
    start = func.args[arg]
    source = sources(func)
    target = source[func.results[result]]
    maker = {v: (position, op) for position, op in enumerate(func.ops) if not op.prim.view for v in op.results}
    if target not in maker or func.results[result].type != start.type or start in func.results:
        return None
    last = last_reads(func, source)
    if last.get(start, -1) < maker[target][0]:
        return {}
    kept = {source[v] for v in func.results} - {target}
    return _chain(target, start, maker, last, source, kept, replaces)


def last_reads(func: Func, source: dict[Value, Value]) -> dict[Value, int]:
    """The position of the last op that reads each value, be it through views."""
    last: dict[Value, int] = {}
    for position, op in enumerate(func.ops):
        if not op.prim.view:
            last.update((source[v], position) for v in op.operands)
    return last


def _chain(
    target: Value,
    start: Value,
    maker: dict[Value, tuple[int, Op]],
    last: dict[Value, int],
    source: dict[Value, Value],
    kept: set[Value],
    replaces: Replaces,
) -> Pinned | None:
    """Ops that lead from `start` to `target`, each of which replaces what the one before gave."""
    stack: list[tuple[Value, Pinned]] = [(target, {})]
    while stack:
        v, pinned = stack.pop()
        position, op = maker[v]
        i = op.results.index(v)
        read = [source[x] for x in op.operands]
        for j, w in reversed(list(enumerate(read))):
            fits = op.operands[j].type == v.type and last[w] == position and read.count(w) == 1 and (w is start or (w in maker and w not in kept))
            if not fits or not replaces(op, i, j):
                continue
            found = {**pinned, op: {i: j}}
            if w is start:
                return found
            if maker[w][1].operands:
                stack.append((w, found))
    return None
