"""Benchmarks write their workloads once, with a namespace of ops that is traced into IR."""

import numpy as np

import rlxc
from benchmarks.tracing import adam_step, sgd_step, trace, type_of


def _loss(xp):
    return lambda x, t, w, b: xp.xent(xp.relu(xp.linear(x, w, b)), t)


def _problem():
    from benchmarks.tracing import Namespace

    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in {"x": (4, 3), "t": (4, 5), "w": (3, 5), "b": (5,)}.items()}
    xp = Namespace()
    return trace(_loss(xp), {n: type_of(a) for n, a in arrays.items()}, xp=xp), list(arrays.values())


def test_a_traced_function_computes_what_it_says():
    func, (x, t, w, b) = _problem()
    z = np.maximum(x @ w + b, 0)
    want = -np.mean(np.sum(t * (z - np.log(np.exp(z).sum(-1, keepdims=True))), -1))
    np.testing.assert_allclose(rlxc.compile(func)(x, t, w, b), want, rtol=1e-5)


def test_operators_take_numbers_on_either_side():
    func = trace(lambda x: 2.0 - x * 3.0 / (1.0 + x) + (-x), {"x": type_of(np.zeros(3, np.float32))})
    x = np.array([0.5, 1.0, 2.0], np.float32)
    np.testing.assert_allclose(rlxc.compile(func)(x), 2 - x * 3 / (1 + x) - x, rtol=1e-6)


def test_a_step_of_gradient_descent_moves_parameters_against_their_gradient():
    func, arrays = _problem()
    loss, dw, db = rlxc.compile(rlxc.value_and_grad(func, (2, 3)))(*arrays)
    stepped, w, b = rlxc.compile(sgd_step(func, (2, 3), rate=0.5))(*arrays)
    assert stepped == loss
    np.testing.assert_allclose(w, arrays[2] - 0.5 * dw, rtol=1e-6)
    np.testing.assert_allclose(b, arrays[3] - 0.5 * db, rtol=1e-6)


def test_two_steps_of_adam_are_those_of_the_paper():
    func, (x, t, w, b) = _problem()
    gradient = rlxc.compile(rlxc.value_and_grad(func, (2, 3)))
    step = rlxc.compile(adam_step(func, (2, 3), rate=0.01))
    zeros = [np.zeros_like(a) for a in (w, b, w, b)]
    _, w1, b1, *state = step(x, t, w, b, *zeros, np.zeros((), np.float32))
    _, w2, _, *state = step(x, t, w1, b1, *state)
    m = v = 0.0
    p = [w, b]
    for n in (1, 2):
        _, dw, db = gradient(x, t, *p)
        if n == 1:
            mb, vb = 0.1 * db, 0.001 * db**2
            p_b = b - 0.01 * (mb / 0.1) / (np.sqrt(vb / 0.001) + 1e-8)
        m, v = 0.9 * m + 0.1 * dw, 0.999 * v + 0.001 * dw**2
        p = [p[0] - 0.01 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8), p_b]
        np.testing.assert_allclose((w1, w2)[n - 1], p[0], rtol=1e-4, atol=1e-6)
    assert state[-1] == 2
