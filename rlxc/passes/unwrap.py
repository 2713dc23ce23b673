"""Unwrap: ops that only have a word on derivatives make room for what they compute. Unfuse: so do kernels."""

from __future__ import annotations

from collections.abc import Callable

from rlxc.errors import Error
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.passes.bodies import with_bodies
from rlxc.passes.manager import func_pass


@func_pass("unwrap")
def unwrap(func: Func) -> Func:
    """Put the function of each `custom_jvp`, `custom_vjp` and `checkpoint` in place of it; derivatives have been taken.

    %y = checkpoint %x do (%a) {
      %h = sin %a : f64[3]                  %y = sin %x : f64[3]
      yield %h                       =>
    } : f64[3]
    """
    return _in_place(func, lambda op: op.prim.wraps, unwrap.on_func)  # type: ignore[attr-defined]


@func_pass("unfuse")
def unfuse(func: Func) -> Func:
    """Put the ops of each kernel in place of it, so that what has been fused can be differentiated.

    %y = fused %x do (%a) {
      %h = sin %a : f64[3]                  %h = sin %x : f64[3]
      %e = exp %h : f64[3]           =>     %y = exp %h : f64[3]
      yield %e
    } : f64[3]
    """
    return _in_place(func, lambda op: op.prim.kernel, unfuse.on_func)  # type: ignore[attr-defined]


def _in_place(func: Func, goes: Callable[[Op], bool], inside: Callable[[Func], Func]) -> Func:
    """`func` with what the rule `unwrap` emits in place of each op that `goes`."""
    if not any(goes(op) or op.prim.control for op in func.ops):
        return func
    b = Builder()
    env: dict[Value, Value] = {}
    pending = [iter(func.ops)]
    while pending:
        op = next(pending[-1], None)
        if op is None:
            pending.pop()
            continue
        if not goes(op):
            b.rebuild(with_bodies(op, inside), env)
            continue
        scratch = Builder()
        scratch.loc = op.loc
        try:
            outs = op.prim.unwrap(scratch, op, tuple(env.get(v, v) for v in op.operands))
        except Error as error:
            raise error.at(op.loc) from None
        pending.append(_then_bind(scratch.ops, op.results, outs, env))
    return func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))


def _then_bind(ops, old, new, env):
    yield from ops
    env.update((v, env.get(w, w)) for v, w in zip(old, new, strict=True))
