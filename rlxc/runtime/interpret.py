"""The interpreter behind the interface of native code: arrays in, fresh arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.ir.core import Func
from rlxc.ir.interp import interpret
from rlxc.passes.inline import inline_calls
from rlxc.runtime.params import resolve_resources


class Interpreted:
    """A function run op by op in NumPy; called with arrays that fit exactly, returns a tuple."""

    def __init__(self, func: Func) -> None:
        for v in func.args:
            v.type.require_static()  # type: ignore[union-attr]
        self.func = resolve_resources(inline_calls(func))

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        outs = interpret(self.func, arrays)
        return tuple(_fresh(x, v.type) for x, v in zip(outs, self.func.results, strict=True))


def _fresh(x: Any, type_: Any) -> np.ndarray:
    """A C-contiguous array of its own, also for a result that is an argument or a view of one."""
    return np.array(x, dtype=type_.dtype.numpy, order="C", copy=True)
