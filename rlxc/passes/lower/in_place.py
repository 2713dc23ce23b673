"""In place: results that may take the memory of an operand that nobody needs afterwards.

%b = fused %a {rows = 0} do (%0: f32[64]) { ... }        kernel @f.k1(%a: mem f32[64]) {
                                                           for %i in 0..64 {
%a is not used later, and every element of it is     =>      %0 = load %a, %i : f32
read before the element at its place is stored               %1 = exp %0 : f32
                                                             store %a, %1, %i
                                                         } }
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from rlxc.ir.core import Func, Op, Value
from rlxc.passes.lower.stages import Stages
from rlxc.primitives.fused import anchor_of

#: elements along the last axis for which a loop that is in place costs no more: its last, incomplete vector cannot go back a little
EVEN, MANY = 64, 4096


def results_in_place(
    func: Func,
    placed: Container[Value],
    replaces: Callable[[Op, int, int], bool] | None = None,
    pinned: Mapping[Op, dict[int, int]] | None = None,
) -> dict[Op, dict[int, int]]:
    """For ops with results that take an operand's memory: which result, which operand. Results in `placed` have their memory.

    `replaces` says whether a result may take an operand's memory (`may_replace`); what is `pinned` is decided.
    """
    replaces, pinned = replaces or may_replace, pinned or {}
    source = sources(func)
    last: dict[Value, int] = {}
    for position, op in enumerate(func.ops):
        if not op.prim.view:
            last.update((source[v], position) for v in op.operands)
    made = {v for op in func.ops if op.operands and not op.prim.view for v in op.results}
    made.difference_update(source[v] for v in func.results)
    found: dict[Op, dict[int, int]] = {}
    for position, op in enumerate(func.ops):
        if op.prim.view or not op.operands:
            continue
        read = [source[v] for v in op.operands]
        dying = [j for j, v in enumerate(read) if v in made and last[v] == position and read.count(v) == 1]
        taken: dict[int, int] = dict(pinned.get(op, {}))
        for i, v in enumerate(op.results):
            if i in taken:
                continue
            free = (j for j in dying if op.operands[j].type == v.type and j not in taken.values() and replaces(op, i, j))
            chosen = next(free, None) if v not in placed else None
            if chosen is not None:
                taken[i] = chosen
        if taken:
            found[op] = taken
    return found


def sources(func: Func) -> dict[Value, Value]:
    """For each value, the one that it is a view of, or itself."""
    source = {a: a for a in func.args}
    for op in func.ops:
        for v in op.results:
            source[v] = source[op.operands[0]] if op.prim.view else v
    return source


def may_replace(op: Op, result: int, operand: int) -> bool:
    """Whether the kernel of `op` reads each element of the operand for the last time before it stores the result's element there."""
    if not op.prim.kernel:
        return op.prim.has_rule("update") and operand == 0
    (region,) = op.regions
    old, new = region.args[operand], region.results[result]
    if not region.ops:
        return new is old  # a copy of what is there
    if op.attrs["rows"] >= 0:
        return new not in region.args and _is_even(old) and _is_read_here(region, old) and _is_read_first(region, op.attrs["rows"], old, new)
    anchor = anchor_of(region)
    if region.results == anchor.results:
        users = [inner for inner in region.ops if old in inner.operands]
        return anchor.prim.has_rule("update") and users == [anchor] and anchor.operands.index(old) == 0 and anchor.operands.count(old) == 1
    return _is_even(old) and _is_read_here(region, old)


def _is_read_first(region: Func, rows: int, old: Value, new: Value) -> bool:
    """Whether a region that goes by rows reads `old` in no later stage than the one that stores `new`."""
    stages = Stages(region, rows)
    return stages.is_full(old) and stages.is_full(new) and stages.last_read().get(old, 0) <= stages.level[new]


def _is_read_here(region: Func, old: Value) -> bool:
    """Whether `old`, and what is computed from it element by element, is read at the index of the element that is computed."""
    here = {old}
    for op in region.ops:
        if here.isdisjoint(op.operands) or op.prim.reduction:
            continue
        if not op.prim.elementwise:
            return False
        here.update(op.results)
    return True


def _is_even(v: Value) -> bool:
    shape = v.type.shape  # type: ignore[union-attr]
    return not shape or shape[-1] % EVEN == 0 or shape[-1] >= MANY
