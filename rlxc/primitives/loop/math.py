"""Functions that become polynomials: `expand` writes them in arithmetic, vectorized with everything around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rlxc.ir.attributes import Dense
from rlxc.ir.primitive import lookup, register
from rlxc.ir.types import DType
from rlxc.primitives import vecmath
from rlxc.primitives.loop.base import LoopPrimitive, require_same, require_vector


class Unchecked:
    """The emitter as expansions see it: they know their ranges, so that conversions, shifts and extrema need no checks."""

    def __init__(self, e: Any) -> None:
        self.e = e

    def __getattr__(self, name: str) -> Any:
        return getattr(self.e, name)

    def convert(self, x: Any, dtype: str) -> Any:
        return self.e.convert(x, dtype=dtype, checked=False)

    def bitcast(self, x: Any, dtype: str) -> Any:
        return self.e.bitcast(x, dtype=dtype)

    def shift_left(self, x: Any, y: Any) -> Any:
        return self.e.shift_left(x, y, checked=False)

    def shift_right(self, x: Any, y: Any) -> Any:
        return self.e.shift_right(x, y, checked=False)

    def max(self, x: Any, y: Any) -> Any:
        return self.e.max(x, y, checked=False)

    def min(self, x: Any, y: Any) -> Any:
        return self.e.min(x, y, checked=False)

    def table(self, numbers: Sequence[float], index: Any, dtype: str) -> Any:
        return self.e.table(Dense(np.array(numbers, DType(dtype).numpy)), index)


class MathFunction(LoopPrimitive):
    """A float function; its meaning is that of the tensor op of the same name."""

    arity: ClassVar[int] = 1
    callable = True

    def eval(self, *xs: Any) -> Any:
        result = lookup(self.name).eval(*xs)
        return result.astype(xs[0].dtype)[()]

    def expand(self, e: Any, *xs: Any) -> Any:
        function: Any = vecmath.FUNCTIONS[self.name]
        return function(Unchecked(e), *xs)

    def llvm(self, w, type, *xs):
        return w.call_apart(self.name, xs, lambda e, *vs: self.expand(e, *vs))


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


class Rare(MathFunction):
    """What a function does for arguments that are seldom met: a function of the module, which all that need it call."""

    of: ClassVar[str]
    callable = False

    def eval(self, *xs):
        return lookup(self.of, "loop").eval(*xs)

    @property
    def expands(self):
        return False

    def llvm(self, w, type, *xs):
        return w.call_apart(self.name, xs, lambda e, *vs: vecmath.RARE[self.of](Unchecked(e), *vs))


for _of, _function in vecmath.RARE.items():
    _base = Binary if _of in _BINARY else Unary
    _settings = {"name": _function.__name__, "of": _of, "__doc__": f"{_of} of arguments that are seldom met."}
    register(type(_function.__name__.title().replace("_", ""), (Rare, _base), _settings))


@register
class Rsqrt(Unary):
    """1 / sqrt(x)."""

    name = "rsqrt"
    callable = False

    def expand(self, e, x):
        return e.div(1, e.sqrt(x))
