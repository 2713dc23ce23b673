"""In place: results that may take the memory of an operand that nobody needs afterwards.

%b = fused %a {rows = 0} do (%0: f32[64]) { ... }        kernel @f.k1(%a: mem f32[64]) {
                                                           for %i in 0..64 {
%a is not used later, and every element of it is     =>      %0 = load %a, %i : f32
read before the element at its place is stored               %1 = exp %0 : f32
                                                             store %a, %1, %i
                                                         } }
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping
from functools import cached_property

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

    `replaces` says whether a result may take an operand's memory (a `Replacing`); what is `pinned` is decided.
    """
    replaces, pinned = replaces or Replacing(), pinned or {}
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
        times = Counter(read)
        taken: dict[int, int] = dict(pinned.get(op, {}))
        dying = {j: None for j, v in enumerate(read) if v in made and last[v] == position and times[v] == 1 and j not in taken.values()}
        for i, v in enumerate(op.results):
            if i in taken or v in placed:
                continue
            chosen = next((j for j in dying if op.operands[j].type == v.type and replaces(op, i, j)), None)
            if chosen is not None:
                taken[i] = chosen
                del dying[chosen]
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


class Replacing:
    """Whether the kernel of an op reads each element of an operand for the last time before it stores a result's element there."""

    def __init__(self) -> None:
        self.reads: _Reads | None = None  # of the op that was asked about last: the next question mostly is about the same

    def __call__(self, op: Op, result: int, operand: int) -> bool:
        if not op.prim.kernel:
            return op.prim.has_rule("update") and operand == 0
        (region,) = op.regions
        old, new = region.args[operand], region.results[result]
        if not region.ops:
            return new is old  # a copy of what is there
        if self.reads is None or self.reads.region is not region:
            self.reads = _Reads(region, op.attrs["rows"])
        if op.attrs["rows"] >= 0:
            return new not in region.args and _is_even(old) and old not in self.reads.elsewhere and self.reads.is_first(old, new)
        anchor = anchor_of(region)
        if region.results == anchor.results:
            users = [inner for inner in region.ops if old in inner.operands]
            return anchor.prim.has_rule("update") and users == [anchor] and anchor.operands.index(old) == 0 and anchor.operands.count(old) == 1
        return _is_even(old) and old not in self.reads.elsewhere


class _Reads:
    """When and where the values of a region are read."""

    def __init__(self, region: Func, rows: int) -> None:
        self.region = region
        self.rows = rows

    @cached_property
    def elsewhere(self) -> set[Value]:
        """What is read, itself or in what is computed from it element by element, at other indices than that of the element that is computed."""
        found: set[Value] = set()
        for op in reversed(self.region.ops):
            if not op.prim.reduction and (not op.prim.elementwise or not found.isdisjoint(op.results)):
                found.update(op.operands)
        return found

    @cached_property
    def stages(self) -> Stages:
        return Stages(self.region, self.rows)

    @cached_property
    def last(self) -> dict[Value, int]:
        return self.stages.last_read()

    def is_first(self, old: Value, new: Value) -> bool:
        """Whether a region that goes by rows reads `old` in no later stage than the one that stores `new`."""
        return self.stages.is_full(old) and self.stages.is_full(new) and self.last.get(old, 0) <= self.stages.level[new]


def _is_even(v: Value) -> bool:
    shape = v.type.shape  # type: ignore[union-attr]
    return not shape or shape[-1] % EVEN == 0 or shape[-1] >= MANY
