"""What a jitted function becomes for given arguments: its program, LLVM IR, machine code, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlxc.errors import ArgumentError
from rlxc.ir.core import Func
from rlxc.ir.lazy import cached_property
from rlxc.passes.gradient import prepare
from rlxc.passes.work import work_of_func
from rlxc.tracing.pytree import Tree, unflatten
from rlxc.tracing.staging import Staged, compile_native


class Lowered:
    """A traced function, not compiled yet; each stage is made when it is asked for."""

    def __init__(self, staged: Staged, form: tuple[Tree, Any], taken_apart: Callable[..., Any], options: dict[str, Any]) -> None:
        self.func: Func = staged.func
        self._staged = staged
        self._form = form  # of the arguments, and the static ones
        self._taken_apart = taken_apart
        self._options = options

    def as_text(self) -> str:
        """The program, as `.rlx`."""
        return str(self.func)

    @cached_property
    def stages(self) -> Any:
        """The function on its way to machine code, as `Compiled.stages` gives it."""
        from rlxc.runtime.compile import native

        return native(self.func, **self._options)

    def llvm(self) -> str:
        """LLVM IR."""
        text: str = self.stages.llvm()
        return text

    def asm(self) -> str:
        """Machine code as text."""
        text: str = self.stages.assembly()
        return text

    def memory_analysis(self) -> Any:
        """How much memory a call needs and for what."""
        return self.stages.memory_analysis()

    def cost_analysis(self) -> dict[str, float]:
        """Arithmetic of a call; bytes of its arguments and results; and ops that its native code executes, a vector counting by its registers."""
        func = prepare(self.func)
        values = (*func.args, *func.results)
        return {"flops": work_of_func(func), "bytes": float(sum(v.type.nbytes for v in values)), "native_ops": float(self.stages.emitted.work[func.name])}

    def compile(self) -> LoweredCall:
        """Native code for just these types."""
        return LoweredCall(self)

    def __repr__(self) -> str:
        return f"<lowered {self.func!r}>"


class LoweredCall(Lowered):
    """Native code for arguments of one form and one set of types; others are an error."""

    def __init__(self, lowered: Lowered) -> None:
        super().__init__(lowered._staged, lowered._form, lowered._taken_apart, lowered._options)
        self._compiled = compile_native(self.func, **self._options)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        leaves, *form = self._taken_apart(args, kwargs)
        if tuple(form) != self._form:
            raise ArgumentError(f"{self.func.name} is compiled for arguments of another form: {self._form[0]}", code="RLX0502")
        results = self._compiled(*leaves)
        return unflatten(self._staged.tree, results if len(self.func.results) > 1 else (results,) if self.func.results else ())

    def __repr__(self) -> str:
        return f"<compiled {self.func!r}>"
