"""Programs written for NumPy are compiled and differentiated unchanged: values as in NumPy, gradients as by complex step or finite differences."""

import numpy as np
import pytest
from classics import ARGUMENTS, NOT_ANALYTIC

import rlxc
from rlxc.tracing.pytree import flatten, unflatten


def complex_step(f, leaves, tree, i, direction, h=1e-30):
    """The directional derivative by one evaluation at x + i h d: exact to the last digits. (Squire & Trapp, 1998.)"""
    moved = [x + 1j * h * direction if k == i else x for k, x in enumerate(leaves)]
    return f(*unflatten(tree, moved)).imag / h


def central_difference(f, leaves, tree, i, direction, h=1e-5):
    """To the fourth order."""

    def at(t):
        return f(*unflatten(tree, [x + t * direction if k == i else x for k, x in enumerate(leaves)]))

    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


@pytest.mark.parametrize("program", ARGUMENTS, ids=lambda f: f.__name__)
def test_value_and_gradients(program):
    args = ARGUMENTS[program]
    value, gradients = rlxc.jit(rlxc.value_and_grad(program, argnums=tuple(range(len(args)))))(*args)
    assert value == pytest.approx(program(*args), rel=1e-12)
    leaves, tree = flatten(args)
    found, form = flatten(gradients)
    assert form == tree
    rng = np.random.default_rng(0)
    for i, (x, g) in enumerate(zip(leaves, found, strict=True)):
        direction = rng.standard_normal(x.shape)
        if program in NOT_ANALYTIC:
            assert np.sum(g * direction) == pytest.approx(central_difference(program, leaves, tree, i, direction), rel=1e-8, abs=1e-10 * max(abs(value), 10))
        else:
            assert np.sum(g * direction) == pytest.approx(complex_step(program, leaves, tree, i, direction), rel=1e-10, abs=1e-13)


def test_a_hessian_of_a_classic():
    from classics import rosenbrock

    x = np.array([1.2, 0.7, -0.3, 0.5])
    h = rlxc.hessian(rosenbrock)(x)
    want = np.diag(1200 * x**2 - 400 * np.append(x[1:], 0) + 202) - np.diag(400 * x[:-1], 1) - np.diag(400 * x[:-1], -1)
    want[0, 0] -= 200
    want[-1, -1] = 200
    np.testing.assert_allclose(h, want, rtol=1e-12)
