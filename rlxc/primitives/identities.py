"""Questions that folds ask about operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.ir.core import Value


def is_all(b: Any, x: Value, number: Any) -> bool:
    """Whether `x` is a constant whose every element is `number`; -0.0 is not 0.0 here."""
    return b.is_splat(x, number)


def constant_elements(b: Any, x: Value) -> np.ndarray | None:
    """The elements of `x` (one, if it is a splat) where it is a constant that has any."""
    splat = b.splat_of(x)
    if splat is not None:
        return np.asarray(splat)
    dense = b.constant_of(x)
    return dense.numpy() if dense is not None and dense.array.size else None


def same_splat(b: Any, x: Value, y: Value) -> bool:
    """Whether x and y are one value, or two constants that repeat the same bits."""
    if x is y:
        return True
    first, second = b.splat_of(x), b.splat_of(y)
    return first is not None and second is not None and np.asarray(first).tobytes() == np.asarray(second).tobytes()


def produced_by(b: Any, x: Value, name: str) -> tuple[Value, ...] | None:
    """Operands of the op `name` that made `x`, or None if another one did."""
    op = b.producer(x)
    return op.operands if op is not None and op.prim.name == name else None
