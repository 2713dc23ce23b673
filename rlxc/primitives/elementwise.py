"""Arithmetic on elements: add, sub, mul, neg and their kin."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Cost, register
from rlxc.ir.types import REALS
from rlxc.primitives.families import Elementwise, is_linear


@register
class Add(Elementwise):
    """x + y; integers wrap around."""

    name = "add"
    dtypes = REALS
    commutative = True
    linear_in = ((0, 1),)
    samples = ("f64[3], f64[3]", "f64[2, 1, 3], f64[4, 1]", "f32[], f32[2]", "f64[0, 2], f64[2]")

    def eval(self, x, y):
        return np.add(x, y)

    def partials(self, b, out, x, y):
        return 1, 1

    def transpose(self, b, cts, operands):
        return cts[0], cts[0]

    def scalar(self, e, x, y):
        return e.add(x, y)


@register
class Mul(Elementwise):
    """x y; integers wrap around."""

    name = "mul"
    dtypes = REALS
    commutative = True
    linear_in = (0, 1)
    singular = False
    samples = ("f64[3], f64[3]", "f64[2, 1, 3], f64[4, 1]", "f32[], f32[2]")

    def eval(self, x, y):
        return np.multiply(x, y)

    def partials(self, b, out, x, y):
        return y, x

    def transpose(self, b, cts, operands):
        x, y = operands
        return (b.mul(cts[0], y), None) if is_linear(x) else (None, b.mul(cts[0], x))

    def scalar(self, e, x, y):
        return e.mul(x, y)


@register
class Neg(Elementwise):
    """-x."""

    name = "neg"
    dtypes = REALS
    linear_in = (0,)
    samples = ("f64[3]", "f32[]", "i32[4]")

    def eval(self, x):
        return np.negative(x)

    def partials(self, b, out, x):
        return (-1,)

    def transpose(self, b, cts, operands):
        return (b.neg(cts[0]),)

    def scalar(self, e, x):
        return e.neg(x)


@register
class Sin(Elementwise):
    """sin x, x in radians."""

    name = "sin"
    singular = False
    cost = Cost(flops=12, recompute=False)
    samples = ("f64[3]", "f32[2, 0]", "f64[]")
    domain = (-6.0, 6.0)

    def eval(self, x):
        return np.sin(x)

    def partials(self, b, out, x):
        return (b.cos(x),)

    def scalar(self, e, x):
        return e.sin(x)


@register
class Cos(Elementwise):
    """cos x, x in radians."""

    name = "cos"
    singular = False
    cost = Cost(flops=12, recompute=False)
    samples = ("f64[3]",)
    domain = (-6.0, 6.0)

    def eval(self, x):
        return np.cos(x)

    def partials(self, b, out, x):
        return (b.neg(b.sin(x)),)

    def scalar(self, e, x):
        return e.cos(x)
