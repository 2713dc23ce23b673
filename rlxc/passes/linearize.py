"""Linearize: a function into its primal part and the linear map that takes tangents to tangents.

    func @f(%x: f32[3]) -> f32[3] {         func @f.primal(%x: f32[3]) -> (f32[3], f32[3]) {
      %y = sin %x : f32[3]                    %y = sin %x : f32[3]
      return %y                       =>      %0 = cos %x : f32[3]
    }                                         return %y, %0
                                            }
                                            func @f.linear(%0: f32[3], %dx: lin f32[3]) -> lin f32[3] {
                                              %dy = mul %dx, %0 : lin f32[3]
                                              return %dy
                                            }

A jvp rule is one formula that mixes two times: what can be computed with the primal, and what waits for the tangent. The builder
sorts its ops: an op with a linear operand goes to the linear part, the rest to the primal one. What crosses is the residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rlxc.errors import DifferentiationError, Error, LinearityError, MissingRule, RuleError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.liveness import live_ops
from rlxc.ir.names import OwnNames
from rlxc.passes.linearity import State, follow
from rlxc.passes.manager import module_pass
from rlxc.passes.residuals import plan
from rlxc.passes.separate import separate

PATH = 6  # values that are named between an argument and an op that cannot be differentiated


@module_pass("linearize")
def linearize_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Split each function (or the one named) into a primal and a linear one, with respect to the arguments `wrt` (all float ones, unless stated)."""
    funcs: list[Func] = []
    for f in module.funcs:
        if f.kind != "func" or (func and f.name != func) or f.is_linear:
            funcs.append(f)
        else:
            funcs += linearize(f, wrt, outputs=outputs_of(f, has_aux)).functions(f.name)
    return Module(tuple(funcs))


class Unzip(Builder):
    """A builder that sorts ops: those with a linear operand to `linear_ops`, the rest to `ops`."""

    def __init__(self) -> None:
        super().__init__()
        self.linear_ops: list[Op] = []

    def insert(self, op: Op) -> None:
        if op.results and op.results[0].linear:
            self.linear_ops.append(op)
        else:
            self.ops.append(op)


@dataclass(frozen=True, slots=True)
class Linearized:
    """The two halves of a function, still sharing values: the linear ops may use anything that the primal ops compute."""

    func: Func
    primal_ops: tuple[Op, ...]
    linear_ops: tuple[Op, ...]
    tangents_in: tuple[Value, ...]  # one for each argument of wrt
    tangents_out: tuple[Value | None, ...]  # one for each result; None where it does not depend on wrt
    outputs: tuple[int, ...]  # the results whose tangents are asked for
    again: Mapping[Op, Op] = field(default_factory=dict)  # loops, and the linear ops whose first results are what those give

    def residuals(self) -> tuple[Value, ...]:
        """Primal values that the linear ops use, in the order of first use."""
        linear = {v for op in self.linear_ops for v in op.results} | set(self.tangents_in)
        used = {v: None for op in self.linear_ops for v in op.operands if v not in linear}
        return tuple(used)

    def functions(self, name: str) -> tuple[Func, Func]:
        """`name.primal`, which also returns the residuals, and `name.linear`, which takes them first and gives a tangent for each of `outputs`."""
        residuals = self.residuals()
        ops = live_ops(self.primal_ops, (*self.func.results, *residuals))
        free = {op.result for op in ops if not op.operands and not op.regions and len(op.results) == 1}
        carried = tuple(v for v in residuals if v not in free)
        crossing = set(residuals)
        copies = tuple(op for op in ops if op.results[0] in free and op.result in crossing)
        zeros = Builder()
        asked = [(self.tangents_out[i], self.func.results[i].type) for i in self.outputs]
        outs = tuple(zeros.zeros(type) if t is None else t for t, type in asked)
        primal = self.func.with_(name=f"{name}.primal", ops=tuple(ops), results=(*self.func.results, *carried), module=None)
        args = (*(v.like(param=False) for v in carried), *self.tangents_in)
        body = Builder()
        env = dict(zip(carried, args, strict=False))
        for op in (*copies, *zeros.ops, *self.linear_ops):
            body.rebuild(op, env)
        linear = Func(f"{name}.linear", args, tuple(body.ops), tuple(env.get(v, v) for v in outs), loc=self.func.loc)
        return primal, with_argument_names(linear)


