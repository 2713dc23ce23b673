"""Rewriting a kernel op by op, with a hook for each kind of op. Loops in which nothing changes stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from rlxc.errors import Error
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.emitter import Emitter
from rlxc.ir.types import MemType
from rlxc.primitives.loop.base import LoopPrimitive


def rules(op: Op) -> LoopPrimitive:
    """The primitive of an op at the loop level."""
    assert isinstance(op.prim, LoopPrimitive)
    return op.prim


def is_for(op: Op) -> bool:
    """Whether `op` is a counted loop."""
    return op.prim.syntax == "for"


class Rewriter:
    """Copies a kernel through an Emitter; a subclass overrides `op` or `loop` to make something else of them."""

    def __init__(self, func: Func) -> None:
        self.func = func
        self.e = Emitter()
        self.env: dict[Value, Value] = {}
        self.placed: set[Op] = set()  # loops that stand in the new kernel with the values that they define in the old one
        self.copying = False  # whether the loop around has been placed before
        written = {v for op in func.walk() if not op.results or op.prim.has_effect for v in op.operands}
        self.e.read_only.update(a for a in func.args if isinstance(a.type, MemType) and a not in written)

    def run(self) -> Func:
        """The rewritten kernel, with the same arguments."""
        self.ops(self.func.ops)
        return self.func.with_(ops=tuple(self.e.ops))

    def ops(self, ops: Sequence[Op]) -> None:
        for op in ops:
            self.e.loc = op.loc
            try:
                if op.prim.syntax == "for":
                    self.loop(op)
                elif op.regions:
                    self.branch(op)
                else:
                    self.op(op)
            except Error as error:
                raise error.at(op.loc) from None

    def of(self, v: Value) -> Value:
        return self.env.get(v, v)

    def bind(self, op: Op, results: Sequence[Value]) -> None:
        for old, new in zip(op.results, results, strict=True):
            self.env[old] = new
            if new.name is None:
                new.name = old.name

    def op(self, op: Op) -> None:
        """An op without regions."""
        operands = [self.of(v) for v in op.operands]
        if all([new.type == old.type for new, old in zip(operands, op.operands, strict=True)]):
            self.bind(op, self.e.again(op, operands).results)
        else:
            self.bind(op, self.e.emit(op.prim, operands, dict(op.attrs), loc=op.loc).results)

    def changes(self, op: Op) -> bool:
        """Whether the pass makes something else of `op`, whatever its operands."""
        return True

    def can_stay(self, op: Op) -> bool:
        """Whether a loop needs no rewriting: nothing in it changes, and none of the values that it reads has been replaced."""
        env = self.env
        for inner in chain((op,), *(region.walk() for region in op.regions)):
            if self.changes(inner):
                return False
            for v in chain(inner.operands, *(region.results for region in inner.regions)):
                if env.get(v, v) is not v:
                    return False
        return True

    def loop(self, op: Op) -> None:
        """A `for`, as it is."""
        if not self.copying and op not in self.placed and self.can_stay(op):
            self.placed.add(op)
            self.e.keep(op)
            return
        self.loop_with(op)

    def loop_with(self, op: Op, first: Callable[[], None] | None = None, **attrs: Any) -> None:
        """A `for` with other attributes; its body starts with what `first` emits. A loop that is placed again has a counter of its own."""
        (body,) = op.regions
        attrs = {**op.attrs, **attrs}
        copying, self.copying = self.copying, self.copying or op in self.placed
        self.placed.add(op)
        args = [Value(v.type, v.name) for v in body.args] if self.copying else body.args
        self.env.update(zip(body.args, args, strict=True))

        def run() -> tuple[Value, ...]:
            if first is not None:
                first()
            self.ops(body.ops)
            return tuple(self.of(v) for v in body.results)

        region = self.e.region(args, run, has_memory=attrs["parallel"])
        self.copying = copying
        self.bind(op, self.e.emit(op.prim, [self.of(v) for v in op.operands], attrs, regions=(region,), loc=op.loc).results)

    def branch(self, op: Op) -> None:
        """An `if` or a `while`, as it is."""
        copying, self.copying = self.copying, self.copying or op in self.placed
        self.placed.add(op)

        def side(region: Func) -> Func:
            args = [Value(v.type, v.name) for v in region.args] if self.copying else region.args
            self.env.update(zip(region.args, args, strict=True))

            def run() -> tuple[Value, ...]:
                self.ops(region.ops)
                return tuple(self.of(v) for v in region.results)

            return self.e.region(args, run, movable=bool(args))

        regions = tuple(side(r) for r in op.regions)
        self.copying = copying
        self.bind(op, self.e.emit(op.prim, [self.of(v) for v in op.operands], dict(op.attrs), regions=regions, loc=op.loc).results)
