"""Derivatives of Python functions: closures, trees, nesting in any order, and what is refused."""

import numpy as np
import pytest

import rlxc

X = np.array([0.5, -1.25, 2.0])


def each_way(f):
    """A function of a number called as it is, and jitted."""
    return [lambda *xs: f(*xs), lambda *xs: rlxc.jit(f)(*xs)]


def test_no_perturbation_is_taken_for_another():
    """The classics: an inner derivative by y of x + y, with x from outside, is 1 whatever happens to x."""
    assert float(rlxc.grad(lambda x: x * rlxc.grad(lambda y: x + y)(1.0))(1.0)) == 1
    assert float(rlxc.jvp(lambda x: x * rlxc.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))[1]) == 1
    assert float(rlxc.grad(lambda x: x * rlxc.jvp(lambda y: x * y, (2.0,), (1.0,))[1])(3.0)) == 6
    assert float(rlxc.jvp(lambda x: x * rlxc.grad(lambda y: x * y)(2.0), (3.0,), (1.0,))[1]) == 6
    nested = rlxc.grad(lambda x: rlxc.grad(lambda y: rlxc.grad(lambda z: x * y * z * z)(y))(x))
    assert float(nested(2.0)) == 16  # by z at y: 2 x y^2; of that by y at x: 4 x^2; of that by x: 8 x


def test_closures_over_outer_tracers_are_differentiated_through():
    def outer(w):
        inner = rlxc.grad(lambda x: np.sum(np.sin(x * w)))
        return np.sum(inner(X) ** 2)

    step = 1e-6
    for f in each_way(rlxc.grad(outer)):
        numeric = (outer_value(X * 0 + 0.7 + step) - outer_value(X * 0 + 0.7 - step)) / (2 * step)
        assert float(np.sum(f(np.full(3, 0.7)))) == pytest.approx(numeric, rel=1e-7)


def outer_value(w):
    return np.sum((np.cos(X * w) * w) ** 2)


def test_trees_and_has_aux():
    def loss(params, x, *, scale):
        h = np.tanh(params["w"] @ x + params["b"])
        return np.sum(h) * scale, {"h": h, "n": 2}

    params = {"w": np.eye(3), "b": np.zeros(3)}
    for f in each_way(lambda p, x: rlxc.value_and_grad(loss, has_aux=True)(p, x, scale=2.0)):
        (value, aux), slope = f(params, X)
        assert float(value) == pytest.approx(2 * np.tanh(X).sum())
        np.testing.assert_allclose(aux["h"], np.tanh(X), rtol=1e-14)
        np.testing.assert_allclose(slope["b"], 2 / np.cosh(X) ** 2, rtol=1e-12)
        np.testing.assert_allclose(slope["w"], np.outer(2 / np.cosh(X) ** 2, X), rtol=1e-12)
    slope, aux = rlxc.grad(loss, has_aux=True)(params, X, scale=1.0)
    assert set(slope) == {"w", "b"}
    for arguments in ((X, 2 * X), (X,)):
        by_name = rlxc.grad(lambda a, b: (a * b).sum(), argnums="b")(*arguments, **({} if len(arguments) == 2 else {"b": 2 * X}))
        np.testing.assert_array_equal(by_name, X)
    both = rlxc.jacrev(lambda a, *, c, b: {"out": (a * b["k"]).sum() * c}, argnums=(0, "b"))(X, c=2.0, b={"k": X + 1})
    np.testing.assert_array_equal(both["out"][0], 2 * (X + 1))
    np.testing.assert_array_equal(both["out"][1]["k"], 2 * X)


