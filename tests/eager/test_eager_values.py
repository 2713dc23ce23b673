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


def test_masks_select_elements():
    x = leaf(np.arange(6.0).reshape(2, 3))
    mask = x > 2.0
    assert x[mask].tolist() == [3, 4, 5]
    assert x[:, np.array([True, False, True])].tolist() == [[0, 2], [3, 5]]
    np.sum(x[mask] * x[mask]).backward()
    assert x.grad.tolist() == [[0, 0, 0], [6, 8, 10]]
    assert x.at[mask].set(9.0).tolist() == [[0, 1, 2], [9, 9, 9]]


@pytest.mark.parametrize("index", [0, -1, (1, 2), (0, slice(None)), (..., -1), (slice(1), 1), (None, 1), ([0, 1, 1], [2, 0, 0]), (slice(None, None, -1), 2)])
def test_indices_are_numpys(index):
    array = np.arange(6.0).reshape(2, 3)
    x = leaf(array)
    y = x[index]
    np.testing.assert_array_equal(y.numpy(), array[index])
    y.backward(np.ones(y.shape))
    want = np.zeros((2, 3))
    np.add.at(want, index if not isinstance(index, tuple) or None not in index else (1,), 1.0)
    np.testing.assert_array_equal(x.grad.numpy(), want)


def test_indices_out_of_bounds_are_refused():
    x = leaf(np.ones((2, 3)))
    for index in (2, -3, (0, 3), (0, 0, 0)):
        with pytest.raises(IndexError):
            x[index]


def test_one_rule_serves_all_positions():
    x = leaf(np.arange(50.0))
    x[0]
    start = len(eager.traced._CALLS)
    total = sum(x[i] * float(i) for i in range(50))
    total.backward()
    assert len(eager.traced._CALLS) == start
    assert x.grad.tolist() == list(range(50))


def test_a_loop_is_one_node_and_its_derivative_is_a_loop():
    def power(x, n):
        return rlxc.scan(lambda c, _: (c * x, None), 1.0, None, length=n)[0]

    f = eager.function(power)
    x = leaf(1.01)
    y = f(x, n=100)
    assert getattr(y._edge, "node", y._edge).parents == (x._edge,)
    y.backward()
    assert x.grad.item() == pytest.approx(100 * 1.01**99, rel=1e-12)
    slope = eager.grad(f(x, n=100), x, create_graph=True)
    curve = eager.grad(slope, x, create_graph=True)
    assert curve.item() == pytest.approx(9900 * 1.01**98, rel=1e-11)
    assert eager.grad(curve, x).item() == pytest.approx(9900 * 98 * 1.01**97, rel=1e-10)


def test_a_network_keeps_the_results_of_its_layers():
    @eager.function
    def network(weights, x):
        for w in weights:
            x = np.tanh(x @ w)
        return np.sum(x)

    rng = np.random.default_rng(0)
    weights = [leaf(rng.standard_normal((5, 5))) for _ in range(4)]
    y = network(weights, np.ones((3, 5)))
    node = y._edge.node
    kept = sum(v.type.nbytes for v in node.rule.plan.residuals if v in node.rule.plan.extras)
    assert kept == 4 * 15 * 8  # each layer's result, once
    assert sum(r.nbytes for r in node.residuals) == kept + 3 * 25 * 8 + 15 * 8  # and what exists anyway: the input, and all weights but the first
    slopes = eager.grad(y, weights, create_graph=True)
    total = sum(np.sum(s * s) for s in slopes)
    second = eager.grad(total, weights[0])
    h, d = 1e-6, rng.standard_normal((5, 5))

    def squared(first):
        return sum(np.sum(s.numpy() ** 2) for s in eager.grad(network([first, *weights[1:]], np.ones((3, 5))), [first, *weights[1:]]))

    at = weights[0].numpy()
    difference = (squared(leaf(at + h * d)) - squared(leaf(at - h * d))) / (2 * h)
    assert np.sum(second.numpy() * d) == pytest.approx(difference, rel=1e-6)


def test_complex_gradients_are_directions_of_descent():
    z = leaf(1 + 2j)
    (z * np.conj(z)).backward(1.0 + 0j)
    assert z.grad.item() == 2 + 4j
    z = leaf(np.array([1 + 2j, 3 - 1j]))
    np.sum(np.abs(z) ** 2).backward()
    np.testing.assert_allclose(z.grad.numpy(), [2 + 4j, 6 - 2j], rtol=1e-15)
    z = leaf(1 + 1j)
    (z * (2 + 1j)).backward(1.0 + 0j)
    assert z.grad.item() == 2 - 1j
    z = leaf(2 + 1j)
    np.conj(z).backward(1 + 1j)
    assert z.grad.item() == 1 - 1j


