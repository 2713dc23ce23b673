"""Complex matrices as real ones of twice the size: sums, products and inverses of `[[re, -im], [im, re]]` are those of the complex matrices.

Derivatives follow, since taking a complex array apart and putting it together are linear.
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


def unembedded(b, y):
    """The complex matrix of a real one of twice its size."""
    return unstacked(b, slice_axis(b, y, y.type.rank - 1, 0, y.type.shape[-1] // 2))
