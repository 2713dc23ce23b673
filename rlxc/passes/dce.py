"""Dead code elimination."""

from __future__ import annotations

from rlxc.ir.core import Func
from rlxc.ir.liveness import live_ops
from rlxc.passes.manager import func_pass


@func_pass("dce")
def eliminate_dead_code(func: Func) -> Func:
    """Drop ops whose results nobody uses.

    %0 = sin %x : f32[3]
    %1 = cos %x : f32[3]         %1 = cos %x : f32[3]
    return %1                =>  return %1

    Control flow keeps what is asked of it: results that nobody uses go, with carries and operands that only they need.
    """
    ops = live_ops(func.ops, func.results)
    same = len(ops) == len(func.ops) and all(x is y for x, y in zip(ops, func.ops, strict=True))
    return func if same else func.with_(ops=tuple(ops))
