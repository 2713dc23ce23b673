"""Transforms made of linearize and transpose: grad_with_loss, value_and_grad, grad, jvp, hvp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from rlxc.errors import DifferentiationError
from rlxc.ir.builder import Builder
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.liveness import live_ops
from rlxc.ir.marks import rebuild_unmarked
from rlxc.ir.names import OwnNames
from rlxc.passes.cse import eliminate_common_subexpressions
from rlxc.passes.inline import inline_calls
from rlxc.passes.legalize import legalize
from rlxc.passes.linearize import linearize, outputs_of, wrt_arguments
from rlxc.passes.manager import module_pass
from rlxc.passes.simplify import simplify
from rlxc.passes.transpose import transpose_ops
from rlxc.passes.unwrap import unfuse

Unused = Literal["zeros", "none", "error"]


def prepare(func: Func) -> Func:
    """`func` with its calls inlined, its kernels taken apart and its ops legal: what differentiation asks for."""
    return legalize.on_func(unfuse.on_func(inline_calls(func)))  # type: ignore[attr-defined]


def tidied(func: Func) -> Func:
    """`func` simplified: worth it before it is differentiated once more."""
    for step in (legalize, simplify, eliminate_common_subexpressions):
        func = step.on_func(func)  # type: ignore[attr-defined]
    return func


def grad_with_loss(func: Func, wrt: Sequence[str | int] = (), *, has_aux: bool = False, on_unused: Unused = "zeros") -> Func:
    """The joint function of value and gradient: results `[loss, d wrt...]`, and one more argument, the seed `d_output` of the loss's type.

    `func` has one float result; with `has_aux`, further results stand between the loss and the gradients, and are not differentiated. Raises
    DifferentiationError for integer arguments, or (with `on_unused="error"`) for arguments that the loss does not depend on.
    """
    return _joint(func, wrt, on_unused, has_aux, seeded=True)


def value_and_grad(func: Func, wrt: Sequence[str | int] = (), *, has_aux: bool = False, on_unused: Unused = "zeros") -> Func:
    """Like `grad_with_loss` for a scalar loss, with the seed 1 built in: results `[loss, d wrt...]`."""
    return _joint(func, wrt, on_unused, has_aux, seeded=False)


def grad(func: Func, wrt: Sequence[str | int] = (), *, has_aux: bool = False, on_unused: Unused = "zeros") -> Func:
    """The gradient of a scalar function alone: results `[d wrt...]`, and with `has_aux` its further results after them."""
    joint = value_and_grad(func, wrt, has_aux=has_aux, on_unused=on_unused)
    further = len(func.results)
    results = (*joint.results[further:], *joint.results[1:further])
    return joint.with_(results=results, ops=tuple(live_ops(joint.ops, results)))


@without_collection()
def _joint(func: Func, wrt: Sequence[str | int], on_unused: Unused, has_aux: bool, *, seeded: bool) -> Func:
    if on_unused not in get_args(Unused):
        raise DifferentiationError(f"on_unused is one of {', '.join(map(repr, get_args(Unused)))}, not {on_unused!r}", loc=func.loc)
    func = prepare(func)
    loss = _loss(func, has_aux, seeded)
    halves = linearize(func, wrt, outputs=(0,))
    chosen = wrt_arguments(func, wrt)
    b = Builder()
    b.ops += halves.primal_ops
    seed = Value(loss.type, OwnNames(a.name for a in func.args).give("d_output")) if seeded else b.constant(1.0, type=loss.type)
    cts = transpose_ops(b, halves.linear_ops, halves.tangents_in, halves.tangents_out[:1], [seed], f"transpose(@{func.name})")
    if on_unused == "error":
        for a, ct in zip(chosen, cts, strict=True):
            if ct is None:
                raise DifferentiationError(f"the result of @{func.name} does not depend on %{a.name}", code="RLX0307", loc=a.loc)
    kept = [(a, ct) for a, ct in zip(chosen, cts, strict=True) if ct is not None or on_unused != "none"]
    grads = [b.zeros(a.type) if ct is None else ct for a, ct in kept]
    results = (*func.results, *grads)
    for (a, _), g in zip(kept, grads, strict=True):
        if g.name is None and g not in func.args:
            g.name = a.name and f"d{a.name}"
    args = (*func.args, seed) if seeded else func.args
    return Func(f"{func.name}.grad", args, tuple(live_ops(b.ops, results)), results, loc=func.loc)


def _loss(func: Func, has_aux: bool, seeded: bool) -> Value:
    """The result to differentiate: the only one, or with `has_aux` the first; raises DifferentiationError where it has no gradient."""
    if not func.results or (len(func.results) != 1 and not has_aux):
        help = "has_aux: the first is the loss, and the others are returned without being differentiated" if func.results else None
        raise DifferentiationError(f"@{func.name} has {len(func.results)} results; a gradient is that of one", code="RLX0306", loc=func.loc, help=help)
    loss = func.results[0]
    if not loss.type.dtype.differentiable:
        raise DifferentiationError(f"@{func.name} returns {loss.type}, which has no derivative", code="RLX0305", loc=func.loc)
    if not seeded and loss.type.dtype.is_complex:
        help = "take its real part, or its abs; or use grad_with_loss, which takes the cotangent as an argument"
        raise DifferentiationError(f"@{func.name} returns {loss.type}; a gradient is that of a real number", code="RLX0306", loc=func.loc, help=help)
    if not seeded and loss.type.shape != ():
        help = "reduce it to a scalar, or use grad_with_loss, which takes the cotangent as an argument"
        raise DifferentiationError(f"@{func.name} returns {loss.type}; a gradient is that of a scalar", code="RLX0306", loc=func.loc, help=help)
    return loss


def jvp(func: Func, wrt: Sequence[str | int] = (), *, has_aux: bool = False) -> Func:
    """Forward mode in one function: arguments, then a tangent `d<name>` for each of `wrt`; results, then the tangents of the float ones.

    With `has_aux` the tangent of the first result alone.
    """
    return jvp_of(func, wrt, outputs_of(func, has_aux))


@without_collection()
def jvp_of(func: Func, wrt: Sequence[str | int], outputs: Sequence[int]) -> Func:
    """`jvp` for the tangents of the results `outputs`."""
    func = prepare(func)
    halves = linearize(func, wrt, outputs=outputs)
    names = OwnNames(a.name for a in func.args)
    env: dict[Value, Value] = {}
    for v in halves.tangents_in:
        env[v] = Value(v.type, names.give(v.name or "dx"), loc=v.loc)
    b = Builder()
    b.ops += halves.primal_ops
    whole = {v: op for op in halves.again.values() for v in op.results}
    for op in halves.linear_ops:
        op.prim.require_forward(op)
        rebuild_unmarked(b, whole.get(op.results[0], op), env)
    same = {v: env[w] for loop, op in halves.again.items() for v, w in zip(loop.results, op.results, strict=False) if w in env}
    b.ops = _without_repeats(b.ops, same)
    moved = [(func.results[i], halves.tangents_out[i]) for i in outputs]
    outs = tuple(b.zeros(r.type) if t is None else env.get(t, t) for r, t in moved)
    results = (*(same.get(v, v) for v in func.results), *outs)
    args = (*func.args, *(env[v] for v in halves.tangents_in))
    return Func(f"{func.name}.jvp", args, tuple(live_ops(b.ops, results)), results, loc=func.loc)


def _without_repeats(ops: list[Op], same: dict[Value, Value]) -> list[Op]:
    """`ops` without those whose results others give too, and in an order in which everything is computed before it is used."""
    if not same:
        return ops
    b = Builder()
    for op in ops:
        if not any(v in same for v in op.results):
            b.insert_with(op, same)
    made = {v: i for i, op in enumerate(b.ops) for v in op.results}
    done: set[int] = set()
    order: list[Op] = []
    for i in range(len(b.ops)):
        stack = [i]
        while stack:
            at = stack[-1]
            waiting = [made[v] for v in b.ops[at].operands if v in made and made[v] not in done] if at not in done else []
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if at not in done:
                done.add(at)
                order.append(b.ops[at])
    return order


def hvp(func: Func, wrt: Sequence[str | int] = (), *, has_aux: bool = False) -> Func:
    """The Hessian of a scalar function times a vector, forward over reverse: a tangent for each of `wrt` in, the product for each of them out.

    The Hessian itself is never formed: the work is a few times that of the gradient. With `has_aux`, further results come behind the products.
    """
    places = [func.args.index(a) for a in wrt_arguments(func, wrt)]
    slope = tidied(grad(func, places, has_aux=has_aux))
    both = jvp_of(slope, places, range(len(places)))
    count = len(slope.results)
    results = (*both.results[count:], *both.results[len(places) : count])
    return both.with_(name=f"{func.name}.hvp", results=results, ops=tuple(live_ops(both.ops, results)))


def replace_funcs(module: Module, func: str, make: Callable[[Func], Func]) -> Module:
    """The module with each of its functions that is not linear (or the one named `func`) replaced by what `make` makes of it."""
    chosen = [f for f in module if f.kind == "func" and not f.is_linear and func in ("", f.name)]
    done = {f.name: make(f) for f in chosen}
    return Module(tuple(done.get(f.name, f) for f in module.funcs))


@module_pass("grad_with_loss")
def grad_with_loss_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Replace each function by its value and gradient with respect to `wrt`, with a seed argument `d_output`."""
    return replace_funcs(module, func, lambda f: grad_with_loss(f, wrt, has_aux=has_aux))


@module_pass("value_and_grad")
def value_and_grad_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Replace each function, whose result is a scalar, by its value and gradient with respect to `wrt`."""
    return replace_funcs(module, func, lambda f: value_and_grad(f, wrt, has_aux=has_aux))


@module_pass("gradient")
def gradient_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Replace each function, whose result is a scalar, by its gradient with respect to `wrt` alone."""
    return replace_funcs(module, func, lambda f: grad(f, wrt, has_aux=has_aux))


@module_pass("jvp")
def jvp_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Replace each function by one that also takes tangents of `wrt` and returns tangents of the results."""
    return replace_funcs(module, func, lambda f: jvp(f, wrt, has_aux=has_aux))


@module_pass("hvp")
def hvp_pass(module: Module, *, wrt: tuple[str, ...] = (), has_aux: bool = False, func: str = "") -> Module:
    """Replace each function, whose result is a scalar, by the product of its Hessian and tangents of `wrt`."""
    return replace_funcs(module, func, lambda f: hvp(f, wrt, has_aux=has_aux))