def test_tensors_print_and_copy():
    import copy
    import pickle

    x = leaf(1.5)
    assert (f"{x:.2f}", str(x), f"{x}") == ("1.50", "tensor(1.5, requires_grad=True)", "tensor(1.5, requires_grad=True)")
    for y in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        (y * y).backward()
        assert (y.grad.item(), x.grad) == (3, None)
    with pytest.raises(rlxc.DifferentiationError, match="only a leaf"):
        copy.copy(x * x)


def test_rules_of_the_user_hold_on_the_tape():
    @rlxc.custom_vjp
    def f(x, k):
        return x * x * k

    f.defvjp(lambda x, k: (x * x * k, x), lambda x, ct: (ct * 100 * x, None))

    @rlxc.custom_jvp
    def g(x):
        return np.sin(x)

    g.defjvp(lambda primals, tangents: (np.sin(primals[0]), tangents[0] * 7.0))
    x = leaf(3.0)
    assert eager.grad(f(x, 2.0), x).item() == 300
    assert eager.grad(g(x), x).item() == 7
    assert g(x).item() == np.sin(3.0)


def test_nothing_is_planned_where_nothing_is_recorded():
    x = leaf(2.0)
    with eager.no_grad():
        y = rlxc.while_loop(lambda c: c < 100, lambda c: c * 2.0, x)
    assert y.item() == 128
    assert not y.requires_grad
    with pytest.raises(rlxc.Error, match="bound = N"):
        rlxc.while_loop(lambda c: c < 100, lambda c: c * 2.0, x)


def test_out_is_refused_where_a_call_is_recorded():
    with pytest.raises(rlxc.Error, match="out="):
        rlxc.compile("func @f(%x: f64[1]) -> f64[1] { %a = sin %x return %a }")(leaf([1.0]), out=np.zeros(1))


def test_numpy_functions_of_the_numbers_give_what_numpy_gives():
    x = leaf([3.0, 0.0, 2.0])
    assert np.nonzero(x)[0].tolist() == np.flatnonzero(x).tolist() == [0, 2]
    assert np.result_type(x, np.float32) == np.float64
    assert np.array_repr(x) == "array([3., 0., 2.])"
    assert x[eager.tensor(1) :].tolist() == [0, 2]


def test_places_out_of_bounds_are_refused():
    x, far = leaf(np.ones((2, 3))), np.array([0, 5])
    for use in (
        lambda: x[far],
        lambda: x[:, eager.tensor(far)],
        lambda: x[..., -far],
        lambda: x[1, far],
        lambda: x.at[far].set(0.0),
        lambda: np.take(x, far, axis=1),
        lambda: x.take(far + 1),
        lambda: np.take_along_axis(x, far[None], axis=1),
        lambda: x[np.ones(3, bool)],
    ):
        with pytest.raises(IndexError, match=r"bounds|mask"):
            use()
    assert x[:, np.array([-3, 2])].shape == (2, 2)
    assert x.take(far).shape == (2,)
    assert np.take(x, far, mode="clip").shape == (2,)
    assert x[np.array([True, False]), 1:].shape == (1, 2)


def test_an_optimizer_steps_tensors():
    params = {"w": leaf([[1.0], [-2.0]]), "b": leaf([0.5])}
    x, y = np.array([[1.0, 2.0], [0.0, 1.0], [3.0, -1.0]]), np.ones((3, 1))
    optimizer = rlxc.optim.adam(1e-2)
    plain = {k: p.numpy() for k, p in params.items()}
    state, plain_state = optimizer.init(params), optimizer.init(plain)
    slope = rlxc.grad(lambda p: ((x @ p["w"] + p["b"] - y) ** 2).mean())
    for _ in range(3):
        ((x @ params["w"] + params["b"] - y) ** 2).mean().backward()
        with eager.no_grad():
            new, state = optimizer.update({k: p.grad for k, p in params.items()}, state, params)
        plain, plain_state = optimizer.update(slope(plain), plain_state, plain)
        for k, p in params.items():
            p.assign(new[k])
            p.zero_grad()
            np.testing.assert_allclose(p.numpy(), plain[k], rtol=1e-12)
