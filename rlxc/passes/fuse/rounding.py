"""Which values could come out with other bits if they were computed again in another kernel or stage of a row, and whether that would show.

p = mul %a, %b                kernel 1 rounds p, where it is read twice;
z = add %p, %c                kernel 2, computing z again, may form fma(a, b, c), rounded once
m = reduce_max %z
at = eq %z, %m                then z would not be its own maximum
"""

from __future__ import annotations

from rlxc.ir.core import Func, Op, Value
from rlxc.passes.fuse.readings import Readings


class Rounding:
    """Values that depend on sums of products, and those of them that are told apart by ops that jump."""

    def __init__(self, func: Func, readings: Readings) -> None:
        self.varies: set[Value] = set()
        self.compared: set[Value] = set()  # varying values whose very bits matter: they are read from memory, never computed again
        for op in func.ops:
            if not op.prim.elementwise and not op.prim.index_map:
                continue
            if (op.prim.elementwise and _is_sum_of_product(op, readings)) or not self.varies.isdisjoint(op.operands):
                self.varies.update(v for v in op.results if v.type.dtype.is_float)
            if _jumps(op):
                self.compared.update(w for w in op.operands if w in self.varies)

    def keeps_bits(self, op: Op) -> bool:
        """Whether `op` may be computed again, as far as its own operands are concerned."""
        return not _jumps(op) or self.varies.isdisjoint(op.operands)


def _is_sum_of_product(op: Op, readings: Readings) -> bool:
    types = [v.type for v in op.operands]
    if not op.result.type.dtype.is_float or op.prim.linear_groups(types, **op.attrs) != (frozenset((0, 1)),):
        return False
    makers = [readings.producer[v] for v in op.operands if v in readings.producer]
    return any(maker.prim.elementwise and len(maker.prim.linear_groups([v.type for v in maker.operands], **maker.attrs)) > 1 for maker in makers)


def _jumps(op: Op) -> bool:
    """Whether nearby operands can give results far apart: comparisons, rounding, reading the bits."""
    return op.prim.elementwise and not op.prim.differentiable and any(v.type.dtype.is_float for v in op.operands)
