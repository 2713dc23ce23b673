"""Whether the iterations of a loop are independent, and what scratch memory each would need for itself.

Iterations are independent if those that touch an element of memory which the loop stores to are all the same one. For one loop that is asked
of each memory: is there an axis along which every access moves with the counter, further in one step than it strays within an iteration?

    for %i in 0..64 step 8 {
      for %j in 0..8 {
        %k = add %i, %j            k strays by 7 while i moves by 8
        store %y, %0, %k
      }
    }

Scratch memory that every iteration fills before it reads from it need not be shared: each thread may have its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlxc.ir.core import Func, Op, Value
from rlxc.ir.types import MemType
from rlxc.passes.schedule.indices import Form, Indices
from rlxc.passes.schedule.plan import strides_of
from rlxc.passes.schedule.rewrite import is_for, rules


@dataclass(frozen=True, slots=True)
class Access:
    """Where an op touches memory: `lanes` elements from an index on, of which it stores all if it `fills`; an index that is None is anywhere."""

    type: MemType
    index: tuple[Form, ...] | None
    lanes: int
    writes: bool
    fills: bool


class Dependence:
    """What is known of a kernel's memory."""

    def __init__(self, func: Func) -> None:
        self.indices = Indices(func)
        self.root: dict[Value, Value] = {}  # of a view: what it is a view of
        self.alloc: dict[Value, Op] = {}
        self.displaced: set[Value] = set()  # parts of memory that begin elsewhere, or have elements of another size
        self.maker = {v: op for op in func.walk() for v in op.results}
        for op in func.walk():
            if op.regions or not op.results or not isinstance(op.result.type, MemType):
                continue
            if op.operands:
                self.root[op.result] = self.root_of(op.operands[0])
                if not rules(op).pure or op.operands[0] in self.displaced:
                    self.displaced.add(op.result)
            elif rules(op).allocates:
                self.alloc[op.result] = op
        self.at_root = {v for op in func.ops for v in op.results}
        self.uses = _counts(func.walk(), self)

    def root_of(self, memory: Value) -> Value:
        return self.root.get(memory, memory)

    def private_for(self, loop: Op) -> list[Value] | None:
        """Scratch memory to make private so that the iterations of `loop` are independent; None if they are not, or not known to be."""
        if loop.operands:
            return None
        (body,) = loop.regions
        inside = _defined_in(body)
        accesses: dict[Value, list[Access]] = {}
        for op in body.walk():
            if not self._collect(op, accesses):
                return None
        private = []
        for memory, touched in accesses.items():
            if memory in inside or not any(a.writes for a in touched) or self._apart(loop, inside, touched):
                continue
            if not self._may_be_private(memory, body, inside):
                return None
            private.append(memory)
        return private

    # accesses

    def _collect(self, op: Op, accesses: dict[Value, list[Access]]) -> bool:
        """Note what `op` touches; whether that is known."""
        if op.regions or rules(op).hint:
            return True
        memories = [v for v in op.operands if isinstance(v.type, MemType)]
        if not memories:
            return not rules(op).has_effect
        if op.results and isinstance(op.result.type, MemType):
            return True  # a view
        if not rules(op).indexed:
            for v in memories:
                accesses.setdefault(self.root_of(v), []).append(Access(v.type, None, 1, rules(op).has_effect, False))  # type: ignore[arg-type]
            return True
        memory, value, index = rules(op).parts(op.operands)
        mask = rules(op).mask(op.operands)
        lanes = (op.result if value is None else value).type.lanes if mask is None else self._width(mask)
        forms = None if memory in self.displaced else tuple(self.indices[i] for i in index)
        accesses.setdefault(self.root_of(memory), []).append(Access(memory.type, forms, lanes, value is not None, rules(op).access))
        return True

    def _width(self, mask: Value) -> int:
        """The lanes up to the last one that a mask may let through."""
        known = self._constant(mask)
        return mask.type.lanes if known is None else int(np.flatnonzero(known).max(initial=-1)) + 1  # type: ignore[union-attr]

    def _constant(self, v: Value) -> Any:
        """A value that is known here; None if it is not."""
        op = self.maker.get(v)
        if op is None or op.regions or not rules(op).pure or isinstance(v.type, MemType) or rules(op).expands:
            return None
        operands = [self._constant(x) for x in op.operands]
        return None if any(x is None for x in operands) else rules(op).eval(*operands, **op.attrs)

    def _apart(self, loop: Op, inside: set[Value], touched: Sequence[Access]) -> bool:
        """Whether no two iterations touch the same element of a memory."""
        if any(a.index is None for a in touched):
            return False
        counter, step = loop.regions[0].args[0], loop.attrs["step"]
        flat = [(_flat(a), a.lanes) for a in touched]
        if self._moves_on(counter, step, inside, flat):
            return True
        if any(a.type != touched[0].type for a in touched) or any(a.lanes > 1 for a in touched):
            return False
        axes = range(len(touched[0].type.shape))
        return any(self._moves_on(counter, step, inside, [(a.index[axis], 1) for a in touched]) for axis in axes)  # type: ignore[index]

    def _moves_on(self, counter: Value, step: int, inside: set[Value], places: Sequence[tuple[Form, int]]) -> bool:
        """Whether each place moves with the counter by more than it, and its distance to the others, can vary within one iteration."""
        first = places[0][0]
        pace = first.of(counter)
        outside = {v: c for v, c in first.terms.items() if v not in inside}
        if not pace:
            return False
        within = inside - {counter}
        lows, highs = [], []
        for form, lanes in places:
            if form.of(counter) != pace or {v: c for v, c in form.terms.items() if v not in inside} != outside:
                return False
            span = self.indices.span(form, within)
            if span is None:
                return False
            lows.append(form.constant + span[0])
            highs.append(form.constant + span[1] + lanes - 1)
        return max(highs) - min(lows) < abs(pace) * step

    # scratch memory

    def _may_be_private(self, memory: Value, body: Func, inside: set[Value]) -> bool:
        """Whether `memory` is scratch that only this loop uses, and that every iteration fills before it reads it."""
        if memory not in self.alloc or memory not in self.at_root:
            return False
        return _counts(body.walk(), self).get(memory) == self.uses.get(memory) and self._filled_first(memory, body.ops, [], set(), inside)

    def _filled_first(self, memory: Value, ops: Sequence[Op], boxes: list[Box], stored: set[tuple], inside: set[Value]) -> bool:
        """Whether every load of `memory` in `ops` finds what this iteration stored: in `boxes`, or at one of the indices in `stored`."""
        boxes, stored = list(boxes), set(stored)
        for op in ops:
            for region in op.regions:
                if not self._filled_first(memory, region.ops, boxes, stored, inside):
                    return False
            if is_for(op) and op.attrs["start"] < op.attrs["stop"]:
                boxes += [box for box in self._boxes(memory, op) if box]
            touched: dict[Value, list[Access]] = {}
            self._collect(op, touched)
            for access in touched.get(memory, ()):
                if access.type != memory.type or access.index is None:
                    return False
                key = tuple((f.constant, frozenset(f.terms.items())) for f in access.index)
                if access.writes and not access.fills:
                    continue
                if access.writes:
                    stored.add((key, access.lanes))
                    box = self._box(access, {})
                    boxes += [box] if box else []
                elif (key, access.lanes) not in stored and not self._inside_a_box(access, boxes, inside):
                    return False
        return True

    def _boxes(self, memory: Value, loop: Op) -> list[Box | None]:
        """What the stores of a nest are sure to fill when it is over."""
        counters: dict[Value, int] = {}
        found: list[Box | None] = []

        def visit(op: Op) -> None:
            if is_for(op) and op.attrs["start"] < op.attrs["stop"]:
                counters[op.regions[0].args[0]] = op.attrs["step"]
                for inner in op.regions[0].ops:
                    visit(inner)
                del counters[op.regions[0].args[0]]
                return
            touched: dict[Value, list[Access]] = {}
            self._collect(op, touched)
            found.extend(self._box(a, counters) for a in touched.get(memory, ()) if a.writes and a.type == memory.type)

        visit(loop)
        return found

    def _box(self, access: Access, counters: dict[Value, int]) -> Box | None:
        """The elements that a store fills while `counters` run; each must be the index along one axis."""
        if access.index is None or not access.fills:
            return None
        box, free = [], dict(counters)
        for axis, form in enumerate(access.index):
            width = access.lanes if axis == len(access.index) - 1 else 1
            match list(form.terms.items()):
                case []:
                    box.append((form.constant, form.constant + width - 1))
                case [(v, 1)] if v in free and free.pop(v) <= width:
                    low, high = self.indices.range[v]
                    box.append((form.constant + low, form.constant + high + width - 1))
                case _:
                    return None
        return tuple(box)

    def _inside_a_box(self, access: Access, boxes: Sequence[Box], inside: set[Value]) -> bool:
        """Whether all that a load may read is in one of `boxes`."""
        assert access.index is not None
        read = []
        for axis, form in enumerate(access.index):
            span = self.indices.span(form, inside)
            if span is None or any(v not in inside for v in form.terms):
                return False
            width = access.lanes if axis == len(access.index) - 1 else 1
            read.append((form.constant + span[0], form.constant + span[1] + width - 1))
        return any(all(b[0] <= r[0] and r[1] <= b[1] for r, b in zip(read, box, strict=True)) for box in boxes)


Box = tuple[tuple[int, int], ...]  # the first and last index along each axis


def _flat(access: Access) -> Form:
    """The position in row-major order."""
    flat = Form(0, {})
    for form, stride in zip(access.index or (), strides_of(access.type), strict=True):
        flat = flat.plus(form, stride)
    return flat


def _defined_in(body: Func) -> set[Value]:
    inside = set(body.args)
    for op in body.walk():
        inside.update(op.results)
        for region in op.regions:
            inside.update(region.args)
    return inside


def _counts(ops, dependence: Dependence) -> dict[Value, int]:
    """How often each memory is used, be it through views."""
    counts: dict[Value, int] = {}
    for op in ops:
        for v in op.operands:
            if isinstance(v.type, MemType):
                root = dependence.root_of(v)
                counts[root] = counts.get(root, 0) + 1
    return counts
