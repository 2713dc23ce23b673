"""Native code for the functions of the tape: as `rlxc.compile` makes it, called without any Python in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlxc.ir.core import Func
from rlxc.runtime.compile import native as native_code
from rlxc.runtime.quick import compiled


def native(func: Func) -> Callable[..., Any]:
    """A function of arrays that fit exactly; it gives a new array, or a tuple of several."""
    return compiled(func, native_code)
