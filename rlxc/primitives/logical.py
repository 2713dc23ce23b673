"""Logic on bools, bit by bit on integers, and shifts."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import BOOL, INTEGERS
from rlxc.primitives import numerics
from rlxc.primitives.families import Direct, NonDifferentiable
from rlxc.primitives.identities import is_all, produced_by


class Bitwise(NonDifferentiable, Direct):
    """On bools, or on the bits of integers."""

    dtypes = (BOOL, *INTEGERS)


class BinaryBitwise(Bitwise):
    """Of two operands."""

    commutative = True
    samples = ("bool[4], bool[4]", "bool[2, 1], bool[3]", "bool[], bool[0]", "i32[4], i32[4]", "u8[4], u8[4]")


@register
class And(BinaryBitwise):
    """x and y; on integers, of each bit."""

    name = "and"

    def eval(self, x, y):
        return np.bitwise_and(x, y)

    def identities(self, b, x, y):
        if x is y or is_ones(b, y) or is_all(b, x, 0):
            return x
        return y if is_ones(b, x) or is_all(b, y, 0) else None


@register
class Or(BinaryBitwise):
    """x or y or both; on integers, of each bit."""

    name = "or"

    def eval(self, x, y):
        return np.bitwise_or(x, y)

    def identities(self, b, x, y):
        if x is y or is_all(b, y, 0) or is_ones(b, x):
            return x
        return y if is_all(b, x, 0) or is_ones(b, y) else None


@register
class Xor(BinaryBitwise):
    """Whether x and y differ; on integers, of each bit."""

    name = "xor"

    def eval(self, x, y):
        return np.bitwise_xor(x, y)

    def identities(self, b, x, y):
        if is_all(b, y, 0):
            return x
        if is_all(b, x, 0):
            return y
        return b.zeros(x.type) if x is y else None


@register
class Not(Bitwise):
    """Not x; on integers, of each bit."""

    name = "not"
    samples = ("bool[4]", "bool[]", "bool[0, 2]", "i32[4]", "u8[4]")

    def eval(self, x):
        return np.invert(x)

    def identities(self, b, x):
        if inner := produced_by(b, x, "not"):
            return inner[0]
        if inner := produced_by(b, x, "eq"):
            return b.ne(*inner)
        if inner := produced_by(b, x, "ne"):
            return b.eq(*inner)
        return None


class Shift(NonDifferentiable, Direct):
    """Of integers, by amounts of the same dtype; an amount that is negative or >= the number of bits shifts everything out."""

    dtypes = INTEGERS
    samples = (
        Sample(np.array([1, -1, 64, -128, 5, 5], np.int8), np.array([3, 1, 1, 7, 8, -1], np.int8)),
        Sample(np.array([[1], [200]], np.uint8), np.array([0, 1, 7, 8, 255], np.uint8)),
        Sample(np.array(1, np.int64), np.array(63, np.int64)),
    )

    def identities(self, b, x, n):
        return x if is_all(b, n, 0) else None


@register
class ShiftLeft(Shift):
    """x 2^n without the bits that do not fit; 0 if n is negative or >= the number of bits."""

    name = "shift_left"

    def eval(self, x, n):
        return numerics.shift_left(x, n)


@register
class ShiftRight(Shift):
    """x / 2^n rounded down: the sign is drawn in from the left; only the sign is left (-1 or 0) if n is negative or >= the number of bits."""

    name = "shift_right"

    def eval(self, x, n):
        return numerics.shift_right(x, n)


def is_ones(b, x) -> bool:
    """Whether `x` is a constant with every bit set: true, -1, or the largest unsigned number."""
    kind, bits = x.type.dtype.kind, x.type.dtype.bits
    return is_all(b, x, True if kind == "b" else -1 if kind == "i" else 2**bits - 1)
