"""Which ops become one kernel.

Groups are numbered as they arise, and an op may join a group only if no operand comes from a later one: so they never depend on each
other in a circle, and their numbers are an order of execution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rlxc.ir.core import Func, Op, Value
from rlxc.passes.fuse import report
from rlxc.passes.fuse.readings import Readings, Where
from rlxc.primitives.axes import fits_rows

SMALL = 64 << 10  # bytes that may be computed long before they are read
MAX_FLOPS = 480.0  # of one element of a group: beyond, kernels compile slowly and gain nothing


@dataclass(eq=False)
class Group:
    """Ops that will be one kernel, over `shape`. Its first `rows` axes are the rows, where an op reads what was reduced along a row; else None.

    Or one op with loops of its own, the anchor, and elementwise ops that follow it: `shape` is that of its result, None if nothing can follow.
    """

    number: int
    anchor: Op | None = None
    shape: tuple[Any, ...] | None = None
    rows: int | None = None
    ops: list[Op] = field(default_factory=list)
    reduced: list[tuple[int, ...]] = field(default_factory=list)  # the axes of each reduction
    flops: float = 0.0
    stored: list[Value] = field(default_factory=list)  # what other groups read, or elsewhere than where it is computed
    again: dict[Value, Op] = field(default_factory=dict)  # ops of earlier groups that are computed here again

    def accepts(self, wanted: set[int], reduced: Sequence[tuple[int, ...]]) -> bool:
        """Whether ops can join that ask for these numbers of row axes, and reduce over these axes."""
        assert self.shape is not None
        rank = len(self.shape)
        wanted = wanted if self.rows is None else {*wanted, self.rows}
        axes = [*self.reduced, *reduced]
        return len(wanted) < 2 and any(all(fits_rows(a, rows, rank) for a in axes) for rows in wanted or range(max(rank, 1)))


@dataclass(slots=True)
class Groups:
    """All groups in order of execution, and the one in which each value is computed (absent: arguments, and what is made where it is read)."""

    inorder: list[Group] = field(default_factory=list)
    of: dict[Value, Group] = field(default_factory=dict)
    latest: dict[tuple, Group] = field(default_factory=dict)  # by shape

    def new(self, shape: tuple[Any, ...]) -> Group:
        """A group over a space."""
        group = Group(len(self.inorder), shape=shape)
        self.inorder.append(group)
        self.latest[shape] = group
        return group

    def anchored(self, op: Op) -> Group:
        """A group around an op with loops of its own."""
        group = Group(len(self.inorder), op, op.result.type.shape if op.prim.takes_epilogue and len(op.results) == 1 else None)
        self.inorder.append(group)
        self.add(op, group, 0.0)
        return group

    def add(self, op: Op, group: Group, flops: float) -> None:
        group.ops.append(op)
        if op.prim.reduction:
            group.reduced.append(op.attrs["axes"])
        group.flops += flops
        self.of.update(dict.fromkeys(op.results, group))


def group_ops(func: Func, readings: Readings, max_flops: float) -> Groups:
    """Each op of the function in a group, but for those that are made where they are read."""
    groups = Groups()
    for op in _early_first(func, readings):
        if op.operands and not readings.is_made_where_read(op.results[0]):
            _place(op, groups, readings, max_flops)
    return groups


def _early_first(func: Func, readings: Readings) -> list[Op]:
    """The ops in their order, but for elementwise ones on arguments alone, which go first. See Note [Why some ops go first]."""
    awaited = {w for v in func.results for w in readings.sources(v)}
    for op in func.ops:
        if not op.prim.elementwise:
            awaited.update(w for v in op.operands for w in readings.sources(v))
    early: set[Value] = set()
    for op in func.ops:
        of_arguments = op.prim.elementwise and all(w in early or w not in readings.producer for v in op.operands for w in readings.sources(v))
        if of_arguments and (awaited.isdisjoint(op.results) or sum(v.type.nbytes for v in op.results) <= SMALL):
            early.update(op.results)
    return sorted(func.ops, key=lambda op: not op.results or op.results[0] not in early)


def _place(op: Op, groups: Groups, readings: Readings, max_flops: float) -> None:
    """Put `op` into the latest group that it can join, or a new one."""
    if not op.prim.elementwise and not is_plain_reduction(op):
        groups.anchored(op)
        return
    shape, flops = op.operands[0].type.shape, op.prim.cost.flops
    reduced = [op.attrs["axes"]] if op.prim.reduction else []
    near, reasons = _neighbours(op, shape, groups, readings)
    for group in near:
        if group.flops + flops > max_flops:
            reasons.append(f"a group is full with {group.flops:g} flops an element")
            continue
        if group.shape is None or group.anchor is not None:
            if op.prim.elementwise and group.shape == shape:
                groups.add(op, group, flops)
                return
            reasons.append(_cannot_follow(op, group))
            continue
        wanted = _rows_wanted(op, group, groups, readings)
        if group.shape != shape:
            if not op.prim.elementwise or shape != group.shape[: len(shape)]:
                reasons.append(f"it does not go over {list(group.shape)}")
                continue
            wanted.add(len(shape))
        if not group.accepts(wanted, reduced):
            reasons.append("it asks for other rows than the group has")
            continue
        group.rows = next(iter(wanted), group.rows)
        groups.add(op, group, flops)
        return
    report.apart(op, reasons)
    groups.add(op, groups.new(shape), flops)


def _cannot_follow(op: Op, group: Group) -> str:
    assert group.anchor is not None
    name = group.anchor.prim.name
    if not group.anchor.prim.takes_epilogue:
        return f"{name} reads back or accumulates in its result"
    return f"a reduction does not follow {name} in its kernel" if op.prim.reduction else f"it does not go over what {name} gives"


def is_plain_reduction(op: Op) -> bool:
    """Whether the op combines elements of its one operand along axes."""
    return op.prim.reduction and len(op.operands) == 1 and bool(op.attrs["axes"])


def row_reduction(op: Op) -> int | None:
    """Number of axes that are left, if the op combines the trailing axes of its operand."""
    if not is_plain_reduction(op):
        return None
    rank, axes = op.operands[0].type.rank, op.attrs["axes"]
    kept = rank - len(axes)
    return kept if set(axes) == set(range(kept, rank)) else None


def _neighbours(op: Op, shape: tuple[Any, ...], groups: Groups, readings: Readings) -> tuple[list[Group], list[str]]:
    """The groups that `op` may join, latest first, and why it may not join others that it reads."""
    earliest, near, reasons = 0, {}, []
    for v in op.operands:
        reading = readings.of(v)
        for w in reading.sources:
            group = groups.of.get(w)
            if group is None:
                continue
            follows = group.anchor is not None and reading.where is not Where.HERE
            if follows or reading.where is Where.ELSEWHERE or _is_known_last(readings.producer[w]):
                earliest = max(earliest, group.number + 1)
                reasons.append(
                    "a reduction of its kernel is known last"
                    if _is_known_last(readings.producer[w])
                    else f"it reads the {readings.producer[w].prim.name} at other indices"
                )
            else:
                earliest = max(earliest, group.number)
                near[group.number] = group
    sibling = groups.latest.get(shape)
    if sibling is not None:
        near[sibling.number] = sibling
    return [near[n] for n in sorted(near, reverse=True) if n >= earliest], reasons


def _is_known_last(op: Op) -> bool:
    """Whether the op's result is known only after the last row."""
    return is_plain_reduction(op) and row_reduction(op) is None


def _rows_wanted(op: Op, group: Group, groups: Groups, readings: Readings) -> set[int]:
    """The numbers of row axes that `op` asks of the group: those of what it reads along the group's rows, and of what was reduced there."""
    wanted: set[int] = set()
    for v in op.operands:
        reading = readings.of(v)
        if reading.where is Where.ELSEWHERE or groups.of.get(reading.sources[0]) is not group:
            continue
        kept = row_reduction(readings.producer[reading.sources[0]])
        wanted.update(rows for rows in (kept, reading.rows) if rows is not None)
    return wanted


# Note [Why some ops go first]
#
#     %g = contract %x, %ct            the gradient
#     %a = mul %m, 0.9                 of arguments alone
#     %b = mul %g, 0.1
#     %n = add %a, %b                  could follow the contraction in its kernel, but not if %a belongs to a later group
#
# A group is open to an op only if no operand comes from a later group. So what needs no other kernel is placed in early groups; mostly it is
# then computed again where it is read (residuals.py), and the early group is left without ops. What is large and read elsewhere than at its
# index, or is a result, stays where it is, since it would take memory for long.
