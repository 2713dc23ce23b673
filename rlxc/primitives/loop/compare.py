"""Comparison, and a choice by its result."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rlxc.errors import DTypeError
from rlxc.ir.primitive import register
from rlxc.primitives.loop.base import LoopPrimitive, require_same, require_vector

_ZEROS = ("0x0000000000000000", "0x8000000000000000")


class Compare(LoopPrimitive):
    """A bool for each lane; with nan, only `ne` is true."""

    predicates: ClassVar[tuple[str, str, str]] = ("", "", "")  # float, signed, unsigned

    def infer(self, x, y):
        require_vector(self.name, x)
        require_same(self.name, x, y)
        return x.with_dtype("bool")

    def llvm(self, w, type, x, y):
        kind = x.type.dtype.kind
        if kind == "f" and self.name == "ne" and x.type.lanes == 1 and y.text in _ZEROS:
            # |x| is above 0, or nan: one flag of the processor, where two would make LLVM's scheduler try again and again in long code
            return w.inst(f"fcmp ugt {w.type(x.type)} {w.intrinsic('fabs', x.type, x)}, {y.text}")
        if kind == "f":
            return w.inst(f"fcmp {self.predicates[0]} {w.type(x.type)} {x.text}, {y.text}")
        return w.inst(f"icmp {self.predicates[1 if kind == 'i' else 2]} {w.type(x.type)} {x.text}, {y.text}")


def _compare(op: str, function: Any, predicates: tuple[str, str, str], says: str) -> type[Compare]:
    rules = {"name": op, "predicates": predicates, "__doc__": says, "eval": lambda self, x, y: function(x, y)}
    return register(type(op.capitalize(), (Compare,), rules))


_compare("eq", np.equal, ("oeq", "eq", "eq"), "x equals y.")
_compare("ne", np.not_equal, ("une", "ne", "ne"), "x differs from y.")
_compare("lt", np.less, ("olt", "slt", "ult"), "x is below y.")
_compare("le", np.less_equal, ("ole", "sle", "ule"), "x is not above y.")
_compare("gt", np.greater, ("ogt", "sgt", "ugt"), "x is above y.")
_compare("ge", np.greater_equal, ("oge", "sge", "uge"), "x is not below y.")


@register
class Select(LoopPrimitive):
    """x where the condition holds, else y; the condition is a bool for each lane, or one for all."""

    name = "select"

    def infer(self, condition, x, y):
        require_vector(self.name, condition, "b")
        require_vector(self.name, x)
        require_same(self.name, x, y)
        if condition.lanes not in (1, x.lanes):
            raise DTypeError(f"select: {condition} does not fit {x}")
        return x

    def eval(self, condition, x, y):
        return np.where(condition, x, y).astype(x.dtype)[()]

    def llvm(self, w, type, condition, x, y):
        t = w.type(type)
        return w.inst(f"select {w.type(condition.type)} {condition.text}, {t} {x.text}, {t} {y.text}")
