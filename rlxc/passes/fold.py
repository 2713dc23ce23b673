"""Constants: finding them, and computing with them at compile time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlxc.errors import Error
from rlxc.ir.attributes import Dense
from rlxc.ir.core import Op
from rlxc.ir.types import TensorType

MAX_ELEMENTS = 4096  # a folded constant has to be written into the program
MAX_SPLAT_ELEMENTS = 2**24


def dense_of(op: Op) -> Dense | None:
    """The array that `op` stands for, if it does nothing else."""
    value = op.attrs.get("value")
    return value if not op.operands and len(op.results) == 1 and isinstance(value, Dense) else None


def evaluate(op: Op, operands: Sequence[Dense]) -> tuple[Dense, ...] | None:
    """The results of `op` on constants, by its eval rule, or None where they are too large to be written down.

    One element standing for all of them stays one element.
    """
    types = [v.type for v in op.results if isinstance(v.type, TensorType) and v.type.is_static]
    if len(types) != len(op.results):
        return None
    if op.prim.elementwise and all(x.is_splat for x in operands):
        arrays = [x.array for x in operands]
    elif max(t.size for t in (*types, *(x.type for x in operands))) <= MAX_ELEMENTS or _only_moves_a_splat(op, operands, types[0]):
        arrays = [x.numpy() for x in operands]
    else:
        return None
    try:
        with np.errstate(all="ignore"):
            results = op.prim.eval(*arrays, **op.attrs)
    except Error:
        return None  # it will be reported when the program runs, if ever
    results = results if isinstance(results, tuple) else (results,)
    return tuple(_dense(np.asarray(x), t) for x, t in zip(results, types, strict=True))


def _only_moves_a_splat(op: Op, operands: Sequence[Dense], result: TensorType) -> bool:
    """Whether `op` gives its one element another shape: NumPy does that without copying."""
    return len(operands) == 1 and operands[0].is_splat and op.prim.cost.flops == 0 and result.size <= MAX_SPLAT_ELEMENTS


def _dense(array: np.ndarray, type: TensorType) -> Dense:
    same = array.size > 1 and not any(n > 1 and s for n, s in zip(array.shape, array.strides, strict=True))
    if same or (array.ndim and array.size == 1):
        return Dense(array[(0,) * array.ndim], type)
    return Dense(array, type)
