"""A package that brings an op of its own: the energy of a spring, k x^2 / 2.

Its `pyproject.toml` would say

    [project.entry-points."rlxc.primitives"]
    springs = "rlxc_springs"

and then every program that uses rlxc knows `spring_energy`, the command line too.
"""

import rlxc


@rlxc.register
class SpringEnergy(rlxc.Elementwise):
    """The energy k x^2 / 2 of a spring of stiffness k, stretched by x."""

    name = "spring_energy"
    samples = ("f64[3], f64[3]", "f64[2, 3], f64[]", "f64[0], f64[]")
    singular = False

    def eval(self, x, k):
        return (x * x * k * 0.5).astype(x.dtype)

    def partials(self, b, out, x, k):
        return b.mul(x, k), b.mul(b.mul(x, x), 0.5)

    def scalar(self, e, x, k):
        return e.mul(e.mul(e.mul(x, x), k), 0.5)


@rlxc.register
class Neighbours(rlxc.Primitive):
    """The difference of each element of x from the one after it, around a ring; linear, with every rule written out."""

    name = "neighbours"
    linear_in = (0,)
    dtypes = ("f32", "f64")
    samples = ("f64[4]", "f64[2, 3]", "f64[1]", "f64[0]")

    def infer(self, x):
        if x.rank == 0:
            raise rlxc.ShapeError(f"neighbours: {x} has no axis")
        return x

    def eval(self, x):
        import numpy as np

        return np.roll(x, -1, axis=-1) - x

    def jvp(self, b, primals, tangents, outs):
        return (b.neighbours(tangents[0]),)

    def transpose(self, b, cts, operands):
        return (b.sub(self._turned(b, cts[0]), cts[0]),)

    def batch(self, b, x, *, batched):
        return b.neighbours(x)

    def element(self, e, index, x):
        *rest, i = index
        n = x.type.shape[-1]
        after = e.index_rem(e.index_add(i, 1), n)
        return e.sub(x([*rest, after]), x(index))

    def _turned(self, b, x):
        """The last axis turned by one, the last element first."""
        n = x.type.shape[-1]
        if n < 2:
            return x
        zeros = (0,) * x.type.rank
        head = b.slice(x, start=zeros, stop=(*x.type.shape[:-1], n - 1))
        tail = b.slice(x, start=(*zeros[:-1], n - 1), stop=x.type.shape)
        return b.concat(tail, head, axis=x.type.rank - 1)
