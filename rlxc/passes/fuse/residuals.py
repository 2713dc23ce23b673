"""Which values are stored between kernels, and which are computed again where they are read.

    kernel 1: h = x @ w;  a = h * logistic(h);  s = logistic(h)      stores h, a, s
    kernel 2: ct * (s + a * (1 - s))                                 reads a, s

becomes

    kernel 1: h = x @ w;  a = h * logistic(h)                        stores h, a (which the next contraction reads anyway)
    kernel 2: s = logistic(h), ct * (s + a * (1 - s))                reads h, a

An elementwise value that later kernels read at the same index may be computed there again, from what is in memory. What is best stored
is a minimal cut between what can only be stored (arguments, contractions, reductions) and what is read, where a value costs the bytes
that are written and read. Bits matter where values are compared (see rounding.py). See Note [What computing again may cost].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from rlxc.ir.core import Func, Op, Value
from rlxc.passes.fuse import report
from rlxc.passes.fuse.groups import Group, Groups
from rlxc.passes.fuse.min_cut import Network
from rlxc.passes.fuse.readings import Readings, Where
from rlxc.passes.fuse.rounding import Rounding

FLOPS_PER_BYTE = 4.0
CHEAP_COPY = 3.0  # flops of an element that is copied for a contraction
LINE = 64  # bytes, of the cache: what needs no more is as good stored as computed again
WRITE = 2  # as many bytes as two reads: a line of the cache is fetched before it is written


def choose_residuals(func: Func, readings: Readings, groups: Groups, max_flops: float) -> None:
    """Fill in what each group stores and what it computes again; drop ops that nobody needs any more."""
    _Residuals(func, readings, groups, max_flops).run()


class _Residuals:
    def __init__(self, func: Func, readings: Readings, groups: Groups, max_flops: float) -> None:
        self.readings = readings
        self.groups = groups
        self.max_flops = max_flops
        self.rounding = Rounding(func, readings)
        self.readers: dict[Value, dict[Group, bool]] = {}  # of values in memory: the groups that read them, and whether those could compute them
        self.results = {w for v in func.results for w in readings.sources(v)}

    def run(self) -> None:
        """From the last group to the first: when its turn comes, all that is read of a group is known."""
        for group in reversed(self.groups.inorder):
            self.choose(group)
            group.stored = [v for op in group.ops for v in op.results if v in self.results or v in self.readers]
            group.ops = _needed(group, self.readings)
            self.register(group)
        for v in (v for group in self.groups.inorder for v in group.stored if v in self.readers):
            report.stored(v, self.readings.producer[v], partial(self.why_stored, v))

    def why_stored(self, v: Value) -> list[str]:
        """For the report."""
        words = ["it is a result"] if v in self.results else []
        words += ["it is compared, so that its very bits matter"] if v in self.rounding.compared else []
        readers = Counter(((group.anchor or group.ops[0]).prim.name, direct) for group, direct in self.readers.get(v, {}).items())
        for (name, direct), n in readers.items():
            words.append(f"read by {n} kernels of {name}" if n > 1 else f"read by the kernel of {name}")
            words[-1] += "" if direct else " at other indices or many times"
        return words

    def register(self, group: Group) -> None:
        """Note what `group` reads from memory."""
        for v, direct in self.reads(group).items():
            self.readers.setdefault(v, {})[group] = direct

    def reads(self, group: Group) -> dict[Value, bool]:
        """What `group` reads from memory, and whether it could be computed where it is read."""
        found: dict[Value, bool] = {}
        for op in (*group.ops, *group.again.values()):
            for i, v in enumerate(op.operands):
                reading = self.readings.of(v)
                direct = reading.where is Where.HERE and (op is not group.anchor or not op.prim.reuses(i) or (op.prim.packs(i) and self.is_cheap_copy(v)))
                for w in reading.sources:
                    if w not in group.again and (reading.where is Where.ELSEWHERE or self.groups.of.get(w) is not group):
                        found[w] = found.get(w, True) and direct
        return found

    def is_cheap_copy(self, v: Value) -> bool:
        """Whether `v` is found by next to nothing from what is in memory before its group: converted, perhaps scaled."""
        home, flops, seen, stack = self.groups.of.get(v), 0.0, set(), [v]
        while stack:
            w = stack.pop()
            if w in seen or home is None or self.groups.of.get(w) is not home:
                continue
            seen.add(w)
            op = self.readings.producer[w]
            flops += op.prim.cost.flops
            if not op.prim.elementwise or not op.prim.cost.recompute or flops > CHEAP_COPY:
                return False
            stack += [x for y in op.operands for x in self.readings.of(y).sources]
        return bool(seen)

    def choose(self, group: Group) -> None:
        """Decide what is stored of the elementwise values that other groups read."""
        made = {v: op for op in group.ops for v in op.results}
        wanted = [v for v, op in made.items() if v in self.readers and op.prim.elementwise and not self.must_be_stored(v)]
        if all(_bytes(v) <= LINE for v in wanted):
            return
        for may in (_any_op, _cheap_op):
            plan = _Plan(self, group, made, wanted, may)
            if plan.gains():
                plan.carry_out()
                return

    def must_be_stored(self, v: Value) -> bool:
        return v in self.results or v in self.rounding.compared or not all(self.readers.get(v, {}).values())


class _Plan:
    """The best choice for one group, if only ops that `may` are computed again."""

    def __init__(self, whole: _Residuals, group: Group, made: dict[Value, Op], wanted: list[Value], may: Callable[[Op], bool]) -> None:
        self.whole = whole
        self.group = group
        self.made = made
        self.wanted = wanted
        self.wanted_by = self.demand()
        self.needs = self.needed_anyway()
        self.before = sum(map(self.price, wanted))
        self.network = Network("source", "sink")
        self.build(may)
        self.after, self.late = self.network.cut()
        self.again = {c: self.cone(c) for c in self.consumers()} if self.after < self.before else {}

    def consumers(self) -> list[Group]:
        found = {c.number: c for v in self.wanted for c in self.whole.readers[v]}
        return [found[n] for n in sorted(found)]

    def demand(self) -> dict[Value, set[Group]]:
        """The groups that read a value, or something that is computed from it, by value."""
        found: dict[Value, set[Group]] = {v: set(self.whole.readers[v]) for v in self.wanted}
        for op in reversed(self.group.ops):
            by = found.get(op.results[0])
            if by and op.prim.elementwise:
                for w in (w for v in op.operands for w in self.whole.readings.of(v).sources):
                    found.setdefault(w, set()).update(by)
        return found

    def build(self, may: Callable[[Op], bool]) -> None:
        """Nodes "in v" and "out v" for a value v: the edge between them is cut where v is stored."""
        edge, seen, stack = self.network.edge, set(), list(self.wanted)
        for v in self.wanted:
            edge(("out", v), "sink")
        while stack:
            v = stack.pop()
            if v in seen:
                continue
            seen.add(v)
            edge(("in", v), ("out", v), self.price(v))
            op = self.made[v]
            if not op.prim.elementwise or not may(op) or not self.whole.rounding.keeps_bits(op):
                edge("source", ("in", v))
                continue
            for x in op.operands:
                reading = self.whole.readings.of(x)
                for w in reading.sources:
                    if w not in self.made:
                        edge("source", ("read", w), self.price_of_reading(w))
                        edge(("read", w), ("in", v))
                    elif reading.where is Where.HERE:
                        edge(("out", w), ("in", v))
                        stack.append(w)
                    else:  # it has to be in memory, for reading it elsewhere
                        if ("row", w) not in self.network:
                            edge("source", ("row", w), self.price(w))
                        edge(("row", w), ("in", v))

    def price(self, v: Value) -> float:
        """Bytes that go through memory if `v` is stored for those who want it: it is written, and read by each of them."""
        if v in self.wanted or (v not in self.whole.readers and v not in self.whole.results):
            return _bytes(v) * (WRITE + len(self.wanted_by[v]))
        return _bytes(v) * len(self.wanted_by[v] - self.readers(v))

    def price_of_reading(self, v: Value) -> float:
        """Bytes that go through memory if those who want it read `v` of another group; this group may then read it no more."""
        if ("read", v) in self.network:
            return 0
        more = len(self.wanted_by[v] - self.readers(v))
        return _bytes(v) * max(0, more - (v not in self.needs))

    def readers(self, v: Value) -> set[Group]:
        return set(self.whole.readers.get(v, ()))

    def needed_anyway(self) -> set[Value]:
        """What the group reads, or computes, for values that it stores in any case."""
        found = {v for v in self.made if v not in self.wanted and (v in self.whole.readers or v in self.whole.results)}
        for op in reversed(self.group.ops):
            if not found.isdisjoint(op.results):
                found.update(w for v in op.operands for w in self.whole.readings.of(v).sources)
        return found

    def cone(self, consumer: Group) -> dict[Value, Op]:
        """What `consumer` computes again."""
        found: dict[Value, Op] = {}
        stack = [v for v in self.wanted if consumer in self.whole.readers[v]]
        while stack:
            v = stack.pop()
            if v in found or ("in", v) not in self.late:
                continue
            found[v] = self.made[v]
            stack += [x for x in self.made[v].operands if x in self.made]
        return found

    def gains(self) -> bool:
        """Whether fewer bytes go through memory, at a price in flops that is worth it. See Note [What computing again may cost]."""
        flops = 0.0
        for consumer, ops in self.again.items():
            each = sum(op.prim.cost.flops for op in ops.values())
            if consumer.flops + each > self.whole.max_flops:
                return False
            flops += sum(op.prim.cost.flops * v.type.size for v, op in ops.items())
        return self.after < self.before and flops <= FLOPS_PER_BYTE * (self.before - self.after)

    def carry_out(self) -> None:
        for consumer, ops in self.again.items():
            if not ops:
                continue
            for v in self.whole.reads(consumer):
                del self.whole.readers[v][consumer]
                if not self.whole.readers[v]:
                    del self.whole.readers[v]
            report.computed_again(ops.values(), consumer.anchor or consumer.ops[0], self.before - self.after)
            consumer.again.update(ops)
            consumer.flops += sum(op.prim.cost.flops for op in ops.values())
            self.whole.register(consumer)


def _needed(group: Group, readings: Readings) -> list[Op]:
    """The ops of the group that what it stores depends on."""
    needed, ops = set(group.stored), []
    for op in reversed(group.ops):
        if not needed.isdisjoint(op.results):
            ops.append(op)
            needed.update(w for v in op.operands for w in readings.of(v).sources)
    return ops[::-1]


def _any_op(op: Op) -> bool:
    return True


def _cheap_op(op: Op) -> bool:
    return op.prim.cost.recompute


def _bytes(v: Any) -> int:
    return v.type.size * v.type.dtype.size


# Note [What computing again may cost]
#
# A core does some 50 to 100 flops a nanosecond on vectors in registers, and moves some 10 to 30 bytes to or from memory behind its second
# cache in that time: 4 flops a byte lean towards computing.
# First the ops are chosen as if flops were free. If that costs more than it saves, functions such as exp are left out of account (what
# `Cost.recompute` says), so that they are stored, and only what is cheap is computed again.
