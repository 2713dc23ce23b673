"""The time, for profiles."""

from __future__ import annotations

import time
from typing import Literal

from rlxc.errors import DTypeError, ShapeError
from rlxc.ir.primitive import register
from rlxc.ir.types import MemType
from rlxc.primitives.loop.base import LoopPrimitive


@register
class Timestamp(LoopPrimitive):
    """Store the time at place `at` of an i64 array: in cycles of the processor's counter, or in ticks of its steady clock."""

    name = "timestamp"
    pure = False
    has_effect = True
    widens = False

    def infer(self, memory, *, at: int, clock: Literal["cycles", "steady"] = "cycles"):
        if not isinstance(memory, MemType) or memory.dtype != "i64" or len(memory.shape) != 1:
            raise DTypeError(f"timestamp takes memory of one axis of i64, not {memory}")
        if not 0 <= at < memory.shape[0]:
            raise ShapeError(f"timestamp: there is no place {at} in {memory}")
        return ()

    def eval(self, memory, *, at, clock):
        memory[at] = time.perf_counter_ns()
        return ()

    def llvm(self, w, type, memory, *, at, clock):
        name = {"cycles": "llvm.readcyclecounter", "steady": "llvm.readsteadycounter"}[clock]
        w.shared.declarations.setdefault(name, f"declare i64 @{name}()")
        now = w.inst(f"call i64 @{name}()")
        place = w.inst(f"getelementptr inbounds i64, ptr {memory.text}, i64 {at}")
        w.lines.append(f"  store i64 {now}, ptr {place}, align 8")
