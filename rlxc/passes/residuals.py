"""Which values a later part keeps of an earlier one, and which it computes again: a minimal cut by the bytes that go through memory.

    earlier: y = tanh(x); c = 1 - y y               needed later: c
    kept     y, if it is a result anyhow (reading it costs less than writing and reading c); then c is computed again

What exists anyhow (arguments, results) costs its bytes once, for reading; what is kept costs three times its bytes, since writing counts as
two. Only cheap elementwise ops are computed again: never a contraction, a reduction, a gather or a function such as exp (`Cost.recompute`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from rlxc.ir.core import Op, Value
from rlxc.ir.types import Dim
from rlxc.passes.fuse.min_cut import Network

READ, KEEP = 1.0, 3.0  # price of a byte
FLOPS_PER_BYTE = 4.0  # see the note in fuse/residuals.py
WINDOW = 128  # ops that are looked at together; between windows a value is kept, or computed again from its own window
UNKNOWN = 1024  # elements along a dimension without a size yet


class Plan(NamedTuple):
    """What the later part reads of what exists anyhow, what is kept for it, and the ops that it runs again, in order."""

    read: list[Value]
    kept: list[Value]
    again: list[Op]


def plan(ops: Sequence[Op], needed: Iterable[Value], exists: Collection[Value], may: Callable[[Op], bool] | None = None) -> Plan:
    """How a later part comes by the values `needed` of those that `ops` compute; `exists` are there anyhow.

    An op is computed again only if `may` says so (`is_cheap` unless stated); what it does not allow is kept.
    """
    planner = _Planner(ops, exists, may or is_cheap)
    return planner.run(needed)


def is_cheap(op: Op) -> bool:
    """Whether computing the op again costs next to nothing beside what its operands cost to read."""
    return (op.prim.elementwise or op.prim.view or op.prim.index_map) and op.prim.cost.recompute and not op.prim.has_effect


def is_free(op: Op) -> bool:
    """Constants and the like: made where they are needed."""
    return not op.operands and not op.regions and not op.prim.has_effect


def bytes_of(v: Value) -> int:
    """Bytes of a value; a dimension without a size counts as many elements."""
    size = 1
    for n in v.type.shape:
        size *= UNKNOWN if isinstance(n, Dim) else n
    return size * v.type.dtype.size


class _Planner:
    def __init__(self, ops: Sequence[Op], exists: Collection[Value], may: Callable[[Op], bool]) -> None:
        self.ops = ops
        self.exists = exists
        self.may = may
        self.made = {v: i for i, op in enumerate(ops) for v in op.results}
        self.frontier: dict[Value, None] = {}  # what is read or kept
        self.again: set[int] = set()
        self.sure: set[Value] = set()  # what is read or kept in any case, so that it costs no more for others

    def run(self, needed: Iterable[Value]) -> Plan:
        """From the last window to the first: when its turn comes, all that is needed of a window is known."""
        wanted: dict[int, dict[Value, None]] = {}
        needed = list(needed)
        self.sure = {v for v in needed if v not in self.made or not self.may(self.ops[self.made[v]])}
        self.want(wanted, needed)
        while wanted:
            last = max(wanted)
            self.want(wanted, self.choose(last, list(wanted.pop(last))))
        order = sorted(self.frontier, key=lambda v: self.made.get(v, -1))
        read = [v for v in order if v in self.exists]
        return Plan(read, [v for v in order if v not in self.exists], [self.ops[i] for i in sorted(self.again)])

    def want(self, wanted: dict[int, dict[Value, None]], values: Iterable[Value]) -> None:
        """Sort values that are needed by the window that makes them; what no op makes exists."""
        for v in values:
            if v in self.made:
                wanted.setdefault(self.made[v] // WINDOW, {})[v] = None
            else:
                self.frontier[v] = None

    def choose(self, window: int, needed: list[Value]) -> list[Value]:
        """Decide about one window; the values of earlier ones that it needs."""
        again = self.cut(window, needed)
        earlier: list[Value] = []
        stack = list(needed)
        seen: set[Value] = set()
        while stack:
            v = stack.pop()
            if v in seen:
                continue
            seen.add(v)
            i = self.made.get(v)
            if i is None or i // WINDOW != window:
                earlier.append(v)
            elif i in again or is_free(self.ops[i]):
                self.again.add(i)
                stack += self.ops[i].operands
            else:
                self.frontier[v] = None
        return earlier

    def cut(self, window: int, needed: Collection[Value]) -> set[int]:
        """The ops of a window that are best computed again."""
        network = Network("source", "sink")
        seen: set[Value] = set()
        stack = [v for v in needed if self.may(self.ops[self.made[v]])]
        if not stack:
            return set()
        needed, open_ = dict.fromkeys(needed), set(stack)
        for v in needed:
            network.edge(("out", v), "sink")
            if v not in open_:
                network.edge("source", ("out", v), self.price(v))  # kept in any case: it costs no more for others
        before = sum(self.price(v) for v in needed)
        while stack:
            v = stack.pop()
            if v in seen:
                continue
            seen.add(v)
            op = self.ops[self.made[v]]
            network.edge(("in", v), ("out", v), self.price(v))
            exact = not v.type.dtype.differentiable  # a comparison is computed again only of the very same bits
            for x in op.operands:
                inner = self.made.get(x)
                if inner is not None and is_free(self.ops[inner]):
                    continue
                may = inner is not None and inner // WINDOW == window and self.may(self.ops[inner])
                if x in needed and not may:
                    network.edge(("out", x), ("in", v))
                elif may and not (exact and x.type.dtype.differentiable):
                    network.edge(("out", x), ("in", v))
                    stack.append(x)
                else:
                    if ("stored", x) not in network:
                        network.edge("source", ("stored", x), 0.0 if x in self.sure else self.price(x))
                    network.edge(("stored", x), ("in", v))
        after, late = network.cut()
        again = {self.made[v] for v in seen if ("in", v) in late}
        flops = sum(self.ops[i].prim.cost.flops * bytes_of(self.ops[i].results[0]) / 4 for i in again)
        return again if after < before and flops <= FLOPS_PER_BYTE * (before - after) else set()

    def price(self, v: Value) -> float:
        return max(bytes_of(v), 1) * (READ if v in self.exists else KEEP)
