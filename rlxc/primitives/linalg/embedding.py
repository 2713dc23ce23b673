"""Complex matrices as real ones of twice the size: sums, products and inverses of `[[re, -im], [im, re]]` are those of the complex matrices.

With rows and columns of both parts side by side, triangular matrices become triangular ones. Derivatives follow, since taking a complex array apart
and putting it together are linear.
"""

from __future__ import annotations

from rlxc.primitives.slice import slice_axis

COMPLEX = ("c64", "c128")


def embedded(b, x):
    """The real matrix of a complex one."""
    re, im = b.real(x), b.imag(x)
    rank = x.type.rank
    upper, lower = b.concat(re, b.neg(im), axis=rank - 1), b.concat(im, re, axis=rank - 1)
    return b.concat(upper, lower, axis=rank - 2)


def stacked(b, x):
    """The left half of that: the real columns of complex ones."""
    return b.concat(b.real(x), b.imag(x), axis=x.type.rank - 2)


def unstacked(b, y):
    """Complex columns from real ones; of a whole embedding, its left half is taken before."""
    rows = y.type.shape[-2] // 2
    axis = y.type.rank - 2
    return b.complex(slice_axis(b, y, axis, 0, rows), slice_axis(b, y, axis, rows, 2 * rows))


def interleaved(b, x):
    """The real matrix of a complex one in which each number z is the block [[re, -im], [im, re]]."""
    re, im = b.real(x), b.imag(x)
    *leading, m, n = x.type.shape
    rows = [b.reshape(b.interleave(*parts), shape=(*leading, m, 1, 2 * n)) for parts in ((re, b.neg(im)), (im, re))]
    return b.reshape(b.concat(*rows, axis=len(leading) + 1), shape=(*leading, 2 * m, 2 * n))


def uninterleaved(b, y):
    """The real and imaginary parts of the complex matrix of such a real one."""
    *leading, m, n = y.type.shape
    blocks = b.reshape(y, shape=(*leading, m // 2, 2, n // 2, 2))
    left = slice_axis(b, blocks, len(leading) + 3, 0, 1)
    parts = [slice_axis(b, left, len(leading) + 1, i, i + 1) for i in (0, 1)]
    return [b.reshape(part, shape=(*leading, m // 2, n // 2)) for part in parts]


def unembedded(b, y):
    """The complex matrix of a real one of twice its size."""
    return unstacked(b, slice_axis(b, y, y.type.rank - 1, 0, y.type.shape[-1] // 2))
