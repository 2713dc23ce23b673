"""What ops of the loop level share. A `Ref` is an LLVM operand: its text and its type; `w` is codegen's writer."""

from __future__ import annotations

from typing import Any, ClassVar

from rlxc.errors import DTypeError
from rlxc.ir.primitive import Primitive
from rlxc.ir.types import VectorType


class LoopPrimitive(Primitive):
    """An op of the loop level.

    Beside `infer` and `eval` (on NumPy scalars, or arrays of one element a lane) it states `llvm(w, type, *xs)`, which writes
    instructions and returns the text of the result; or `expand(e, *xs)`, the same in simpler ops.
    """

    level = "loop"
    pure: ClassVar[bool] = True  # depends on its operands alone, and may be computed earlier, or once for two

    def llvm(self, w: Any, type: Any, *xs: Any, **attrs: Any) -> str | None:
        raise self.missing("llvm")

    def expand(self, e: Any, *xs: Any, **attrs: Any) -> Any:
        raise self.missing("expand")

    def widen(self, e: Any, lanes: int, *xs: Any, **attrs: Any) -> Any:
        """The op on vectors, `xs` having `lanes` lanes each; most ops are the same."""
        return e.apply(self, *xs, **attrs)


def require_vector(name: str, x: Any, kinds: str = "biuf") -> None:
    """Raise DTypeError unless x is a scalar or vector of one of the dtype `kinds`."""
    if not isinstance(x, VectorType):
        raise DTypeError(f"{name} takes scalars or vectors, not {x}")
    if x.dtype.kind not in kinds:
        raise DTypeError(f"{name} does not take {x}")


def require_same(name: str, *xs: Any) -> None:
    """Raise DTypeError unless all of `xs` are the same type."""
    if any(x != xs[0] for x in xs):
        raise DTypeError(f"{name}: types differ: {', '.join(map(str, xs))}")