def with_argument_names(func: Func) -> Func:
    """`func` with a name of its own for every argument."""
    names = OwnNames()
    env: dict[Value, Value] = {}
    for i, a in enumerate(func.args):
        name = names.give(a.name or f"r{i}")
        env[a] = a if a.name == name else a.like(name=name)
    if all(env[a] is a for a in func.args):
        return func
    body = Builder()
    for op in func.ops:
        body.rebuild(op, env)
    return func.with_(args=tuple(env[a] for a in func.args), ops=tuple(body.ops), results=tuple(env.get(v, v) for v in func.results))


def wrt_arguments(func: Func, wrt: Sequence[str | int]) -> tuple[Value, ...]:
    """The arguments to differentiate by: the named ones, or else every float one."""
    if wrt:
        named = dict(zip(func.arg_names, func.args, strict=True))
        chosen = tuple(_chosen(func, w, named) for w in wrt)
        if len(set(chosen)) != len(chosen):
            raise DifferentiationError(f"@{func.name}: an argument is named twice in wrt", loc=func.loc)
    else:
        chosen = tuple(a for a in func.args if a.type.dtype.differentiable)
    for a in chosen:
        if not a.type.dtype.differentiable:
            raise DifferentiationError(f"%{a.name} is {a.type}: there is no derivative with respect to {a.type.dtype}", code="RLX0305", loc=a.loc)
    return chosen


def _chosen(func: Func, w: str | int, named: dict[str, Value]) -> Value:
    """An argument by position, or by name; in text a position is digits."""
    if isinstance(w, str) and w not in named and w.removeprefix("-").isdecimal():
        w = int(w)
    if isinstance(w, str):
        return named.get(w) or func.arg(w)
    if not -len(func.args) <= w < len(func.args):
        raise DifferentiationError(f"@{func.name} has {len(func.args)} arguments, and none at position {w}", code="RLX0104", loc=func.loc)
    return func.args[w]


def outputs_of(func: Func, has_aux: bool) -> tuple[int, ...]:
    """The results that are differentiated: the float ones, or with `has_aux` the first alone."""
    if not has_aux:
        return tuple(i for i, v in enumerate(func.results) if v.type.dtype.differentiable)
    if not func.results or not func.results[0].type.dtype.differentiable:
        gives = f"returns {func.results[0].type}" if func.results else "returns nothing"
        raise DifferentiationError(f"@{func.name} {gives}, which has no derivative", code="RLX0305", loc=func.loc)
    return (0,)


def linearize(func: Func, wrt: Sequence[str | int] = (), *, outputs: Sequence[int] | None = None) -> Linearized:
    """Split a legal function without calls at the tangents of the arguments `wrt` (names or positions).

    Where `outputs` are given, only the tangents of those results are asked for; else those of all float ones.
    """
    return _split(func, wrt_arguments(func, wrt), outputs)


def _split(func: Func, chosen: Sequence[Value], outputs: Sequence[int] | None = None, note: str = "") -> Linearized:
    names = dict(zip(func.args, func.arg_names, strict=True))
    tangents = {a: Value(a.type, f"d{names[a]}", linear=True, loc=a.loc) for a in chosen}
    tangents_in = tuple(tangents[a] for a in chosen)
    wanted = None
    if outputs is not None:
        wanted = {v for op in live_ops(func.ops, [func.results[i] for i in outputs]) for v in op.results}
    d = Linearizer(func, tangents, wanted, note or f"linearize(@{func.name})")
    for op in func.ops:
        d.visit(op)
    asked = tuple(outputs) if outputs is not None else tuple(i for i, v in enumerate(func.results) if v.type.dtype.differentiable)
    outs = tuple(tangents.get(v) if i in asked else None for i, v in enumerate(func.results))
    linear_ops = tuple(live_ops(d.b.linear_ops, [v for v in outs if v is not None]))
    return Linearized(func, tuple(d.b.ops), linear_ops, tangents_in, outs, asked, d.again)


