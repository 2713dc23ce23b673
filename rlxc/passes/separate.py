"""Separate: control flow that computes linear and other values at once becomes two ops, so that the linear one has a transpose.

    %i, %y = scan %zero, %dx {...} do (%k, %d: lin) {       %i, %c = scan %zero {...} do (%k) { ... yield %k1, %c }
      %c = sin %k                                      =>   %y = scan %dx, %c {...} do (%d: lin, %c) { ... }
      ...

The first gives what the second one needs, chosen as residuals are. A `while` has to have a bound for that.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.passes.bodies import with_bodies
from rlxc.passes.expand import expand
from rlxc.passes.residuals import plan


def separate(func: Func) -> Func:
    """`func`, or a region, with control flow that gives linear and other results taken apart. Bodies nest only as deep as loops do."""
    if not any(_is_mixed(op) for op in func.walk()):
        return func
    b = Builder()
    env: dict[Value, Value] = {}

    def visit(op: Op, scratch: Builder) -> Sequence[Value] | None:
        if op.prim.control:
            op = with_bodies(op, separate)
        outs = None
        if _is_mixed(op):
            op = op.with_operands(tuple(env.get(v, v) for v in op.operands))
            outs = op.prim.separate_regions(scratch, op, plan)
        if outs is None:
            b.insert_with(op, env)
        return outs

    for op in func.ops:
        expand(op, env, visit, "separate_regions")
    return func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))


def _is_mixed(op: Op) -> bool:
    linear = [v.linear for v in op.results]
    return op.prim.control and any(linear) and not all(linear)
