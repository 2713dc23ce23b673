"""Windows that slide over an array: sliding_windows, overlap_add (its transpose), and reductions over windows, for pooling.

sliding_windows %x {axes = [0], window = [3], strides = [2]}      y[m, k] = x[2 m + k]
reduce_window_max %x {window = [1, 3], strides = [1, 2], padding = [[0, 0], [1, 1]]}
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.emitter import Memory
from rlxc.ir.primitive import Cost, Primitive, Sample, lookup, register
from rlxc.ir.types import ANY, NUMBERS, REALS, Dim, dtype_of
from rlxc.primitives.axes import check_axes, check_one_per_axis, scalar
from rlxc.primitives.families import LinearMap, require_dtype
from rlxc.primitives.pad import Pad
from rlxc.primitives.reduce import in_f32
from rlxc.primitives.shape import Movement
from rlxc.primitives.window_loops import Slide, add_by_phases, reduce_copies

MAX_PHASES = 16  # of windows that are added up
MAX_UNROLLED = 32  # elements of a window that are written out rather than looped over


def window_count(n: int, window: int, stride: int, dilation: int) -> int:
    """How many windows fit into `n` elements."""
    span = (window - 1) * dilation + 1
    return 0 if n < span else (n - span) // stride + 1


def window_attributes(name: str, count: int, window: Any, strides: Any, dilation: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Strides and dilation with their default, 1; raises unless all are positive and as many as `count`."""
    strides = (1,) * count if strides is None else strides
    dilation = (1,) * count if dilation is None else dilation
    for key, entries in (("window", window), ("strides", strides), ("dilation", dilation)):
        if len(entries) != count or any(k < 1 for k in entries):
            raise AttrError(f"{name}: {key} = {list(entries)}", help=f"{count} numbers, each at least 1")
    return strides, dilation


@register
class SlidingWindows(Movement):
    """Windows of x along `axes`: the sizes of those axes become the numbers of windows, and the window's elements are new last axes.

    Element k of window m along an axis is x[m stride + k dilation]. What is left at the end is not part of any window.
    """

    name = "sliding_windows"
    index_map = True
    samples = (
        Sample("f64[6]", axes=(0,), window=(3,)),
        Sample("f64[2, 7]", axes=(1,), window=(2,), strides=(3,), dilation=(2,)),
        Sample("f64[5, 4]", axes=(1, 0), window=(2, 3), strides=(2, 1)),
        Sample("f64[2]", axes=(0,), window=(3,)),
        Sample("f64[4, 0]", axes=(0,), window=(2,)),
        Sample("f64[]", axes=(), window=()),
    )

    def infer(self, x, *, axes: tuple[int, ...], window: tuple[int, ...], strides: tuple[int, ...] | None = None, dilation: tuple[int, ...] | None = None):
        require_dtype(self.name, x, ANY)
        check_axes(self.name, x, axes)
        strides, dilation = window_attributes(self.name, len(axes), window, strides, dilation)
        shape = list(x.shape)
        for a, w, s, d in zip(axes, window, strides, dilation, strict=True):
            if isinstance(x.shape[a], Dim):
                raise ShapeError(f"{self.name}: axis {a} of {x} has no size yet", code="RLX0206")
            shape[a] = window_count(x.shape[a], w, s, d)
        return x.with_shape((*shape, *window))

    def eval(self, x, *, axes, window, strides=None, dilation=None):
        strides, dilation = window_attributes(self.name, len(axes), window, strides, dilation)
        counts = {a: window_count(x.shape[a], w, s, d) for a, w, s, d in zip(axes, window, strides, dilation, strict=True)}
        shape = [counts.get(a, n) for a, n in enumerate(x.shape)]
        if 0 in shape:
            return np.zeros((*shape, *window), x.dtype)
        steps = [x.strides[a] * (strides[axes.index(a)] if a in axes else 1) for a in range(x.ndim)]
        inner = [x.strides[a] * d for a, d in zip(axes, dilation, strict=True)]
        return np.lib.stride_tricks.as_strided(x, (*shape, *window), (*steps, *inner), writeable=False)

    def transpose(self, b, cts, operands, *, axes, window, strides, dilation):
        sizes = tuple(operands[0].type.shape[a] for a in axes)
        return (b.overlap_add(cts[0], axes=axes, sizes=sizes, strides=strides, dilation=dilation),)

    def batch(self, b, x, *, batched, axes, window, strides, dilation):
        return b.sliding_windows(x, axes=tuple(a + 1 for a in axes), window=window, strides=strides, dilation=dilation)

    def element(self, e, index, x, *, axes, window, strides, dilation):
        strides, dilation = window_attributes(self.name, len(axes), window, strides, dilation)
        rank = x.type.rank
        at = list(index[:rank])
        for a, k, s, d in zip(axes, index[rank:], strides, dilation, strict=True):
            at[a] = e.index_add(e.index_mul(at[a], s), e.index_mul(k, d))
        return x(at)

    def reuses(self, operand):
        return True

    def fold(self, b, x, *, axes, window, strides, dilation):
        """No axes."""
        return x if not axes else None


