"""Functions with derivative rules of their own, and checkpoints."""

import numpy as np
import pytest

import rlxc
from rlxc.tracing.custom import MAX_DEPTH

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


@pytest.mark.parametrize("custom", ["jvp", "vjp"])
def test_what_a_function_takes_from_outside_is_differentiated_as_it_is_written(custom):
    """The rule says three times the slope by x, of w it does not speak; it uses w itself, so its own derivative by w counts."""

    def outer(w, x):
        if custom == "jvp":
            f = rlxc.custom_jvp(lambda x: np.sin(x) * w)
            f.defjvp(lambda primals, tangents: (f(*primals), 3 * np.cos(primals[0]) * w * tangents[0]))
        else:
            f = rlxc.custom_vjp(lambda x: np.sin(x) * w)
            f.defvjp(lambda x: (f(x), x), lambda x, ct: (3 * np.cos(x) * w * ct,))
        return f(x) + rlxc.scan(lambda c, _: (f(c), None), x, length=1)[0]

    s, c = np.sin(0.5), np.cos(0.5)
    for f in (outer, rlxc.jit(outer), rlxc.checkpoint(outer)):
        np.testing.assert_allclose(rlxc.grad(f, (0, 1))(2.0, 0.5), (2 * s, 12 * c))
        np.testing.assert_allclose(rlxc.grad(lambda w, x: rlxc.grad(f, 1)(w, x), (0, 1))(2.0, 0.5), (6 * c, -12 * s))  # noqa: B023
        np.testing.assert_allclose(rlxc.vmap(rlxc.grad(f, (0, 1)), (None, 0))(2.0, X), (4 * np.sin(X) / 2, 12 * np.cos(X)))
    if custom == "jvp":
        np.testing.assert_allclose(rlxc.jacfwd(outer, (0, 1))(2.0, 0.5), (2 * s, 12 * c))


@pytest.mark.parametrize("custom", ["jvp", "vjp"])
def test_a_rule_gives_a_step_a_slope_inside_of_loops_and_branches(custom):
    """A step, whose own derivative is zero, with a slope by a rule: whether something depends on x is asked of the rule."""
    if custom == "jvp":
        step = rlxc.custom_jvp(lambda x: (x > 0) * 1.0)
        step.defjvp(lambda primals, tangents: (step(*primals), 2 * tangents[0]))
    else:
        step = rlxc.custom_vjp(lambda x: (x > 0) * 1.0)
        step.defvjp(lambda x: (step(x), None), lambda _, ct: (2 * ct,))

    def carried(x):
        return rlxc.scan(lambda c, _: (step(c + x), None), 0.0, length=3)[0]  # what is carried depends on x by the rule alone

    def while_carried(x):
        return rlxc.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, step(s[1] + x)), (0, 0.0), bound=4)[1]

    def chosen(x):
        return rlxc.cond(x > 0, lambda: step(x), lambda: 1.0)

    for f, want in ((carried, 14.0), (while_carried, 14.0), (rlxc.checkpoint(carried), 14.0), (chosen, 2.0)):
        assert rlxc.grad(f)(0.5) == want
        assert rlxc.vmap(rlxc.grad(f))(np.array([0.5]))[0] == want
        if custom == "jvp":
            assert rlxc.jvp(f, (0.5,), (1.0,))[1] == want


def test_a_rule_that_calls_its_function_holds_for_some_orders_and_then_says_so():
    f = rlxc.custom_jvp(np.exp)
    f.defjvp(lambda primals, tangents: (f(*primals), 2 * f(*primals) * tangents[0]))
    by_formula = rlxc.custom_jvp(np.exp)
    by_formula.defjvp(lambda primals, tangents: (np.exp(primals[0]), 2 * np.exp(primals[0]) * tangents[0]))
    slope, other = f, by_formula
    for order in range(1, MAX_DEPTH + 1):
        slope, other = rlxc.grad(slope), rlxc.grad(other)
        assert slope(0.0) == 2.0**order
        assert other(0.0) == 2.0  # the slope of the rule, which is an exponential like any other
    assert rlxc.grad(other)(0.0) == 2.0
    with pytest.raises(rlxc.DifferentiationError, match="of this order is not known") as caught:
        rlxc.grad(slope)(0.0)
    assert caught.value.code == "RLX0309"
    with pytest.raises(rlxc.DifferentiationError, match="of this order is not known"):
        rlxc.grad(lambda x: rlxc.scan(lambda c, _: (slope(c), None), x, length=2)[0])(0.0)
    outer = rlxc.custom_jvp(lambda x: f(x) + x)
    outer.defjvp(lambda primals, tangents: (outer(*primals), rlxc.jvp(lambda x: f(x) + x, primals, tangents)[1]))
    assert rlxc.grad(outer)(0.0) == 3.0  # its rule, followed to the end, takes a derivative of f that is not known: it is followed a little less far
    assert rlxc.grad(rlxc.grad(outer))(0.0) == 4.0
    assert rlxc.jit(rlxc.vmap(slope))(np.zeros(2)).tolist() == [2.0**MAX_DEPTH] * 2


def test_a_tangent_that_is_zero_is_none():
    """Of two results, one does not depend on what is differentiated by, and of another the rule says that it has no slope."""

    @rlxc.custom_jvp
    def f(x, y):
        return x * y, y, x

    @f.defjvp
    def f_jvp(primals, tangents):
        return f(*primals), (5 * tangents[0], 7 * tangents[1], np.zeros(()))

    assert rlxc.grad(lambda x, y: sum(f(x, y)), (0, 1))(2.0, 3.0) == (5.0, 7.0)
    assert rlxc.grad(lambda x, y: sum(f(x, y)))(2.0, 3.0) == 5.0
    assert rlxc.jacfwd(f, 1)(2.0, 3.0) == (0.0, 7.0, 0.0)


def test_the_tape_goes_by_the_rules():
    for f in (with_jvp(), lambda x, y: with_vjp()(x, y)["out"]):
        x = rlxc.eager.tensor(X, requires_grad=True)
        y = f(x, 2.0)
        np.testing.assert_array_equal(y.numpy(), np.sin(X) * 2)
        np.sum(y).backward()
        np.testing.assert_allclose(x.grad.numpy(), 20 * np.cos(X))


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


def test_derivatives_of_the_first_four_orders_are_those_of_the_rule():
    @rlxc.custom_jvp
    def f(x):
        return np.exp(rlxc.stop_gradient(x))

    f.defjvp(lambda primals, tangents: (f(*primals), f(*primals) * tangents[0]))
    derivative = f
    for _ in range(4):
        derivative = rlxc.grad(derivative)
        assert derivative(0.0) == 1


def test_rules_that_call_functions_with_rules_do_not_multiply():
    def with_a_rule(h):
        @rlxc.custom_jvp
        def f(x):
            calls.append(f)
            return h(x)

        f.defjvp(lambda primals, tangents: (f(*primals), h(*primals) * tangents[0]))
        return f

    counts = []
    for depth in (2, 4):
        calls = []
        f = np.sin
        for _ in range(depth):
            f = with_a_rule(f)
        rlxc.trace(f, "f64[]")
        counts.append(len(calls))
    assert counts[1] < 16 * counts[0]
