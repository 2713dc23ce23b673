"""Sums that a loop carries are taken after it, over all steps at once, from what the steps stack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from rlxc.ir.builder import Builder
from rlxc.ir.core import Op, Value
from rlxc.primitives.control.base import stacked_type
from rlxc.primitives.control.folds import Parts

Totals = dict[Value, Callable[[Builder], Value]]  # for results of the loop, what emits them after it


def batch_after(op: Op, most: int) -> tuple[Op, Totals]:
    """`op` without the carries that are mere sums, and with what these need stacked; and those sums."""
    sums = _Sums(op, most)
    return sums.split() if sums.found else (op, {})


class _Sums:
    def __init__(self, op: Op, most: int) -> None:
        self.op = op
        self.body = op.regions[0]
        self.parts = Parts.of(op)
        self.length = op.attrs["length"]
        self.maker = {v: o for o in self.body.ops for v in o.results}
        self.uses = Counter(v for o in self.body.walk() for v in o.operands)
        self.uses.update(self.body.results)
        self.stacked = {*self.parts.x_args, *self.parts.ys}  # values that are stacked anyway
        self.room = most
        self.found: dict[int, Op] = {}  # of carries that are sums: what makes the terms
        for last in (False, True):  # contractions first: what they stack, others may sum for nothing
            for i, (a, new) in enumerate(zip(self.parts.carried_args, self.parts.new_carries, strict=True)):
                term = self.term(a, new)
                if i not in self.found and term is not None and self.is_worth_it(term, last):
                    self.found[i] = term

    def term(self, a: Value, new: Value) -> Op | None:
        """What makes the term that is added to a carry, if nothing else sees that on the way."""
        add = self.maker.get(new)
        if add is None or not is_addition(add) or a not in add.operands or self.uses[a] != 1 or self.uses[new] != 1:
            return None
        (x,) = [v for v in add.operands if v is not a] or [a]
        term = self.maker.get(x)
        return term if term is not None and self.uses[x] == 1 and term.prim.has_rule("batch_sum") else None

    def is_worth_it(self, term: Op, last: bool) -> bool:
        """Whether the sum is taken faster at once, and what it needs is stacked, or may be."""
        if all(v in self.parts.const_args for v in term.operands):
            return False
        more = dict.fromkeys(v for v in term.operands if v not in self.stacked and v not in self.parts.const_args)
        if last:
            return not more
        bytes = sum(self.length * v.type.nbytes for v in more)
        if term.prim.reduction or bytes > self.room:
            return False
        self.room -= bytes
        self.stacked.update(more)
        return True

    def split(self) -> tuple[Op, Totals]:
        parts, body, op = self.parts, self.body, self.op
        kept = [i for i in range(parts.number_of_carries) if i not in self.found]
        ys = list(parts.ys)
        stack_of: dict[Value, Value] = dict(zip(parts.x_args, parts.xs, strict=True))
        for y, v in zip(ys, op.results[parts.number_of_carries :], strict=True):
            stack_of.setdefault(y, v)
        new: list[Value] = []
        for term in self.found.values():
            for v in term.operands:
                if v not in stack_of and v not in parts.const_args:
                    stack_of[v] = Value(stacked_type(v.type, self.length), v.name, loc=op.loc)
                    new.append(v)
        dropped = {parts.carried_args[i] for i in self.found}
        gone = {self.maker[parts.new_carries[i]] for i in self.found} | set(self.found.values())
        region = body.with_(
            args=tuple(a for a in body.args if a not in dropped),
            ops=tuple(o for o in body.ops if o not in gone),
            results=(*(parts.new_carries[i] for i in kept), *ys, *new),
        )
        operands = tuple(v for a, v in zip(body.args, op.operands, strict=True) if a not in dropped)
        results = (*(op.results[i] for i in kept), *op.results[parts.number_of_carries :], *(stack_of[v] for v in new))
        rest = Op(op.prim, operands, dict(op.attrs) | {"carries": len(kept)}, results, (region,), op.loc)
        consts = dict(zip(parts.const_args, parts.consts, strict=True))
        totals: Totals = {}
        for i, term in self.found.items():
            xs = [consts[v] if v in consts else stack_of[v] for v in term.operands]
            totals[op.results[i]] = partial(_total, parts.carries[i], term, xs, [v not in consts for v in term.operands])
        return rest, totals


def is_addition(op: Op) -> bool:
    """Whether the op adds its two operands, element by element."""
    return op.prim.elementwise and op.prim.commutative and len(op.operands) == 2 and op.prim.linear_groups([], **op.attrs) == (frozenset((0, 1)),)


def _total(init: Value, term: Op, xs: list[Value], batched: list[bool], b: Any) -> Value:
    """The first value and the terms of all steps."""
    total = term.prim.batch_sum(b, *xs, batched=batched, **term.attrs)
    return b.add(init, total)
