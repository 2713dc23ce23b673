"""Rematerialize: what is computed early, needed again late, and cheap to compute from what is in memory anyway, is computed twice.

%f, %h = fused %x, %w do (...) {              %f, %h = fused %x, %w do (...) {
  %0 = contract %x, %w                          %0 = contract %x, %w
  %1 = mul %0, %0                               %1 = mul %0, %0
  yield %0, %1                                  yield %0, %1
}                                             }
%a = contract %h, %v                    =>    %a = contract %h, %v          %h ends here
...                                           ...                           here memory is needed most
                                              %g = fused %f do (%0: ...) { %1 = mul %0, %0  yield %1 }
%b = contract %h, %f                          %b = contract %g, %f
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.primitive import lookup
from rlxc.ir.remarks import remark
from rlxc.passes.lower.in_place import sources
from rlxc.passes.manager import func_pass
from rlxc.passes.work import work_of

LEAST = 16 << 20  # bytes that live at once: below, they are in a cache, and there is nothing to gain
SHARE = 1 / 32  # of the arithmetic of the ops that need a value late: what it may cost to compute it again
TINY = 1000  # values that are smaller than the whole by this factor stay


@func_pass("rematerialize")
def rematerialize(func: Func, *, least: int = LEAST, share: float = SHARE) -> Func:
    """Compute again, before late uses, what costs little and would take memory where memory is needed most; see the top of the file.

    Nothing is done for a function that needs less than `least` bytes between its kernels at once. Computing a value again costs at
    most `share` of the arithmetic of the ops that use it then.
    """
    return _Rematerialize(func, least, share).run()


@dataclass(frozen=True, slots=True)
class Again:
    """A value to compute again before the op at `position`: by which ops of the region, from which values outside."""

    value: Value
    position: int
    ops: tuple[Op, ...]
    inputs: dict[Value, Value]  # values of the region, and what they are outside


class _Rematerialize:
    def __init__(self, func: Func, least: int, share: float) -> None:
        self.func = func
        self.least = least
        self.share = share
        self.source = sources(func)
        self.maker: dict[Value, tuple[int, Op]] = {}
        self.uses: dict[Value, list[int]] = {}
        for position, op in enumerate(func.ops):
            if op.prim.view:
                continue
            for v in dict.fromkeys(self.source[v] for v in op.operands):
                self.uses.setdefault(v, []).append(position)
            if op.operands:
                self.maker.update(dict.fromkeys(op.results, (position, op)))
        self.kept = {self.source[v] for v in func.results}  # in the caller's memory
        self.pinned: set[Value] = set()  # needed where something is computed again

    def run(self) -> Func:
        peak, live = self.peak()
        if sum(v.type.nbytes for v in live) < max(self.least, 1):
            return self.func
        whole = sum(v.type.nbytes for v in live)
        chosen: dict[Value, Again] = {}
        for v in sorted(live, key=lambda v: (-v.type.nbytes, self.maker[v][0])):
            if v.type.nbytes * TINY < whole or v in self.pinned:
                continue
            again = self.again(v, peak, chosen)
            if again is not None:
                chosen[v] = again
                self.pinned.update(self.source[x] for x in again.inputs.values())
        return self.write(chosen) if chosen else self.func

    def peak(self) -> tuple[int, list[Value]]:
        """The op during which most bytes are live between kernels, and the values that they are."""
        change = [0] * (len(self.func.ops) + 1)
        for v, (made, _) in self.maker.items():
            if v not in self.kept:
                change[made] += v.type.nbytes  # type: ignore[union-attr]
                change[self.last(v) + 1] -= v.type.nbytes  # type: ignore[union-attr]
        now = most = peak = 0
        for position, more in enumerate(change):
            now += more
            if now > most:
                most, peak = now, position
        return peak, [v for v, (made, _) in self.maker.items() if v not in self.kept and made <= peak <= self.last(v)]

    def last(self, v: Value) -> int:
        """The last op that uses a value; its maker, if none does."""
        return self.uses[v][-1] if v in self.uses else self.maker[v][0]

    # one value

    def again(self, v: Value, peak: int, chosen: dict[Value, Again]) -> Again | None:
        """How to compute `v` again after the peak, if it was used before, and can be had cheaply."""
        _, op = self.maker[v]
        uses = self.uses.get(v, [])
        late = [position for position in uses if position > peak]
        if not op.prim.kernel or not late or len(late) == len(uses):
            return None
        (region,) = op.regions
        outside = dict(zip(region.args, op.operands, strict=True)) | dict(zip(region.results, op.results, strict=True))
        available = {x: y for x, y in outside.items() if y is not v and self.is_there(y, late[0], chosen)}
        ops, inputs = _expression(region, region.results[op.results.index(v)], available)
        if not ops or not all(inner.prim.elementwise or inner.prim.index_map or not inner.operands for inner in ops):
            return None
        if not ops[-1].prim.elementwise and any(inner.prim.elementwise for inner in ops):
            return None
        cost = sum(work_of(inner).flops for inner in ops)
        if cost > self.share * sum(work_of(self.func.ops[position]).flops for position in late):
            return None
        return Again(v, late[0], ops, inputs)

    def is_there(self, v: Value, position: int, chosen: dict[Value, Again]) -> bool:
        """Whether a value is in memory at `position` anyway."""
        root = self.source[v]
        return root not in self.maker or root in self.kept or (root not in chosen and self.last(root) >= position)

    # the new function

    def write(self, chosen: dict[Value, Again]) -> Func:
        at: dict[int, list[Again]] = {}
        for again in chosen.values():
            at.setdefault(again.position, []).append(again)
        view_of = {v: op for op in self.func.ops if op.prim.view for v in op.results}
        b = Builder()
        new: dict[Value, Value] = {}  # what late uses read instead
        for position, op in enumerate(self.func.ops):
            for again in at.get(position, ()):
                remark("again", f"{described_again(again)}, so as not to keep it", again.ops[-1].loc)
                new[again.value] = _computed(b, again, self.maker[again.value][1])
            instead = {} if op.prim.view else {v: self.read(b, v, new, view_of) for v in op.operands if self.source[v] in new}
            b.insert_with(op, instead)
        return self.func.with_(ops=tuple(b.ops))

    def read(self, b: Builder, v: Value, new: dict[Value, Value], view_of: dict[Value, Op]) -> Value:
        """The value computed again, under the same views."""
        if v not in new:
            chain = [v]
            while chain[-1] not in new:
                chain.append(view_of[chain[-1]].operands[0])
            for w in reversed(chain[:-1]):
                op = view_of[w]
                new[w] = b.emit(op.prim, [new[op.operands[0]]], dict(op.attrs), loc=op.loc).result
        return new[v]


def _expression(region: Func, result: Value, available: dict[Value, Value]) -> tuple[tuple[Op, ...], dict[Value, Value]]:
    """The ops of a region that compute `result` from values that are available outside, and those."""
    producer = {v: op for op in region.ops for v in op.results}
    inputs: dict[Value, Value] = {}
    needed: set[Op] = set()
    stack = [result]
    while stack:
        v = stack.pop()
        if v in available:
            inputs[v] = available[v]
        elif v not in producer:
            return (), {}
        elif producer[v] not in needed:
            needed.add(producer[v])
            stack += producer[v].operands
    return tuple(op for op in region.ops if op in needed), inputs


def _computed(b: Builder, again: Again, maker: Op) -> Value:
    """Emit the fused op that computes a value again."""
    inner = Builder()
    args = {v: Value(v.type, v.name, loc=v.loc) for v in again.inputs}
    inside: dict[Value, Value] = dict(args)
    for op in again.ops:
        inner.rebuild(op, inside)
    body = Func("", tuple(args.values()), tuple(inner.ops), (inner.ops[-1].result,), "region")
    rank = again.value.type.rank  # type: ignore[union-attr]
    rows = maker.attrs["rows"] if maker.attrs["rows"] >= 0 else max(rank - 1, 0)
    if not again.ops[-1].prim.elementwise:
        rows = -1
    return b.emit(lookup("fused"), list(again.inputs.values()), {"rows": rows}, regions=(body,), names=[again.value.name], loc=again.ops[-1].loc).result


def described_again(again: Again) -> str:
    """A value that is computed again, in words."""
    name = f"%{again.value.name}" if again.value.name else "a value"
    return f"{name}, {again.value.type}, is computed again from {_listed(list(again.inputs.values()))}"


def _listed(values: Sequence[Value]) -> str:
    return ", ".join(f"%{v.name}" if v.name else str(v.type) for v in values)
