"""Questions that folds ask about operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.ir.core import Value


def constant_elements(b: Any, x: Value) -> np.ndarray | None:
    """The elements of `x` (one, if all are the same) where it is a constant that has any."""
    dense = b.constant_of(x)
    if dense is None or dense.array.size == 0:
        return None
    return dense.array


def is_all(b: Any, x: Value, number: Any) -> bool:
    """Whether `x` is a constant whose every element is `number`; -0.0 is not 0.0 here."""
    array = constant_elements(b, x)
    if array is None or not np.all(array == array.dtype.type(number)):
        return False
    return array.dtype.kind in "biu" or number != 0 or bool(np.all(np.signbit(array) == np.signbit(number)))


def splat_of(b: Any, x: Value) -> Any:
    """The Python number that every element of `x` is, or None."""
    array = constant_elements(b, x)
    if array is None:
        return None
    first = array.reshape(-1)[0]
    same = array.tobytes() == np.full_like(array, first).tobytes()
    return first.item() if same and array.dtype.kind in "biuf" else float(first) if same else None


def produced_by(b: Any, x: Value, name: str) -> tuple[Value, ...] | None:
    """Operands of the op `name` that made `x`, or None if another one did."""
    op = b.producer(x)
    return op.operands if op is not None and op.prim.name == name else None
