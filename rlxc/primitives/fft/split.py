"""Transforms of any length, made of those that one kernel can do. Arrays are [b, n, s], transformed along n.

Rows and columns, for n = n1 n2, where j = n2 j1 + j2 and k = k1 + n1 k2 (Gentleman and Sande's "four-step" way):

    columns     over j1, for each j2
    twiddles    times w^(j2 k1), w = exp(sign 2 pi i / n)
    rows        over j2, for each k1
    transpose   [k1, k2] to [k2, k1]

A prime n that is large goes by Bluestein's way: j k = (j² + k² - (k - j)²) / 2, so that the transform is a convolution with exp(-sign pi i j² / n),
done by transforms of a convenient length.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rlxc.ir.attributes import Dense
from rlxc.ir.core import Value
from rlxc.ir.types import DType, TensorType
from rlxc.primitives import complex_math
from rlxc.primitives.axes import scalar
from rlxc.primitives.complex import every_second
from rlxc.primitives.fft.lengths import MATRIX, WHOLE, convolution_length, factors, halves, is_smooth
from rlxc.primitives.fft.passes import roots
from rlxc.primitives.planes import Planes as Z
from rlxc.primitives.slice import slice_axis

WRITTEN = 32768  # roots of unity up to this many are constants; more are computed by the program, of which they would be the larger part


def transformed(b: Any, x: Z, inverse: bool) -> Z:
    """The transform of x along its middle axis."""
    _, n, _ = x.re.type.shape
    if n == 1 or not x.re.type.size:
        return x
    if not is_smooth(n):
        primes = factors(n)
        if len(primes) > 1:
            return _rows_and_columns(b, x, inverse)
        return _by_matrix(b, x, inverse) if n <= MATRIX else _by_convolution(b, x, inverse)
    if n > WHOLE[x.re.type.dtype]:
        return _rows_and_columns(b, x, inverse)
    pairs = b.dft_pairs(*x, inverse=inverse)
    return Z(every_second(b, pairs, 0), every_second(b, pairs, 1))


def _rows_and_columns(b: Any, x: Z, inverse: bool) -> Z:
    batch, n, s = x.re.type.shape
    n1, n2 = halves(n)
    columns = transformed(b, _reshaped(b, x, (batch, n1, n2 * s)), inverse)
    twiddles = _twiddles(b, n1, n2, x.re.type.dtype, inverse)
    whole = (batch, n1, n2, s)
    spread = Z(*(b.broadcast(part, shape=whole, axes=(0, 3)) for part in twiddles))
    turned = complex_math.mul(b, _reshaped(b, columns, whole), spread)
    rows = transformed(b, _reshaped(b, turned, (batch * n1, n2, s)), inverse)
    swapped = Z(*(b.transpose(part, perm=(0, 2, 1, 3)) for part in _reshaped(b, rows, whole)))
    return _reshaped(b, swapped, (batch, n, s))


def _reshaped(b: Any, x: Z, shape: tuple[int, ...]) -> Z:
    return Z(*(b.reshape(part, shape=shape) for part in x))


def _twiddles(b: Any, n1: int, n2: int, dtype: DType, inverse: bool) -> Z:
    """w^(k1 j2), [n1, n2]. With j2 = t ja + jb, it is the product of two smaller tables, w^(k1 t ja) and w^(k1 jb)."""
    n = n1 * n2
    t = next(d for d in range(math.isqrt(n2), 0, -1) if n2 % d == 0)
    coarse = _roots_of_products(b, n1, n2 // t, t, n, dtype, inverse)
    fine = _roots_of_products(b, n1, t, 1, n, dtype, inverse)
    whole = (n1, n2 // t, t)
    product = complex_math.mul(
        b, Z(*(b.broadcast(part, shape=whole, axes=(2,)) for part in coarse)), Z(*(b.broadcast(part, shape=whole, axes=(1,)) for part in fine))
    )
    return _reshaped(b, product, (n1, n2))


def _roots_of_products(b: Any, rows: int, columns: int, step: int, n: int, dtype: DType, inverse: bool) -> Z:
    """w^(step i j) for row i and column j, w being an n-th root of unity."""
    if rows * columns <= WRITTEN:
        return _constants(b, roots(step * np.outer(np.arange(rows), np.arange(columns)), n, 1 if inverse else -1), dtype)
    i, j = (b.iota(axis=axis, type=TensorType(DType("i64"), (rows, columns))) for axis in (0, 1))
    return _computed_roots(b, b.mul(b.mul(i, j), step), n, dtype, inverse)


def _constants(b: Any, numbers: np.ndarray, dtype: DType) -> Z:
    type_ = TensorType(dtype, numbers.shape)
    return Z(*(b.constant(Dense(part, type_)) for part in (numbers.real, numbers.imag)))


def _computed_roots(b: Any, exponents: Value, n: int, dtype: DType, inverse: bool) -> Z:
    """exp(sign 2 pi i exponent / n), of integers that are not negative."""
    turns = b.rem(exponents, n)
    near = b.select(b.gt(b.mul(turns, 2), n), b.sub(turns, n), turns)
    angle = b.mul(b.convert(near, dtype="f64"), (2 if inverse else -2) * math.pi / n)
    return Z(b.convert(b.cos(angle), dtype=dtype), b.convert(b.sin(angle), dtype=dtype))


def _by_matrix(b: Any, x: Z, inverse: bool) -> Z:
    """For a small prime: real and imaginary parts times a matrix of cosines and one of sines."""
    n = x.re.type.shape[1]
    matrix = _constants(b, roots(np.outer(np.arange(n), np.arange(n)), n, 1 if inverse else -1), x.re.type.dtype)

    def product(part: Value, of: Value) -> Value:
        return b.contract(part, of, spec="bjs,kj->bks")

    re = b.sub(product(x.re, matrix.re), product(x.im, matrix.im))
    return Z(re, b.add(product(x.re, matrix.im), product(x.im, matrix.re)))


def _by_convolution(b: Any, x: Z, inverse: bool) -> Z:
    """y[k] = c[k] sum over j of (x[j] c[j]) conj(c[k - j]), c[j] = exp(sign pi i j² / n): a circular convolution of length m >= 2 n - 1."""
    _, n, _ = x.re.type.shape
    m, dtype = convolution_length(n), x.re.type.dtype
    chirp = _chirp(b, n, dtype, inverse)
    kernel = _kernel(b, chirp, n, m, dtype, inverse)
    signal = transformed(b, _padded(b, complex_math.mul(b, x, _spread(b, chirp, x.re.type.shape)), m), False)
    product = complex_math.mul(b, signal, _spread(b, kernel, signal.re.type.shape))
    circular = transformed(b, product, True)
    first = Z(*(slice_axis(b, part, 1, 0, n) for part in circular))
    return complex_math.mul(b, complex_math.scaled(b, first, 1.0 / m), _spread(b, chirp, first.re.type.shape))


def _chirp(b: Any, n: int, dtype: DType, inverse: bool) -> Z:
    if n <= WRITTEN:
        return _constants(b, _chirp_array(n, inverse), dtype)
    j = b.iota(axis=0, type=TensorType(DType("i64"), (n,)))
    return _computed_roots(b, b.mul(j, j), 2 * n, dtype, inverse)


def _chirp_array(n: int, inverse: bool) -> np.ndarray:
    return roots(np.arange(n) ** 2, 2 * n, 1 if inverse else -1)


def _kernel(b: Any, chirp: Z, n: int, m: int, dtype: DType, inverse: bool) -> Z:
    """The transform of conj(c) as it lies on a circle of length m: from 0 on, and backwards from its end."""
    if m <= WRITTEN:
        c = _chirp_array(n, inverse).conj()
        circle = np.zeros(m, np.complex128)
        circle[:n], circle[m - n + 1 :] = c, c[:0:-1]
        return _constants(b, np.fft.fft(circle), dtype)
    conj = Z(chirp.re, b.neg(chirp.im))
    gap = m - 2 * n + 1
    parts = []
    for part in conj:
        back = b.reverse(slice_axis(b, part, 0, 1, n), axes=(0,))
        parts.append(b.concat(b.pad(part, scalar(b, 0, part), low=(0,), high=(gap,)), back, axis=0))
    return _reshaped(b, transformed(b, _reshaped(b, Z(*parts), (1, m, 1)), False), (m,))


def _spread(b: Any, z: Z, shape: tuple[int, ...]) -> Z:
    """Numbers along the middle axis, repeated along the others."""
    return Z(*(b.broadcast(part, shape=shape, axes=(0, 2)) for part in z))


def _padded(b: Any, x: Z, m: int) -> Z:
    """Zeros after the elements along the middle axis."""
    n = x.re.type.shape[1]
    return Z(*(b.pad(part, scalar(b, 0, part), low=(0, 0, 0), high=(0, m - n, 0)) for part in x))
