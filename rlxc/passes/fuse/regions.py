"""Groups written as fused ops, with the views and constants between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.liveness import live_ops
from rlxc.ir.primitive import lookup
from rlxc.passes.fuse.groups import Group, Groups
from rlxc.passes.fuse.merge_axes import merge_axes
from rlxc.passes.fuse.readings import Readings


def write_regions(func: Func, readings: Readings, groups: Groups) -> Func:
    """The function with one op for each group, in order, and results in memory of their own."""
    return _Regions(func, readings, groups).run()


class _Regions:
    def __init__(self, func: Func, readings: Readings, groups: Groups) -> None:
        self.func = func
        self.readings = readings
        self.groups = groups
        self.out = Builder()
        self.env: dict[Value, Value] = {}
        self.maker: dict[Value, Op] = {}  # what computes a value of the new function, up to op `indexed`
        self.indexed = 0

    def run(self) -> Func:
        for group in self.groups.inorder:
            if group.ops:
                self.write(group)
        taken: set[Value] = set()
        results = [self.result(v, taken) for v in self.func.results]
        return self.func.with_(ops=tuple(live_ops(self.out.ops, results)), results=tuple(results))

    def write(self, group: Group) -> None:
        """The op that computes a group: fused, or the one op of the group as it is."""
        if group.anchor is None:
            self.fused(group.ops, group.stored, group.again, group.rows, group.shape)
            return
        drawn_in = any(v in group.again or self.readings.is_drawn_in(v) for v in group.anchor.operands)
        if (len(group.ops) > 1 or drawn_in) and not group.anchor.prim.control:  # bodies read memory
            whole = len(group.ops) == 1  # its kernel gives all results, also those that nobody reads
            self.fused(group.ops, group.anchor.results if whole else group.stored, group.again)
            return
        for v in group.anchor.operands:
            self.memory(v)
        self.out.rebuild(group.anchor, self.env)

    def fused(
        self, ops: Sequence[Op], outputs: Sequence[Value], again: Mapping[Value, Op], rows: int | None = None, shape: tuple[Any, ...] | None = None
    ) -> None:
        """One fused op that computes `ops`, with the index maps they read and what is computed `again`, and yields `outputs`."""
        region = _Region(self, again)
        for op in ops:
            for v in op.operands:
                region.bring(v)
            region.b.rebuild(op, region.env)
        for v in outputs:
            region.bring(v)
        body = Func("", tuple(region.args), tuple(region.b.ops), tuple(region.env[v] for v in outputs), "region")
        names = [v.name for v in outputs]
        if shape is None:
            results = self.out.emit(lookup("fused"), region.operands, {"rows": -1}, regions=(body,), names=names, loc=ops[-1].loc).results
        else:
            results = merge_axes(self.out, region.operands, body, rows, shape, names)
        self.env.update(zip(outputs, results, strict=True))

    def memory(self, v: Value) -> Value:
        """The value in memory, in the new function: views and constants are made here, on first use."""
        stack = [v]
        while stack:
            w = stack[-1]
            op = self.readings.producer.get(w)
            if w in self.env or op is None:
                self.env.setdefault(w, w)
                stack.pop()
                continue
            missing = [x for x in op.operands if x not in self.env]
            if missing and self.readings.is_made_where_read(w):
                stack += missing
                continue
            if self.readings.is_drawn_in(w):
                self.fused([op], [w], {})
            elif op.prim.view or not op.operands:
                self.out.rebuild(op, self.env)
            stack.pop()
        return self.env[v]

    def result(self, v: Value, taken: set[Value]) -> Value:
        """A result of the function, in memory of its own: what is an argument, a constant, or returned already, is copied."""
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
        (copy,) = merge_axes(self.out, [value], body, None, value.type.shape, [value.name])
        return copy


class _Region:
    """A region while it is written: what it reads becomes an argument, or, if it is an index map, is drawn in."""

    def __init__(self, outside: _Regions, again: Mapping[Value, Op]) -> None:
        self.outside = outside
        self.again = again
        self.b = Builder()
        self.env: dict[Value, Value] = {}
        self.args: list[Value] = []
        self.operands: list[Value] = []  # of the fused op, one for each of `args`

    def bring(self, v: Value) -> None:
        """Make `v` readable in the region."""
        readings = self.outside.readings
        stack = [v]
        while stack:
            w = stack[-1]
            if w not in self.env:
                if w in self.again or readings.is_drawn_in(w):
                    op = readings.producer[w]
                    missing = [x for x in op.operands if x not in self.env]
                    if missing:
                        stack += missing
                        continue
                    self.b.rebuild(op, self.env)
                else:
                    self.env[w] = Value(w.type, w.name, loc=w.loc)
                    self.args.append(self.env[w])
                    self.operands.append(self.outside.memory(w))
            stack.pop()
