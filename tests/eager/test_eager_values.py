"""The cases that every reverse mode has to get right, each with the value that it must give."""

import math

import numpy as np
import pytest

import rlxc
from rlxc import eager


def leaf(value):
    return eager.tensor(value, requires_grad=True)


def grads(result, *leaves, seed=None):
    result.backward(seed)
    return [None if x.grad is None else x.grad.tolist() for x in leaves]


def test_a_square_has_the_slope_of_a_square():
    x = leaf(3.0)
    y = x * x
    assert y.item() == 9
    assert grads(y, x) == [6]


def test_a_whole_function_is_one_node():
    f = eager.function("func @f(%x: f64[], %y: f64[]) -> f64[] { %a = mul %x, %y %b = add %a, %y return %b }")
    x, y = leaf(2.0), leaf(3.0)
    z = f(x, y)
    assert z._edge.parents == (x._edge, y._edge)
    assert grads(z, x, y) == [3, 3]


def test_minus_a_sum():
    a, b = leaf(2.0), leaf(5.0)
    assert grads(-(a + b), a, b) == [-1, -1]


def test_a_variable_that_is_used_twice():
    x = leaf(3.0)
    assert grads(x + x, x) == [2]
    x = leaf(3.0)
    assert grads((x + x) * x, x) == [12]


def test_a_function_computes_what_is_common_once():
    f = eager.function("func @f(%x: f64[]) -> f64[] { %a = exp %x %b = exp %x %c = add %a, %b return %c }")
    x = leaf(1.0)
    y = f(x)
    rule = y._edge.node.rule  # what an edge leads to is an output of the node: it keeps exp x besides
    assert [op.prim.name for op in rule.plan.primal.ops].count("exp") == 1
    assert len(y._edge.node.residuals) == 1
    assert grads(y, x) == [pytest.approx(2 * math.e, rel=1e-15)]


def test_an_operand_in_the_middle_that_is_inactive():
    f = eager.function("func @f(%a: f64[], %b: f64[], %c: f64[]) -> f64[] { %d = add %a, %b %e = add %d, %c return %e }")
    a, b, c = leaf(1.0), eager.tensor(2.0), leaf(3.0)
    y = f(a, b, c)
    assert grads(y, a, b, c) == [1, None, 1]
    assert len(y._edge.rule.plan.active) == 2


def test_nothing_is_computed_for_an_inactive_operand():
    x, y = leaf(np.ones((2, 3))), eager.tensor(np.ones((3, 4)))
    z = x @ y
    pullback = z._edge.rule.plan.pullback((0,))
    assert [op.prim.name for op in pullback.func.ops].count("contract") == 1
    assert len(pullback.func.results) == 1
    assert len(z._edge.residuals) == 1  # x is not kept


def test_only_the_seeded_result_is_differentiated():
    split = eager.function("func @split(%x: f64[]) -> (f64[], f64[]) { %two = constant dense<2.0> : f64[] %e = sin %x %y = mul %x, %two return %e, %y }")
    x = leaf(3.0)
    first, second = split(x)
    assert grads(second, x) == [2]
    assert [op.prim.name for op in first._edge.node.rule.plan.pullback((1,)).func.ops] == ["constant", "mul"]


def test_results_that_share_a_tangent():
    f = eager.function("func @f(%x: f64[], %c: f64[], %d: f64[]) -> (f64[], f64[]) { %a = add %x, %c %b = add %x, %d return %a, %b }")
    x = leaf(3.0)
    a, b = f(x, 1.0, 2.0)
    eager.backward([a, b], [1.0, 10.0])
    assert x.grad.item() == 11


def test_a_result_that_is_given_twice():
    f = eager.function("func @f(%x: f64[]) -> (f64[], f64[]) { %y = mul %x, %x return %y, %y }")
    x = leaf(3.0)
    a, b = f(x)
    eager.backward([a, b], [1.0, 10.0])
    assert x.grad.item() == 66


