"""Optimizers against their formulas step by step, schedules, clipping; and a step as one compiled function."""

import numpy as np
import pytest

import rlxc
from rlxc import optim

PARAMS = {"w": np.array([[1.0, -2.0], [0.5, 3.0]]), "b": (np.array([0.25, -0.75]),)}


def grads_at(step):
    rng = np.random.default_rng(step)
    return {"w": rng.standard_normal((2, 2)), "b": (rng.standard_normal(2),)}


def sgd(p, g, s, t):
    return p - 0.1 * g, s


def momentum(p, g, s, t):
    v = 0.9 * s.get("v", 0) + g
    return p - 0.1 * v, {"v": v}


def nesterov(p, g, s, t):
    g = g + 0.01 * p
    v = 0.8 * s.get("v", 0) + g
    return p - 0.1 * (g + 0.8 * v), {"v": v}


def rmsprop(p, g, s, t):
    v = 0.9 * s.get("v", 0) + 0.1 * g * g
    return p - 0.1 * g / (np.sqrt(v) + 1e-8), {"v": v}


def adamw(p, g, s, t, decay=0.04):
    m, v = 0.9 * s.get("m", 0) + 0.1 * g, 0.99 * s.get("v", 0) + 0.01 * g * g
    return p - 0.1 * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.99**t)) + 1e-6) + decay * p), {"m": m, "v": v}


def adam(p, g, s, t):
    return adamw(p, g, s, t, 0.0)


CASES = {
    "sgd": (optim.sgd(0.1), sgd),
    "momentum": (optim.momentum(0.1), momentum),
    "nesterov": (optim.momentum(0.1, 0.8, nesterov=True, weight_decay=0.01), nesterov),
    "rmsprop": (optim.rmsprop(0.1), rmsprop),
    "adam": (optim.adam(0.1, b2=0.99, eps=1e-6), adam),
    "adamw": (optim.adamw(0.1, b2=0.99, eps=1e-6, weight_decay=0.04), adamw),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("compiled", [False, True])
def test_five_steps_follow_the_formula(name, compiled):
    opt, formula = CASES[name]
    update = rlxc.jit(opt.update) if compiled else opt.update
    params, state = PARAMS, opt.init(PARAMS)
    w, b, sw, sb = PARAMS["w"], PARAMS["b"][0], {}, {}
    for t in range(5):
        grads = grads_at(t)
        params, state = update(grads, state, params)
        w, sw = formula(w, grads["w"], sw, t + 1)
        b, sb = formula(b, grads["b"][0], sb, t + 1)
    np.testing.assert_allclose(params["w"], w, rtol=1e-12)
    np.testing.assert_allclose(params["b"][0], b, rtol=1e-12)
    assert int(state.step) == 5


def test_parameters_keep_their_dtype():
    opt = optim.adamw(optim.cosine(1e-2, steps=10, warmup=2))
    params = {"w": np.ones(3, np.float32)}
    new, state = opt.update({"w": np.ones(3, np.float32)}, opt.init(params), params)
    assert new["w"].dtype == state.first["w"].dtype == state.second["w"].dtype == np.float32
    assert state.step.dtype == np.int32


def test_schedules():
    def at(schedule, *steps):
        return [float(schedule(np.asarray(s, np.int32))) for s in steps]

    assert at(optim.constant(0.5), 0, 7) == [0.5, 0.5]
    assert at(optim.linear(1.0, steps=10), 0, 5, 10, 20) == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert at(optim.cosine(2.0, steps=10, end=1.0), 0, 5, 10) == pytest.approx([2.0, 1.5, 1.0])
    assert at(optim.cosine(1.0, steps=12, warmup=3), 0, 1, 2, 3, 12) == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.0])
    assert at(optim.exponential(1.0, decay=0.5, every=2), 0, 2, 4) == pytest.approx([1.0, 0.5, 0.25])


def test_gradients_are_clipped_by_their_common_norm():
    grads = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    assert optim.global_norm(grads) == pytest.approx(5.0)
    clipped = optim.clip_by_global_norm(grads, 1.0)
    np.testing.assert_allclose(clipped["a"], [0.6, 0.0])
    np.testing.assert_allclose(clipped["b"], [[0.8]])
    same = optim.clip_by_global_norm(grads, 10.0)
    np.testing.assert_array_equal(same["a"], grads["a"])


def test_a_training_step_is_one_compiled_function():
    x, y = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]]), np.array([1.0, 0.0, 2.0])
    opt = optim.adamw(optim.linear(0.1, steps=100))

    def loss_of(params, x, y):
        return np.mean((x @ params["w"] + params["b"] - y) ** 2)

    @rlxc.jit
    def step(params, state, x, y):
        loss, grads = rlxc.value_and_grad(loss_of)(params, x, y)
        grads = optim.clip_by_global_norm(grads, 1.0)
        return *opt.update(grads, state, params), loss

    params = {"w": np.zeros(2), "b": np.zeros(())}
    state, losses = opt.init(params), []
    for _ in range(60):
        params, state, loss = step(params, state, x, y)
        losses.append(float(loss))
    assert losses[-1] < 0.02 * losses[0]
    assert step.cache_info().misses == 1
