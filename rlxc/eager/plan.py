"""Plan: what a function computes forward, what is kept of it, and the functions that take cotangents back.

    func @f(%x: f64[3]) -> f64[3] {        primal     the same; a node keeps %y, the result
      %y = tanh %x                         pullback   func @f.pullback(%y: f64[3], %ct: f64[3]) -> f64[3] { ... ct (1 - y y) }
      return %y                     =>
    }

What only derivatives need (`cos x` for `sin x`) is computed in the pullback. So a node keeps arguments and results, which exist anyway, and of
what lies between only what is costly to compute again: these are the *extras*, further results of the primal function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.lazy import cached_property
from rlxc.passes.cse import eliminate_common_subexpressions
from rlxc.passes.dce import live_ops
from rlxc.passes.gradient import prepare
from rlxc.passes.linearize import Linearized, linearize
from rlxc.passes.simplify import simplify
from rlxc.passes.transpose import transpose_ops


@dataclass(frozen=True, slots=True)
class Pullback:
    """`func` takes the residuals at the positions `reads` (of those that a node keeps), then cotangents; it gives those of `gives`, positions among
    the active arguments. An argument that is not among them has the cotangent zero."""

    func: Func
    reads: tuple[int, ...]
    gives: tuple[int, ...]


class Turned(NamedTuple):
    """A pullback whose `func` still uses values of the primal function: `gives` says which active arguments, `given` are its own cotangents."""

    func: Func
    gives: tuple[int, ...]
    given: tuple[Value, ...]

    def used(self) -> tuple[Value, ...]:
        """Values of the primal function that it reads."""
        return tuple(v for v in used_from_outside(self.func) if v not in self.given)


class Plan:
    """How `func` is run and differentiated with respect to the arguments at the positions `active`.

    There are two pullbacks: one is run, the other recorded. They differ where linearize has made an op of control flow give more results, as a loop
    gives what each of its steps computes. These are extras, too, but nothing says how they depend on the arguments, so a pullback that is differentiated
    again computes them again.
    """

    def __init__(self, func: Func, active: Sequence[int]) -> None:
        self.func = clean(prepare(func))
        self.active = tuple(active)
        self._own = {*self.func.args, *(v for op in self.func.ops for v in op.results)}
        self._outputs = self.func.results
        while True:
            self.halves = self._linearized()
            self._whole = self._turned(self._all_seeds(), recorded=False)
            self.residuals = self._whole.used()
            if self._own.issuperset(self.residuals):
                self._recorded = self._whole
            else:
                self._recorded = self._turned(self._all_seeds(), recorded=True)
                self.residuals = tuple(dict.fromkeys((*self.residuals, *self._recorded.used())))
            known = {*self.func.args, *self._outputs}
            more = tuple(v for v in self.residuals if v in self._own and v not in known)
            if not more:
                break
            self._outputs += more  # derivatives of what is kept may be asked for too, by those of higher order
        count = len(self.func.results)
        #: What is kept of what lies between, first what pullbacks take cotangents of.
        self.extras = (*self._outputs[count:], *(v for v in self.residuals if v not in self._own))
        #: For each result and extra, whether it depends on an active argument and can be seeded.
        depends = tuple(t is not None for t in self.halves.tangents_out)
        self.active_outputs = (*depends, *(False for _ in self.extras[len(depends) - count :]))

    def _linearized(self) -> Linearized:
        func = self.func.with_(results=self._outputs)
        if self.active:
            return linearize(func, self.active)
        return Linearized(func, func.ops, (), (), (None,) * len(func.results), ())

    @cached_property
    def primal(self) -> Func:
        """Results that are no arguments, each once, then extras."""
        args = set(self.func.args)
        results = (*dict.fromkeys(v for v in self.func.results if v not in args), *self.extras)
        ops = live_ops(self.halves.primal_ops, results)
        return self.func.with_(ops=tuple(ops), results=results, module=None)

    def pullback(self, seeded: Sequence[int], *, recorded: bool = False) -> Pullback:
        """The map from cotangents of the results at these positions (extras follow the results) to those of the active arguments."""
        turned = self._recorded if recorded else self._whole
        if tuple(seeded) != self._all_seeds():
            turned = self._turned(seeded, recorded, set(turned.used()))
            if not set(self.residuals).issuperset(turned.used()):
                turned = self._with_zeros(seeded, recorded)
        used = set(turned.used())
        reads = tuple(i for i, v in enumerate(self.residuals) if v in used)
        args = (*(self.residuals[i] for i in reads), *turned.given)
        return Pullback(with_names(turned.func.with_(args=args)), reads, turned.gives)

    def _all_seeds(self) -> tuple[int, ...]:
        return tuple(i for i, t in enumerate(self.halves.tangents_out) if t is not None)

    def _with_zeros(self, seeded: Sequence[int], recorded: bool) -> Turned:
        """The pullback of all results, with zeros for the cotangents of those that are not seeded."""
        func, gives, given = self._recorded if recorded else self._whole
        b = Builder()
        env = {ct: b.zeros(ct.type) for i, ct in zip(self._all_seeds(), given, strict=True) if i not in seeded}
        for op in func.ops:
            b.rebuild(op, env)
        rest = tuple(ct for ct in given if ct not in env)
        whole = func.with_(args=rest, ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))
        return Turned(clean(whole), gives, rest)

    def _turned(self, seeded: Sequence[int], recorded: bool, kept: set[Value] | None = None) -> Turned:
        """The pullback of the outputs `seeded`. With `kept`, these are the values of the primal function that there are; else it chooses."""
        halves, outputs = self.halves, self._outputs
        live = {v for op in live_ops(halves.primal_ops, outputs) for v in op.results}
        primal = [op for op in halves.primal_ops if not live.isdisjoint(op.results)]  # with all of their results, live or not
        cotangents = {i: Value(outputs[i].type, f"ct{i}" if len(outputs) > 1 else "ct", loc=outputs[i].loc) for i in seeded}
        b = Builder()
        b.ops += [op for op in halves.primal_ops if live.isdisjoint(op.results)]
        cts = [cotangents.get(i) for i in range(len(outputs))]
        outs = transpose_ops(b, halves.linear_ops, halves.tangents_in, halves.tangents_out, cts, f"transpose(@{self.func.name})")
        results = tuple(ct for ct in outs if ct is not None)
        given = tuple(cotangents.values())
        late = Func(f"{self.func.name}.pullback", given, tuple(live_ops(b.ops, results)), results, loc=self.func.loc)
        whole = late.with_(ops=(*self._again(primal, late, recorded, kept), *late.ops))
        return Turned(clean(whole), tuple(i for i, ct in enumerate(outs) if ct is not None), given)

    def _again(self, primal: Sequence[Op], late: Func, recorded: bool, kept: set[Value] | None) -> list[Op]:
        """Ops of the primal function that are better computed again than kept, for a pullback `late`."""
        there = set((*self.func.args, *self.func.results) if kept is None else kept) | set(late.args)
        free = set(there)  # what is there, or costs nothing but arithmetic on what is there
        for op in primal:
            if _is_cheap(op) and free.issuperset(op.operands):
                free.update(op.results)
        needed = set(used_from_outside(late)) - there
        again: list[Op] = []
        for op in reversed(primal):
            wanted = needed.intersection(op.results)
            if not wanted:
                continue
            missing = {v for v in op.operands if v not in there and v not in needed}
            small = sum(map(_bytes, missing)) <= sum(map(_bytes, wanted))
            without_history = recorded and not wanted <= self._own
            if kept is not None or without_history or wanted <= free or (_is_cheap(op) and small):
                again.append(op)
                needed -= wanted
                needed |= missing
        return again[::-1]


def _is_cheap(op: Op) -> bool:
    """Whether the op costs no more to compute than its result to read."""
    prim = op.prim
    if len(op.results) != 1 or op.regions:
        return False
    return not op.operands or prim.view or prim.index_map or (prim.elementwise and prim.cost.recompute)


def used_from_outside(func: Func) -> tuple[Value, ...]:
    """Values that the function uses and does not have, in the order of first use."""
    mine = {v for op in func.ops for v in op.results}.union(func.args)
    used = dict.fromkeys(v for op in func.ops for v in op.operands)
    used.update(dict.fromkeys(func.results))
    return tuple(v for v in used if v not in mine)


def clean(func: Func) -> Func:
    return eliminate_common_subexpressions.on_func(simplify.on_func(func))  # type: ignore[attr-defined, no-any-return]


def with_names(func: Func) -> Func:
    """A copy with arguments of its own, so that it is a function like any other."""
    env = {a: Value(a.type, f"r{i}" if a.name is None else f"{a.name}_{i}", loc=a.loc) for i, a in enumerate(func.args)}
    args = tuple(env.values())
    body = Builder()
    for op in func.ops:
        body.rebuild(op, env)
    return func.with_(args=args, ops=tuple(body.ops), results=tuple(env.get(v, v) for v in func.results))


def _bytes(v: Value) -> int:
    """The size of a value; operands of a user's own type count alike."""
    return getattr(v.type, "nbytes", 8)
