"""Multiplication and addition in one, rounded once."""

from __future__ import annotations

from collections import Counter

from rlxc.ir.core import Func, Module, Op, Value
from rlxc.passes.manager import module_pass
from rlxc.passes.schedule.rewrite import Rewriter, rules


@module_pass("form-fma")
def form_fma(module: Module) -> Module:
    """Make one op of a product that is used once, in a sum.

    %0 = mul %x, %y : f32
    %1 = add %0, %z : f32        =>     %1 = fma %x, %y, %z : f32
    """
    return Module(tuple(_FormFma(f).run() if f.kind == "kernel" and any(map(_is_product, f.walk())) else f for f in module.funcs))


def _is_product(op: Op) -> bool:
    return rules(op).product and op.result.type.dtype.is_float


class _FormFma(Rewriter):
    def __init__(self, func: Func) -> None:
        super().__init__(func)
        self.uses = Counter(v for op in func.walk() for v in op.operands)
        for op in func.walk():
            for region in op.regions:
                self.uses.update(region.results)
        self.products = {op.result: op for op in func.walk() if _is_product(op) and self.uses[op.result] == 1}
        self.folded: set[Value] = set()
        for op in func.walk():
            if rules(op).sum is not None and op.result.type.dtype.is_float:
                product = next((v for v in op.operands if v in self.products), None)
                if product is not None:
                    self.folded.add(product)

    def changes(self, op: Op) -> bool:
        return not self.folded.isdisjoint(op.results) or not self.folded.isdisjoint(op.operands)

    def op(self, op: Op) -> None:
        if op.results and op.result in self.folded:
            return  # made where the sum is
        if rules(op).sum is not None and op.result.type.dtype.is_float:
            at = next((i for i, v in enumerate(op.operands) if v in self.folded), None)
            if at is not None:
                x, y = (self.of(v) for v in self.products[op.operands[at]].operands)
                z = self.of(op.operands[1 - at])
                signs = rules(op).sum or (1, 1)
                sign_of_product, sign_of_rest = signs[at], signs[1 - at]
                x = x if sign_of_product > 0 else self.e.neg(x)
                z = z if sign_of_rest > 0 else self.e.neg(z)
                self.bind(op, [self.e.fma(x, y, z)])
                return
        super().op(op)
