"""Derivatives of random loops and branches: forward against differences, reverse against forward, vmap against the loop, native against interpreted."""

import sys
from pathlib import Path

import numpy as np
import pytest

import rlxc
from rlxc.ir.core import Module
from rlxc.ir.interp import interpret
from rlxc.ir.verify import verify

sys.path.insert(0, str(Path(__file__).parent.parent / "control"))
from random_control import Bodies


class Bounded(Bodies):
    """Programs all whose loops have a bound."""

    def pick(self, options):
        return super().pick([3, 8, 100] if options == [0, 0, 3] else options)


def program(seed):
    """A random function, and arguments where it is smooth enough for differences; only its float results."""
    func, arrays = Bounded(seed, depth=2).program()
    results = tuple(v for v in func.results if v.type.dtype == "f64")
    return func.with_(results=results), arrays


def close(got, want, tolerance=1e-9):
    for x, y in zip(got, want, strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def dot(xs, ys):
    return sum(float(np.sum(x * y)) for x, y in zip(xs, ys, strict=True))


@pytest.mark.parametrize("seed", range(25))
def test_derivatives_of_random_loops(seed):
    func, arrays = program(seed)
    rng = np.random.default_rng(seed)
    n = len(func.results)
    tangents = [rng.normal(size=a.shape) for a in arrays[:3]]
    cotangents = [rng.normal(size=v.type.shape) for v in func.results]

    forward = rlxc.jvp(func)
    verify(forward.as_module())
    outs = interpret(forward, [*arrays, *tangents])
    close(outs[:n], interpret(func, arrays))

    split = rlxc.vjp(func)
    module = Module((split.forward, split.pullback))
    verify(module)
    assert rlxc.parse(str(module)) == module
    kept = interpret(split.forward, arrays)
    close(kept[:n], outs[:n])
    gradients = interpret(split.pullback, [*split.kept(arrays, kept), *cotangents])
    np.testing.assert_allclose(dot(gradients, tangents), dot(outs[n:], cotangents), rtol=1e-9, atol=1e-10)
    close(rlxc.compile(split.pullback)(*split.kept(arrays, kept), *cotangents) if len(gradients) > 1 else gradients, gradients)

    step = 1e-6
    ahead, behind = ([a + s * step * t for a, t in zip(arrays, tangents, strict=False)] + arrays[3:] for s in (1, -1))
    slopes = [(x - y) / (2 * step) for x, y in zip(interpret(func, ahead), interpret(func, behind), strict=True)]
    close(outs[n:], slopes, 1e-5)

    many = rlxc.vmap(func, axis_size=2)
    verify(many.as_module())
    stacked = interpret(many, [np.stack([a, a + 1 if a.dtype.kind == "i" else -a]) for a in arrays])
    other = interpret(func, [a + 1 if a.dtype.kind == "i" else -a for a in arrays])
    close([x[0] for x in stacked], outs[:n])
    close([x[1] for x in stacked], other)