@register
class OverlapAdd(LinearMap):
    """The array of `sizes` along `axes` whose windows are added up from x, which has the shape that sliding_windows gives."""

    name = "overlap_add"
    stores_once = True
    dtypes = NUMBERS
    cost = Cost(flops=2, recompute=False)
    samples = (
        Sample("f64[4, 3]", axes=(0,), sizes=(6,)),
        Sample("f64[2, 2, 2]", axes=(1,), sizes=(7,), strides=(3,), dilation=(2,)),
        Sample("f64[3, 2, 2, 3]", axes=(1, 0), sizes=(4, 5), strides=(2, 1)),
        Sample("f64[3, 2]", axes=(0,), sizes=(7,), strides=(2,)),
        Sample("f64[2, 2]", axes=(0,), sizes=(5,), strides=(3,)),
        Sample("f64[0, 3]", axes=(0,), sizes=(2,)),
        Sample("f64[]", axes=(), sizes=()),
    )

    def infer(self, x, *, axes: tuple[int, ...], sizes: tuple[int, ...], strides: tuple[int, ...] | None = None, dilation: tuple[int, ...] | None = None):
        require_dtype(self.name, x, NUMBERS)
        rank = x.rank - len(axes)
        if any(not 0 <= a < rank for a in axes) or len(set(axes)) != len(axes):
            raise AttrError(f"{self.name}: axes {list(axes)} are not distinct axes of {x} less a window's axes")
        window = x.shape[rank:]
        if any(isinstance(w, Dim) for w in window):
            raise ShapeError(f"{self.name}: the window in {x} has no size yet", code="RLX0206")
        strides, dilation = window_attributes(self.name, len(axes), window, strides, dilation)
        if len(sizes) != len(axes) or any(n < 0 for n in sizes):
            raise AttrError(f"{self.name}: sizes = {list(sizes)} for axes {list(axes)}")
        shape = list(x.shape[:rank])
        for a, n, w, s, d in zip(axes, sizes, window, strides, dilation, strict=True):
            if window_count(n, w, s, d) != shape[a]:
                raise ShapeError(f"{self.name}: {n} elements have {window_count(n, w, s, d)} windows of {w}, axis {a} of {x} has another number")
            shape[a] = n
        return x.with_shape(shape)

    def eval(self, x, *, axes, sizes, strides=None, dilation=None):
        rank = x.ndim - len(axes)
        window = x.shape[rank:]
        strides, dilation = window_attributes(self.name, len(axes), window, strides, dilation)
        wide = in_f32(x)
        shape = [sizes[axes.index(a)] if a in axes else n for a, n in enumerate(x.shape[:rank])]
        out = np.zeros(shape, wide.dtype)
        for inner in np.ndindex(window):
            at = [slice(None)] * rank
            for a, k, s, d in zip(axes, inner, strides, dilation, strict=True):
                at[a] = slice(k * d, k * d + (x.shape[a] - 1) * s + 1 if x.shape[a] else k * d, s)
            out[tuple(at)] += wide[(..., *inner)]
        return out.astype(x.dtype)

    def legalize(self, b, x, **attrs):
        if not x.type.dtype.is_narrow:
            return None
        return b.convert(b.overlap_add(b.convert(x, dtype="f32"), **attrs), dtype=x.type.dtype)

    def transpose(self, b, cts, operands, *, axes, sizes, strides, dilation):
        (x,) = operands
        window = x.type.shape[x.type.rank - len(axes) :]
        return (b.sliding_windows(cts[0], axes=axes, window=window, strides=strides, dilation=dilation),)

    def batch(self, b, x, *, batched, axes, sizes, strides, dilation):
        return b.overlap_add(x, axes=tuple(a + 1 for a in axes), sizes=sizes, strides=strides, dilation=dilation)

    def lower(self, e, reads, writes, *, axes, sizes, strides, dilation):
        """Phase by phase where windows overlap and phases are few; else element by element."""
        (x,), (out,) = reads, writes
        window = x.type.shape[out.type.rank :]
        strides, dilation = window_attributes(self.name, len(axes), window, strides, dilation)
        slides = [Slide(a, n, x.type.shape[a], *walk) for a, n, *walk in zip(axes, sizes, window, strides, dilation, strict=True)]
        slides.sort(key=lambda s: s.axis)
        ordered = list(axes) == [s.axis for s in slides]
        overlap = any(s.stride <= (s.window - 1) * s.dilation for s in slides)
        few = math.prod(strides) <= MAX_PHASES and math.prod(window) <= MAX_UNROLLED
        if overlap and few and ordered and 0 not in x.type.shape and 0 not in out.type.shape:
            add_by_phases(e, x, out, slides)
        else:
            attrs = {"axes": axes, "sizes": sizes, "strides": strides, "dilation": dilation}
            e.for_each(out.type.shape, lambda index: out.store(index, self.element(e, index, x, **attrs)))

    def element(self, e, index, x, *, axes, sizes, strides, dilation):
        rank = len(index)
        window = x.type.shape[rank:]
        strides, dilation = window_attributes(self.name, len(axes), window, strides, dilation)
        apart = [s >= w and d == 1 for w, s, d in zip(window, strides, dilation, strict=True)]  # windows that do not overlap: one k fits
        steps = [1 if alone else w for alone, w in zip(apart, window, strict=True)]

        def read(inner):
            outer, within, exact = list(index), list(inner), None
            for p, (a, s, d) in enumerate(zip(axes, strides, dilation, strict=True)):
                if apart[p] and x.type.shape[a] == 1:
                    outer[a], within[p] = 0, index[a]
                elif apart[p]:
                    outer[a] = e.index_div(index[a], s)
                    within[p] = e.index_rem(index[a], s)
                else:
                    first = e.index_sub(index[a], e.index_mul(inner[p], d))
                    outer[a] = e.index_div(first, s)
                    if s > 1:
                        hit = e.eq(e.as_index(e.index_rem(first, s)), 0)
                        exact = hit if exact is None else e.and_(exact, hit)
            found = e.read_or(x, [*outer, *within], 0)
            return found if exact is None else e.select(exact, found, 0)

        if math.prod(steps) <= MAX_UNROLLED:
            return functools.reduce(e.add, map(read, np.ndindex(*steps)))
        return e.loop(steps, (e.constant(0, dtype=x.type.dtype),), lambda inner, acc: e.add(acc, read(inner)))[0]

    def reuses(self, operand):
        return False

    def fold(self, b, x, *, axes, sizes, strides, dilation):
        """No axes."""
        return x if not axes else None


