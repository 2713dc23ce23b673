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
    allocates: ClassVar[bool] = False  # its result is memory of the kernel's own
    hint: ClassVar[bool] = False  # may be left out: it changes no result
    access: ClassVar[bool] = False  # loads or stores at an index
    indexed: ClassVar[bool] = False  # touches consecutive elements from an index on, perhaps not all of them: `parts` names them
    widens: ClassVar[bool] = True  # has a meaning on vectors
    cycles: ClassVar[float] = 1.0  # about how many it takes for a vector register
    tabular: ClassVar[bool] = False  # calls a kernel, or says where memory is: many such ops may be written as a table
    product: ClassVar[bool] = False  # may become part of an fma
    is_fma: ClassVar[bool] = False  # a product and a sum
    sum: ClassVar[tuple[int, int] | None] = None  # the signs of its two terms

    def llvm(self, w: Any, type: Any, *xs: Any, **attrs: Any) -> str | None:
        raise self.missing("llvm")

    def llvm_regions(self, w: Any, op: Any) -> None:
        """Write an op that has regions: loops and branches."""
        raise self.missing("llvm_regions")

    def expand(self, e: Any, *xs: Any, **attrs: Any) -> Any:
        raise self.missing("expand")

    #: Whether an op that expands may be a call instead.
    callable: ClassVar[bool] = False

    @property
    def expands(self) -> bool:
        """Whether the op is written in simpler ones before code is generated."""
        return type(self).expand is not LoopPrimitive.expand

    def fold_kind(self, position: int) -> str | None:
        """The associative op by which this one adds to its operand at `position`, if it does."""
        return None

    def parts(self, operands: Any) -> tuple[Any, Any, Any]:
        """Of an access, or an op that is `indexed`: the memory, what is stored (None for a load), and the index."""
        raise self.missing("parts")

    def mask(self, operands: Any) -> Any:
        """Of an op that is `indexed`: which lanes it touches; None if all."""
        return None

    def affine(self, steps: Any, constants: Any) -> int | None:
        """How much the result grows, where the operands (indices) grow by `steps`; None if unevenly."""
        return None

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
    first = xs[0]
    if any(x is not first and x != first for x in xs):
        raise DTypeError(f"{name}: types differ: {', '.join(map(str, xs))}")


class Unary(LoopPrimitive):
    """One operand, result of the same type."""

    kinds: ClassVar[str] = "iuf"

    def infer(self, x):
        require_vector(self.name, x, self.kinds)
        return x


class Binary(LoopPrimitive):
    """Two operands of one type, result of the same type. `instructions` is the LLVM instruction by dtype kind."""

    kinds: ClassVar[str] = "iuf"
    folds: ClassVar[bool] = False
    instructions: ClassVar[dict[str, str]] = {}

    def infer(self, x, y):
        require_vector(self.name, x, self.kinds)
        require_same(self.name, x, y)
        return x

    def fold_kind(self, position):
        return self.name if self.folds else None

    def llvm(self, w, type, x, y):
        return w.inst(f"{self.instructions[type.dtype.kind]} {w.type(type)} {x.text}, {y.text}")
