"""How much work a call of a kernel is, known before it runs: the ops of the loop level that are executed, a vector counting by its registers."""

from __future__ import annotations

from collections.abc import Sequence

from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func, Module, Op
from rlxc.ir.types import VectorType

REGISTER = 64  # bytes
CALLED = 30  # ops of a function such as exp, where it is called
UNKNOWN_STEPS = 100  # of a loop that ends when a condition says so


def work(module: Module, kernel: str) -> int:
    """Ops that a call of `kernel` executes, kernels that it calls included; of two branches, those of both."""
    by_name = {f.name: f for f in module.funcs}
    known: dict[str, int] = {}

    def of_func(func: Func) -> int:
        if func.name not in known:
            known[func.name] = of_ops(func.ops)
        return known[func.name]

    def of_ops(ops: Sequence[Op]) -> int:
        return sum(map(of_op, ops))

    def of_op(op: Op) -> int:
        callee = callee_of(op)
        if callee is not None:
            return 1 + of_func(by_name[callee])
        inside = sum(of_ops(region.ops) for region in op.regions)
        if op.prim.syntax == "for":
            return inside * len(range(op.attrs["start"], op.attrs["stop"], op.attrs["step"]))
        if op.regions and "steps" in op.attrs:
            return inside * (op.attrs["steps"] or UNKNOWN_STEPS)
        return inside + op.attrs.get("steps", 0) + _registers(op) * (CALLED if op.prim.callable else 1)  # type: ignore[attr-defined]

    return of_func(by_name[kernel])


def _registers(op: Op) -> int:
    """Registers that the largest vector of an op fills."""
    sizes = [v.type.lanes * v.type.dtype.size for v in (*op.results, *op.operands) if isinstance(v.type, VectorType)]
    return max(1, max(sizes, default=0) // REGISTER)