@pytest.mark.parametrize(("power", "at", "order", "value"), [(3, 2.0, 3, 6), (4, 1.0, 4, 24), (5, 1.0, 5, 120), (5, 2.0, 4, 240)])
@pytest.mark.parametrize("write", [lambda x, n: x**n, lambda x, n: math.prod([x] * n, start=1.0)], ids=["power", "product"])
def test_derivatives_of_higher_order(power, at, order, value, write):
    x = leaf(at)
    y = write(x, power)
    for _ in range(order):
        y = eager.grad(y, x, create_graph=True)
    assert y.item() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("f", [np.exp, np.tanh, np.sin, np.sqrt, np.log, lambda x: 1 / x, lambda x: np.sum(np.stack([x, x * x]) ** 2)])
def test_each_derivative_is_the_slope_of_the_one_before(f):
    x = leaf(0.7)
    y, h = f(x), 1e-3
    for order in range(4):
        y = eager.grad(y, x, create_graph=True)
        points = [_derivative(f, 0.7 + k * h, order) for k in (-2, -1, 1, 2)]
        slope = (points[0] - 8 * points[1] + 8 * points[2] - points[3]) / (12 * h)
        assert y.item() == pytest.approx(slope, rel=1e-6)


def _derivative(f, at, order):
    x = leaf(at)
    y = f(x)
    for _ in range(order):
        y = eager.grad(y, x, create_graph=True)
    return y.item()


def test_the_identity_and_a_constant():
    f = eager.function("func @f(%x: f64[], %y: f64[]) -> (f64[], f64[]) { %c = constant dense<4.0> : f64[] return %x, %c }")
    x, y = leaf(2.0), leaf(3.0)
    same, constant = f(x, y)
    assert not constant.requires_grad
    assert grads(same, x, y, seed=5.0) == [5, None]


def test_two_pullbacks_in_one_tape_stay_apart():
    x = leaf(3.0)
    a, b = x * x, x * 4.0
    da = eager.grad(a, x, create_graph=True)
    db = eager.grad(b, x, create_graph=True)
    total = da * 10.0 + db
    assert total.item() == 64
    assert eager.grad(total, x).item() == 20


def test_a_vector_hessian_by_two_backwards_equals_the_compiled_one():
    func = rlxc.parse("""
    func @f(%x: f64[3]) -> f64[] {
      %t = tanh %x
      %q = mul %t, %x
      %y = reduce_sum %q {axes = [0]}
      return %y
    }""")["f"]
    at, v = np.array([0.3, -0.7, 1.1]), np.array([1.0, 2.0, -1.0])
    want = rlxc.compile(rlxc.jvp(rlxc.grad(func)))(at, v)[1]
    x = leaf(at)
    (dx,) = eager.grad(eager.function(func)(x), [x], create_graph=True)
    np.testing.assert_allclose(eager.grad(np.sum(dx * v), x).numpy(), want, rtol=1e-12)
    x = leaf(at)
    (dx,) = eager.grad(np.sum(np.tanh(x) * x), [x], create_graph=True)
    np.testing.assert_allclose(eager.grad(dx, x, v).numpy(), want, rtol=1e-12)


def test_a_product_of_matrices_and_what_numpy_has():
    rng = np.random.default_rng(0)
    w, x = leaf(rng.standard_normal((4, 3))), leaf(rng.standard_normal(3))
    loss = np.linalg.norm(np.tanh(w @ x) - 0.5) + np.mean(np.where(x > 0, x, 0.1 * x)) + w[1, 2] * w[-1].sum()
    loss.backward()
    for v in (w, x):
        numeric = np.zeros(v.shape)
        for i in np.ndindex(v.shape):
            numeric[i] = (_loss(w, x, v, i, 1e-6) - _loss(w, x, v, i, -1e-6)) / 2e-6
        np.testing.assert_allclose(v.grad.numpy(), numeric, atol=1e-8)


def _loss(w, x, moved, i, h):
    arrays = [np.array(v.numpy()) for v in (w, x)]
    arrays[0 if moved is w else 1][i] += h
    w, x = arrays
    return np.linalg.norm(np.tanh(w @ x) - 0.5) + np.mean(np.where(x > 0, x, 0.1 * x)) + w[1, 2] * w[-1].sum()


TEXT = """
func @model(%x: f64[B, 2], param %w: f64[2, 2], param %b: f64[2]) -> f64[] {
  %h = matmul %x, %w
  %a = add %h, %b
  %t = tanh %a
  %loss = reduce_sum %t {axes = [0, 1]}
  return %loss
}
"""


