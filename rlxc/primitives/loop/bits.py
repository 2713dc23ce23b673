"""The bits of integers, and bools."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rlxc.ir.primitive import register
from rlxc.primitives import numerics
from rlxc.primitives.loop.base import Binary, Unary


class Bitwise(Binary):
    """On the bits of integers, or on bools."""

    kinds = "biu"
    commutative = True
    folds = True

    def llvm(self, w, type, x, y):
        return w.inst(f"{self.name} {w.type(type)} {x.text}, {y.text}")


@register
class And(Bitwise):
    """Bits set in both."""

    name = "and"

    def eval(self, x, y):
        return np.bitwise_and(x, y)


@register
class Or(Bitwise):
    """Bits set in either."""

    name = "or"

    def eval(self, x, y):
        return np.bitwise_or(x, y)


@register
class Xor(Bitwise):
    """Bits set in one of them."""

    name = "xor"

    def eval(self, x, y):
        return np.bitwise_xor(x, y)


@register
class Not(Unary):
    """Every bit the other way; of a bool, the other one."""

    name = "not"
    kinds = "biu"

    def eval(self, x):
        return np.invert(x)

    def llvm(self, w, type, x):
        return w.inst(f"xor {w.type(type)} {x.text}, {w.literal(True if type.dtype.is_bool else -1, type)}")


class Shift(Binary):
    """By y bits; by as many bits as there are, or more, everything is shifted out. Unchecked, y must be below that."""

    kinds = "iu"
    left: ClassVar[bool] = False

    def infer(self, x, y, *, checked: bool = True):
        return super().infer(x, y)

    def llvm(self, w, type, x, y, *, checked):
        t, bits = w.type(type), type.dtype.bits
        mask = w.vector("i1", type.lanes)
        op = "shl" if self.left else "ashr" if type.dtype.kind == "i" else "lshr"
        if not checked:
            return w.inst(f"{op} {t} {x.text}, {y.text}")
        inside = w.inst(f"icmp ult {t} {y.text}, {w.literal(bits, type)}")
        safe = w.inst(f"select {mask} {inside}, {t} {y.text}, {t} {w.literal(bits - 1, type)}")
        result = w.inst(f"{op} {t} {x.text}, {safe}")
        if op == "ashr":
            return result
        return w.inst(f"select {mask} {inside}, {t} {result}, {t} {w.literal(0, type)}")


@register
class ShiftLeft(Shift):
    """x 2^y."""

    name = "shift_left"
    left = True

    def eval(self, x, y, *, checked):
        return numerics.shift_left(x, y)


@register
class ShiftRight(Shift):
    """Signed numbers keep their sign, unsigned ones are filled with zeros."""

    name = "shift_right"

    def eval(self, x, y, *, checked):
        return numerics.shift_right(x, y)
