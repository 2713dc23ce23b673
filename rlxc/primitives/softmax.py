"""softmax, log_softmax, logsumexp: exponentials relative to the largest element, so that none overflows."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS
from rlxc.primitives.composite import axis_from_front, from_front, in_f64, spread
from rlxc.primitives.exact import round_to
from rlxc.primitives.families import Composite, require_dtype
from rlxc.primitives.shape import drop_axes

_MASKED = np.array([[1.0, -np.inf, 2.0], [-np.inf, 0.5, -np.inf]])
_HUGE = np.array([[1e3, 1e3 + 1, -1e3], [-1e4, -1e4, -1e4 - 2]])
_SAMPLES = (
    "f64[5]",
    "f64[2, 3]",
    Sample("f64[2, 3, 4]", axis=1),
    Sample("f64[3, 1]", axis=-1),
    Sample("f64[2, 0]", axis=1),
    Sample("f64[0, 2]", axis=1),
    Sample(_HUGE),
)


class AlongAxis(Composite):
    """Of the elements along one `axis`, the last unless stated; negative axes count from the end."""

    dtypes = FLOATS

    def infer(self, x, *, axis: int = -1):
        require_dtype(self.name, x, FLOATS)
        axis_from_front(self.name, x, axis)
        return x


@register
class Softmax(AlongAxis):
    """exp(x) / sum of exp(x) along `axis`. An element of -inf gives 0; nothing but -inf, or an inf, gives nan."""

    name = "softmax"
    samples = (*_SAMPLES, Sample(_MASKED))

    def eval(self, x, *, axis):
        z = in_f64(x)
        z = np.exp(z - _largest(z, axis))
        return round_to(z / np.sum(z, axis, keepdims=True), x.dtype)

    def decompose(self, b, x, *, axis):
        axes = (axis_from_front(self.name, x.type, axis),)
        z = b.exp(below_largest(b, x, axes))
        total = b.reduce_sum(z, axes=axes)
        return b.mul(z, spread(b, b.div(b.constant(1.0, like=total), total), x, axes))


@register
class LogSoftmax(AlongAxis):
    """x - log(sum of exp(x) along `axis`)."""

    name = "log_softmax"
    samples = _SAMPLES

    def eval(self, x, *, axis):
        z = in_f64(x)
        z = z - _largest(z, axis)
        return round_to(z - np.log(np.sum(np.exp(z), axis, keepdims=True)), x.dtype)

    def decompose(self, b, x, *, axis):
        axes = (axis_from_front(self.name, x.type, axis),)
        z = below_largest(b, x, axes)
        return b.sub(z, spread(b, b.log(b.reduce_sum(b.exp(z), axes=axes)), x, axes))


@register
class Logsumexp(Composite):
    """log(sum of exp(x) over `axes`), all axes unless stated; they disappear. -inf where all is -inf or there is nothing, inf where an inf is."""

    name = "logsumexp"
    dtypes = FLOATS
    samples = (
        "f64[5]",
        "f64[]",
        Sample("f64[2, 3, 4]", axes=(0, -1)),
        Sample("f64[2, 0]", axes=(1,)),
        Sample("f64[2, 3]", axes=()),
        Sample(_HUGE, axes=(1,)),
        Sample(_MASKED, axes=(1,)),
    )

    def infer(self, x, *, axes: tuple[int, ...] | None = None):
        require_dtype(self.name, x, FLOATS)
        return drop_axes(x, from_front(self.name, x, range(x.rank) if axes is None else axes))

    def eval(self, x, *, axes):
        axes = None if axes is None else axes
        if x.size == 0:
            return np.full(np.sum(x, axis=axes).shape, -np.inf, x.dtype)
        return round_to(np.asarray(np.logaddexp.reduce(in_f64(x), axis=tuple(range(x.ndim)) if axes is None else axes)), x.dtype)

    def decompose(self, b, x, *, axes):
        axes = from_front(self.name, x.type, range(x.type.rank) if axes is None else axes)
        top = b.stop_gradient(b.reduce_max(x, axes=axes))
        top = b.select(b.is_finite(top), top, b.zeros(top.type))
        return b.add(b.log(b.reduce_sum(b.exp(b.sub(x, spread(b, top, x, axes))), axes=axes)), top)


def below_largest(b, x, axes):
    """x less its largest element over `axes`; what is made of it must not depend on that shift, so no derivative goes through it."""
    return b.sub(x, spread(b, b.stop_gradient(b.reduce_max(x, axes=axes)), x, axes))


def _largest(z, axis):
    return np.max(z, axis, keepdims=True, initial=-np.inf)
