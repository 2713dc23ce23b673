"""Which ops become one kernel.

Groups are numbered as they arise, and an op may join a group only if no operand comes from a later one: so they never depend on each
other in a circle, and their numbers are an order of execution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rlxc.ir.core import Func, Op, Value
from rlxc.passes.fuse.readings import Readings, Where

MAX_FLOPS = 480.0  # of one element of a group: beyond, kernels compile slowly and gain nothing


@dataclass(eq=False)
class Group:
    """Ops that will be one kernel, over `shape`, of which the first `rows` axes are the rows (None while nothing has fixed it).

    Or one op with loops of its own, the anchor, and elementwise ops that follow it: `shape` is that of its result, None if nothing can follow.
    """

    number: int
    anchor: Op | None = None
    shape: tuple[Any, ...] | None = None
    rows: int | None = None
    ops: list[Op] = field(default_factory=list)
    flops: float = 0.0
    stored: list[Value] = field(default_factory=list)  # what other groups read, or elsewhere than where it is computed
    again: dict[Value, Op] = field(default_factory=dict)  # ops of earlier groups that are computed here again


@dataclass(slots=True)
class Groups:
    """All groups in order of execution, and the one in which each value is computed (absent: arguments, and what is made where it is read)."""

    inorder: list[Group] = field(default_factory=list)
    of: dict[Value, Group] = field(default_factory=dict)
    latest: dict[tuple, Group] = field(default_factory=dict)  # by shape

    def new(self, shape: tuple[Any, ...], rows: int | None) -> Group:
        """A group over a space."""
        group = Group(len(self.inorder), shape=shape, rows=rows)
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
        group.flops += flops
        self.of.update(dict.fromkeys(op.results, group))


def group_ops(func: Func, readings: Readings, max_flops: float) -> Groups:
    """Each op of the function in a group, but for those that are made where they are read."""
    groups = Groups()
    for op in func.ops:
        if op.operands and not readings.is_made_where_read(op.results[0]):
            _place(op, groups, readings, max_flops)
    return groups


def row_reduction(op: Op) -> int | None:
    """Number of row axes, if the op combines the trailing axes of its operand by an associative op."""
    if not op.prim.reduction or len(op.operands) != 1:
        return None
    rank = op.operands[0].type.rank
    axes = tuple(sorted(op.attrs["axes"]))
    kept = rank - len(axes)
    return kept if axes == tuple(range(kept, rank)) and axes else None


def _place(op: Op, groups: Groups, readings: Readings, max_flops: float) -> None:
    """Put `op` into the latest group that it can join, or a new one."""
    kept = None if op.prim.elementwise else row_reduction(op)
    if not op.prim.elementwise and kept is None:
        groups.anchored(op)
        return
    shape, flops = op.operands[0].type.shape, op.prim.cost.flops
    earliest, near = _neighbours(op, shape, groups, readings)
    for group in near:
        if group.number < earliest or group.flops + flops > max_flops:
            continue
        if group.anchor is not None:
            if kept is not None or group.shape != shape:
                continue
            groups.add(op, group, flops)
            return
        rows = _rows_needed(op, kept, group, groups, readings)
        if group.shape == shape and (not rows or rows == {group.rows} or (len(rows) == 1 and group.rows is None)):
            group.rows = rows.pop() if rows else group.rows
        elif rows or not _is_over_rows(op, shape, group):
            continue
        groups.add(op, group, flops)
        return
    groups.add(op, groups.new(shape, kept), flops)


def _neighbours(op: Op, shape: tuple[Any, ...], groups: Groups, readings: Readings) -> tuple[int, list[Group]]:
    """The number of the earliest group that may compute `op`, and the groups worth joining, latest first."""
    earliest, near = 0, {}
    for v in op.operands:
        reading = readings.of(v)
        for w in reading.sources:
            group = groups.of.get(w)
            if group is None:
                continue
            if reading.where is Where.ELSEWHERE or (group.anchor is not None and reading.where is not Where.HERE):
                earliest = max(earliest, group.number + 1)
            else:
                earliest = max(earliest, group.number)
                near[group.number] = group
    sibling = groups.latest.get(shape)
    if sibling is not None:
        near[sibling.number] = sibling
    return earliest, [near[n] for n in sorted(near, reverse=True)]


def _rows_needed(op: Op, kept: int | None, group: Group, groups: Groups, readings: Readings) -> set[int | None]:
    """The numbers of row axes that `op` asks of the group: what it keeps of its operand, and what it reads along the group's rows."""
    rows: set[int | None] = set() if kept is None else {kept}
    for v in op.operands:
        reading = readings.of(v)
        if reading.where is Where.ROW and groups.of.get(reading.sources[0]) is group:
            rows.add(reading.rows)
    return rows


def _is_over_rows(op: Op, shape: tuple[Any, ...], group: Group) -> bool:
    """Whether `op` is an elementwise one over the rows of the group."""
    return op.prim.elementwise and group.rows is not None and group.shape is not None and shape == group.shape[: group.rows]
