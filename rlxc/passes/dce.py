"""Dead code elimination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rlxc.ir.core import Func, Op, Value
from rlxc.passes.manager import func_pass


@func_pass("dce")
def eliminate_dead_code(func: Func) -> Func:
    """Drop ops whose results nobody uses.

    %0 = sin %x : f32[3]
    %1 = cos %x : f32[3]         %1 = cos %x : f32[3]
    return %1                =>  return %1
    """
    ops = live_ops(func.ops, func.results)
    return func if len(ops) == len(func.ops) else func.with_(ops=tuple(ops))


def live_ops(ops: Sequence[Op], results: Iterable[Value]) -> list[Op]:
    """The ops that `results` depend on, or that have an effect, in their order."""
    wanted = set(results)
    kept = []
    for op in reversed(ops):
        if not op.prim.has_effect and wanted.isdisjoint(op.results):
            continue
        kept.append(op)
        wanted.update(op.operands)
        for region in op.regions:
            wanted.update(region.results)
            for inner in region.walk():
                wanted.update(inner.operands)
                for r in inner.regions:
                    wanted.update(r.results)
    kept.reverse()
    return kept
