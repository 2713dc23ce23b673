"""embedding: rows of a table."""

from __future__ import annotations

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS, INTEGERS
from rlxc.primitives.families import Composite, require_dtype


@register
class Embedding(Composite):
    """Rows of a table [V, D] at integer ids [...]: [..., D]. An id outside of 0..V-1 gives zeros, and takes no gradient to the table."""

    name = "embedding"
    dtypes = FLOATS
    computes = False
    samples = (
        Sample("f64[4, 3]", np.array([[0, 3], [1, 0]], np.int32)),
        Sample("f64[4, 2]", np.array(2, np.int64)),
        Sample("f64[3, 2]", np.array([-1, 3, 0, 100], np.int8)),
        Sample("f64[3, 0]", np.array([0, 1], np.uint16)),
        Sample("f64[3, 2]", "i32[0]"),
    )

    def infer(self, table, ids):
        require_dtype(self.name, table, FLOATS)
        require_dtype(self.name, ids, INTEGERS)
        if table.rank != 2:
            raise ShapeError(f"embedding: a table is [V, D], not {table}")
        return table.with_shape((*ids.shape, table.shape[1]))

    def eval(self, table, ids):
        rows = np.zeros((*ids.shape, table.shape[1]), table.dtype)
        known = (ids >= 0) & (ids < table.shape[0])
        rows[known] = table[ids[known]]
        return rows

    def decompose(self, b, table, ids):
        return b.gather(table, ids, axes=(0,), bounds="fill")
