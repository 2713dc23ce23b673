"""Vjp: a function in two, a forward part that also gives what the backward part needs, and the pullback of its cotangents.

    func @f(%x: f32[3], %w: f32[3]) -> f32[3] {      func @f.forward(%x: f32[3], %w: f32[3]) -> f32[3] {
      %a = exp %x : f32[3]                             %a = exp %x : f32[3]
      %y = mul %a, %w : f32[3]                         %y = mul %a, %w : f32[3]
      return %y                                =>      return %y, %a
    }                                                }
                                                     func @f.pullback(%a: f32[3], %w: f32[3], %y: f32[3], %ct: lin f32[3]) -> (lin f32[3], lin f32[3]) {
                                                       ...
                                                     }

The joint function is made first and made simple; then it is cut: what depends on a cotangent is the pullback. What crosses the cut is the
residuals. Those that are arguments or results of the function are not returned once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from rlxc.errors import DifferentiationError
from rlxc.ir.builder import Builder
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.liveness import live_ops
from rlxc.ir.marks import marked
from rlxc.ir.names import OwnNames
from rlxc.passes.gradient import prepare, tidied
from rlxc.passes.linearity import State, check_linear, follow
from rlxc.passes.linearize import linearize, outputs_of, with_argument_names, wrt_arguments
from rlxc.passes.manager import module_pass
from rlxc.passes.residuals import plan
from rlxc.passes.transpose import transpose_ops


@dataclass(frozen=True, slots=True)
class Residual:
    """Where the pullback's argument comes from: an argument of the function, or a result of the forward part."""

    kind: Literal["argument", "result"]
    index: int


class Vjp(NamedTuple):
    """`forward` takes the function's arguments, and gives its results, then residuals that are neither arguments nor results.

    `pullback` takes what `residuals` tells of, then a cotangent for each result listed in `cotangents` (the float ones), and gives a
    cotangent for each argument of wrt.
    """

    forward: Func
    pullback: Func
    residuals: tuple[Residual, ...]
    cotangents: tuple[int, ...]

    def kept(self, arguments: Sequence[Any], results: Sequence[Any]) -> list[Any]:
        """The pullback's first arguments, out of what `forward` took and gave."""
        return [(arguments if r.kind == "argument" else results)[r.index] for r in self.residuals]


@without_collection()
def vjp(func: Func, wrt: Sequence[str | int] = (), *, has_aux: bool = False) -> Vjp:
    """`func` as a forward part and a pullback, with respect to the arguments `wrt` (every float one unless stated).

    With `has_aux` the first result alone has a cotangent.
    """
    joint, cotangents = _joint(func, wrt, has_aux)
    count = len(func.results)
    seeds = joint.args[len(func.args) :]
    results, grads = joint.results[:count], joint.results[count:]
    late = _depending(joint.ops, seeds)
    backward = [op for op in live_ops(joint.ops, grads) if op in late]
    early = [op for op in joint.ops if op not in late]
    residuals, copies = _crossing(early, backward, grads, (*joint.args, *results), seeds)
    own = {a: Residual("argument", i) for i, a in enumerate(joint.args[: len(func.args)])}
    for i, v in enumerate(results):
        own.setdefault(v, Residual("result", i))
    extra = [v for v in residuals if v not in own]
    own |= {v: Residual("result", count + i) for i, v in enumerate(extra)}
    outs = (*results, *extra)
    forward = joint.with_(name=f"{func.name}.forward", args=joint.args[: len(func.args)], ops=tuple(live_ops(early, outs)), results=outs, loc=func.loc)
    states: dict[Value, State] = {}
    follow(early, states, "")
    zeros = {v for v in residuals if states.get(v) is State.ZERO}
    pullback = _pullback(func, residuals, seeds, [*copies, *backward], grads, zeros)
    return Vjp(forward, pullback, tuple(own[v] for v in residuals), cotangents)


def _joint(func: Func, wrt: Sequence[str | int], has_aux: bool) -> tuple[Func, tuple[int, ...]]:
    """Arguments and a cotangent for each float result, to results and cotangents of `wrt`; and which results those are."""
    legal = prepare(func)
    floats = outputs_of(legal, has_aux)
    if not floats:
        raise DifferentiationError(f"@{func.name} has no float result, so there is nothing to pull back", code="RLX0305", loc=func.loc)
    halves = linearize(legal, wrt, outputs=floats)
    names = OwnNames(legal.arg_names)
    seeds = [Value(legal.results[i].type, names.give("ct" if len(floats) == 1 else f"ct{i}"), loc=legal.results[i].loc) for i in floats]
    b = Builder()
    b.ops += halves.primal_ops
    cts = transpose_ops(b, halves.linear_ops, halves.tangents_in, [halves.tangents_out[i] for i in floats], seeds, f"transpose(@{func.name})")
    grads = [b.zeros(a.type) if ct is None else ct for a, ct in zip(wrt_arguments(legal, wrt), cts, strict=True)]
    joint = Func(func.name, (*legal.args, *seeds), tuple(b.ops), (*legal.results, *grads), loc=func.loc)
    return tidied(joint), floats


def _depending(ops: Sequence[Op], seeds: Sequence[Value]) -> set[Op]:
    """The ops that depend on the cotangents."""
    reached = set(seeds)
    late: set[Op] = set()
    for op in ops:
        if not reached.isdisjoint(op.operands):
            late.add(op)
            reached.update(op.results)
    return late


def _crossing(
    early: Sequence[Op], backward: Sequence[Op], grads: Sequence[Value], exist: Sequence[Value], seeds: Sequence[Value]
) -> tuple[list[Value], list[Op]]:
    """The values that go from one part to the other; and the ops of the first part that the second one runs again. See residuals.py."""
    own = {v for op in backward for v in op.results} | set(seeds)
    used = dict.fromkeys(v for op in backward for v in op.operands if v not in own)
    used |= dict.fromkeys(v for v in grads if v not in own)
    read, kept, again = plan(early, used, set(exist))
    return [*read, *kept], again


def _pullback(func: Func, residuals: Sequence[Value], seeds: Sequence[Value], ops: Sequence[Op], grads: Sequence[Value], zeros: set[Value]) -> Func:
    """The pullback as a function of its own, linear in the cotangents, which is verified."""
    env = {v: v.like(param=False) for v in (*residuals, *seeds)}
    body = Builder()
    for op in ops:
        body.rebuild(op, env)
    cts = [env[v] for v in seeds]
    plain = Func(f"{func.name}.pullback", (*(env[v] for v in residuals), *cts), tuple(body.ops), tuple(env.get(v, v) for v in grads), loc=func.loc)
    pullback = with_argument_names(marked(plain, cts))
    check_linear(pullback, {pullback.args[i] for i, v in enumerate(residuals) if v in zeros})
    return pullback


@module_pass("vjp")
def vjp_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Split each function (or the one named) into a forward part that also gives residuals, and the pullback of cotangents of its results."""
    funcs: list[Func] = []
    for f in module:
        if f.kind != "func" or f.is_linear or func not in ("", f.name):
            funcs.append(f)
        else:
            funcs += vjp(f, wrt, has_aux=has_aux)[:2]
    return Module(tuple(f.with_(module=None) for f in funcs))