class Linearizer:
    """Goes through ops; `tangents` holds those of values, where they are not zero. What rules of control flow (`linearize_regions`) are given."""

    plan = staticmethod(plan)
    separate = staticmethod(separate)

    def __init__(self, func: Func, tangents: dict[Value, Value], wanted: set[Value] | None, note: str) -> None:
        self.b = Unzip()
        self.func = func
        self.tangents = tangents
        self.wanted = wanted
        self.note = note
        self.again: dict[Op, Op] = {}
        self.states = dict.fromkeys(tangents.values(), State.LINEAR)

    def visit(self, op: Op) -> None:
        """Emit `op`, and its linear part if a tangent reaches it."""
        b = self.b
        if not op.operands:
            follow([op], self.states, "")  # it may be a zero
        active = op.prim.differentiable and any(v in self.tangents for v in op.operands)
        if not active or (self.wanted is not None and self.wanted.isdisjoint(op.results)):
            b.ops.append(op)
            return
        if any(v.linear for v in op.operands):
            raise DifferentiationError(f"@{self.func.name} is a linear function already: transpose it, or differentiate the function it came from", loc=op.loc)
        b.loc = op.loc.through(self.note)
        if op.prim.control:
            emitted = len(b.ops), len(b.linear_ops)
            outs = self._by_regions(op)
        else:
            b.ops.append(op)
            emitted = len(b.ops), len(b.linear_ops)
            outs = tangents_of(b, op, [self.tangents.get(v) for v in op.operands], lambda: _path(self.func, op, self.tangents))
        _check_rule_is_linear(op, b.ops[emitted[0] :], b.linear_ops[emitted[1] :], self.states)
        for v, dv in zip(op.results, outs, strict=True):
            if dv is not None and v.type.dtype.differentiable:
                if dv.name is None and v.name is not None:
                    dv.name = f"d{v.name}"
                self.tangents[v] = dv

    def _by_regions(self, op: Op) -> tuple[Value | None, ...]:
        """Tangents of control flow, whose rule emits the op itself too: with the same results, and perhaps more of them."""
        try:
            outs = op.prim.linearize_regions(self, op, [self.tangents.get(v) for v in op.operands])
        except Error as error:
            raise error.at(op.loc) from None
        return _checked_tangents(op, outs, "linearize_regions")

    def visit_instead(self, op: Op, ops: Sequence[Op], outs: Sequence[Value]) -> list[Value | None]:
        """Go through `ops`, which compute `outs`, in place of `op`, whose results they give; the tangents of those."""
        own = dict(zip(outs, op.results, strict=True))
        if self.wanted is not None:
            self.wanted.update(v for inner in ops for v in inner.results)
        for inner in ops:
            operands = tuple(own.get(v, v) for v in inner.operands)
            results = tuple(own.get(v, v) for v in inner.results)
            self.visit(Op(inner.prim, operands, inner.attrs, results, inner.regions, op.loc))
        return [self.tangents.get(v) for v in op.results]

    def linearize(self, body: Func, flags: Sequence[bool]) -> Linearized:
        """The halves of a region, with respect to the arguments that have a flag."""
        return _split(body, [a for a, flag in zip(body.args, flags, strict=True) if flag], note=self.note)

    @staticmethod
    def are_zero(body: Func, zeros: Sequence[int]) -> list[bool]:
        """Which results of a region are zero whatever its linear arguments are, the arguments at the places `zeros` being zero."""
        states = {a: State.LINEAR if a.linear else State.ZERO if i in zeros else State.CONSTANT for i, a in enumerate(body.args)}
        follow(body.ops, states, "")
        return [states.get(v) is State.ZERO for v in body.results]

    def active(self, body: Func, flags: Sequence[bool]) -> list[bool]:
        """Which results of a region may have tangents, if the arguments with a flag have some."""
        return active_results(body, flags)


