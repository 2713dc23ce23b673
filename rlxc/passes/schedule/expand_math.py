"""Functions such as exp become polynomials."""

from __future__ import annotations

from rlxc.ir.core import Module, Op
from rlxc.passes.manager import module_pass
from rlxc.passes.schedule.rewrite import Rewriter, rules


@module_pass("expand-math")
def expand_math(module: Module) -> Module:
    """Replace each op that has an `expand` rule by what the rule emits, on scalars and vectors alike.

    %1 = logistic %0 : f32x16     =>     the arithmetic of 1 / (1 + exp(-x))
    """
    return Module(tuple(_ExpandMath(f).run() if f.kind == "kernel" and any(rules(op).expands for op in f.walk()) else f for f in module.funcs))


class _ExpandMath(Rewriter):
    def changes(self, op: Op) -> bool:
        return rules(op).expands

    def op(self, op: Op) -> None:
        if not rules(op).expands:
            super().op(op)
            return
        result = rules(op).expand(self.e, *[self.of(v) for v in op.operands], **op.attrs)
        self.bind(op, [result])
