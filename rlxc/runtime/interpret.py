"""The interpreter behind the interface of native code: arrays in, fresh arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlxc.errors import OutOfMemory
from rlxc.ir.core import Func
from rlxc.ir.interp import interpret
from rlxc.passes.inline import inline_calls
from rlxc.runtime.params import resolve_resources


def interpreter(func: Func) -> Interpreted:
    """The engine that runs a function op by op in NumPy."""
    for v in func.args:
        v.type.require_static()
    return Interpreted(resolve_resources(inline_calls(func)))


@dataclass(frozen=True)
class Interpreted:
    """A function without calls; called with arrays that fit exactly, it returns a tuple."""

    func: Func

    def executable(self) -> Interpreted:
        return self

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        outs = interpret(self.func, arrays)
        return tuple(_fresh(x, v.type) for x, v in zip(outs, self.func.results, strict=True))

    def run_into(self, arrays: Any, results: Any) -> None:
        for target, result in zip(results, self(*arrays), strict=True):
            target[...] = result


def _fresh(x: Any, type_: Any) -> np.ndarray:
    """A C-contiguous array of its own, also for a result that is an argument or a view of one."""
    try:
        return np.array(x, dtype=type_.dtype.numpy, order="C", copy=True)
    except MemoryError as error:
        raise OutOfMemory(f"a result of type {type_}: {error}") from None