def test_vjp_jvp_and_linearize_agree():
    f = lambda x, y: (np.sin(x) * y, {"s": np.sum(x * y)})  # noqa: E731
    y = np.array([1.0, 2.0, -1.0])
    dx, dy = np.array([1.0, 0.5, 0.0]), np.array([0.0, 1.0, 2.0])
    out, tangent = rlxc.jvp(f, (X, y), (dx, dy))
    again, push = rlxc.linearize(f, X, y)
    _, pull = rlxc.vjp(f, X, y)
    for a, b in zip(rlxc.tree_leaves((out, tangent)), rlxc.tree_leaves((again, push(dx, dy))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)
    ct = (np.array([3.0, -1.0, 2.0]), {"s": np.array(0.5)})
    cx, cy = pull(ct)
    forward = np.sum(tangent[0] * ct[0]) + tangent[1]["s"] * ct[1]["s"]
    assert float(forward) == pytest.approx(float(np.sum(cx * dx) + np.sum(cy * dy)))
    out, pull, aux = rlxc.vjp(lambda x: (x * x, {"a": 2 * x}), X, has_aux=True)
    np.testing.assert_array_equal(aux["a"], 2 * X)
    np.testing.assert_allclose(pull(np.ones(3))[0], 2 * X)
    out, tangent, aux = rlxc.jvp(lambda x: (x * x, 2 * x), (X,), (np.ones(3),), has_aux=True)
    np.testing.assert_allclose(tangent, 2 * X)
    out, push, aux = rlxc.linearize(lambda x: (x * x, {"n": 3, "a": 2 * x}), X, has_aux=True)
    np.testing.assert_allclose(push(np.ones(3)), aux["a"])
    product, aux = rlxc.hvp(lambda x: (np.sum(x**3), 6 * x), (X,), (np.ones(3),), has_aux=True)
    np.testing.assert_allclose(product, aux)


def test_forward_mode_does_not_look_at_what_is_not_differentiated():
    """With `has_aux`: a function that has no tangents at all may stand there."""
    backward_only = rlxc.custom_vjp(lambda x: x * 2)
    backward_only.defvjp(lambda x: (x * 2, None), lambda _, ct: (ct,))
    f = lambda x: (np.sum(x * x), backward_only(x))  # noqa: E731
    assert rlxc.jvp(f, (X,), (X,), has_aux=True)[1] == pytest.approx(2 * X @ X)
    assert rlxc.linearize(f, X, has_aux=True)[1](X) == pytest.approx(2 * X @ X)
    np.testing.assert_allclose(rlxc.hvp(f, (X,), (X,), has_aux=True)[0], 2 * X)
    np.testing.assert_allclose(rlxc.jacfwd(f, has_aux=True)(X)[0], 2 * X)


def test_residuals_of_a_python_function():
    def f(x, p):
        return np.sum(np.exp(np.sin(rlxc.checkpoint_name(p["w"] @ x, "product"))))

    report = rlxc.residuals(f, "f32[3]", {"w": np.ones((2, 3))})
    assert [k.name for k in report.entries if k.kind == "argument"] == ["%p.w", "%x"]
    assert report.kept_bytes == 2 * 16
    assert "exp at" in str(report)
    kept = rlxc.checkpoint(f, policy="named", names=["product"])
    assert 'named "product"' in str(rlxc.residuals(kept, X, {"w": np.ones((2, 3))}))
    with pytest.raises(rlxc.DifferentiationError, match="no float result"):
        rlxc.residuals(lambda x: x > 0, X)


def test_pullbacks_inside_a_trace():
    @rlxc.jit
    def f(x, ct):
        out, pull = rlxc.vjp(np.sin, x)
        _, push = rlxc.linearize(np.exp, x)
        return out, pull(ct)[0] + pull(2 * ct)[0], push(ct)

    out, ct, t = f(X, np.ones(3))
    np.testing.assert_allclose(out, np.sin(X))
    np.testing.assert_allclose(ct, 3 * np.cos(X))
    np.testing.assert_allclose(t, np.exp(X))


def test_two_pullbacks_in_one_program_stay_independent():
    @rlxc.jit
    def f(x):
        _, p = rlxc.vjp(lambda x: x * x, x)
        _, q = rlxc.vjp(lambda x: x * x * x, x)
        return p(1.0)[0], q(1.0)[0]

    assert [float(v) for v in f(2.0)] == [4.0, 12.0]


def test_jacobians_and_hessians():
    f = lambda x: np.sin(x) * x[::-1]  # noqa: E731
    want = np.diag(np.cos(X) * X[::-1]) + np.diag(np.sin(X))[:, ::-1]
    for transform in (rlxc.jacfwd, rlxc.jacrev):
        for g in each_way(transform(f)):
            np.testing.assert_allclose(g(X), want, rtol=1e-13, atol=1e-15)
    g = lambda x, y: np.sum(x**3) * y  # noqa: E731
    for h in each_way(rlxc.hessian(g, argnums=(0, 1))):
        (xx, xy), (yx, yy) = h(X, 2.0)
        np.testing.assert_allclose(xx, np.diag(12 * X))
        np.testing.assert_allclose(xy, 3 * X**2)
        np.testing.assert_allclose(yx, 3 * X**2)
        assert float(yy) == 0
    np.testing.assert_allclose(rlxc.hessian(lambda x: np.sum(x**3))(X), rlxc.jacrev(rlxc.jacfwd(lambda x: np.sum(x**3)))(X))
    jac = rlxc.jacrev(lambda p: {"y": p["a"] * p["b"][0]})({"a": X, "b": [np.array(2.0)]})
    np.testing.assert_array_equal(jac["y"]["a"], 2 * np.eye(3))
    np.testing.assert_array_equal(jac["y"]["b"][0], X)
    block, aux = rlxc.jacfwd(lambda x: (x * x, np.sum(x)), has_aux=True)(X)
    np.testing.assert_allclose(block, np.diag(2 * X))
    assert float(aux) == pytest.approx(X.sum())


def test_hvp_is_forward_over_reverse():
    f = lambda x: np.sum(np.tanh(x) ** 2) * x[0]  # noqa: E731
    v = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(rlxc.hvp(f, (X,), (v,)), rlxc.hessian(f)(X) @ v, rtol=1e-12)


def test_vmap_is_a_loop():
    m = np.arange(12.0).reshape(4, 3)
    f = lambda a, b: np.sum(np.sin(a) * b)  # noqa: E731
    for g in each_way(rlxc.vmap(f)):
        np.testing.assert_allclose(g(m, m), [f(a, b) for a, b in zip(m, m, strict=True)])
    for g in each_way(rlxc.vmap(f, in_axes=(1, None))):
        np.testing.assert_allclose(g(m.T, X), [f(a, X) for a in m])
    for g in each_way(rlxc.vmap(lambda a: (a, a * 2), out_axes=(1, -1))):
        np.testing.assert_array_equal(g(m)[0], m.T)
        np.testing.assert_array_equal(g(m)[1], 2 * m.T)
    for g in each_way(rlxc.vmap(rlxc.grad(f), in_axes=(0, None))):
        np.testing.assert_allclose(g(m, X), np.cos(m) * X)
    for g in each_way(rlxc.grad(lambda m: np.sum(rlxc.vmap(lambda a: np.prod(a))(m)))):
        np.testing.assert_allclose(g(m + 1), np.prod(m + 1, axis=1, keepdims=True) / (m + 1))
    nested = rlxc.vmap(lambda a: rlxc.vmap(lambda b: a * b)(X))
    np.testing.assert_allclose(nested(X), np.outer(X, X))
    tree = rlxc.vmap(lambda p, x: p["w"] * x, in_axes=({"w": None}, 0))({"w": X}, m)
    np.testing.assert_array_equal(tree, m * X)
    np.testing.assert_array_equal(rlxc.vmap(lambda x, *, k: x * k)(m, k=np.arange(4.0)), m * np.arange(4.0)[:, None])
    np.testing.assert_array_equal(rlxc.vmap(lambda x: x, in_axes=None, axis_size=2)(X), [X, X])


def test_vmap_of_a_closure_over_a_batched_tracer():
    outer = rlxc.vmap(lambda a: rlxc.vmap(rlxc.grad(lambda b: np.sin(a * b)))(X))
    np.testing.assert_allclose(outer(X), np.cos(np.outer(X, X)) * X[:, None])


def test_integers_have_no_derivatives_but_may_be_arguments():
    table, i = np.arange(12.0).reshape(4, 3), np.array([0, 2, 2])
    f = lambda t, i: np.sum(t[i] ** 2)  # noqa: E731
    slope = rlxc.grad(f)(table, i)
    want = np.zeros((4, 3))
    np.add.at(want, i, 2 * table[i])
    np.testing.assert_array_equal(slope, want)
    _, tangent = rlxc.jvp(lambda t, i: (t[i], i + 1), (table, i), (np.ones((4, 3)), None))
    np.testing.assert_array_equal(tangent[0], np.ones((3, 3)))
    assert tangent[1] is None
    _, pull = rlxc.vjp(f, table, i)
    dt, di = pull(1.0)
    np.testing.assert_array_equal(dt, want)
    assert di is None
    with pytest.raises(rlxc.DifferentiationError, match=r"with respect to i, which is i64\[3\]"):
        rlxc.grad(f, argnums=1)(table, i)
    with pytest.raises(rlxc.DifferentiationError, match=r"3\.0 for 3"):
        rlxc.grad(lambda x: x * x)(3)


def test_stop_gradient_is_a_constant_to_derivatives():
    assert float(rlxc.grad(lambda x: x * rlxc.stop_gradient(x))(3.0)) == 3
    assert rlxc.stop_gradient({"a": 1.0}) == {"a": 1.0}


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: rlxc.grad(lambda x: x * 2)(X), rlxc.DifferentiationError, "gradient is that of a scalar"),
        (lambda: rlxc.grad(lambda x: (x, x))(1.0), rlxc.DifferentiationError, "one scalar"),
        (lambda: rlxc.grad(lambda x: x, argnums=2)(1.0), rlxc.ArgumentError, "argument 2"),
        (lambda: rlxc.grad(lambda x: x, argnums="z")(1.0), rlxc.ArgumentError, "'z'"),
        (lambda: rlxc.grad(lambda x: x > 0)(1.0), rlxc.DifferentiationError, "no derivative"),
        (lambda: rlxc.grad(lambda x: x, has_aux=True)(1.0), rlxc.TracingError, "pair"),
        (lambda: rlxc.jvp(np.sin, (X,), (np.ones(2),)), rlxc.TracingError, "a tangent is f64"),
        (lambda: rlxc.jvp(np.sin, (X,), ()), rlxc.TracingError, "1 arguments"),
        (lambda: rlxc.jvp(np.sin, X, X), rlxc.TracingError, "are a tuple"),
        (lambda: rlxc.vjp(np.sin, X)[1]((X, X)), rlxc.TracingError, "the cotangent has the form"),
        (lambda: rlxc.vjp(np.sin, X)[1](np.ones(2)), rlxc.TracingError, "a cotangent is"),
        (lambda: rlxc.vmap(lambda x, y: x)(X, np.ones(2)), rlxc.TracingError, "2 examples"),
        (lambda: rlxc.vmap(lambda x: x)(1.0), rlxc.TracingError, "no axis 0"),
        (lambda: rlxc.vmap(lambda x: x, in_axes=None)(X), rlxc.TracingError, "no argument has"),
        (lambda: rlxc.vmap(lambda x, y: x, in_axes=(0,))(X, X), rlxc.TracingError, "in_axes"),
        (lambda: rlxc.vmap(lambda x: x, out_axes=None)(X), rlxc.ShapeError, "out_axes|depends"),
        (lambda: rlxc.jacrev(lambda x: x > 0)(X), rlxc.DifferentiationError, "no derivative"),
    ],
)
def test_what_does_not_fit_is_an_error(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_funcs_are_still_funcs():
    func = rlxc.trace(lambda x: np.sum(x**2), "f64[3]")
    slope = rlxc.grad(func)
    assert isinstance(slope, rlxc.Func)
    np.testing.assert_allclose(rlxc.compile(slope)(X), 2 * X)
    assert isinstance(rlxc.vmap(func), rlxc.Func)


def test_outside_of_jit_a_changed_closure_is_seen_and_nothing_is_compiled_twice():
    w = np.ones(3)
    f = rlxc.grad(lambda x: np.sum(w * x**2))
    np.testing.assert_allclose(f(X), 2 * X)
    from rlxc.tracing import staging

    compiled = len(staging._compiled)
    w[:] = 3.0
    np.testing.assert_allclose(f(X), 6 * X)
    assert len(staging._compiled) == compiled


def test_complex_derivatives_in_both_conventions():
    z = 1 + 2j
    assert rlxc.vjp(np.conj, 1 + 1j)[1](1 + 1j)[0] == 1 - 1j
    assert rlxc.jvp(np.conj, (z,), (1 + 1j,)) == (1 - 2j, 1 - 1j)
    assert rlxc.vjp(lambda z: (2 + 1j) * z, z)[1](1.0)[0] == 2 - 1j
    for f in (lambda z: np.abs(z) ** 2, lambda z: np.real(z * np.conj(z))):
        assert complex(rlxc.grad(f)(z)) == pytest.approx(2 + 4j)
        assert complex(rlxc.jit(rlxc.grad(f, convention="jax"))(z)) == pytest.approx(2 - 4j)
    _, pull = rlxc.vjp(lambda z: z * z, z, convention="jax")
    assert pull(1j)[0] == 1j * 2 * z
    with pytest.raises(rlxc.DifferentiationError, match="real"):
        rlxc.grad(lambda z: z * z)(z)


def test_what_is_the_same_is_computed_once_and_what_is_not_asked_for_not_at_all():
    def kernels(f, *types):
        return str(rlxc.run_passes(rlxc.trace(f, *types), "legalize,simplify,cse,dce"))

    both = kernels(rlxc.value_and_grad(lambda x: np.exp(x) + np.exp(x)), "f64[]")
    assert both.count(" exp ") == 1
    partial = kernels(rlxc.grad(lambda a, b, c: np.sum(a * b * np.tanh(b) + c), argnums=(0, 2)), "f64[3]", "f64[3]", "f64[3]")
    assert "log" not in partial
    assert partial.count("tanh") == 1

    def second_slot(x, ct):
        _, pull = rlxc.vjp(lambda x: (np.sin(x), 2 * x), x)
        return pull((np.zeros_like(x), ct))[0]

    np.testing.assert_allclose(rlxc.jit(second_slot)(3.0, 1.0), 2.0)

    def traced(x):
        _, pull = rlxc.vjp(lambda x: (np.sin(x), 2 * x), x)
        return pull((0.0, 1.0))[0]

    assert float(rlxc.jit(traced)(3.0)) == 2


def test_jacobians_evaluate_the_function_once():
    text = str(rlxc.run_passes(rlxc.trace(rlxc.jacrev(lambda x: np.sin(np.exp(x))), "f64[4]"), "legalize,simplify,cse,dce"))
    assert text.count(" exp ") == 1
    assert "%0 = exp %x : f64[4]" in text


def test_a_compiled_function_is_differentiated_as_the_func_it_came_from():
    compiled = rlxc.compile(rlxc.trace(lambda x: np.sum(x**2), "f64[3]"))
    np.testing.assert_allclose(rlxc.compile(rlxc.grad(compiled))(X), 2 * X)


@pytest.mark.parametrize("transform", [rlxc.vmap, lambda f: rlxc.vmap(rlxc.grad(lambda x: np.sum(f(x)))), lambda f: lambda x: rlxc.map(f, x)])
def test_no_examples_give_no_results(transform):
    assert transform(np.sin)(np.ones((0, 3))).shape == (0, 3)


def test_a_compiled_function_may_be_called_while_tracing():
    model = rlxc.compile("func @f(%x: f64[N], %w: f64[]) -> f64[] {\n  %y = mul %x, %w\n  %t = tanh %y\n  %s = reduce_sum %t {axes = [0]}\n  return %s\n}")
    np.testing.assert_allclose(rlxc.jit(lambda x: model(x, w=2.0) + 1)(X), np.tanh(2 * X).sum() + 1)
    np.testing.assert_allclose(rlxc.grad(lambda x: model(x, 2.0))(X), 2 / np.cosh(2 * X) ** 2)
    np.testing.assert_allclose(rlxc.vmap(lambda x, w: model(x, w), in_axes=(0, None))(np.stack([X, -X]), 1.0), [np.tanh(X).sum(), np.tanh(-X).sum()])
    with pytest.raises(rlxc.Error, match=r"%x is f64\[N\]|f32"):
        rlxc.jit(lambda x: model(x, 2.0))(X.astype(np.float32))


def test_a_transform_outside_of_jit_sees_what_is_outside_as_it_is_then():
    scale, power = np.array([1.0, 2.0]), [2]

    def f(x):
        return np.sum(scale * x ** power[0])

    x = np.array([3.0, 5.0])
    for change in (lambda: None, lambda: scale.__imul__(10), lambda: power.__setitem__(0, 3), lambda: None):
        change()
        want = power[0] * scale * x ** (power[0] - 1)
        np.testing.assert_allclose(rlxc.grad(f)(x), want, rtol=1e-14)
        np.testing.assert_allclose(rlxc.vjp(f, x)[1](1.0)[0], want, rtol=1e-14)
        np.testing.assert_allclose(rlxc.linearize(f, x)[1](np.array([1.0, 0.0])), want[0], rtol=1e-14)
        np.testing.assert_allclose(rlxc.hessian(f)(x), np.diag((power[0] - 1) * want / x), rtol=1e-14)
        np.testing.assert_allclose(rlxc.vmap(rlxc.grad(f))(np.stack([x, x]))[1], want, rtol=1e-14)


def test_what_a_pass_made_of_a_function_is_known_the_next_time(monkeypatch):
    from rlxc.passes import gradient

    calls = []
    whole = gradient.value_and_grad
    monkeypatch.setattr(gradient, "value_and_grad", lambda *args, **kwargs: (calls.append(args), whole(*args, **kwargs))[1])

    def an_uncommon_name(x):
        return np.sum(np.sin(x) * 3.25)

    for _ in range(3):
        rlxc.grad(an_uncommon_name)(np.ones(4))
    rlxc.grad(an_uncommon_name)(np.ones(5))
    assert len(calls) == 2
