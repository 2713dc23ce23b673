"""A function of many examples is the loop over them."""

import numpy as np
import pytest

import rlxc

F = """func @f(%x: f64[3], %w: f64[3]) -> (f64[], f64[3]) {
  %a = mul %x, %w
  %b = tanh %a
  %s = reduce_sum %b {axes = [0]}
  return %s, %b
}"""
RNG = np.random.default_rng(0)


@pytest.fixture
def f():
    return rlxc.parse(F)["f"]


def test_vmap_is_the_loop(f):
    x, w = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    s, b = rlxc.interpret(rlxc.vmap(f), x, w)
    for i in range(4):
        want = rlxc.interpret(f, x[i], w[i])
        np.testing.assert_allclose(s[i], want[0])
        np.testing.assert_allclose(b[i], want[1])


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_the_new_axis_is_where_in_axes_and_out_axes_say(f, axis):
    x, w = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    s, b = rlxc.compile(rlxc.vmap(f, (axis, None), (0, axis)))(np.moveaxis(x, 0, axis).copy(), w)
    plain = rlxc.compile(rlxc.vmap(f, (0, None)))(x, w)
    np.testing.assert_allclose(s, plain[0])
    np.testing.assert_allclose(np.moveaxis(b, axis, 0), plain[1])


def test_what_does_not_depend_on_the_example_is_computed_once():
    f = rlxc.parse("func @f(%x: f64[], %w: f64[3]) -> (f64[3], f64[3]) { %e = exp %w %y = mul %e, %x return %y, %e }")["f"]
    g = rlxc.vmap(f, (0, None), (0, None))
    assert [str(v.type) for v in g.results] == ["f64[N, 3]", "f64[3]"]
    assert [str(op.result.type) for op in g.ops if op.prim.name == "exp"] == ["f64[3]"]


def test_nested_vmaps_are_two_loops(f):
    x, w = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 3))
    g = rlxc.vmap(rlxc.vmap(f, (0, None)), (0, 0))
    s, b = rlxc.compile(g)(x, w)
    for i in range(2):
        for j in range(4):
            want = rlxc.interpret(f, x[i, j], w[i])
            np.testing.assert_allclose(s[i, j], want[0])
            np.testing.assert_allclose(b[i, j], want[1])


@pytest.mark.parametrize("transform", [rlxc.grad, rlxc.value_and_grad, rlxc.hessian, rlxc.jacrev, rlxc.jacfwd])
def test_vmap_of_a_derivative_is_the_loop(f, transform):
    loss = f.with_(results=f.results[:1])
    d = transform(loss)
    x, w = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    many = rlxc.compile(rlxc.vmap(d))(x, w)
    for i in range(4):
        for got, want in zip(many, rlxc.interpret(d, x[i], w[i]), strict=True):
            np.testing.assert_allclose(got[i], want, rtol=1e-12, atol=1e-14)


def test_the_gradient_of_vmap_is_the_loop_of_gradients(f):
    loss = f.with_(results=f.results[:1])
    x, w = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    g = rlxc.grad_with_loss(rlxc.vmap(loss, (0, None), axis_size=4))
    _, dx, dw = rlxc.compile(g)(x, w, np.ones(4))
    each = [rlxc.interpret(rlxc.grad(loss), x[i], w) for i in range(4)]
    np.testing.assert_allclose(dx, [d[0] for d in each])
    np.testing.assert_allclose(dw, sum(d[1] for d in each))


def test_vmap_of_a_pullback_stays_linear(f):
    pullback = rlxc.vjp(f).pullback
    many = rlxc.vmap(pullback, [0 if a.linear else None for a in pullback.args])
    assert many.is_linear
    assert all(v.linear for v in many.results)
    assert rlxc.parse(str(many.as_module())).funcs[-1] == many


def test_axes_that_do_not_fit_are_refused(f):
    with pytest.raises(rlxc.ShapeError, match="argument 0 has no axis 2"):
        rlxc.vmap(f, (2, None))
    with pytest.raises(rlxc.PassError, match="in_axes has 1 entries for 2 arguments"):
        rlxc.vmap(f, (0,))
    with pytest.raises(rlxc.PassError, match="no argument has the new axis"):
        rlxc.vmap(f, None)
    with pytest.raises(rlxc.ShapeError, match="result 0 depends on the example"):
        rlxc.vmap(f, 0, (None, 0))


def test_a_missing_batch_rule_names_op_and_place():
    @rlxc.register
    class Unbatched(rlxc.Elementwise):
        name = "test_unbatched"

        def eval(self, x):
            return x

        batch = rlxc.Primitive.batch

    f = rlxc.parse("func @f(%x: f64[]) -> f64[] {\n  %y = test_unbatched %x\n  return %y\n}", "b.rlx")["f"]
    with pytest.raises(rlxc.MissingRule, match="test_unbatched has no batch rule") as caught:
        rlxc.vmap(f)
    assert "b.rlx:2" in str(caught.value)
