"""Whole functions as one node: a Func, a Module, text, a file, what `rlxc.compile` made of one, or a Python function that is traced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from rlxc import api
from rlxc.eager.function import Function
from rlxc.eager.kinds import Kind, Scalar
from rlxc.eager.tensor import Tensor
from rlxc.eager.traced import call
from rlxc.eager.variable import Variable
from rlxc.errors import ArgumentError, Loc, ShapeError
from rlxc.ir.core import Func
from rlxc.ir.types import Dim
from rlxc.passes.bind import bind
from rlxc.passes.dims import match_dims
from rlxc.runtime.arguments import Arguments, fit
from rlxc.runtime.compiled import Compiled


def function(program: Any, name: str | None = None) -> Callable[..., Any]:
    """A callable on tensors, whose every call is recorded as one node.

    `program` is a Func, a Module, `.rlx` text, a path, or a Compiled; `name` picks a function of several. Arguments come by position or by name. A Python
    function is traced, once for the kinds of its arguments, which may be trees; what is no array is known while tracing.
    """
    if callable(program) and not isinstance(program, Compiled):
        return _python(program)
    return _Whole(program.func if isinstance(program, Compiled) else api.pick(program, name))


def _python(program: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(program)
    def run(*args: Any, **kwargs: Any) -> Any:
        return call(program, args, kwargs)

    return run


class _Whole:
    """A Func that takes tensors. Named dimensions are bound to what they are given, each set of sizes having a rule of its own."""

    def __init__(self, func: Func) -> None:
        self.func = func
        self._arguments = Arguments(func)
        self._recorded = Function(func.name, self._make)
        self.__name__ = func.name

    def __call__(self, *args: Any, **named: Any) -> Any:
        operands = self._arguments.in_order(args, named) if named or len(args) != len(self.func.args) else args
        cls = next((type(x) for x in operands if isinstance(x, Variable)), Tensor)
        taken = [x if isinstance(x, Variable) else self._taken(cls, x, i) for i, x in enumerate(operands)]
        return self._recorded.on(cls, taken)

    def _taken(self, cls: Any, x: Any, i: int) -> Any:
        """What is no tensor, converted where nothing is lost."""
        return cls(x) if cls is not Tensor else cls(fit(x, self.func.args[i], self._where(i)))

    def _make(self, kinds: Sequence[Kind | Scalar], loc: Loc) -> Func:
        types = [k.type for k in kinds if isinstance(k, Kind)]
        for i, (type_, arg) in enumerate(zip(types, self.func.args, strict=True)):
            same = type_.rank == arg.type.rank and all(isinstance(n, Dim) or n == m for n, m in zip(arg.type.shape, type_.shape, strict=True))
            if type_.dtype != arg.type.dtype or not same:
                code = "RLX0505" if type_.dtype == arg.type.dtype else "RLX0504"
                raise ArgumentError(f"{self._where(i)} is {arg.type}, not {type_}", code=code, loc=loc)
        try:
            return bind(self.func, match_dims(self.func, [t.shape for t in types]))
        except ShapeError as error:
            raise ArgumentError(error.message, code="RLX0505", loc=loc) from None

    def _where(self, i: int) -> str:
        return f"@{self.func.name}: %{self._arguments.names[i]}"

    def __repr__(self) -> str:
        return f"<eager @{self.func.name}>"