class ReduceWindow(Primitive):
    """The elements of each window combined; `padding` adds neutral elements before and after each axis, `dilation` spreads a window.

    One entry for each axis of x in each attribute; strides and dilation are 1 and padding is 0 unless given.
    """

    dtypes: ClassVar = REALS
    reduction_op: ClassVar[Any]
    stores_once = True
    cost = Cost(flops=8, recompute=False)
    samples: ClassVar[Sequence[Any]] = (
        Sample("f64[6]", window=(3,)),
        Sample("f64[2, 7]", window=(1, 2), strides=(1, 3), dilation=(1, 2)),
        Sample("f64[4, 5]", window=(2, 3), strides=(2, 1), padding=((1, 0), (0, 2))),
        Sample("f64[1, 2, 4, 4]", window=(1, 1, 2, 2), strides=(1, 1, 2, 2)),
        Sample("f64[40]", window=(39,)),
        Sample("f64[2]", window=(1,), strides=(2,)),
        Sample("f64[3]", window=(1,)),
        Sample("f64[2]", window=(3,)),
        Sample("f64[]", window=()),
    )

    def infer(
        self,
        x,
        *,
        window: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
        padding: tuple[tuple[int, int], ...] | None = None,
        dilation: tuple[int, ...] | None = None,
    ):
        require_dtype(self.name, x, REALS)
        strides, dilation = window_attributes(self.name, x.rank, window, strides, dilation)
        low, high = _borders(x.rank, padding)
        check_one_per_axis(self.name, x, padding=low)
        padded = Pad().infer(x, x.with_shape(()), low=low, high=high)
        axes = _slid(window, strides)
        windows = SlidingWindows().infer(padded, **_along(axes, window, strides, dilation))
        return windows.with_shape(windows.shape[: x.rank])

    def eval(self, x, *, window, strides=None, padding=None, dilation=None):
        strides, dilation = window_attributes(self.name, x.ndim, window, strides, dilation)
        low, high = _borders(x.ndim, padding)
        neutral = np.asarray(self.reduction_op.neutral(dtype_of(x.dtype))).astype(x.dtype)
        padded = Pad().eval(x, neutral, low=low, high=high)
        axes = _slid(window, strides)
        windows = SlidingWindows().eval(padded, **_along(axes, window, strides, dilation))
        return self.reduction_op.eval(windows, axes=tuple(range(x.ndim, windows.ndim)))

    def legalize(self, b, x, *, window, strides, padding, dilation):
        """Padding becomes a pad; narrow floats are combined in f32."""
        low, high = _borders(x.type.rank, padding)
        attrs = {"window": window, "strides": strides, "dilation": dilation}
        if x.type.dtype.is_narrow:
            return b.convert(b.apply(self, b.convert(x, dtype="f32"), padding=padding, **attrs), dtype=x.type.dtype)
        if not any((*low, *high)):
            return None
        padded = b.pad(x, scalar(b, self.reduction_op.neutral(x.type.dtype), x), low=low, high=high)
        return b.apply(self, padded, **attrs)

    def windows(self, b, x, *, window, strides, dilation):
        """x in windows, and the axes of their elements."""
        rank = x.type.rank
        strides, dilation = window_attributes(self.name, rank, window, strides, dilation)
        axes = _slid(window, strides)
        return b.sliding_windows(x, **_along(axes, window, strides, dilation)), tuple(range(rank, rank + len(axes)))

    def batch(self, b, x, *, batched, window, strides, padding, dilation):
        padding = None if padding is None else ((0, 0), *padding)
        strides, dilation = (None if v is None else (1, *v) for v in (strides, dilation))
        return b.apply(self, x, window=(1, *window), strides=strides, padding=padding, dilation=dilation)

    def lower(self, e, reads, writes, *, window, strides, padding, dilation):
        """What is fused to x is computed once for each element where windows overlap: it is copied, as much as the windows slide over at a time."""
        (x,), (out,) = reads, writes
        attrs = {"window": window, "strides": strides, "padding": padding, "dilation": dilation}
        walk = strides or (1,) * len(window)
        first = min(_slid(window, walk), default=0)
        plane = math.prod(x.type.shape[first:]) * x.type.dtype.size
        if isinstance(x, Memory) or math.prod(window) <= math.prod(walk) or plane > e.target.l2 or 0 in out.type.shape:
            e.for_each(out.type.shape, lambda index: out.store(index, self.element(e, index, x, **attrs)))
        else:
            reduce_copies(e, x, out, first, math.prod(window), lambda copy, index: self.element(e, index, copy, **attrs))

    def element(self, e, index, x, *, window, strides, padding, dilation):
        """Small windows are written out, so that the loop over the result is the innermost and becomes vector code."""
        strides, dilation = window_attributes(self.name, len(index), window, strides, dilation)
        first = [e.index_mul(i, s) for i, s in zip(index, strides, strict=True)]
        combine = getattr(e, self.reduction_op.combine)

        def read(inner):
            return x([e.index_add(i, e.index_mul(k, d)) for i, k, d in zip(first, inner, dilation, strict=True)])

        if math.prod(window) <= MAX_UNROLLED:
            return functools.reduce(combine, map(read, np.ndindex(*window)))
        init = e.constant(self.reduction_op.neutral(x.type.dtype), dtype=x.type.dtype)
        return e.loop(window, (init,), lambda inner, acc: combine(acc, read(inner)))[0]

    def reuses(self, operand):
        return True

    def fold(self, b, x, *, window, strides, padding, dilation):
        """Windows of one element, one after the other."""
        low, high = _borders(x.type.rank, padding)
        strides = (1,) * len(window) if strides is None else strides
        return x if not any((*low, *high)) and not _slid(window, strides) else None


