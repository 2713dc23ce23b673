"""One-hot: an index as a row of zeros with a one in it."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import INTEGERS, ORDERED, DType
from rlxc.primitives.families import NonDifferentiable, require_dtype
from rlxc.primitives.gather import as_place

F32 = DType("f32")


@register
class OneHot(NonDifferentiable):
    """A new last axis of `size` with 1 (or true) where its counter equals the index, else 0. An index out of bounds gives zeros only."""

    name = "one_hot"
    index_map = True
    dtypes = INTEGERS
    samples = (
        Sample(np.array([0, 2, -1, 3, 1]), size=3, dtype=DType("f64")),
        Sample("i32[2, 2]", size=4, dtype=DType("bool")),
        Sample("u8[]", size=2, dtype=DType("i32")),
        Sample("i64[3]", size=0, dtype=DType("f32")),
    )

    def infer(self, indices, *, size: int, dtype: DType = F32):
        require_dtype(self.name, indices, INTEGERS)
        if size < 0:
            raise AttrError(f"one_hot: size = {size}")
        if dtype not in ORDERED:
            raise AttrError(f"one_hot: dtype = {dtype}", help=f"it is one of {', '.join(ORDERED)}")
        return indices.with_dtype(dtype).with_shape((*indices.shape, size))

    def eval(self, indices, *, size, dtype=F32):
        return (np.asarray(indices)[..., None] == np.arange(size)).astype(dtype.numpy)

    def batch(self, b, indices, *, batched, size, dtype):
        return b.one_hot(indices, size=size, dtype=dtype)

    def element(self, e, index, indices, *, size, dtype):
        hit = e.eq(as_place(e, indices(index[:-1]), size), e.as_index(index[-1]))
        return e.convert(hit, dtype=dtype)
