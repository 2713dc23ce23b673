"""fft, ifft, rfft, irfft: over one axis or several, with NumPy's norms.

The transform of n real numbers, n even, is that of n / 2 complex ones, z[j] = x[2 j] + i x[2 j + 1], taken apart: with r[k] = conj(Z[n / 2 - k]),
X[k] = (Z[k] + r[k]) / 2 - i exp(-2 pi i k / n) (Z[k] - r[k]) / 2.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.attributes import Dense
from rlxc.ir.core import Value
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import COMPLEX, DType, TensorType
from rlxc.primitives.axes import inverse, replaced
from rlxc.primitives.complex import complex_of, every_second
from rlxc.primitives.composite import count, from_front, spread
from rlxc.primitives.families import Composite, require_dtype
from rlxc.primitives.fft.passes import roots
from rlxc.primitives.slice import slice_axis

Norm = Literal["backward", "ortho", "forward"]
_REAL = (DType("f32"), DType("f64"))


def _frequencies(*shape: int) -> np.ndarray:
    """Some numbers for samples. (A nan in one frequency is not one in all results of NumPy's, so nans are not tried.)"""
    return np.random.default_rng(1).normal(size=(*shape, 2)).view(np.complex128)[..., 0]


class Transform(Composite):
    """Over `axes`, all unless stated; negative ones count from the end."""

    into_frequencies: ClassVar[bool] = True

    def axes_of(self, x: TensorType, axes: tuple[int, ...] | None) -> tuple[int, ...]:
        """The axes from the front; raises AttrError or ShapeError where there is nothing to transform along."""
        found = from_front(self.name, x, tuple(range(x.rank)) if axes is None else axes)
        if not found:
            raise AttrError(f"{self.name} needs an axis")
        for a in found:
            TensorType(x.dtype, (x.shape[a],)).require_static()
            if x.shape[a] == 0:
                raise ShapeError(f"{self.name}: axis {a} of {x} has no elements")
        return found

    def factor(self, points: int, norm: str) -> float:
        """What results of `dft` are multiplied by."""
        match norm:
            case "ortho":
                return 1 / math.sqrt(points)
            case "backward":
                return 1.0 if self.into_frequencies else 1 / points
        return 1 / points if self.into_frequencies else 1.0


class ComplexTransform(Transform):
    """Of complex numbers; real ones are converted."""

    dtypes = (*COMPLEX, *_REAL)
    samples = (
        Sample("c128[6]"),
        Sample("c128[2, 3]", axes=(-1,), norm="ortho"),
        Sample("c128[2, 4]", axes=(1, 0), norm="forward"),
        Sample("f64[5]"),
    )

    def infer(self, x, *, axes: tuple[int, ...] | None = None, norm: Norm = "backward"):
        require_dtype(self.name, x, self.dtypes)
        self.axes_of(x, axes)
        return x if x.dtype.is_complex else x.with_dtype(complex_of(x.dtype))

    def eval(self, x, *, axes, norm):
        function = np.fft.fftn if self.into_frequencies else np.fft.ifftn
        return _rounded(function(x.astype(np.complex128), axes=axes, norm=norm) if x.size else x, x.dtype)

    def decompose(self, b, x, *, axes, norm):
        axes = self.axes_of(x.type, axes)
        z = x if x.type.dtype.is_complex else b.convert(x, dtype=complex_of(x.type.dtype))
        z = scaled(b, z, self.factor(count(x.type, axes), norm))
        for axis in reversed(axes):
            z = b.dft(z, axis=axis, inverse=not self.into_frequencies)
        return z


@register
class Fft(ComplexTransform):
    """The Fourier transform over `axes`: y[k] = sum over j of x[j] exp(-2 pi i j k / n), times 1 for norm "backward", 1 / sqrt(n) or 1 / n ("forward")."""

    name = "fft"


@register
class Ifft(ComplexTransform):
    """The inverse of `fft`: sum over k of y[k] exp(2 pi i j k / n), times 1 / n for norm "backward", 1 / sqrt(n) or 1 ("forward")."""

    name = "ifft"
    into_frequencies = False


@register
class Rfft(Transform):
    """`fft` of real numbers: along the last of `axes` only frequencies 0 to n / 2, the others being their conjugates."""

    name = "rfft"
    dtypes = _REAL
    samples = (
        "f64[6]",
        Sample("f64[5]", norm="ortho"),
        Sample("f64[4, 2]", axes=(0,)),
        Sample("f64[2, 4]", axes=(0, 1), norm="forward"),
        "f64[1]",
        "f64[2]",
    )

    def infer(self, x, *, axes: tuple[int, ...] | None = None, norm: Norm = "backward"):
        require_dtype(self.name, x, self.dtypes)
        last = self.axes_of(x, axes)[-1]
        return TensorType(complex_of(x.dtype), replaced(x.shape, last, x.shape[last] // 2 + 1))

    def eval(self, x, *, axes, norm):
        return _rounded(np.fft.rfftn(x.astype(np.float64), axes=axes, norm=norm), x.dtype)

    def decompose(self, b, x, *, axes, norm):
        axes = self.axes_of(x.type, axes)
        x = b.mul(x, self.factor(count(x.type, axes), norm))
        z = _along_last(b, x, axes[-1], half_spectrum)
        for axis in reversed(axes[:-1]):
            z = b.dft(z, axis=axis)
        return z


@register
class Irfft(Transform):
    """The inverse of `rfft`: `n` real numbers along the last of `axes`, of which x has n / 2 + 1 frequencies. What makes no real numbers is ignored."""

    name = "irfft"
    dtypes = COMPLEX
    into_frequencies = False
    samples = (
        Sample(_frequencies(4), n=6),
        Sample(_frequencies(3), n=5, norm="ortho"),
        Sample(_frequencies(3, 2), axes=(0,), n=4),
        Sample(_frequencies(2, 3), axes=(0, 1), n=4, norm="forward"),
        Sample(_frequencies(1), n=1),
        Sample(_frequencies(2), n=2),
    )

    def infer(self, x, *, n: int, axes: tuple[int, ...] | None = None, norm: Norm = "backward"):
        require_dtype(self.name, x, self.dtypes)
        last = self.axes_of(x, axes)[-1]
        if n < 1 or x.shape[last] != n // 2 + 1:
            raise ShapeError(f"irfft: n = {n} has {n // 2 + 1 if n > 0 else 'no'} frequencies, but axis {last} of {x} has {x.shape[last]}")
        return TensorType(x.dtype.part, replaced(x.shape, last, n))

    def eval(self, x, *, n, axes, norm):
        axes = tuple(range(x.ndim)) if axes is None else axes
        out = np.fft.irfftn(x.astype(np.complex128), s=[*(x.shape[a] for a in axes[:-1]), n], axes=axes, norm=norm)
        return out.astype(x.real.dtype)

    def decompose(self, b, x, *, n, axes, norm):
        axes = self.axes_of(x.type, axes)
        z = scaled(b, x, self.factor(n * count(x.type, axes[:-1]), norm))
        for axis in reversed(axes[:-1]):
            z = b.dft(z, axis=axis, inverse=True)
        return _along_last(b, z, axes[-1], lambda b, z: whole_signal(b, z, n))


def scaled(b: Any, z: Value, factor: float) -> Value:
    """A complex array times a real number."""
    return z if factor == 1 else b.complex(b.mul(b.real(z), factor), b.mul(b.imag(z), factor))


def half_spectrum(b: Any, x: Value) -> Value:
    """Frequencies 0 to n / 2 of the real numbers along the last axis."""
    n, last = x.type.shape[-1], x.type.rank - 1
    if n % 2:
        return slice_axis(b, b.dft(b.convert(x, dtype=complex_of(x.type.dtype)), axis=last), last, 0, n // 2 + 1)
    half = n // 2
    z = b.dft(b.complex(every_second(b, x, 0), every_second(b, x, 1)), axis=last)
    z = b.concat(z, slice_axis(b, z, last, 0, 1), axis=last)
    mirrored = b.conj(b.reverse(z, axes=(last,)))
    turn = _along(b, -0.5j * roots(np.arange(half + 1), n, -1), z)
    return b.add(scaled(b, b.add(z, mirrored), 0.5), b.mul(b.sub(z, mirrored), turn))


def whole_signal(b: Any, z: Value, n: int) -> Value:
    """The n real numbers whose frequencies 0 to n / 2 lie along the last axis; nothing is divided by n."""
    half, last = n // 2, z.type.rank - 1
    if n % 2:
        others = b.conj(b.reverse(slice_axis(b, z, last, 1, half + 1), axes=(last,)))
        return b.real(b.dft(b.concat(z, others, axis=last), axis=last, inverse=True))
    ends = np.zeros(half + 1, bool)
    ends[[0, half]] = True  # frequencies that are their own conjugates
    imag = b.imag(z)
    z = b.complex(b.real(z), b.select(_along(b, ends, z), b.zeros(imag.type), imag))
    mirrored = b.conj(b.reverse(z, axes=(last,)))
    turn = _along(b, 1j * roots(np.arange(half + 1), n, 1), z)
    both = b.add(b.add(z, mirrored), b.mul(b.sub(z, mirrored), turn))
    signal = b.dft(slice_axis(b, both, last, 0, half), axis=last, inverse=True)
    return b.interleave(b.real(signal), b.imag(signal))


def _along(b: Any, numbers: np.ndarray, like: Value) -> Value:
    """Constants along the last axis of an array, repeated along the others."""
    dtype = "bool" if numbers.dtype == bool else like.type.dtype
    constant = b.constant(Dense(numbers, TensorType(DType(dtype), numbers.shape)))
    return spread(b, constant, like, range(like.type.rank - 1))


def _along_last(b: Any, x: Value, axis: int, transform: Any) -> Value:
    """`transform(b, x)`, which works along the last axis, along another one."""
    rank = x.type.rank
    if axis == rank - 1:
        return transform(b, x)
    perm = (*(a for a in range(rank) if a != axis), axis)
    return b.transpose(transform(b, b.transpose(x, perm=perm)), perm=inverse(perm))


def _rounded(z: np.ndarray, dtype: Any) -> np.ndarray:
    """Complex numbers of the precision of `dtype`, which is real or complex."""
    return np.asarray(z).astype(np.complex64 if dtype in (np.float32, np.complex64) else np.complex128)
