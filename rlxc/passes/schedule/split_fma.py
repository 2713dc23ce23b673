"""Products and sums apart, for processors that have no instruction for both."""

from __future__ import annotations

from rlxc.ir.core import Module, Op
from rlxc.passes.manager import module_pass
from rlxc.passes.schedule.rewrite import Rewriter, rules


@module_pass("split-fma")
def split_fma(module: Module) -> Module:
    """Make a product and a sum, each rounded, of what lowerings write as one op. Where one rounding matters, functions ask for it later.

    %1 = fma %x, %y, %z : f32        =>     %0 = mul %x, %y : f32
                                            %1 = add %0, %z : f32
    """
    return Module(tuple(_SplitFma(f).run() if f.kind == "kernel" and any(rules(op).is_fma for op in f.walk()) else f for f in module.funcs))


class _SplitFma(Rewriter):
    def op(self, op: Op) -> None:
        if not rules(op).is_fma:
            super().op(op)
            return
        x, y, z = (self.of(v) for v in op.operands)
        self.bind(op, [self.e.add(self.e.mul(x, y), z)])