def _borders(rank, padding):
    padding = ((0, 0),) * rank if padding is None else padding
    return tuple(p[0] for p in padding), tuple(p[1] for p in padding)


def _slid(window, strides):
    """The axes along which a window does something."""
    return tuple(a for a, (w, s) in enumerate(zip(window, strides, strict=True)) if (w, s) != (1, 1))


def _along(axes, window, strides, dilation):
    return {"axes": axes, **{key: tuple(v[a] for a in axes) for key, v in (("window", window), ("strides", strides), ("dilation", dilation))}}


@register
class ReduceWindowSum(ReduceWindow, LinearMap):
    """The sum of each window."""

    name = "reduce_window_sum"
    reduction_op = lookup("reduce_sum")

    def transpose(self, b, cts, operands, *, window, strides, padding, dilation):
        (x,) = operands
        rank = x.type.rank
        strides, dilation = window_attributes(self.name, rank, window, strides, dilation)
        axes = _slid(window, strides)
        along = _along(axes, window, strides, dilation)
        along["sizes"] = tuple(x.type.shape[a] for a in axes)
        shape = (*cts[0].type.shape, *along.pop("window"))
        windows = b.broadcast(cts[0], shape=shape, axes=tuple(range(rank, len(shape)))) if axes else cts[0]
        return (b.overlap_add(windows, **along),)


class WindowExtremum(ReduceWindow):
    """The tangent is the mean of those of the elements of the window that attain the extreme."""

    def jvp(self, b, primals, tangents, outs, *, padding, **attrs):
        windows, inner = self.windows(b, primals[0], **attrs)
        if 0 in windows.type.shape:
            return (None,)
        moved, _ = self.windows(b, tangents[0], **attrs)
        best = b.broadcast(outs[0], shape=windows.type.shape, axes=inner) if inner else outs[0]
        attains = b.eq(windows, best)
        count = b.reduce_sum(b.convert(attains, dtype=windows.type.dtype), axes=inner)
        total = b.reduce_sum(b.select(attains, moved, b.zeros(moved.type)), axes=inner)
        return (b.div(total, count),)


@register
class ReduceWindowMax(WindowExtremum):
    """The largest element of each window."""

    name = "reduce_window_max"
    reduction_op = lookup("reduce_max")


@register
class ReduceWindowMin(WindowExtremum):
    """The smallest element of each window."""

    name = "reduce_window_min"
    reduction_op = lookup("reduce_min")
