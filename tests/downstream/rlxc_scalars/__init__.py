"""Four operations on numbers (add, mul, neg, exp) with rules of their own, and eager numbers that compute with Python floats.

Nothing of rlxc's arrays takes part where a `Number` is computed with: an operand is a Python float, and `Floats` says how to run an operation on it. The same
operations are written in `.rlx` files, compiled, and used on arrays, since they are primitives like any other.
"""

import math
import operator

import numpy as np

import rlxc
from rlxc import eager


class Scalar(rlxc.Elementwise):
    """An operation on numbers; on arrays, element by element. `on_floats` is what it does to Python floats."""

    dtypes = ("f64",)
    domain = (-2.0, 2.0)


@rlxc.register
class ScalarAdd(Scalar):
    """x + y."""

    name = "scalar_add"
    linear_in = ((0, 1),)
    samples = ("f64[], f64[]", "f64[3], f64[3]")
    on_floats = staticmethod(operator.add)

    def eval(self, x, y):
        return x + y

    def jvp(self, b, primals, tangents, outs):
        return (total(b, tangents),)

    def transpose(self, b, cts, operands):
        return cts[0], cts[0]

    def scalar(self, e, x, y):
        return e.add(x, y)


@rlxc.register
class ScalarMul(Scalar):
    """x y."""

    name = "scalar_mul"
    linear_in = (0, 1)
    samples = ("f64[], f64[]", "f64[3], f64[3]")
    on_floats = staticmethod(operator.mul)

    def eval(self, x, y):
        return x * y

    def jvp(self, b, primals, tangents, outs):
        (x, y), (dx, dy) = primals, tangents
        return (total(b, (dx and b.scalar_mul(dx, y), dy and b.scalar_mul(x, dy))),)

    def transpose(self, b, cts, operands):
        x, y = operands
        return (b.scalar_mul(cts[0], y), None) if rlxc.is_linear(x) else (None, b.scalar_mul(x, cts[0]))

    def scalar(self, e, x, y):
        return e.mul(x, y)


@rlxc.register
class ScalarNeg(Scalar):
    """-x."""

    name = "scalar_neg"
    linear_in = (0,)
    samples = ("f64[]", "f64[3]")
    on_floats = staticmethod(operator.neg)

    def eval(self, x):
        return -x

    def jvp(self, b, primals, tangents, outs):
        return (b.scalar_neg(tangents[0]),)

    def transpose(self, b, cts, operands):
        return (b.scalar_neg(cts[0]),)

    def scalar(self, e, x):
        return e.neg(x)


@rlxc.register
class ScalarExp(Scalar):
    """e to the power x."""

    name = "scalar_exp"
    samples = ("f64[]", "f64[3]")
    cost = rlxc.Cost(flops=20, recompute=False)
    on_floats = staticmethod(math.exp)

    def eval(self, x):
        return np.exp(x)

    def jvp(self, b, primals, tangents, outs):
        return (b.scalar_mul(tangents[0], outs[0]),)

    def scalar(self, e, x):
        return e.exp(x)


def total(b, terms):
    """The sum of tangents; None is zero."""
    x, y = terms
    return b.scalar_add(x, y) if x is not None and y is not None else x if y is None else y


class Floats(eager.Executor):
    """Computes with Python floats. `calls` counts the operations, for those who want to see that nothing is computed twice."""

    def __init__(self):
        self.calls = []

    def type_of(self, operand):
        return rlxc.TensorType("f64")

    def view(self, operand):
        return float(operand)

    take = view

    def zeros(self, type):
        return 0.0

    def ones(self, type):
        return 1.0

    def add(self, x, y):
        return x + y

    def apply(self, primitive, operands, attrs):
        self.calls.append(primitive.name)
        return primitive.on_floats(*operands)


class Number(eager.Variable):
    """A Python float that operations are recorded on."""

    __slots__ = ()
    executor = Floats()

    def __add__(self, other):
        return eager.apply("scalar_add", self, other)

    def __mul__(self, other):
        return eager.apply("scalar_mul", self, other)

    def __neg__(self):
        return eager.apply("scalar_neg", self)

    def exp(self):
        return eager.apply("scalar_exp", self)

    __radd__, __rmul__ = __add__, __mul__