def active_results(body: Func, flags: Sequence[bool]) -> list[bool]:
    """Which results depend differentiably on the arguments with a flag; no rule is asked. Regions nest only as deep as loops do."""
    active = {a for a, flag in zip(body.args, flags, strict=True) if flag}
    for op in body.ops:
        if not op.prim.differentiable or active.isdisjoint(op.operands):
            continue
        if op.prim.control:
            outs = op.prim.active_regions(op, [v in active for v in op.operands], active_results)
        else:
            outs = [True] * len(op.results)
        active.update(v for v, out in zip(op.results, outs, strict=True) if out and v.type.dtype.differentiable)
    return [v in active for v in body.results]


def _check_rule_is_linear(op: Op, primal: Sequence[Op], linear: Sequence[Op], states: dict[Value, State]) -> None:
    """Raise LinearityError if what the jvp rule of `op` emitted is not linear in the tangents."""
    follow(primal, states, "")
    wrong = follow(linear, states, "a jvp rule must be linear in the tangents")
    if wrong:
        raise LinearityError(diagnostics=[replace(d, message=f"{op.prim.name}: its jvp rule is not linear: {d.message}") for d in wrong])


def _path(func: Func, op: Op, tangents: dict[Value, Value]) -> str:
    """The values by which a tangent comes from an argument of `func` to `op`: `%x, %a, %b`."""
    maker = {v: o for o in func.ops for v in o.results}
    names: list[str] = []
    at: Op | None = op
    while at is not None:
        v = next((v for v in at.operands if v in tangents), None)
        if v is None:
            break
        names.append(f"%{v.name}" if v.name else f"the result of {maker[v].prim.name}" if v in maker else "an argument")
        at = maker.get(v)
    if len(names) > PATH:
        names[PATH // 2 : len(names) - PATH // 2] = ["..."]
    return ", ".join(reversed(names)) or "its operands"


def tangents_of(b: Builder, op: Op, tangents: Sequence[Value | None], path: Callable[[], str]) -> tuple[Value | None, ...]:
    """Tangents of the results of `op` by its jvp rule, checked for number and type."""
    try:
        outs = op.prim.ask("jvp", b, op.operands, tuple(tangents), op.results, **op.attrs)
    except MissingRule as error:
        raise MissingRule(f"{error.message}; a tangent reaches it by {path()}", loc=op.loc, help=error.diagnostics[0].help) from None
    except Error as error:
        raise error.at(op.loc) from error.__cause__
    return _checked_tangents(op, outs if isinstance(outs, tuple | list) else (outs,), "jvp")


def _checked_tangents(op: Op, outs: Sequence[Value | None], rule: str) -> tuple[Value | None, ...]:
    if len(outs) != len(op.results):
        raise RuleError(f"{op.prim.name}: its {rule} rule gave {len(outs)} tangents for {len(op.results)} results", loc=op.loc)
    for v, dv in zip(op.results, outs, strict=True):
        if dv is None:
            continue
        if not isinstance(dv, Value):
            raise RuleError(f"{op.prim.name}: its {rule} rule gave {dv!r}, not a value or None", loc=op.loc)
        if dv.type != v.type:
            raise RuleError(f"{op.prim.name}: its {rule} rule gave a tangent {dv.type} for a result {v.type}", loc=op.loc)
        if not dv.linear:
            raise RuleError(f"{op.prim.name}: its {rule} rule gave a tangent that does not depend on the tangents", code="RLX0301", loc=op.loc)
    return tuple(outs)
