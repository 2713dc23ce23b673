"""Identities that passes respect: a value that is not the same as another, and a value with a name."""

from __future__ import annotations

from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import ANY
from rlxc.primitives.families import Elementwise


class Identity(Elementwise):
    """x itself."""

    dtypes = ANY
    computes = False
    by_parts = True
    singular = False
    cost = Cost(flops=0)
    linear_in = ((0,),)

    def transpose(self, b, cts, operands, **attrs):
        return (cts[0],)


@register
class Barrier(Identity):
    """x, and for all that passes know another value: what is computed from it is not what was computed from x before."""

    name = "barrier"
    samples = ("f64[3]", "f64[]", "i32[0]", "bool[2]")

    def eval(self, x):
        return x

    def partials(self, b, out, x):
        return (1,)

    def scalar(self, e, x):
        return x


@register
class Named(Identity):
    """x under a name, by which the policy of a `checkpoint` can keep it."""

    name = "named"
    wraps = True
    samples = (Sample("f64[3]", name="a"), Sample("i32[]", name="a"))

    def eval(self, x, *, name: str):
        return x

    def partials(self, b, out, x, *, name):
        return (1,)

    def scalar(self, e, x, *, name):
        return x

    def unwrap(self, b, op, operands):
        return operands
