"""Plan: what a function computes forward, what is kept of it, and the functions that take cotangents back.

    func @f(%x: f64[3]) -> f64[3] {        primal     the same; a node keeps %y, the result
      %y = tanh %x                         pullback   func @f.pullback(%y: f64[3], %ct: f64[3]) -> f64[3] { ... ct (1 - y y) }
      return %y                     =>
    }

What only derivatives need (`cos x` for `sin x`) is computed in the pullback. So a node keeps arguments and results, which exist anyway, and of
what lies between only what is costly to compute again: these are the *extras*, further results of the primal function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from rlxc.errors import Unsupported
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
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


class Plan:
    """How `func` is run and differentiated with respect to the arguments at the positions `active`."""

    def __init__(self, func: Func, active: Sequence[int]) -> None:
        self.func = clean(prepare(func))
        self.active = tuple(active)
        halves = self._linearized(self.func)
        #: For each result, whether it depends on an active argument.
        self.active_results = tuple(t is not None for t in halves.tangents_out)
        self.extras: tuple[Value, ...] = ()
        self.residuals: tuple[Value, ...] = ()
        while True:
            self.halves = halves
            self.residuals = self._residuals()
            known = {*self.func.args, *self.func.results, *self.extras}
            more = tuple(v for v in self.residuals if v not in known)
            if not more:
                break
            self.extras += more
            # derivatives of what is kept may be asked for too, by those of higher order
            halves = self._linearized(self.func.with_(results=(*self.func.results, *self.extras)))

    def _linearized(self, func: Func) -> Linearized:
        if self.active:
            return linearize(func, self.active)
        return Linearized(func, func.ops, (), (), (None,) * len(func.results))

    @cached_property
    def primal(self) -> Func:
        """Results that are no arguments, each once, then extras."""
        results = (*dict.fromkeys(v for v in self.func.results if v not in self.func.args), *self.extras)
        ops = live_ops(self.halves.primal_ops, results)
        return self.func.with_(ops=tuple(ops), results=results, module=None)

    def pullback(self, seeded: Sequence[int]) -> Pullback:
        """The map from cotangents of the results at these positions (extras follow the results) to those of the active arguments."""
        outputs = (*self.func.results, *self.extras)
        defined = {v for op in self.func.ops for v in op.results}
        for i in seeded:
            if outputs[i] in self.extras and outputs[i] not in defined:
                help = "differentiate the function itself, as by rlxc.grad, and record that"
                raise Unsupported(f"@{self.func.name}: a second derivative through what its node keeps of a loop", loc=self.func.loc, help=help)
        whole = tuple(seeded) == self._all_seeds()
        func, given = self._whole if whole else self._transposed(seeded, set(self.residuals))
        used = set(used_from_outside(func))
        if not used <= {*self.residuals, *given[1]}:
            func, given = self._with_zeros(seeded)
            used = set(used_from_outside(func))
        reads = tuple(i for i, v in enumerate(self.residuals) if v in used)
        args = (*(self.residuals[i] for i in reads), *given[1])
        return Pullback(with_names(func.with_(args=args)), reads, given[0])

    def _all_seeds(self) -> tuple[int, ...]:
        return tuple(i for i, t in enumerate(self.halves.tangents_out) if t is not None)

    def _residuals(self) -> tuple[Value, ...]:
        self._whole = func, given = self._transposed(self._all_seeds())
        return tuple(v for v in used_from_outside(func) if v not in given[1])

    def _with_zeros(self, seeded: Sequence[int]) -> tuple[Func, tuple[tuple[int, ...], tuple[Value, ...]]]:
        """The pullback of all results, with zeros for the cotangents of those that are not seeded."""
        func, (gives, given) = self._whole
        b = Builder()
        env = {ct: b.zeros(ct.type) for i, ct in zip(self._all_seeds(), given, strict=True) if i not in seeded}
        for op in func.ops:
            b.rebuild(op, env)
        whole = func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))
        return clean(whole), (gives, tuple(ct for ct in given if ct not in env))

    def _transposed(self, seeded: Sequence[int], kept: set[Value] | None = None) -> tuple[Func, tuple[tuple[int, ...], tuple[Value, ...]]]:
        """The pullback as a function of values of the primal one; which active arguments it gives the cotangents of; its own cotangents.

        With `kept`, these are the values of the primal function that there are; else it chooses.
        """
        halves = self.halves
        outputs = halves.func.results
        primal = live_ops(halves.primal_ops, outputs)
        cotangents = {i: Value(outputs[i].type, f"ct{i}" if len(outputs) > 1 else "ct", loc=outputs[i].loc) for i in seeded}
        b = Builder()
        b.ops += without(halves.primal_ops, primal)
        cts = [cotangents.get(i) for i in range(len(outputs))]
        outs = transpose_ops(b, halves.linear_ops, halves.tangents_in, halves.tangents_out, cts, f"transpose(@{self.func.name})")
        gives = tuple(i for i, ct in enumerate(outs) if ct is not None)
        results = tuple(ct for ct in outs if ct is not None)
        given = tuple(cotangents.values())
        ops = self._with_cheap(primal, live_ops(b.ops, results), results, given, kept)
        func = Func(f"{self.func.name}.pullback", given, tuple(ops), results, loc=self.func.loc)
        return clean(func), (gives, given)

    def _with_cheap(self, primal: Sequence[Op], ops: Sequence[Op], results: Sequence[Value], given: Sequence[Value], kept: set[Value] | None) -> list[Op]:
        """`ops`, with those of the primal function put before them that are better computed again than kept."""
        there = {*(kept or (*self.func.args, *self.func.results)), *given}
        free = set(there)  # what is there, or costs nothing but arithmetic on what is there
        for op in primal:
            if _is_cheap(op) and free.issuperset(op.operands):
                free.update(op.results)
        needed = set(used_from_outside(Func("f", tuple(given), tuple(ops), tuple(results)))) - there
        again: list[Op] = []
        for op in reversed(primal):
            if needed.isdisjoint(op.results):
                continue
            missing = {v for v in op.operands if v not in there and v not in needed}
            small = sum(map(_bytes, missing)) <= _bytes(op.results[0])
            if kept is not None or op.results[0] in free or (_is_cheap(op) and small):
                again.append(op)
                needed -= set(op.results)
                needed |= missing
        return [*reversed(again), *ops]


def _is_cheap(op: Op) -> bool:
    """Whether the op costs no more to compute than its result to read."""
    prim = op.prim
    if len(op.results) != 1 or op.regions:
        return False
    return not op.operands or prim.view or prim.index_map or (prim.elementwise and prim.cost.recompute)


def without(ops: Iterable[Op], others: Iterable[Op]) -> list[Op]:
    gone = set(map(id, others))
    return [op for op in ops if id(op) not in gone]


def used_from_outside(func: Func) -> tuple[Value, ...]:
    """Values that the function uses and does not have, in the order of first use."""
    mine = {v for op in func.ops for v in op.results}
    used = dict.fromkeys(v for op in func.ops for v in op.operands)
    used.update(dict.fromkeys(func.results))
    return tuple(v for v in used if v not in mine and v not in func.args)


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
