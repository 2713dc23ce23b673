"""A case on the eager tape, computed by the interpreter: nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlxc.eager.executor import Executor
from rlxc.eager.function import fixed, primitive_function
from rlxc.eager.variable import Variable, grad
from rlxc.ir.core import Func
from rlxc.ir.interp import interpret
from rlxc.ir.types import TensorType, dtype_of
from rlxc.testing.cases import Arrays, Case
from rlxc.testing.numeric import is_float


class Interpreter(Executor):
    """Computes with NumPy arrays, by the interpreter."""

    def type_of(self, operand: np.ndarray) -> TensorType:
        return TensorType(dtype_of(operand.dtype), operand.shape)

    def zeros(self, type: Any) -> np.ndarray:
        return np.zeros(type.shape, type.dtype.numpy)

    def add(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(x + y)

    def compile(self, func: Func) -> Callable[..., Any]:
        def run(*arrays: np.ndarray) -> Any:
            outs = tuple([np.asarray(x) for x in interpret(func, arrays)])
            return outs[0] if len(outs) == 1 else outs

        return run


class Interpreted(Variable):
    """An array that is computed with by the interpreter."""

    __slots__ = ()
    executor = Interpreter()


class Tape:
    """An op on leaves, for its float operands, and constants."""

    def __init__(self, case: Case, arrays: Arrays) -> None:
        operands = [Interpreted(x, i in case.floats) for i, x in enumerate(arrays)]
        self.leaves = [operands[i] for i in case.floats]
        function = fixed(case.func) if case.program else primitive_function(case.prim, dict(case.attrs))
        outs = function(*operands)
        outs = outs if isinstance(outs, tuple) else (outs,)
        self.floats = [x for x in outs if is_float(x._data)]

    def gradients(self, seeds: Sequence[np.ndarray]) -> list[Interpreted]:
        """Recorded derivatives of the float results, with a cotangent for each, with respect to the leaves."""
        given = [(x, Interpreted(seed)) for x, seed in zip(self.floats, seeds, strict=True) if x.requires_grad]
        return self._derivatives([x for x, _ in given], [seed for _, seed in given])

    def second(self, gradients: Sequence[Interpreted], tangents: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Derivatives of the product of `gradients` and `tangents`: the Hessian is symmetric, so this is the change of the gradients along the tangents."""
        given = [(x, Interpreted(v)) for x, v in zip(gradients, tangents, strict=True) if x.requires_grad]
        return [x._data for x in self._derivatives([x for x, _ in given], [v for _, v in given])]

    def _derivatives(self, outs: Sequence[Interpreted], seeds: Sequence[Interpreted]) -> list[Interpreted]:
        found = grad(outs, self.leaves, seeds, create_graph=True, allow_unused=True)
        return [Interpreted(np.zeros_like(x._data)) if d is None else d for x, d in zip(self.leaves, found, strict=True)]
