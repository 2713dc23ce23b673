"""Second derivatives of a network, by every combination of modes, against each other and against finite differences."""

import numpy as np
import pytest

import rlxc

RNG = np.random.default_rng(3)
PARAMS = {"w1": RNG.standard_normal((3, 5)) / 2, "b1": RNG.standard_normal(5) / 2, "w2": RNG.standard_normal((5, 1)) / 2}
X = RNG.standard_normal((4, 3))
V = {k: RNG.standard_normal(p.shape) for k, p in PARAMS.items()}


def loss(p):
    h = np.tanh(X @ p["w1"] + p["b1"])
    return np.mean((h @ p["w2"]) ** 2)


def moved(p, v, step):
    return {k: p[k] + step * v[k] for k in p}


def dot(a, b):
    return sum(np.sum(a[k] * b[k]) for k in a)


def forward_over_reverse(p):
    return rlxc.jvp(rlxc.grad(loss), (p,), (V,))[1]


def reverse_over_reverse(p):
    return rlxc.grad(lambda p: dot(rlxc.grad(loss)(p), V))(p)


def reverse_over_forward(p):
    return rlxc.grad(lambda p: rlxc.jvp(loss, (p,), (V,))[1])(p)


def by_hvp(p):
    return rlxc.hvp(loss, (p,), (V,))


def by_linearize(p):
    return rlxc.linearize(rlxc.grad(loss), p)[1](V)


MODES = [forward_over_reverse, reverse_over_reverse, reverse_over_forward, by_hvp, by_linearize]


@pytest.mark.parametrize("mode", MODES, ids=lambda m: m.__name__)
@pytest.mark.parametrize("wrap", [lambda f: f, rlxc.jit], ids=["plain", "jit"])
def test_all_modes_give_the_product_of_the_hessian_and_a_vector(mode, wrap):
    got = wrap(mode)(PARAMS)
    reference = forward_over_reverse(PARAMS)
    step = 1e-5
    slope = rlxc.jit(rlxc.grad(loss))
    up, down = slope(moved(PARAMS, V, step)), slope(moved(PARAMS, V, -step))
    for k in PARAMS:
        np.testing.assert_allclose(got[k], reference[k], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(got[k], (up[k] - down[k]) / (2 * step), rtol=1e-6, atol=1e-8)


def test_the_hessian_is_the_same_by_all_modes_and_symmetric():
    whole = rlxc.jit(rlxc.hessian(loss))(PARAMS)
    for other in (rlxc.jacrev(rlxc.jacrev(loss)), rlxc.jacrev(rlxc.jacfwd(loss))):
        got = rlxc.jit(other)(PARAMS)
        for a, b in zip(rlxc.tree_leaves(got), rlxc.tree_leaves(whole), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(whole["w1"]["b1"].reshape(15, 5), whole["b1"]["w1"].reshape(5, 15).T, rtol=1e-12, atol=1e-14)
