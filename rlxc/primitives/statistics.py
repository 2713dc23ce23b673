"""Statistics over axes: mean, var, std."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from rlxc.errors import AttrError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS, INEXACT
from rlxc.primitives.composite import count, from_front, in_f64, mean_over, spread
from rlxc.primitives.exact import round_to
from rlxc.primitives.families import Composite, require_dtype
from rlxc.primitives.shape import drop_axes

_SAMPLES = (
    "f64[5]",
    Sample("f64[2, 3]", axes=(0,)),
    Sample("f64[2, 3, 4]", axes=(-1, 0)),
    Sample("f64[3, 1]", axes=(1,)),
    Sample("f64[2, 0]", axes=(0,)),
)


class Statistic(Composite):
    """Of the elements over `axes`, all unless stated, which disappear; negative axes count from the end."""

    dtypes: ClassVar = FLOATS

    def infer(self, x, *, axes: tuple[int, ...] | None = None):
        require_dtype(self.name, x, self.dtypes)
        return drop_axes(x, _axes_of(self.name, x, axes))


@register
class Mean(Statistic):
    """The sum over `axes` (all unless stated) divided by the number of elements; nan where there are none."""

    name = "mean"
    dtypes = INEXACT
    samples = (*_SAMPLES, "f64[]", Sample("f64[2, 3]", axes=()), Sample("f64[2, 0]", axes=(1,)))

    def eval(self, x, *, axes):
        return round_to(np.asarray(_mean(in_f64(x), axes)), x.dtype)

    def decompose(self, b, x, *, axes):
        return mean_over(b, x, _axes_of(self.name, x.type, axes))


class Spread(Statistic):
    """Of the squared distances from the mean."""

    def infer(self, x, *, axes: tuple[int, ...] | None = None, ddof: int = 0):
        if ddof < 0:
            raise AttrError(f"{self.name}: ddof is 0 or more, not {ddof}")
        return super().infer(x, axes=axes)


@register
class Var(Spread):
    """The sum of squared distances from the mean over `axes` (all unless stated), divided by (number of elements - ddof)."""

    name = "var"
    samples = (*_SAMPLES, Sample("f64[4, 2]", axes=(0,), ddof=1), Sample(np.array([1e8, 1e8 + 1, 1e8 + 2])))

    def eval(self, x, *, axes, ddof):
        return round_to(np.asarray(_var(in_f64(x), axes, ddof)), x.dtype)

    def decompose(self, b, x, *, axes, ddof):
        axes = _axes_of(self.name, x.type, axes)
        distance = b.sub(x, spread(b, mean_over(b, x, axes), x, axes))
        return b.div(b.reduce_sum(b.mul(distance, distance), axes=axes), float(max(0, count(x.type, axes) - ddof)))


@register
class Std(Spread):
    """The square root of `var`. Its gradient at a constant x is not finite."""

    name = "std"
    samples = (*(s for s in _SAMPLES if s not in _SAMPLES[3:4]), Sample("f64[4, 2]", axes=(0,), ddof=1))

    def eval(self, x, *, axes, ddof):
        return round_to(np.asarray(np.sqrt(_var(in_f64(x), axes, ddof))), x.dtype)

    def decompose(self, b, x, *, axes, ddof):
        return b.sqrt(b.var(x, axes=axes, ddof=ddof))


def _axes_of(name, x, axes):
    return from_front(name, x, range(x.rank) if axes is None else axes)


def _mean(z, axes, keepdims=False):
    """np.mean without its warning about empty slices."""
    return np.sum(z, axis=axes, keepdims=keepdims) / np.float64(_size(z, axes))


def _var(z, axes, ddof):
    return np.sum((z - _mean(z, axes, True)) ** 2, axis=axes) / np.float64(max(0, _size(z, axes) - ddof))


def _size(z, axes):
    return math.prod(z.shape[a] for a in (range(z.ndim) if axes is None else axes))
