"""Functions that become polynomials: `expand` writes them in arithmetic, vectorized with everything around them."""

from __future__ import annotations

from typing import Any, ClassVar

from rlxc.ir.primitive import lookup, register
from rlxc.primitives import vecmath
from rlxc.primitives.loop.base import LoopPrimitive, require_same, require_vector


class MathFunction(LoopPrimitive):
    """A float function; its meaning is that of the tensor op of the same name."""

    arity: ClassVar[int] = 1

    def eval(self, *xs: Any) -> Any:
        result = lookup(self.name).eval(*xs)
        return result.astype(xs[0].dtype)[()]

    def expand(self, e: Any, *xs: Any) -> Any:
        return vecmath.FUNCTIONS[self.name](e, *xs)


class Unary(MathFunction):
    """One operand."""

    def infer(self, x):
        require_vector(self.name, x, "f")
        return x


class Binary(MathFunction):
    """Two operands."""

    def infer(self, x, y):
        require_vector(self.name, x, "f")
        require_same(self.name, x, y)
        return x


_BINARY = ("pow", "atan2")
for _name in vecmath.FUNCTIONS:
    _base = Binary if _name in _BINARY else Unary
    register(type(_name.capitalize(), (_base,), {"name": _name, "__doc__": f"{_name}, as at the tensor level."}))
