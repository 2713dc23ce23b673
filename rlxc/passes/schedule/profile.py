"""Timestamps around the kernels that a program calls."""

from __future__ import annotations

from typing import Literal

from rlxc.ir.builder import Builder
from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func, Module, Value
from rlxc.ir.names import OwnNames
from rlxc.ir.primitive import lookup
from rlxc.ir.types import DType, MemType
from rlxc.passes.manager import module_pass

Clock = Literal["cycles", "steady"]


@module_pass("profile")
def profile(module: Module, *, clock: Clock = "cycles") -> Module:
    """Give each kernel that no other calls one more argument, and store the time there before and after every call.

    kernel @f(%x: mem f32[8]) {             kernel @f(%x: mem f32[8], %times: mem i64[2]) {
      call @f.k0(%x)                 =>       timestamp %times {at = 0}
    }                                         call @f.k0(%x)
                                              timestamp %times {at = 1}
                                            }
    """
    called = {callee_of(op) for f in module.funcs for op in f.walk()}
    return Module(tuple(_timed(f, clock) if f.kind == "kernel" and f.name not in called else f for f in module.funcs))


def _timed(func: Func, clock: Clock) -> Func:
    calls = [op for op in func.ops if callee_of(op)]
    name = OwnNames(a.name for a in func.args).give("times")
    times = Value(MemType(DType("i64"), (len(calls) + 1,)), name, loc=func.loc)
    b = Builder("loop")
    stamp = lookup("timestamp", "loop")
    done = 0
    for op in func.ops:
        if done == 0 and (not calls or op is calls[0]):
            b.apply(stamp, times, at=0, clock=clock)
            done = 1
        b.insert(op)
        if callee_of(op):
            b.loc = op.loc
            b.apply(stamp, times, at=done, clock=clock)
            done += 1
    if done == 0:
        b.apply(stamp, times, at=0, clock=clock)
    return func.with_(args=(*func.args, times), ops=tuple(b.ops))
