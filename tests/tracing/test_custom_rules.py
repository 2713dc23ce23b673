"""Functions with derivative rules of their own, and checkpoints."""

import numpy as np
import pytest

import rlxc

X = np.array([0.5, -1.25, 2.0])


def with_jvp():
    @rlxc.custom_jvp
    def f(x, y):
        return np.sin(x) * y

    @f.defjvp
    def f_jvp(primals, tangents):
        x, y = primals
        dx, dy = tangents
        return f(x, y), 10 * np.cos(x) * y * dx + np.sin(x) * dy  # ten times what it is, so that it shows

    return f


def with_vjp():
    @rlxc.custom_vjp
    def f(x, y):
        return {"out": np.sin(x) * y}

    def forward(x, y):
        return f(x, y), (np.cos(x), y)

    def backward(residuals, ct):
        c, y = residuals
        return 10 * ct["out"] * c * y, None

    f.defvjp(forward, backward)
    return f


def test_a_custom_jvp_holds_in_all_modes():
    f = with_jvp()
    np.testing.assert_array_equal(f(X, 2.0), np.sin(X) * 2)
    slope = rlxc.grad(lambda x, y: np.sum(f(x, y)), argnums=(0, 1))
    for g in (slope, rlxc.jit(slope)):
        dx, dy = g(X, 2.0)
        np.testing.assert_allclose(dx, 20 * np.cos(X))
        np.testing.assert_allclose(dy, np.sin(X).sum())
    _, tangent = rlxc.jvp(f, (X, 2.0), (np.ones(3), 0.0))
    np.testing.assert_allclose(tangent, 20 * np.cos(X))
    np.testing.assert_allclose(rlxc.jit(f)(X, 2.0), np.sin(X) * 2)
    rows = rlxc.vmap(rlxc.grad(f), in_axes=(0, None))(X, 2.0)
    np.testing.assert_allclose(rows, 20 * np.cos(X))


def test_the_second_derivative_is_that_of_the_rule():
    f = with_jvp()
    second = rlxc.grad(rlxc.grad(lambda x: f(x, 1.0)))(0.5)
    np.testing.assert_allclose(second, -10 * np.sin(0.5))


def test_a_custom_jvp_with_arguments_that_are_not_differentiated():
    @rlxc.custom_jvp
    def plain(x):
        return x

    with pytest.raises(rlxc.TracingError, match="no derivative rule") as caught:
        rlxc.grad(plain)(1.0)
    assert caught.value.code == "RLX0809"

    def apply(g, x):
        return g(x)

    f = rlxc.custom_jvp(apply, nondiff_argnums=(0,))
    f.defjvp(lambda g, primals, tangents: (g(*primals), 3 * tangents[0]))
    np.testing.assert_allclose(rlxc.grad(lambda x: f(np.exp, x))(1.0), 3.0)


def test_integers_among_the_arguments_and_results_of_a_custom_jvp():
    @rlxc.custom_jvp
    def f(t, i):
        return t[i], i + 1

    @f.defjvp
    def f_jvp(primals, tangents):
        dt, di = tangents
        assert di is None
        return f(*primals), (5 * dt[primals[1]], None)

    slope = rlxc.grad(lambda t, i: np.sum(f(t, i)[0]))(X, np.array([0, 0, 2]))
    np.testing.assert_array_equal(slope, [10.0, 0.0, 5.0])


def test_a_custom_vjp_has_residuals_and_none_for_zero():
    f = with_vjp()
    slope = rlxc.grad(lambda x, y: np.sum(f(x, y)["out"]), argnums=(0, 1))
    for g in (slope, rlxc.jit(slope)):
        dx, dy = g(X, 2.0)
        np.testing.assert_allclose(dx, 20 * np.cos(X))
        assert dy == 0
    with pytest.raises(rlxc.DifferentiationError):
        rlxc.jvp(f, (X, 2.0), (X, 0.0))
    rows = rlxc.vmap(rlxc.grad(lambda x, y: f(x, y)["out"]), in_axes=(0, None))(X, 2.0)
    np.testing.assert_allclose(rows, 20 * np.cos(X))


