"""Functions such as exp become polynomials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from rlxc.ir.core import Func, Module, Op
from rlxc.ir.target import Target
from rlxc.ir.types import VectorType
from rlxc.passes.manager import module_pass
from rlxc.passes.schedule.rewrite import Rewriter, rules

Function = tuple[str, VectorType]

MANY = 16  # numbers of which a module asks one function, op by op: then it is called


@module_pass("expand-math")
def expand_math(module: Module, *, scales: bool = False) -> Module:
    """Replace each op that has an `expand` rule by what the rule emits, on scalars and vectors alike; with `scales`, for processors that have `scale`.

    %1 = logistic %0 : f32x16     =>     the arithmetic of 1 / (1 + exp(-x))

    Where a module has many of one kind on scalars, they stay: each is a call of a function that codegen writes once.
    """
    kernels = {f: [op for op in f.walk() if rules(op).expands] for f in module.funcs if f.kind == "kernel"}
    counts = Counter(_scalar_function(op) for ops in kernels.values() for op in ops)
    called = {function for function, count in counts.items() if function is not None and count >= MANY}
    return Module(tuple(_ExpandMath(f, Target(scales=scales), called).run() if kernels.get(f) else f for f in module.funcs))


class _ExpandMath(Rewriter):
    def __init__(self, func: Func, target: Target, called: Set[Function | None]) -> None:
        super().__init__(func)
        self.e.target = target
        self.called = called

    def changes(self, op: Op) -> bool:
        return rules(op).expands and _scalar_function(op) not in self.called

    def op(self, op: Op) -> None:
        if not self.changes(op):
            super().op(op)
            return
        result = rules(op).expand(self.e, *[self.of(v) for v in op.operands], **op.attrs)
        self.bind(op, [result])


def _scalar_function(op: Op) -> Function | None:
    """The function that an op on scalars is a call of, with the type; None for other ops."""
    if not rules(op).callable or len(op.results) != 1 or not isinstance(op.result.type, VectorType) or op.result.type.lanes > 1:
        return None
    return op.prim.name, op.result.type
