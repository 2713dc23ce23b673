"""Unwrap: ops that only have a word on derivatives make room for what they compute."""

from __future__ import annotations

from collections.abc import Sequence

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
    if not any(op.prim.wraps or op.prim.control for op in func.ops):
        return func
    b = Builder()
    env: dict[Value, Value] = {}

    def visit(op: Op, scratch: Builder) -> Sequence[Value] | None:
        if op.prim.wraps:
            return op.prim.unwrap(scratch, op, tuple(env.get(v, v) for v in op.operands))
        b.rebuild(with_bodies(op, unwrap.on_func), env)  # type: ignore[attr-defined]
        return None

    for op in func.ops:
        expand(op, env, visit, "unwrap")
    return func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))
