"""The signs of eigenvectors and singular vectors: both are right, one is chosen, so that results are the same whoever computes them.

Of each vector, the first component that is about as large as the largest one (more than 27/32 of it) is positive.
"""

from __future__ import annotations

import numpy as np

NEAR = 27 / 32


def signs_of_columns(x: np.ndarray) -> np.ndarray:
    """1 or -1 for each column, with which it is to be multiplied: [..., 1, n]."""
    if 0 in x.shape:
        return np.ones((*x.shape[:-2], 1, x.shape[-1]), x.dtype)
    size = np.abs(x)
    near = size >= x.dtype.type(NEAR) * size.max(-2, keepdims=True)
    first = np.take_along_axis(x, np.argmax(near, -2)[..., None, :], -2)
    return np.where(first < 0, -1, 1).astype(x.dtype)


def sign(e, component, n, dtype):
    """The same for one vector of n components, emitted; `component(i)` gives one."""
    zero, one = e.constant(0.0, dtype=dtype), e.constant(1.0, dtype=dtype)
    (top,) = e.loop((n,), (zero,), lambda i, acc: e.max(acc, e.abs(component(*i))))
    limit = e.mul(top, NEAR)

    def earlier(i, found):
        x = component(e.index_sub(n - 1, *i))
        return e.select(e.ge(e.abs(x), limit), x, found)

    (first,) = e.loop((n,), (zero,), earlier)
    return e.select(e.lt(first, 0.0), e.neg(one), one)
