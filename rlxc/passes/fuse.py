"""Fuse: ops gathered into regions that become one kernel each.

    %0 = mul %x, %x : f32[8, 64]                       %2 = fused %x {rows = 1} do (%a: f32[8, 64]) {
    %1 = reduce_sum %0 {axes = [1]} : f32[8]             %0 = mul %a, %a : f32[8, 64]
    %2 = sqrt %1 : f32[8]                         =>     %1 = reduce_sum %0 {axes = [1]} : f32[8]
                                                         %3 = sqrt %1 : f32[8]
                                                         yield %3
                                                       } : f32[8]

Four kinds of ops are told apart, by what their primitives say of themselves:

    row ops      elementwise ones, and reductions of trailing axes: they join a group over one space, rows and what is in them
    index maps   broadcast, transpose, slice, ...: an element is an operand's element elsewhere; drawn into whoever reads them
    views        reshape: the same memory
    the others   contract, gather, scatter, ...: a kernel of their own, with what can be drawn in

Groups are numbered as they arise, and an op may join a group only if no operand comes from a later one: so they never depend on each
other in a circle, and their numbers are an order of execution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.primitive import lookup
from rlxc.passes.dce import live_ops
from rlxc.passes.dims import require_bound
from rlxc.passes.manager import func_pass
from rlxc.passes.merge_axes import merge_axes

MAX_DEPTH = 8  # index maps drawn into each other; a longer chain is stored in between
MAX_FLOPS = 480.0  # of one element of a group: beyond, kernels compile slowly and gain nothing


@dataclass(eq=False)
class Group:
    """Ops that will be one kernel. `rows` is the number of row axes, None while nothing has fixed it; a group without shape is one op."""

    number: int
    shape: tuple[Any, ...] | None = None
    rows: int | None = None
    ops: list[Op] = field(default_factory=list)
    flops: float = 0.0

    def admits(self, shape: tuple[Any, ...], rows: int | None) -> bool:
        """Whether an op over `shape`, whose first `rows` axes are the rows, may join."""
        return self.shape == shape and (rows is None or self.rows in (None, rows))


@func_pass("fuse")
def fuse(func: Func, *, max_flops: float = MAX_FLOPS) -> Func:
    """Gather ops into regions that become one kernel each; see the picture at the top of the file."""
    require_bound(func)
    return _Fusion(func, max_flops).run()


def index_maps(ops: Sequence[Op]) -> set[Value]:
    """Results whose elements are found, without loops, from elements of the operands: these ops are drawn into their readers."""
    depth: dict[Value, int] = {}
    for op in ops:
        is_data = op.prim.inline_attr is not None and not getattr(op.attrs.get("value"), "is_splat", False)
        if op.prim.index_map and len(op.results) == 1 and not is_data:
            at = 1 + max((depth.get(v, 0) for v in op.operands), default=0)
            if at <= MAX_DEPTH:
                depth[op.result] = at
    return set(depth)


def row_reduction(op: Op) -> int | None:
    """Number of row axes, if the op combines the trailing axes of its operand by an associative op."""
    if not op.prim.reduction or len(op.operands) != 1:
        return None
    rank = op.operands[0].type.rank
    axes = tuple(sorted(op.attrs["axes"]))
    kept = rank - len(axes)
    return kept if axes == tuple(range(kept, rank)) and axes else None


class _Fusion:
    def __init__(self, func: Func, max_flops: float) -> None:
        self.func = func
        self.max_flops = max_flops
        self.groups: list[Group] = []
        self.group_of: dict[Value, Group] = {}  # where a value is computed; absent for arguments and what is drawn in
        self.maps = index_maps(func.ops)
        self.producer: dict[Value, Op] = {v: op for op in func.ops for v in op.results}
        self.latest: dict[tuple, Group] = {}  # by shape
        self.out = Builder()
        self.env: dict[Value, Value] = {}
        self.maker: dict[Value, Op] = {}  # what computes a value of the new function, up to op `indexed`
        self.indexed = 0

    def run(self) -> Func:
        for op in self.func.ops:
            if op.prim.view or op.results[0] in self.maps or not op.operands:
                continue  # made where it is read
            self.place(op)
        results = self.func.results
        used = self.used_outside(results)
        for group in self.groups:
            self.emit(group, used)
        taken: set[Value] = set()
        finals = [self.result(v, taken) for v in results]
        return self.func.with_(ops=tuple(live_ops(self.out.ops, finals)), results=tuple(finals))

    # placing ops into groups

    def place(self, op: Op) -> None:
        if op.prim.elementwise:
            shape, rows, flops = op.result.type.shape, None, op.prim.cost.flops
        elif (kept := row_reduction(op)) is not None:
            shape, rows, flops = op.operands[0].type.shape, kept, op.prim.cost.flops
        else:
            group = self.new_group(None, None)
            self.add(op, group, 0.0)
            return
        earliest, joined = self.constraints(op, shape)
        for group in joined:
            if group.number >= earliest and group.flops + flops <= self.max_flops and self.fits(group, op, shape, rows):
                self.add(op, group, flops)
                return
        group = self.new_group(shape, rows)
        self.add(op, group, flops)

    def fits(self, group: Group, op: Op, shape: tuple[Any, ...], rows: int | None) -> bool:
        """Whether the op can join, as an op over the whole space or (an elementwise one) over its rows; fixes the rows."""
        need = rows
        for v in op.operands:
            source, relation = self.resolve(v)
            if self.group_of.get(source) is group and isinstance(relation, int):
                if need not in (None, relation):
                    return False
                need = relation
        if group.admits(shape, need):
            if any(self.group_of.get(v) is group and v.type.shape != shape for v in op.operands):
                return False
            group.rows = need if need is not None else group.rows
            return True
        if group.rows is None or group.shape is None or not op.prim.elementwise or shape != group.shape[: group.rows]:
            return False
        return all(self.group_of.get(v) is not group or v.type.shape == shape for v in op.operands) and not any(
            isinstance(self.resolve(v)[1], int) and self.group_of.get(self.resolve(v)[0]) is group for v in op.operands
        )

    def constraints(self, op: Op, shape: tuple[Any, ...]) -> tuple[int, list[Group]]:
        """The earliest group that may compute the op, and the groups worth joining, latest first."""
        earliest, near = 0, {}
        for v in op.operands:
            source, relation = self.resolve(v)
            for w in source if isinstance(source, tuple) else (source,):
                group = self.group_of.get(w)
                if group is None:
                    continue
                if relation == "elsewhere":
                    earliest = max(earliest, group.number + 1)
                else:
                    earliest = max(earliest, group.number)
                    near[group.number] = group
        sibling = self.latest.get(shape)
        if sibling is not None:
            near[sibling.number] = sibling
        return earliest, [near[n] for n in sorted(near, reverse=True)]

    def resolve(self, v: Value) -> tuple[Any, Any]:
        """The value that reading `v` reads, and how: "here" (same index), a number of rows (a row's value, along its elements), or "elsewhere"."""
        op = self.producer.get(v)
        if op is None or not self.is_made_where_read(op):
            return v, "here"
        rows = op.prim.along_rows(v.type, **op.attrs)
        if rows is not None and len(op.operands) == 1:
            inner = self.producer.get(op.operands[0])
            if inner is None or not self.is_made_where_read(inner):
                return op.operands[0], rows
        return tuple(self.sources(v)), "elsewhere"

    def is_made_where_read(self, op: Op) -> bool:
        return op.prim.view or op.results[0] in self.maps

    def sources(self, v: Value) -> list[Value]:
        """The values in memory that reading `v` reads, through views and index maps."""
        found: dict[Value, None] = {}
        stack = [v]
        seen = set()
        while stack:
            w = stack.pop()
            if w in seen:
                continue
            seen.add(w)
            op = self.producer.get(w)
            if op is not None and self.is_made_where_read(op):
                stack += op.operands
            else:
                found[w] = None
        return list(found)

    def new_group(self, shape: tuple[Any, ...] | None, rows: int | None) -> Group:
        group = Group(len(self.groups), shape, rows)
        self.groups.append(group)
        if shape is not None:
            self.latest[shape] = group
        return group

    def add(self, op: Op, group: Group, flops: float) -> None:
        group.ops.append(op)
        group.flops += flops
        for v in op.results:
            self.group_of[v] = group

    # writing groups as fused ops

    def used_outside(self, results: Sequence[Value]) -> set[Value]:
        """Values that must be in memory: read by another group, or elsewhere than where they are computed."""
        used: set[Value] = set()
        for group in self.groups:
            for op in group.ops:
                for v in op.operands:
                    source, relation = self.resolve(v)
                    for w in source if isinstance(source, tuple) else (source,):
                        if relation == "elsewhere" or self.group_of.get(w) is not group:
                            used.add(w)
        for v in results:
            used.update(self.sources(v))
        return used

    def emit(self, group: Group, used: set[Value]) -> None:
        outputs = [v for op in group.ops for v in op.results if v in used]
        if group.shape is None and not any(self.drawn_in(v) for v in group.ops[0].operands):
            (op,) = group.ops
            for v in op.operands:
                self.memory(v)
            self.out.rebuild(op, self.env)
            return
        if not outputs:
            return
        self.fused(group.ops, outputs, group.rows if group.shape is not None else -1, group.shape)

    def drawn_in(self, v: Value) -> bool:
        op = self.producer.get(v)
        return op is not None and v in self.maps

    def fused(self, ops: Sequence[Op], outputs: Sequence[Value], rows: int | None, shape: tuple[Any, ...] | None) -> None:
        """One fused op that computes `ops`, with the index maps they read, and yields `outputs`."""
        region = Builder()
        inner: dict[Value, Value] = {}
        operands: list[Value] = []
        args: list[Value] = []

        def bring(v: Value) -> None:
            """Make `v` readable in the region."""
            stack = [v]
            while stack:
                w = stack[-1]
                if w in inner:
                    stack.pop()
                    continue
                op = self.producer.get(w)
                if op is not None and w in self.maps:
                    missing = [x for x in op.operands if x not in inner]
                    if missing:
                        stack += missing
                        continue
                    region.rebuild(op, inner)
                else:
                    inner[w] = Value(w.type, w.name, loc=w.loc)
                    args.append(inner[w])
                    operands.append(self.memory(w))
                stack.pop()

        for op in ops:
            for v in op.operands:
                bring(v)
            region.rebuild(op, inner)
        for v in outputs:
            bring(v)
        body = Func("", tuple(args), tuple(region.ops), tuple(inner[v] for v in outputs), "region")
        if rows is None:
            rows = max(len(shape or ()) - 1, 0)
        names = [v.name for v in outputs]
        if rows >= 0 and shape is not None:
            results = merge_axes(self.out, operands, body, rows, shape, names)
        else:
            results = self.out.emit(lookup("fused"), operands, {"rows": -1}, regions=(body,), names=names, loc=ops[-1].loc).results
        self.env.update(zip(outputs, results, strict=True))

    def memory(self, v: Value) -> Value:
        """The value in memory, in the new function: views and constants are made here, on first use."""
        stack = [v]
        while stack:
            w = stack[-1]
            op = self.producer.get(w)
            if w in self.env or op is None:
                self.env.setdefault(w, w)
                stack.pop()
                continue
            missing = [x for x in op.operands if x not in self.env]
            if missing and self.is_made_where_read(op):
                stack += missing
                continue
            if op.prim.view or (not op.operands and w not in self.maps):
                self.out.rebuild(op, self.env)
            elif w in self.maps:
                self.fused([op], [w], -1, None)
            stack.pop()
        return self.env[v]

    def result(self, v: Value, taken: set[Value]) -> Value:
        """A result of the function, in memory of its own."""
        value = self.memory(v)
        source = value
        for op in self.out.ops[self.indexed :]:
            self.maker.update(dict.fromkeys(op.results, op))
        self.indexed = len(self.out.ops)
        while source in self.maker and self.maker[source].prim.view:
            source = self.maker[source].operands[0]
        if source in self.maker and self.maker[source].operands and source not in taken:
            taken.add(source)
            return value
        arg = Value(value.type, value.name)
        body = Func("", (arg,), (), (arg,), "region")
        (copy,) = merge_axes(self.out, [value], body, max(value.type.rank - 1, 0), value.type.shape, [value.name])
        return copy