def test_a_custom_vjp_that_clips_gradients_and_uses_arrays_from_outside():
    limit = np.array([0.1, 0.2, 5.0])
    weights = np.array([1.0, 2.0, 3.0])

    @rlxc.custom_vjp
    def f(x):
        return x * weights

    f.defvjp(lambda x: (f(x), None), lambda _, ct: (np.clip(ct * weights, -limit, limit),))
    for g in (rlxc.grad(lambda x: np.sum(f(x))), rlxc.jit(rlxc.grad(lambda x: np.sum(f(x))))):
        np.testing.assert_allclose(g(X), [0.1, 0.2, 3.0])


def test_nondiff_arguments_of_a_custom_vjp():
    def power(n, x):
        return x**n

    f = rlxc.custom_vjp(power, nondiff_argnums=0)
    f.defvjp(lambda n, x: (x**n, x), lambda n, x, ct: (ct * n,))
    np.testing.assert_allclose(rlxc.grad(lambda x: f(4, x))(2.0), 4.0)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (lambda primals, tangents: primals[0], "a pair"),
        (lambda primals, tangents: (primals[0], (tangents[0],)), "has the form"),
        (lambda primals, tangents: (primals[0], tangents[0][:2]), r"f64\[2\]"),
        (lambda primals, tangents: (primals[0], "x"), "asked for"),
    ],
)
def test_a_jvp_rule_that_does_not_fit_is_an_error(rule, says):
    f = rlxc.custom_jvp(lambda x: x * 2)
    f.defjvp(rule)
    with pytest.raises(rlxc.TracingError, match=says) as caught:
        rlxc.grad(lambda x: np.sum(f(x)))(X)
    assert caught.value.code == "RLX0809"


def test_a_rule_that_is_not_linear_is_an_error():
    f = rlxc.custom_jvp(lambda x: x * 2)
    f.defjvp(lambda primals, tangents: (primals[0], tangents[0] + 1.0))
    with pytest.raises(rlxc.Error, match="linear"):
        rlxc.grad(f)(1.0)


@pytest.mark.parametrize(
    ("forward", "backward", "says"),
    [
        (lambda x: x, lambda r, ct: (ct,), "a pair"),
        (lambda x: ((x,), None), lambda r, ct: (ct,), "of the form"),
        (lambda x: (x, None), lambda r, ct: ct, "a tuple"),
        (lambda x: (x, None), lambda r, ct: (ct[:2],), r"f64\[2\]"),
    ],
)
def test_vjp_rules_that_do_not_fit_are_errors(forward, backward, says):
    f = rlxc.custom_vjp(lambda x: x * 2)
    f.defvjp(forward, backward)
    with pytest.raises(rlxc.TracingError, match=says):
        rlxc.grad(lambda x: np.sum(f(x)))(X)


def test_a_traced_array_from_outside_is_refused_for_no_rule_knows_it():
    def outer(w):
        f = rlxc.custom_jvp(lambda x: x * w)
        f.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
        return f(1.0)

    with pytest.raises(rlxc.TracingError, match="from outside"):
        rlxc.grad(outer)(2.0)


@pytest.mark.parametrize("policy", ["recompute", "save", "contractions", "named"])
def test_a_checkpoint_changes_no_number(policy):
    def layer(w, x):
        h = rlxc.checkpoint_name(np.tanh(x @ w), "h")
        return np.sin(h) * h

    kept = rlxc.checkpoint(layer, policy=policy, names=["h"])

    def loss(f):
        return lambda w, x: np.sum(f(w, f(w, x)) ** 2)

    w, x = np.eye(3) * 0.5 + 0.1, np.arange(6.0).reshape(2, 3) / 6
    want = rlxc.value_and_grad(loss(layer), argnums=(0, 1))(w, x)
    for g in (rlxc.value_and_grad(loss(kept), argnums=(0, 1)), rlxc.jit(rlxc.value_and_grad(loss(kept), argnums=(0, 1)))):
        for a, b in zip(rlxc.tree_leaves(g(w, x)), rlxc.tree_leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)


def test_a_checkpoint_is_seen_in_the_program_and_goes_through_closures():
    w = np.ones(3)

    @rlxc.checkpoint
    def f(x):
        return np.sum(np.exp(x * w))

    assert "checkpoint" in str(rlxc.trace(f, X))
    np.testing.assert_allclose(rlxc.grad(f)(X), np.exp(X))
    slope = rlxc.grad(lambda s: rlxc.checkpoint(lambda x: np.sum(np.exp(x * s)))(X))(1.0)
    np.testing.assert_allclose(slope, np.sum(np.exp(X) * X))
    np.testing.assert_allclose(f(X), np.exp(X).sum())
