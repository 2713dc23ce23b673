"""Losses: cross_entropy."""

from __future__ import annotations

import math

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS, INTEGERS, TensorType
from rlxc.primitives.composite import in_f64, spread
from rlxc.primitives.exact import round_to
from rlxc.primitives.families import Composite, require_dtype
from rlxc.primitives.softmax import below_largest


@register
class CrossEntropy(Composite):
    """Cross entropy of each example: -log softmax(logits)[label] along the last axis.

    logits are [..., C], labels are integers [...], the losses are [...]. A label of `ignore_index` gives 0; any other outside of 0..C-1
    gives nan, so that it is seen.
    """

    name = "cross_entropy"
    dtypes = FLOATS
    samples = (
        Sample("f64[3, 4]", np.array([0, 3, 1], np.int32)),
        Sample("f64[4]", np.array(2, np.int64)),
        Sample("f64[2, 1, 3]", np.array([[2], [0]], np.uint8)),
        Sample("f64[0, 3]", "i32[0]"),
        Sample("f64[3, 1]", np.array([0, 0, 0], np.int8)),
        Sample("f64[4, 3]", np.array([0, -100, 2, -100], np.int64), ignore_index=-100),
        Sample(np.array([[1e3, -1e3], [0.0, -np.inf]]), np.array([1, 0], np.int32)),
    )

    def infer(self, logits, labels, *, ignore_index: int | None = None):
        require_dtype(self.name, logits, FLOATS)
        require_dtype(self.name, labels, INTEGERS)
        if logits.rank < 1 or labels.shape != logits.shape[:-1]:
            raise ShapeError(f"cross_entropy: labels {labels} do not fit logits {logits}", help="logits are [..., C] and labels [...]")
        if ignore_index is not None and not -(2**63) <= ignore_index < 2**63:
            raise AttrError("cross_entropy: ignore_index is out of range")
        return logits.with_shape(labels.shape)

    def eval(self, logits, labels, *, ignore_index):
        z = in_f64(logits)
        losses = np.full(labels.shape, np.nan)
        for i in np.ndindex(labels.shape):
            if ignore_index is not None and int(labels[i]) == ignore_index:
                losses[i] = 0
            elif 0 <= labels[i] < z.shape[-1]:
                top = z[i].max()
                losses[i] = np.log(np.sum(np.exp(z[i] - top))) - (z[i][int(labels[i])] - top)
        return round_to(losses, logits.dtype)

    def decompose(self, b, logits, labels, *, ignore_index):
        axis = logits.type.rank - 1
        logits.type.with_shape((logits.type.shape[axis],)).require_static()
        if labels.type.dtype.bits < 32:
            labels = b.convert(labels, dtype="i32")
        z = below_largest(b, logits, (axis,))
        classes = b.iota(axis=axis, type=TensorType(labels.type.dtype, logits.type.shape))
        picked = b.select(b.eq(spread(b, labels, logits, (axis,)), classes), z, b.zeros(z.type))
        loss = b.sub(b.log(b.reduce_sum(b.exp(z), axes=(axis,))), b.reduce_sum(picked, axes=(axis,)))
        known = b.and_(b.ge(labels, 0), b.lt(labels, logits.type.shape[axis]))
        loss = b.select(known, loss, b.constant(math.nan, like=loss))
        info = np.iinfo(labels.type.dtype.numpy)
        if ignore_index is None or not info.min <= ignore_index <= info.max:
            return loss
        return b.select(b.eq(labels, ignore_index), b.zeros(loss.type), loss)
