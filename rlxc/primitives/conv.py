"""conv: windows of an image times a kernel, in one to three spatial dimensions; transposed convolution is the same op.

    conv %x, %w {strides = [2, 2], padding = [[1, 1], [1, 1]]}

    x       [N, C, spatial...]            N images, C channels
    w       [O, C / groups, kernel...]    O channels of the result; [C, O / groups, kernel...] if it is to be `turned` around
    result  [N, O, spatial...], or [O, N, spatial...] if it is to be `swapped`

    z[n, o, p] = sum over c, k of x[n, g + c, (p strides + k dilation - lo) / lhs_dilation] w[o, c, k]      (g: first channel of o's group)

Where x is read outside of its bounds it is 0, and multiplies w like any other element (0 times an infinite w is nan). Between its elements,
if it is dilated, there is nothing: what is not a whole number of lhs_dilations is left out of the sum. The kernel is not turned around: it
is a correlation, as in every neural network library. Negative padding cuts x.

See Note [Cotangents of a convolution].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import REALS, TensorType
from rlxc.primitives.contraction.conv_phases import lower_phases
from rlxc.primitives.contraction.conv_shape import Shape, SwappedResult, TurnedKernel
from rlxc.primitives.contraction.convolution import lower_convolution
from rlxc.primitives.conv_loops import lower_conv
from rlxc.primitives.families import Composite, Multilinear, is_linear, require_dtype, same_dtype

MAX_SPATIAL = 3
MIN_PRODUCTS = 1024  # a convolution of fewer is not worth a schedule


@dataclass(frozen=True, slots=True)
class Window:
    """How one spatial dimension is walked: `size` elements, dilated and padded, under a kernel of `kernel` elements."""

    size: int
    kernel: int
    stride: int
    lo: int
    hi: int
    dilation: int
    lhs_dilation: int

    @property
    def padded(self) -> int:
        """Extent of x, dilated and padded."""
        return _extent(self.size, self.lhs_dilation) + self.lo + self.hi

    @property
    def reach(self) -> int:
        """Extent of the dilated kernel."""
        return _extent(self.kernel, self.dilation)

    @property
    def result(self) -> int:
        """How many places the kernel has in x."""
        return max(0, (self.padded - self.reach) // self.stride + 1)


def _extent(size: int, dilation: int) -> int:
    return (size - 1) * dilation + 1 if size else 0


@register
class Conv(Multilinear):
    """Convolution (correlation) of x [N, C, spatial...] with w [O, C / groups, kernel...] to [N, O, spatial...].

    One to three spatial dimensions. `strides`, `dilation` (of the kernel) and `lhs_dilation` (of x) are 1 where left out, `padding` is
    `[[lo, hi], ...]` and 0 where left out. The result has (extent of dilated and padded x - extent of the dilated kernel) // stride + 1
    elements along an axis, or none. With `swapped`, it is [O, N, spatial...]. With `turned`, w is [C, O / groups, kernel...] and its spatial
    axes are read backwards. Integers wrap around; f16 and bf16 are summed in f32.
    """

    name = "conv"
    stores_once = True
    dtypes = REALS
    linear_in = (0, 1)
    contraction = True
    cost = Cost(flops=2, recompute=False)
    samples = (
        Sample("f64[2, 3, 7]", "f64[4, 3, 3]"),
        Sample("f64[1, 2, 8]", "f64[4, 1, 3]", strides=(2,), padding=((1, 2),), groups=2),
        Sample("f64[2, 2, 5, 6]", "f64[3, 2, 3, 2]", strides=(2, 3), padding=((1, 0), (2, 1)), dilation=(1, 2)),
        Sample("f64[1, 4, 4, 4]", "f64[2, 2, 1, 1]", groups=2),
        Sample("f64[1, 2, 3]", "f64[2, 2, 2]", lhs_dilation=(3,), padding=((2, 2),)),
        Sample("f64[1, 1, 3, 4, 3]", "f64[2, 1, 2, 2, 1]", padding=((0, 1), (1, 0), (0, 0))),
        Sample("f64[1, 1, 6]", "f64[1, 1, 2]", padding=((-1, -2),)),
        Sample("f64[0, 2, 4]", "f64[3, 2, 2]"),
        Sample("f64[2, 0, 4]", "f64[3, 0, 2]"),
        Sample("f64[1, 1, 2]", "f64[1, 1, 5]"),
        Sample("i32[1, 2, 4]", "i32[2, 2, 3]"),
        Sample("f64[2, 4, 5]", "f64[6, 2, 3]", padding=((1, 0),), groups=2, swapped=True),
        Sample("f64[2, 3, 4]", "f64[4, 3, 1]", swapped=True),
        Sample("f64[2, 4, 5]", "f64[4, 3, 2]", padding=((1, 0),), groups=2, turned=True),
        Sample("f64[2, 3, 4]", "f64[3, 4, 1]", swapped=True, turned=True),
        Sample("f64[1, 2, 3, 4]", "f64[2, 3, 2, 3]", strides=(1, 2), lhs_dilation=(2, 1), padding=((1, 1), (0, 1)), turned=True),
    )

    def infer(
        self,
        x,
        w,
        *,
        strides: tuple[int, ...] = (),
        padding: tuple[tuple[int, int], ...] = (),
        dilation: tuple[int, ...] = (),
        lhs_dilation: tuple[int, ...] = (),
        groups: int = 1,
        swapped: bool = False,
        turned: bool = False,
    ):
        require_dtype(self.name, x, REALS)
        require_dtype(self.name, w, REALS)
        dtype = same_dtype(self.name, (x, w))
        check_image(self.name, x, MAX_SPATIAL)
        if w.rank != x.rank:
            raise ShapeError(f"conv: {w} is no kernel for {x}", help="x is [N, C, spatial...] and w is [O, C / groups, kernel...]")
        for t in (x, w):
            t.with_shape(t.shape[2:]).require_static()
        check_window_attrs(self.name, x.rank - 2, strides=strides, dilation=dilation, lhs_dilation=lhs_dilation, padding=padding)
        if turned:
            w = _turned_type(self.name, w, groups)
        check_groups(self.name, groups, x, w)
        if any(k == 0 for k in w.shape[2:]):
            raise ShapeError(f"conv: a kernel has one element or more along each axis, not {w}")
        channels = (w.shape[0], x.shape[0]) if swapped else (x.shape[0], w.shape[0])
        return TensorType(dtype, (*channels, *(v.result for v in windows(x, w, strides, padding, dilation, lhs_dilation))))

    def eval(self, x, w, *, swapped, turned, groups, **attrs):
        if turned:
            w = np.swapaxes(w.reshape(groups, w.shape[0] // groups, *w.shape[1:]), 1, 2)
            w = np.flip(w.reshape(groups * w.shape[1], *w.shape[2:]), tuple(range(2, w.ndim - 1)))
        out = self.products(x, w, groups=groups, **attrs)
        return np.swapaxes(out, 0, 1) if swapped else out

    def products(self, x, w, *, strides, padding, dilation, lhs_dilation, groups):
        if x.dtype.kind not in "iu" and x.dtype.itemsize < 4:
            wide = self.products(
                *(a.astype(np.float32) for a in (x, w)),
                strides=strides,
                padding=padding,
                dilation=dilation,
                lhs_dilation=lhs_dilation,
                groups=groups,
            )
            return wide.astype(x.dtype)
        axes = windows(x, w, strides, padding, dilation, lhs_dilation)
        x = _dilated_and_padded(x, axes)
        n, size = x.shape[0], [v.result for v in axes]
        x = x.reshape(n, groups, x.shape[1] // groups, *x.shape[2:])
        w = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
        total = np.zeros((n, groups, w.shape[1], *size), x.dtype)
        if total.size == 0:
            return total.reshape(n, groups * w.shape[1], *size)
        for k in np.ndindex(*w.shape[3:]):
            met = [_places_met(v, i) for i, v in zip(k, axes, strict=True)]
            if all(met):
                under = (
                    slice(i * v.dilation + p.start * v.stride, i * v.dilation + p[-1] * v.stride + 1, v.stride * p.step)
                    for i, p, v in zip(k, met, axes, strict=True)
                )
                places = (..., *(slice(p.start, p.stop, p.step) for p in met))
                total[places] += np.einsum("ngc...,goc->ngo...", x[(..., *under)], w[(..., *k)], optimize=False)
        return total.reshape(n, groups * w.shape[1], *size)

    def legalize(self, b, x, w, *, swapped, turned, groups, **walks):
        attrs = {**walks, "groups": groups, "swapped": swapped, "turned": turned}
        if x.type.dtype.is_narrow:
            return b.convert(b.conv(b.convert(x, dtype="f32"), b.convert(w, dtype="f32"), **attrs), dtype=x.type.dtype)
        axes = windows(x.type, w.type, **walks)
        if groups > 1 or any((v.kernel, v.stride, v.lo, v.hi, v.lhs_dilation) != (1, 1, 0, 0, 1) for v in axes):
            return None
        place = "xyz"[: len(axes)]  # one product a pixel
        return b.contract(x, b.reshape(w, shape=w.type.shape[:2]), spec=f"nc{place},{'co' if turned else 'oc'}->{'on' if swapped else 'no'}{place}")

    def transpose(self, b, cts, operands, *, strides, padding, dilation, lhs_dilation, groups, swapped, turned):
        (ct,) = cts
        x, w = operands
        if 0 in ct.type.shape:
            return None, None
        if swapped:
            ct = b.transpose(ct, perm=_swapped(ct.type.rank))
        axes = windows(x.type, w.type, strides, padding, dilation, lhs_dilation)
        if is_linear(x):
            return _conv(b, ct, w, [_walked_back(v) for v in axes], groups, turned=not turned), None
        dw = _cotangent_of_kernel(b, ct, x, axes, groups)
        return None, _turned_around(b, dw, groups) if turned else dw

    def flops(self, operands, results, *, groups, turned, **attrs):
        """A product and a sum for each element of the result and of the kernel that makes it."""
        outputs = operands[1].shape[1] * groups if turned else operands[1].shape[0]
        return 2.0 * results[0].size * (operands[1].size // max(outputs, 1))

    def batch(self, b, x, w, *, batched, swapped, turned, groups, **attrs):
        if turned and batched[1]:
            w, turned = _turned_around(b, w, groups, batched=1), False
        if turned:
            attrs["turned"] = True
        out = self.batch_images_first(b, x, w, batched=batched, groups=groups, **attrs)
        return b.transpose(out, perm=(0, 2, 1, *range(3, out.type.rank))) if swapped else out

    def batch_images_first(self, b, x, w, *, batched, groups, **attrs):
        """A batch of images joins N; a batch of kernels joins O; a batch of both is one more set of groups."""
        n = x.type.shape[0] if batched[0] else w.type.shape[0]
        if not batched[1]:
            out = b.conv(_merge(b, x, 0), w, groups=groups, **attrs)
            return _split(b, out, 0, n)
        if not batched[0]:
            w = _merge(b, b.transpose(_split(b, w, 1, groups), perm=_swapped(w.type.rank + 1)), 0)
            out = b.conv(x, _merge(b, w, 0), groups=groups, **attrs)
            out = _split(b, _split(b, out, 1, groups), 2, n)
            out = b.transpose(out, perm=(2, 0, 1, *range(3, out.type.rank)))
            return _merge(b, out, 2)
        x = _merge(b, b.transpose(x, perm=_swapped(x.type.rank)), 1)
        out = b.conv(x, _merge(b, w, 0), groups=groups * n, **attrs)
        out = _split(b, out, 1, n)
        return b.transpose(out, perm=_swapped(out.type.rank))

    def lower(self, e, reads, writes, *, strides, padding, dilation, lhs_dilation, groups, swapped, turned):
        """A contraction over patches; one by one where a group has a single channel, or there is little to do."""
        (x, w), (out,) = reads, writes
        if 0 in out.type.shape:
            return
        if swapped:
            out = SwappedResult(out)
        if turned:
            w = TurnedKernel(e, w, groups)

        def lower(w, out, axes):
            shape = Shape(x.type.shape[0], groups, w.type.shape[1], w.type.shape[0] // groups, axes)
            if e.target.vector_bytes and shape.outputs > 1 and shape.products >= MIN_PRODUCTS:
                lower_convolution(e, x, w, out, shape)
            else:
                lower_conv(e, x, w, out, axes, groups)

        lower_phases(e, w, out, windows(x.type, w.type, strides, padding, dilation, lhs_dilation), lower)


@register
class ConvTranspose(Composite):
    """Transposed convolution: the transpose of `conv` as a map of x, as libraries spell it.

    x is [N, C, spatial...], w is [C, O / groups, kernel...], the result [N, O, spatial...] with
    (size - 1) stride - lo - hi + (kernel - 1) dilation + 1 + output_padding elements along an axis. (PyTorch, ONNX.)
    """

    name = "conv_transpose"
    samples = (
        Sample("f64[2, 3, 4]", "f64[3, 2, 3]", strides=(2,)),
        Sample("f64[1, 2, 2]", "f64[2, 1, 2]", strides=(2,)),
        Sample("f64[1, 4, 3, 3]", "f64[4, 1, 2, 3]", strides=(2, 1), padding=((1, 0), (1, 1)), output_padding=(1, 0), dilation=(1, 2), groups=2),
    )

    def infer(
        self,
        x,
        w,
        *,
        strides: tuple[int, ...] = (),
        padding: tuple[tuple[int, int], ...] = (),
        dilation: tuple[int, ...] = (),
        output_padding: tuple[int, ...] = (),
        groups: int = 1,
    ):
        for t in (x, w):
            require_dtype(self.name, t, self.dtypes)
            require_dtype(self.name, t, REALS)
        dtype = same_dtype(self.name, (x, w))
        check_image(self.name, x, MAX_SPATIAL)
        if w.rank != x.rank or w.shape[0] != x.shape[1]:
            raise ShapeError(f"conv_transpose: {w} is no kernel for {x}", help="x is [N, C, spatial...] and w is [C, O / groups, kernel...]")
        for t in (x, w):
            t.with_shape(t.shape[2:]).require_static()
        check_window_attrs(self.name, x.rank - 2, strides=strides, dilation=dilation, padding=padding)
        if output_padding and (len(output_padding) != x.rank - 2 or any(n < 0 for n in output_padding)):
            raise AttrError(f"conv_transpose: output_padding is a number of 0 or more for each of {x.rank - 2} spatial axes, not {list(output_padding)}")
        for t in (x, w):
            t.with_shape(t.shape[1:2]).require_static()
        if groups < 1 or x.shape[1] % groups:
            raise AttrError(f"conv_transpose: {groups} groups do not divide the {x.shape[1]} channels of {x}")
        if any(n == 0 for n in (*x.shape[2:], *w.shape[2:])):
            raise ShapeError(f"conv_transpose: spatial axes have one element or more, not {x} and {w}")
        sizes = [max(0, v.padded - v.reach + 1) for v in _transposed_windows(x, w, strides, padding, dilation, output_padding)]
        return TensorType(dtype, (x.shape[0], w.shape[1] * groups, *sizes))

    def eval(self, x, w, *, strides, padding, dilation, output_padding, groups):
        """The result at p is the sum over k of w[k] times what stands at p + lo - k dilation in x, spread out by its strides: nothing between."""
        rank, wide = x.ndim - 2, x.dtype if x.dtype.itemsize >= 4 or x.dtype.kind in "iu" else np.float32
        axes = windows(x, w, (), padding, dilation, strides)
        sizes = [_extent(v.size, v.lhs_dilation) + v.reach - 1 - v.lo - v.hi + more for v, more in zip(axes, output_padding or (0,) * rank, strict=True)]
        margins = [abs(v.lo) + abs(v.hi) + v.reach + more for v, more in zip(axes, output_padding or (0,) * rank, strict=True)]
        far = np.zeros((*x.shape[:2], *(_extent(v.size, v.lhs_dilation) + 2 * m for v, m in zip(axes, margins, strict=True))), wide)
        far[(..., *(slice(m, m + _extent(v.size, v.lhs_dilation), v.lhs_dilation) for v, m in zip(axes, margins, strict=True)))] = x
        far = far.reshape(x.shape[0], groups, x.shape[1] // groups, *far.shape[2:])
        w = w.astype(wide).reshape(groups, x.shape[1] // groups, *w.shape[1:])
        total = np.zeros((x.shape[0], groups, w.shape[2], *(max(0, n) for n in sizes)), wide)
        for k in np.ndindex(*w.shape[3:]) if total.size else ():
            first = [(i * v.dilation - v.lo) % v.lhs_dilation for i, v in zip(k, axes, strict=True)]  # the places that meet elements of x
            starts = [m + v.lo - i * v.dilation for i, v, m in zip(k, axes, margins, strict=True)]
            met = (..., *(slice(p, None, v.lhs_dilation) for p, v in zip(first, axes, strict=True)))
            at = (..., *(slice(start + p, start + n, v.lhs_dilation) for start, p, n, v in zip(starts, first, sizes, axes, strict=True)))
            if total[met].size:
                total[met] += np.einsum("ngc...,gco->ngo...", far[at], w[(..., *k)])
        return total.reshape(x.shape[0], groups * w.shape[2], *total.shape[3:]).astype(x.dtype)

    def decompose(self, b, x, w, *, strides, padding, dilation, output_padding, groups):
        axes = _transposed_windows(x.type, w.type, strides, padding, dilation, output_padding)
        return _conv(b, x, w, axes, groups, turned=True)


def check_image(name: str, x: TensorType, most: int) -> None:
    """Raise ShapeError unless x is [N, C, spatial...] with 1 to `most` spatial axes."""
    if not 3 <= x.rank <= 2 + most:
        raise ShapeError(f"{name} takes [N, C, spatial...] with 1 to {most} spatial axes, not {x}")


def check_window_attrs(name: str, rank: int, *, padding: tuple[tuple[int, int], ...], **steps: tuple[int, ...]) -> None:
    """Raise AttrError unless steps (strides, dilations) are positive and there is one, like each padding, for each spatial axis, or none."""
    for key, values in steps.items():
        if values and len(values) != rank:
            raise AttrError(f"{name}: {key} {list(values)} should have {rank} number{'s' * (rank != 1)}, one for each spatial axis")
        if any(not 1 <= n < 2**31 for n in values):
            raise AttrError(f"{name}: {key} are 1 or more, not {list(values)}")
    if padding and len(padding) != rank:
        raise AttrError(f"{name}: padding should have {rank} pair{'s' * (rank != 1)} [lo, hi], one for each spatial axis")
    if any(not -(2**31) < n < 2**31 for pair in padding for n in pair):
        raise AttrError(f"{name}: padding is out of range")


def check_groups(name: str, groups: int, x: TensorType, w: TensorType) -> None:
    """Raise unless `groups` divides the channels of x and of w [O, C / groups, ...], and these fit."""
    if groups < 1:
        raise AttrError(f"{name}: groups is 1 or more, not {groups}")
    if groups > 1:
        for t in (x.with_shape(x.shape[1:2]), w.with_shape(w.shape[:2])):
            t.require_static()
    if x.shape[1] != (w.shape[1] if groups == 1 else w.shape[1] * groups):
        times = f", times {groups} groups" if groups > 1 else ""
        raise ShapeError(f"{name}: {x} has {x.shape[1]} channels, but the kernel {w} takes {w.shape[1]}{times}")
    if groups > 1 and w.shape[0] % groups:
        raise AttrError(f"{name}: {groups} groups do not divide the {w.shape[0]} channels of the result")


def windows(x, w, strides=(), padding=(), dilation=(), lhs_dilation=()) -> list[Window]:
    """The walk along each spatial axis of x [N, C, spatial...] under w [O, I, kernel...] (types or arrays)."""
    rank = len(x.shape) - 2
    ones = (1,) * rank
    pads = padding or ((0, 0),) * rank
    walks = zip(x.shape[2:], w.shape[2:], strides or ones, pads, dilation or ones, lhs_dilation or ones, strict=True)
    return [Window(n, k, s, lo, hi, d, ld) for n, k, s, (lo, hi), d, ld in walks]


def _transposed_windows(x, w, strides, padding, dilation, output_padding) -> list[Window]:
    rank = x.rank - 2
    extra = output_padding or (0,) * rank
    axes = windows(x, w, (), padding, dilation, strides)
    return [Window(v.size, v.kernel, 1, v.reach - 1 - v.lo, v.reach - 1 - v.hi + more, v.dilation, v.lhs_dilation) for v, more in zip(axes, extra, strict=True)]


def _places_met(v: Window, k: int) -> range:
    """The places at which kernel element k meets an element of x, or of its padding, rather than something between two."""
    step = v.lhs_dilation // math.gcd(v.stride, v.lhs_dilation)
    first = [p for p in range(step) if (p * v.stride + k * v.dilation - v.lo) % v.lhs_dilation == 0]
    return range(first[0], v.result, step) if first else range(0)


def _dilated_and_padded(x, axes: list[Window]):
    """x [N, C, spatial...] with zeros between and around its elements, or cut."""
    for axis, v in enumerate(axes, 2):
        shape = list(x.shape)
        shape[axis] = _extent(v.size, v.lhs_dilation)
        wide = np.zeros(shape, x.dtype)
        wide[(slice(None),) * axis + (slice(None, None, v.lhs_dilation),)] = x
        shape[axis] = max(0, v.padded)
        x = np.zeros(shape, x.dtype)
        start, stop = max(0, -v.lo), min(wide.shape[axis], wide.shape[axis] + v.hi)
        if start < stop:
            x[(slice(None),) * axis + (slice(start + v.lo, stop + v.lo),)] = wide[(slice(None),) * axis + (slice(start, stop),)]
    return x


def _cotangent_of_kernel(b, ct, x, axes, groups):
    """x and ct with N and the channels swapped, convolved: the sum over N is now a sum over channels."""
    out = (_extent(v.result, v.stride) for v in axes)
    back = [
        Window(v.size, v.result, v.dilation, v.lo, v.reach - 1 + n - _extent(v.size, v.lhs_dilation) - v.lo, v.stride, v.lhs_dilation)
        for v, n in zip(axes, out, strict=True)
    ]
    x = _split(b, x, 1, groups)
    x = _merge(b, b.transpose(x, perm=(2, 1, 0, *range(3, x.type.rank))), 1)
    ct = b.transpose(ct, perm=_swapped(ct.type.rank))
    return _conv(b, x, ct, back, groups, swapped=True)


def _walked_back(v: Window) -> Window:
    """The walk from the cotangent of the result to that of x."""
    lo = v.reach - 1 - v.lo
    hi = _extent(v.size, v.lhs_dilation) + v.reach - 1 - _extent(v.result, v.stride) - lo
    return Window(v.result, v.kernel, v.lhs_dilation, lo, hi, v.dilation, v.stride)


def _turned_around(b, w, groups, batched=0):
    """A kernel [O, C / groups, ...] as [C, O / groups, ...], its spatial axes reversed: what its transpose multiplies by. Behind `batched` axes."""
    w = _split(b, w, batched, groups)
    lead = range(batched + 1)
    w = _merge(b, b.transpose(w, perm=(*lead, batched + 2, batched + 1, *range(batched + 3, w.type.rank))), batched)
    axes = tuple(a for a in range(batched + 2, w.type.rank) if w.type.shape[a] > 1)
    return b.reverse(w, axes=axes) if axes else w


def _turned_type(name: str, w: TensorType, groups: int) -> TensorType:
    """[C, O / groups, ...] as [O, C / groups, ...]."""
    if groups == 1:
        return w.with_shape((w.shape[1], w.shape[0], *w.shape[2:]))
    w.with_shape(w.shape[:2]).require_static()
    inputs, outputs = (int(n) for n in w.shape[:2])
    if groups < 1 or inputs % groups:
        raise AttrError(f"{name}: {groups} groups do not divide the {inputs} channels of the image")
    return w.with_shape((outputs * groups, inputs // groups, *w.shape[2:]))


def _conv(b, x, w, axes: list[Window], groups, *, swapped=False, turned=False):
    return b.conv(
        x,
        w,
        strides=tuple(v.stride for v in axes),
        padding=tuple((v.lo, v.hi) for v in axes),
        dilation=tuple(v.dilation for v in axes),
        lhs_dilation=tuple(v.lhs_dilation for v in axes),
        groups=groups,
        swapped=swapped,
        turned=turned,
    )


def _swapped(rank: int) -> tuple[int, ...]:
    return (1, 0, *range(2, rank))


def _split(b, x, axis, n):
    """Axis `axis` as two axes, the first of size n."""
    shape = x.type.shape
    return b.reshape(x, shape=(*shape[:axis], n, shape[axis] if n == 1 else shape[axis] // n, *shape[axis + 1 :]))


def _merge(b, x, axis):
    """Axes `axis` and `axis + 1` as one."""
    shape, pair = x.type.shape, x.type.shape[axis : axis + 2]
    if 1 in pair:
        merged = pair[1] if pair[0] == 1 else pair[0]
    else:
        merged = x.type.with_shape(pair).size
    return b.reshape(x, shape=(*shape[:axis], merged, *shape[axis + 2 :]))


# Note [Cotangents of a convolution]
# Write s, d, e for stride, dilation, lhs_dilation. An output p and a kernel element k meet the element i of x where
#     p s + k d = i e + lo.
# The cotangent of x sums over (p, k), that of w over (p, i); both equations have the same form again, with the roles exchanged:
#     x:  i e + (K - 1 - k) d = p s + (K - 1) d - lo      a conv over ct dilated by s, with stride e, of the kernel reversed (K - 1 - k)
#     w:  k d + p s = i e + lo                            a conv over x dilated by e, with stride d, whose kernel is ct, dilated by s
# The padding at the end is chosen so that the result has as many elements as the operand had; it is negative where a stride left
# elements over, or where the padding was larger than the kernel. All of this is XLA's and JAX's way to do it.
# Groups: of x, the kernel's two channel axes change places within each group. Of w, N becomes the channels that are summed over: x as
# [C / groups, groups N, ...] and ct as [O, N, ...] give [C / groups, O, ...], or, swapped, [O, C / groups, ...].
