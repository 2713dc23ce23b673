"""Unwrap: ops that only have a word on derivatives make room for what they compute. Unfuse: so do kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.passes.bodies import with_bodies
from rlxc.passes.expand import expand
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

    def visit(op: Op, scratch: Builder) -> Sequence[Value] | None:
        if goes(op):
            return op.prim.unwrap(scratch, op, tuple(env.get(v, v) for v in op.operands))  # type: ignore[no-any-return]
        b.rebuild(with_bodies(op, inside), env)
        return None

    for op in func.ops:
        expand(op, env, visit, "unwrap")
    return func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))
