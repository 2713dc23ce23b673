"""Pooling: max_pool and avg_pool over windows of the spatial axes."""

from __future__ import annotations

import math

import numpy as np

from rlxc.errors import AttrError
from rlxc.ir.attributes import Dense
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS, REALS, DType, TensorType, dtype_of
from rlxc.primitives.composite import in_f64
from rlxc.primitives.conv import MAX_SPATIAL, Window, check_image, check_window_attrs
from rlxc.primitives.exact import round_to
from rlxc.primitives.families import Composite, require_dtype
from rlxc.primitives.reduce import lowest

_SAMPLES = (
    Sample("f64[2, 3, 6]", window=(2,)),
    Sample("f64[1, 2, 5, 4]", window=(3, 2), strides=(1, 2), padding=((1, 0), (1, 1))),
    Sample("f64[1, 2, 7]", window=(3,), strides=(2,), dilation=(2,)),
    Sample("f64[1, 1, 3, 2, 3]", window=(2, 1, 3)),
    Sample("f64[1, 2, 3]", window=(1,)),
    Sample("f64[1, 2, 2]", window=(3,)),
    Sample("f64[0, 2, 4]", window=(2,)),
    Sample(np.array([[[1.0, 1.0, np.nan, 2.0, -np.inf, -np.inf]]]), window=(2,)),
)


class Pool(Composite):
    """One number for each window of the spatial axes of x [N, C, spatial...]: [N, C, windows...].

    `window` has a size for each spatial axis, `strides` too (the windows', unless stated), `padding` a pair [lo, hi] (0 unless stated),
    `dilation` the distance of a window's elements (1 unless stated). What is left over at the end is in no window.
    """

    def infer(
        self,
        x,
        *,
        window: tuple[int, ...],
        strides: tuple[int, ...] = (),
        padding: tuple[tuple[int, int], ...] = (),
        dilation: tuple[int, ...] = (),
    ):
        require_dtype(self.name, x, self.dtypes)
        check_image(self.name, x, MAX_SPATIAL)
        if not window:
            raise AttrError(f"{self.name}: window should have a size for each spatial axis of {x}")
        x.with_shape(x.shape[2:]).require_static()
        check_window_attrs(self.name, x.rank - 2, window=window, strides=strides, dilation=dilation, padding=padding)
        if any(n < 0 for pair in padding for n in pair):
            raise AttrError(f"{self.name}: padding is 0 or more, not {[list(pair) for pair in padding]}")
        return x.with_shape((*x.shape[:2], *(v.result for v in _windows(x.shape, window, strides, padding, dilation))))

    def sliding(self, x, axes, fill):
        """For each element of a window, that element of all windows, of which there are some."""
        padded = np.full((*x.shape[:2], *(v.padded for v in axes)), fill, x.dtype)
        padded[(..., *(slice(v.lo, v.lo + v.size) for v in axes))] = x
        for k in np.ndindex(*(v.kernel for v in axes)):
            starts = [i * v.dilation for i, v in zip(k, axes, strict=True)]
            yield padded[(..., *(slice(at, at + (v.result - 1) * v.stride + 1, v.stride) for at, v in zip(starts, axes, strict=True)))]

    def over_windows(self, b, reduce, x, window, strides, padding, dilation):
        """`reduce` over windows, which has an entry for N and C in each attribute."""
        rank = len(window)
        strides, padding, dilation = strides or window, padding or ((0, 0),) * rank, dilation or (1,) * rank
        return reduce(x, window=(1, 1, *window), strides=(1, 1, *strides), padding=((0, 0), (0, 0), *padding), dilation=(1, 1, *dilation))


@register
class MaxPool(Pool):
    """The largest element of each window of the spatial axes of x [N, C, spatial...]; nan where one is.

    Padding never wins: a window of padding alone gives -inf (the lowest integer). Elements that tie share the derivative equally.
    """

    name = "max_pool"
    dtypes = REALS
    computes = False
    samples = (*_SAMPLES, Sample("i32[1, 1, 4]", window=(2,), padding=((1, 1),)))

    def eval(self, x, *, window, strides, padding, dilation):
        axes = _windows(x.shape, window, strides, padding, dilation)
        out = np.full((*x.shape[:2], *(v.result for v in axes)), lowest(dtype_of(x.dtype)), x.dtype)
        if out.size:
            for part in self.sliding(x, axes, lowest(dtype_of(x.dtype))):
                out = np.maximum(out, part)
        return out

    def decompose(self, b, x, *, window, strides, padding, dilation):
        return self.over_windows(b, b.reduce_window_max, x, window, strides, padding, dilation)


@register
class AvgPool(Pool):
    """The mean of each window of the spatial axes of x [N, C, spatial...].

    Padding counts as zeros; with `count_include_pad = false` it does not count at all, and a window of padding alone gives 0.
    """

    name = "avg_pool"
    dtypes = FLOATS
    samples = (*_SAMPLES[:-1], Sample("f64[1, 2, 5, 4]", window=(3, 2), strides=(1, 2), padding=((1, 3), (1, 1)), count_include_pad=False))

    def infer(
        self,
        x,
        *,
        window: tuple[int, ...],
        strides: tuple[int, ...] = (),
        padding: tuple[tuple[int, int], ...] = (),
        dilation: tuple[int, ...] = (),
        count_include_pad: bool = True,
    ):
        return super().infer(x, window=window, strides=strides, padding=padding, dilation=dilation)

    def eval(self, x, *, window, strides, padding, dilation, count_include_pad):
        axes = _windows(x.shape, window, strides, padding, dilation)
        total = np.zeros((*x.shape[:2], *(v.result for v in axes)))
        inside = np.zeros(total.shape)
        if total.size:
            for part, real in zip(self.sliding(in_f64(x), axes, 0), self.sliding(np.ones(x.shape), axes, 0), strict=True):
                total, inside = total + part, inside + real
        return round_to(total / (math.prod(window) if count_include_pad else np.maximum(inside, 1)), x.dtype)

    def decompose(self, b, x, *, window, strides, padding, dilation, count_include_pad):
        total = self.over_windows(b, b.reduce_window_sum, x, window, strides, padding, dilation)
        if count_include_pad or not any(n for pair in padding for n in pair):
            return b.div(total, float(math.prod(window)))
        counts = np.ones(())
        for v in _windows(x.type.shape, window, strides, padding, dilation):
            places = np.arange(v.result)[:, None] * v.stride + np.arange(v.kernel) * v.dilation - v.lo
            counts = np.multiply.outer(counts, np.sum((places >= 0) & (places < v.size), axis=1))
        type = TensorType(DType(x.type.dtype), total.type.shape[2:])
        divisor = b.constant(Dense(np.maximum(counts, 1), type), type=type)
        return b.div(total, b.broadcast(divisor, shape=total.type.shape, axes=(0, 1)))


def _windows(shape, window, strides, padding, dilation) -> list[Window]:
    rank = len(window)
    walks = zip(shape[2:], window, strides or window, padding or ((0, 0),) * rank, dilation or (1,) * rank, strict=True)
    return [Window(n, k, s, lo, hi, d, 1) for n, k, s, (lo, hi), d in walks]
