"""Whole functions as one node: a Func that takes variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.eager.function import Function
from rlxc.eager.kinds import Kind, Scalar
from rlxc.eager.variable import Variable
from rlxc.errors import ArgumentError, Loc, ShapeError
from rlxc.ir.core import Func
from rlxc.ir.types import Dim
from rlxc.passes.bind import bind
from rlxc.passes.dims import match_dims
from rlxc.runtime.arguments import Arguments


class Whole:
    """A Func that takes variables, of class `cls` unless there are others, by position or by name.

    Named dimensions are bound to what they are given, each set of sizes having a rule of its own.
    """

    def __init__(self, func: Func, cls: type[Variable]) -> None:
        self.func = func
        self._cls = cls
        self._arguments = Arguments(func)
        self._recorded = Function(func.name, self._make)
        self.__name__ = func.name

    def __call__(self, *args: Any, **named: Any) -> Any:
        operands = self._arguments.in_order(args, named) if named or len(args) != len(self.func.args) else args
        cls = next((type(x) for x in operands if isinstance(x, Variable)), self._cls)
        taken = [x if isinstance(x, Variable) else cls.fitted(x, self.func.args[i], self._where(i)) for i, x in enumerate(operands)]
        return self._recorded.on(cls, taken)

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
