"""Fourier transforms: what `np.fft` has."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import ArgumentError
from rlxc.ir.types import DType
from rlxc.numpy.operands import convert, default_float, emit, normalize_axes, normalize_axis
from rlxc.primitives.complex import complex_of
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.protocols import implements, refuse_options

__all__ = ["fft", "fft2", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftn"]

_OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _numbers(a: Any, *, real: bool = False) -> Any:
    """An array of a dtype that there are transforms of."""
    x = default_float(a)
    if real and x.aval.dtype.is_complex:
        raise with_source(ArgumentError(f"a transform of real numbers does not take {x.aval}", code="RLX0504", loc=user_location(), help="take np.real of it"))
    return convert(x, DType("f32")) if x.aval.dtype.is_narrow else x


def _norm(norm: Any) -> str:
    if norm is None:
        return "backward"
    if norm not in _OPPOSITE:
        raise with_source(ArgumentError(f"norm is 'backward', 'ortho' or 'forward', not {norm!r}", code="RLX0507", loc=user_location()))
    return str(norm)


def _places(x: Any, s: Any, axes: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Axes, counted from the front, and a size (or None, for what there is) for each."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim)
    places = tuple([normalize_axis(a, x.ndim) for a in axes])
    sizes = [None] * len(places) if s is None else [None if n in (None, -1) else int(n) for n in s]
    if len(sizes) != len(places) or len(set(places)) != len(places) or not places:
        raise with_source(ArgumentError(f"axes {list(axes)} and sizes {s} do not fit", code="RLX0507", loc=user_location()))
    return places, sizes


def _resized(x: Any, axis: int, n: int | None) -> Any:
    """The first n elements along an axis, zeros after them if there are fewer."""
    size = x.shape[axis]
    if n is None or n == size:
        return x
    if n < 1:
        raise with_source(ArgumentError(f"a transform has a point or more, not {n}", code="RLX0507", loc=user_location()))
    if n < size:
        return x[(slice(None),) * axis + (slice(0, n),)]
    return np.pad(x, [(0, (n - size) * (a == axis)) for a in range(x.ndim)])


def _all(name: str, a: Any, s: Any, axes: Any, norm: Any) -> Any:
    """fft, ifft or rfft over several axes."""
    x = _numbers(a, real=name == "rfft")
    places, sizes = _places(x, s, axes)
    for axis, n in zip(places, sizes, strict=True):
        x = _resized(x, axis, n)
    return emit(name, x, axes=places, norm=_norm(norm))


def _irfft(a: Any, s: Any, axes: Any, norm: Any) -> Any:
    x = _numbers(a)
    places, sizes = _places(x, s, axes)
    last = 2 * (x.shape[places[-1]] - 1) if sizes[-1] is None else sizes[-1]
    if last < 1:
        raise with_source(ArgumentError(f"a transform has a point or more, not {last}", code="RLX0507", loc=user_location()))
    for axis, n in zip(places, [*sizes[:-1], last // 2 + 1], strict=True):
        x = _resized(x, axis, n)
    x = x if x.aval.dtype.is_complex else convert(x, complex_of(x.aval.dtype))
    return emit("irfft", x, n=last, axes=places, norm=_norm(norm))


@implements(np.fft.fft)
def fft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """The discrete Fourier transform along an axis."""
    refuse_options("np.fft.fft", {"out": out}, out=None)
    return _all("fft", a, (n,), (axis,), norm)


@implements(np.fft.ifft)
def ifft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """The inverse of fft."""
    refuse_options("np.fft.ifft", {"out": out}, out=None)
    return _all("ifft", a, (n,), (axis,), norm)


@implements(np.fft.rfft)
def rfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """The transform of real numbers: frequencies 0 to n // 2."""
    refuse_options("np.fft.rfft", {"out": out}, out=None)
    return _all("rfft", a, (n,), (axis,), norm)


@implements(np.fft.irfft)
def irfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """The inverse of rfft: n real numbers, 2 (m - 1) for m frequencies unless stated."""
    refuse_options("np.fft.irfft", {"out": out}, out=None)
    return _irfft(a, (n,), (axis,), norm)


@implements(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """The transform, real, of a signal whose second half is the conjugate of the first."""
    refuse_options("np.fft.hfft", {"out": out}, out=None)
    return _irfft(np.conj(_numbers(a)), (n,), (axis,), _OPPOSITE[_norm(norm)])


@implements(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """The inverse of hfft."""
    refuse_options("np.fft.ihfft", {"out": out}, out=None)
    return np.conj(_all("rfft", a, (n,), (axis,), _OPPOSITE[_norm(norm)]))


@implements(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """The transform over several axes, all unless stated."""
    refuse_options("np.fft.fftn", {"out": out}, out=None)
    return _all("fft", a, s, axes, norm)


@implements(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """The inverse of fftn."""
    refuse_options("np.fft.ifftn", {"out": out}, out=None)
    return _all("ifft", a, s, axes, norm)


@implements(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """The transform of real numbers over several axes; along the last of them frequencies 0 to n // 2."""
    refuse_options("np.fft.rfftn", {"out": out}, out=None)
    return _all("rfft", a, s, axes, norm)


@implements(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """The inverse of rfftn."""
    refuse_options("np.fft.irfftn", {"out": out}, out=None)
    return _irfft(a, s, axes, norm)


@implements(np.fft.fft2)
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """The transform over two axes, the last ones unless stated."""
    return fftn(a, s, axes, norm, out)


@implements(np.fft.ifft2)
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """The inverse of fft2."""
    return ifftn(a, s, axes, norm, out)


@implements(np.fft.rfft2)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """The transform of real numbers over two axes."""
    return rfftn(a, s, axes, norm, out)


@implements(np.fft.irfft2)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """The inverse of rfft2."""
    return irfftn(a, s, axes, norm, out)


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    """Frequency 0 moved to the middle."""
    places = normalize_axes(axes, np.ndim(x))
    return np.roll(x, [x.shape[a] // 2 for a in places], places)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """The inverse of fftshift."""
    places = normalize_axes(axes, np.ndim(x))
    return np.roll(x, [-(x.shape[a] // 2) for a in places], places)
