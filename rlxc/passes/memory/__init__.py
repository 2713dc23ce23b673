"""Plan memory: the buffers of a kernel that calls others share one block of bytes, each from its first use to its last one.

kernel @f(%x: mem f32[64], %y: mem f32[64]) {        kernel @f(%x: mem f32[64], %y: mem f32[64]) {
  %a = alloc : mem f32[64]                             %arena = alloc : mem u8[512]
  call @f.k0(%x, %a)                                   %a = slot %arena {offset = 0} : mem f32[64]
  %b = alloc : mem f32[64]                             call @f.k0(%x, %a)
  call @f.k1(%a, %b)                            =>     %b = slot %arena {offset = 256} : mem f32[64]
  %c = alloc : mem f32[64]                             call @f.k1(%a, %b)
  call @f.k2(%b, %c)                                   %c = slot %arena {offset = 0} : mem f32[64]
  call @f.k3(%c, %y)                                   call @f.k2(%b, %c)
}                                                      call @f.k3(%c, %y)
                                                     }
"""

from __future__ import annotations

from rlxc.ir.builder import make_op
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.primitive import lookup
from rlxc.ir.types import DType, MemType
from rlxc.passes.manager import module_pass
from rlxc.passes.memory.lifetimes import lifetimes
from rlxc.passes.memory.placement import place
from rlxc.passes.memory.rematerialize import rematerialize

__all__ = ["plan_memory", "rematerialize"]


@module_pass("plan-memory")
def plan_memory(module: Module) -> Module:
    """Give the buffers between kernels places in one block of bytes, shared by those that are never needed at once."""
    return Module(tuple(_plan(f) if f.kind == "kernel" else f for f in module.funcs))


def _plan(func: Func) -> Func:
    """A kernel that only calls others, with at most one `alloc`."""
    allocs = [op for op in func.ops if getattr(op.prim, "allocates", False)]
    if len(allocs) < 2 or any(op.regions for op in func.ops):
        return func
    live = lifetimes(func.ops, {op.result for op in allocs})
    buffers = list(live)
    offsets, total = place([v.type.room for v in buffers], [live[v].first for v in buffers], [live[v].last for v in buffers])
    arena = make_op(lookup("alloc", "loop"), (), {"type": MemType(DType("u8"), (total,))}, names=["arena"], loc=func.loc)
    at = dict(zip(buffers, offsets, strict=True))
    env: dict[Value, Value] = {}
    ops: list[Op] = [arena]
    for op in func.ops:
        if op.results and op.result in at:
            attrs = {"offset": at[op.result], "type": op.result.type}
            slot = make_op(lookup("slot", "loop"), (arena.result,), attrs, names=[op.result.name], loc=op.loc)
            env[op.result] = slot.result
            ops.append(slot)
        elif not (op.results and getattr(op.prim, "allocates", False)):  # a buffer that nobody uses is left out
            ops.append(op.with_operands(tuple(env.get(v, v) for v in op.operands)))
    return func.with_(ops=tuple(ops))