@pytest.mark.parametrize("make", [eager.function, lambda text: eager.function(rlxc.compile(text)), rlxc.compile], ids=["text", "compiled", "called"])
def test_a_compiled_function_is_recorded(make):
    f = make(TEXT)
    rng = np.random.default_rng(0)
    for rows in (3, 5):
        arrays = [rng.standard_normal(shape) for shape in ((rows, 2), (2, 2), 2)]
        want = rlxc.compile(rlxc.value_and_grad(rlxc.parse(TEXT)["model"], wrt=["w", "b"]))(*arrays)
        w, b = leaf(arrays[1]), leaf(arrays[2])
        loss = f(arrays[0], b=b, w=w)
        loss.backward()
        assert loss.item() == want[0]
        np.testing.assert_allclose(w.grad.numpy(), want[1], rtol=1e-12)
        np.testing.assert_allclose(b.grad.numpy(), want[2], rtol=1e-12)


def test_a_function_of_other_types_is_refused():
    f = eager.function(TEXT)
    with pytest.raises(rlxc.ArgumentError, match=r"@model: %w is f64\[2, 2\], not f64\[3\]"):
        f(leaf(np.ones((3, 2))), leaf(np.ones(3)), leaf(np.ones(2)))
    with pytest.raises(rlxc.ArgumentError, match=r"@model: %w is f64\[2, 2\], not f32\[2, 2\]"):
        f(leaf(np.ones((3, 2))), np.ones((2, 2), np.float32), np.ones(2))
    with pytest.raises(rlxc.ArgumentError, match="misses %w"):
        f(leaf(np.ones((3, 2))), b=np.ones(2))


def test_a_python_function_of_trees_is_one_node():
    @eager.function
    def loss(params, x, *, power):
        h = np.tanh(x @ params["w"] + params["b"])
        return {"loss": np.sum(h**power), "h": h}

    w, b = leaf(np.array([[0.1, 0.2], [0.3, 0.4]])), leaf(np.array([0.5, -0.5]))
    out = loss({"w": w, "b": b}, np.ones(2), power=2)
    assert sorted(out) == ["h", "loss"]
    assert out["loss"]._edge.node is out["h"]._edge.node
    out["loss"].backward()
    h = np.tanh(np.ones(2) @ w.numpy() + b.numpy())
    np.testing.assert_allclose(b.grad.numpy(), 2 * h * (1 - h * h), rtol=1e-12)


def test_jitted_functions_and_transforms_record_themselves():
    @rlxc.jit
    def loss(params, x, scale):
        return np.sum(np.tanh(x @ params["w"]) ** 2) * scale

    array, rows = np.array([[0.1, 0.2], [0.3, -0.4]]), np.array([[1.0, 2.0], [0.5, -1.0]])
    want = rlxc.grad(loss)({"w": array}, rows, 3.0)["w"]
    for _ in range(2):
        w = leaf(array)
        y = loss({"w": w}, rows, 3.0)
        assert getattr(y._edge, "node", y._edge).parents == (w._edge,)
        y.backward()
        np.testing.assert_allclose(w.grad.numpy(), want, rtol=1e-12)

    w = leaf(array)
    _, slope = rlxc.value_and_grad(lambda w: loss({"w": w}, rows, 3.0))(w)
    np.testing.assert_allclose(slope.numpy(), want, rtol=1e-12)
    np.sum(slope * slope).backward()
    h = 1e-6 * rows
    differences = [np.sum(rlxc.grad(loss)({"w": array + s * h}, rows, 3.0)["w"] ** 2) for s in (1, -1)]
    assert np.sum(w.grad.numpy() * h) == pytest.approx((differences[0] - differences[1]) / 2, rel=1e-6)


def test_functions_of_rlxc_take_tensors():
    x = leaf(np.array([[-1.0, 0.5, 2.0]]))
    y = rlxc.nn.gelu(x)
    y.backward(np.ones((1, 3)))
    want = rlxc.grad(lambda a: np.sum(rlxc.nn.gelu(a)))(x.numpy())
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-12)
    z = rlxc.numpy.sum(rlxc.numpy.exp(x), axis=1)
    assert z.requires_grad
