"""Transforms made of linearize and transpose: grad_with_loss, value_and_grad, jvp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from rlxc.errors import DifferentiationError
from rlxc.ir.builder import Builder
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Func, Module, Value
from rlxc.ir.liveness import live_ops
from rlxc.ir.names import OwnNames
from rlxc.passes.inline import inline_calls
from rlxc.passes.legalize import legalize
from rlxc.passes.linearize import linearize, wrt_arguments
from rlxc.passes.manager import module_pass
from rlxc.passes.transpose import transpose_ops

Unused = Literal["zeros", "none", "error"]


def prepare(func: Func) -> Func:
    """`func` with its calls inlined and its ops legal: what differentiation asks for."""
    return legalize.on_func(inline_calls(func))  # type: ignore[attr-defined]


def grad_with_loss(func: Func, wrt: Sequence[str | int] = (), *, on_unused: Unused = "zeros") -> Func:
    """The joint function of value and gradient: results `[loss, d wrt...]`, and one more argument, the seed `d_output` of the loss's type.

    `func` has one float result. Raises DifferentiationError for integer arguments, or (with `on_unused="error"`) for arguments
    that the loss does not depend on.
    """
    return _joint(func, wrt, on_unused, seeded=True)


def value_and_grad(func: Func, wrt: Sequence[str | int] = (), *, on_unused: Unused = "zeros") -> Func:
    """Like `grad_with_loss` for a scalar loss, with the seed 1 built in: results `[loss, d wrt...]`."""
    return _joint(func, wrt, on_unused, seeded=False)


@without_collection()
def _joint(func: Func, wrt: Sequence[str | int], on_unused: Unused, *, seeded: bool) -> Func:
    if on_unused not in get_args(Unused):
        raise DifferentiationError(f"on_unused is one of {', '.join(map(repr, get_args(Unused)))}, not {on_unused!r}", loc=func.loc)
    func = prepare(func)
    if len(func.results) != 1:
        raise DifferentiationError(f"@{func.name} has {len(func.results)} results; a gradient is that of one", code="RLX0306", loc=func.loc)
    (loss,) = func.results
    if not loss.type.dtype.differentiable:
        raise DifferentiationError(f"@{func.name} returns {loss.type}, which has no derivative", code="RLX0305", loc=func.loc)
    if not seeded and loss.type.shape != ():
        help = "reduce it to a scalar, or use grad_with_loss, which takes the cotangent as an argument"
        raise DifferentiationError(f"@{func.name} returns {loss.type}; a gradient is that of a scalar", code="RLX0306", loc=func.loc, help=help)
    halves = linearize(func, wrt)
    chosen = wrt_arguments(func, wrt)
    b = Builder()
    b.ops += halves.primal_ops
    seed = Value(loss.type, OwnNames(a.name for a in func.args).give("d_output")) if seeded else b.constant(1.0, type=loss.type)
    cts = transpose_ops(b, halves.linear_ops, halves.tangents_in, halves.tangents_out, [seed], f"transpose(@{func.name})")
    if on_unused == "error":
        for a, ct in zip(chosen, cts, strict=True):
            if ct is None:
                raise DifferentiationError(f"the result of @{func.name} does not depend on %{a.name}", code="RLX0307", loc=a.loc)
    kept = [(a, ct) for a, ct in zip(chosen, cts, strict=True) if ct is not None or on_unused != "none"]
    grads = [b.zeros(a.type) if ct is None else ct for a, ct in kept]
    results = (loss, *grads)
    for (a, _), g in zip(kept, grads, strict=True):
        if g.name is None and g not in func.args:
            g.name = a.name and f"d{a.name}"
    args = (*func.args, seed) if seeded else func.args
    return Func(f"{func.name}.grad", args, tuple(live_ops(b.ops, results)), results, loc=func.loc)


@without_collection()
def jvp(func: Func, wrt: Sequence[str | int] = ()) -> Func:
    """Forward mode in one function: arguments, then a tangent `d<name>` for each of `wrt`; results, then their tangents."""
    func = prepare(func)
    halves = linearize(func, wrt)
    names = OwnNames(a.name for a in func.args)
    env: dict[Value, Value] = {}
    for v in halves.tangents_in:
        env[v] = Value(v.type, names.give(v.name or "dx"), loc=v.loc)
    b = Builder()
    b.ops += halves.primal_ops
    for op in halves.linear_ops:
        operands = tuple(env.get(v, v) for v in op.operands)
        results = tuple(v.like(linear=False) for v in op.results)
        env.update(zip(op.results, results, strict=True))
        b.insert(type(op)(op.prim, operands, op.attrs, results, op.regions, op.loc))
    outs = tuple(b.zeros(r.type) if t is None else env.get(t, t) for r, t in zip(func.results, halves.tangents_out, strict=True))
    results = (*func.results, *outs)
    args = (*func.args, *(env[v] for v in halves.tangents_in))
    return Func(f"{func.name}.jvp", args, tuple(live_ops(b.ops, results)), results, loc=func.loc)


def _replace(module: Module, func: str, make) -> Module:
    chosen = [f for f in module if f.kind == "func" and not f.is_linear and func in ("", f.name)]
    done = {f.name: make(f) for f in chosen}
    return Module(tuple(done.get(f.name, f) for f in module.funcs))


@module_pass("grad_with_loss")
def grad_with_loss_pass(module: Module, *, wrt: tuple[str, ...] = (), func: str = "") -> Module:
    """Replace each function by its value and gradient with respect to `wrt`, with a seed argument `d_output`."""
    return _replace(module, func, lambda f: grad_with_loss(f, wrt))


@module_pass("value_and_grad")
def value_and_grad_pass(module: Module, *, wrt: tuple[str, ...] = (), func: str = "") -> Module:
    """Replace each function, whose result is a scalar, by its value and gradient with respect to `wrt`."""
    return _replace(module, func, lambda f: value_and_grad(f, wrt))


@module_pass("jvp")
def jvp_pass(module: Module, *, wrt: tuple[str, ...] = (), func: str = "") -> Module:
    """Replace each function by one that also takes tangents of `wrt` and returns tangents of the results."""
    return _replace(module, func, lambda f: jvp(f, wrt))
