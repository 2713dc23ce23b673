"""`rlxc.apply("ema", x, rate=0.5)`: an op by its name, on arrays, on tracers, and on eager tensors."""

from __future__ import annotations

from typing import Any

from rlxc.tracing.immediate import immediate
from rlxc.tracing.tracer import emit


@immediate
def apply(primitive: str, /, *operands: Any, **attrs: Any) -> Any:
    """What a primitive gives, a tuple for several results. Operands are taken as they are: nothing is promoted.

    Arrays are computed with at once, by code that is compiled once for their types; tracers and eager tensors record the op.
    """
    return emit(primitive, *operands, **attrs)
