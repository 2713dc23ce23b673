"""Jacobians, Hessians, their products with vectors, gradients with further results."""

import numpy as np
import pytest

import rlxc
from rlxc.ir.verify import verify
from rlxc.passes.pipelines import make_pipeline

MLP = """func @mlp(%w1: f64[3, 4], %b1: f64[4], %w2: f64[4], %x: f64[5, 3]) -> f64[] {
  %h = matmul %x, %w1
  %a = add %h, %b1
  %t = tanh %a
  %y = matmul %t, %w2
  %q = mul %y, %y
  %s = reduce_sum %q {axes = [0]}
  return %s
}"""
WRT = ["w1", "b1", "w2"]
RNG = np.random.default_rng(3)
POINT = [RNG.normal(size=s) for s in [(3, 4), (4,), (4,), (5, 3)]]


@pytest.fixture
def mlp():
    return rlxc.parse(MLP)["mlp"]


@pytest.fixture
def two():
    return rlxc.parse("""func @g(%x: f64[2, 3], %s: f64[], %w: f64[3]) -> (f64[2], i32[], f64[]) {
      %y = matmul %x, %w
      %z = mul %y, %s
      %e = exp %z
      %n = constant dense<3> : i32[]
      %t = reduce_sum %e {axes = [0]}
      return %e, %n, %t
    }""")["g"]


def flat(arrays):
    return np.concatenate([np.ravel(a) for a in arrays])


def differences(f, point, step=1e-5):
    """Central differences of the results `f` (a flat array) by each element of `point`."""
    columns = []
    for i in range(len(point)):
        ahead, behind = point.copy(), point.copy()
        ahead[i] += step
        behind[i] -= step
        columns.append((f(ahead) - f(behind)) / (2 * step))
    return np.stack(columns, axis=-1)


def split(vector, shapes):
    parts = np.split(vector, np.cumsum([int(np.prod(s)) for s in shapes])[:-1])
    return [p.reshape(s) for p, s in zip(parts, shapes, strict=True)]


def test_forward_and_reverse_jacobians_are_those_of_differences(two):
    shapes = [(2, 3), (), (3,)]
    at = RNG.normal(size=10)
    want = differences(lambda v: flat([out for i, out in enumerate(rlxc.interpret(two, *split(v, shapes))) if i != 1]), at)
    for make in (rlxc.jacfwd, rlxc.jacrev):
        jacobian = make(two)
        verify(jacobian.as_module())
        blocks = rlxc.compile(jacobian)(*split(at, shapes))
        assert [b.shape for b in blocks] == [(2, 2, 3), (2,), (2, 3), (2, 3), (), (3,)]
        rows = [np.concatenate([b.reshape(n, -1) for b in blocks[3 * k : 3 * k + 3]], axis=1) for k, n in enumerate((2, 1))]
        np.testing.assert_allclose(np.concatenate(rows), want, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("make", [rlxc.jacfwd, rlxc.jacrev, rlxc.hessian])
def test_a_jacobian_evaluates_the_function_once(mlp, make):
    tidy = make_pipeline("legalize,simplify,cse,dce").run(make(mlp, WRT).as_module()).funcs[-1]
    assert [op.prim.name for op in tidy.ops].count("tanh") == 1
    assert [str(op.result.type) for op in tidy.ops if op.prim.name == "tanh"] == ["f64[5, 4]"]


def hessian_of(mlp, make):
    blocks = rlxc.compile(make(mlp, WRT))(*POINT)
    n = len(WRT)
    sizes = [int(np.prod(a.shape)) for a in POINT[:3]]
    return np.block([[blocks[n * i + j].reshape(sizes[i], sizes[j]) for j in range(n)] for i in range(n)])


def test_the_hessian_is_that_of_differences(mlp):
    gradient = rlxc.compile(rlxc.grad(mlp, WRT))
    shapes = [a.shape for a in POINT[:3]]
    want = differences(lambda v: flat(gradient(*split(v, shapes), POINT[3])), flat(POINT[:3]))
    np.testing.assert_allclose(hessian_of(mlp, rlxc.hessian), want, atol=1e-6 * np.abs(want).max())


def test_forward_over_reverse_is_reverse_over_reverse(mlp):
    reverse = lambda f, wrt: rlxc.jacrev(rlxc.jacrev(f, wrt), wrt)  # noqa: E731
    forward = lambda f, wrt: rlxc.jacfwd(rlxc.jacfwd(f, wrt), wrt)  # noqa: E731
    want = hessian_of(mlp, rlxc.hessian)
    for make in (reverse, forward):
        np.testing.assert_allclose(hessian_of(mlp, make), want, rtol=1e-12, atol=1e-12 * np.abs(want).max())


def test_hvp_is_the_hessian_times_the_vector(mlp):
    vectors = [RNG.normal(size=a.shape) for a in POINT[:3]]
    got = flat(rlxc.compile(rlxc.hvp(mlp, WRT))(*POINT, *vectors))
    want = hessian_of(mlp, rlxc.hessian) @ flat(vectors)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12 * np.abs(want).max())


def test_hvp_does_a_few_times_the_work_of_the_gradient(mlp):
    count = lambda f: len(make_pipeline("legalize,simplify,cse,dce").run(f.as_module()).funcs[-1].ops)  # noqa: E731
    assert count(rlxc.hvp(mlp, WRT)) <= 3 * count(rlxc.grad(mlp, WRT))


def test_has_aux_returns_results_that_are_not_differentiated():
    f = rlxc.parse(
        "func @f(%x: f64[2]) -> (f64[], f64[2], i32[]) { %a = exp %x %s = reduce_sum %x {axes = [0]} %n = constant dense<7> : i32[] return %s, %a, %n }"
    )["f"]
    value, aux, n, dx = rlxc.interpret(rlxc.value_and_grad(f, has_aux=True), np.zeros(2))
    assert (value, aux.tolist(), n, dx.tolist()) == (0.0, [1.0, 1.0], 7, [1.0, 1.0])
    dx, aux, n = rlxc.interpret(rlxc.grad(f, has_aux=True), np.zeros(2))
    assert (dx.tolist(), aux.tolist(), n) == ([1.0, 1.0], [1.0, 1.0], 7)
    with pytest.raises(rlxc.DifferentiationError, match="3 results") as caught:
        rlxc.grad(f)
    assert "has_aux" in str(caught.value)


AUX = """func @f(%x: f64[2], %n: i32[]) -> (f64[], f64[2], i32[]) {
  %y = mul %x, %x
  %z = mul %y, %x
  %s = reduce_sum %z {axes = [0]}
  %a = tanh %x
  return %s, %a, %n
}"""
AUX_AT = np.array([1.0, 2.0]), np.array(7, np.int32)
GRADIENT, HESSIAN, DX = np.array([3.0, 12.0]), np.diag([6.0, 12.0]), np.array([1.0, -1.0])
FURTHER = (np.tanh([1.0, 2.0]), 7)
WITH_AUX = {
    rlxc.grad: ((), (GRADIENT, *FURTHER)),
    rlxc.value_and_grad: ((), (9.0, *FURTHER, GRADIENT)),
    rlxc.grad_with_loss: ((1.0,), (9.0, *FURTHER, GRADIENT)),
    rlxc.jvp: ((DX,), (9.0, *FURTHER, GRADIENT @ DX)),
    rlxc.hvp: ((DX,), (HESSIAN @ DX, *FURTHER)),
    rlxc.jacfwd: ((), (GRADIENT, *FURTHER)),
    rlxc.jacrev: ((), (GRADIENT, *FURTHER)),
    rlxc.hessian: ((), (HESSIAN, *FURTHER)),
}


@pytest.mark.parametrize("make", WITH_AUX, ids=lambda m: m.__name__)
def test_further_results_pass_through_all_transforms(make):
    """With `has_aux` the first result alone is differentiated: nothing is built for the tanh."""
    more, want = WITH_AUX[make]
    func = make(rlxc.parse(AUX)["f"], "x", has_aux=True)
    verify(func.as_module())
    for got, expected in zip(rlxc.interpret(func, *AUX_AT, *more), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert [op.prim.name for op in func.ops if op.prim.name in ("tanh", "sub")] == ["tanh"]


def test_further_results_pass_through_vjp_and_linearize():
    f = rlxc.parse(AUX)["f"]
    split = rlxc.vjp(f, 0, has_aux=True)
    assert split.cotangents == (0,)
    out = rlxc.interpret(split.forward, *AUX_AT)
    np.testing.assert_allclose(out[1], FURTHER[0])
    np.testing.assert_allclose(rlxc.interpret(split.pullback, *split.kept(AUX_AT, out), np.array(1.0)), GRADIENT)
    primal, linear = rlxc.linearize(f, 0, has_aux=True)
    out = rlxc.interpret(primal, *AUX_AT)
    np.testing.assert_allclose(rlxc.interpret(linear, *out[3:], DX), GRADIENT @ DX)


def test_the_linear_part_and_its_transpose_know_no_integers():
    """Tangents are those of the float results, as for jvp."""
    linear = rlxc.linearize(rlxc.parse(AUX)["f"], "x").linear
    assert [str(v.type) for v in linear.results] == ["f64[]", "f64[2]"]
    turned = rlxc.linear_transpose(linear)
    assert rlxc.parse(str(turned.as_module())).funcs[0] == turned
    assert rlxc.parse(str(rlxc.linear_transpose(turned).as_module())).funcs[0].results[0].linear


@pytest.mark.parametrize("make", [rlxc.jvp, rlxc.vjp, rlxc.jacfwd, rlxc.jacrev, rlxc.hessian, rlxc.linearize])
def test_has_aux_of_what_has_no_derivative_is_refused(make):
    f = rlxc.parse("func @f(%x: f64[]) -> (i32[], f64[]) { %n = constant dense<7> : i32[] return %n, %x }", "f.rlx")["f"]
    with pytest.raises(rlxc.DifferentiationError, match=r"returns i32\[\]") as caught:
        make(f, has_aux=True)
    assert "f.rlx:1:" in str(caught.value)


def test_no_derivative_is_built_for_what_is_not_differentiated():
    f = rlxc.parse("func @f(%x: f64[]) -> (f64[], f64[]) { %y = mul %x, %x %a = tanh %x return %y, %a }")["f"]
    names = [op.prim.name for op in rlxc.value_and_grad(f, has_aux=True).ops]
    assert names.count("tanh") == 1
    assert "sub" not in names


def test_wrt_is_a_name_or_a_position_or_several(mlp):
    by_name = rlxc.interpret(rlxc.grad(mlp, ["w2", "b1"]), *POINT)
    by_place = rlxc.interpret(rlxc.grad(mlp, (2, -3)), *POINT)
    for a, b in zip(by_name, by_place, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_position_that_is_none_is_refused(mlp):
    for make in (rlxc.grad, rlxc.jvp, rlxc.jacrev):
        with pytest.raises(rlxc.DifferentiationError, match="4 arguments, and none at position 4"):
            make(mlp, 4)
    with pytest.raises(rlxc.DifferentiationError, match="named twice"):
        rlxc.grad(mlp, ["w2", -2])


def test_named_dimensions_whose_basis_is_asked_for_need_a_size():
    f = rlxc.parse("func @f(%x: f64[B], %s: f64[2]) -> f64[B] { %t = reduce_sum %s {axes = [0]} %e = exp %x %y = mul %e, %t return %y }")["f"]
    for make, wrt in ((rlxc.jacfwd, "x"), (rlxc.jacrev, "x"), (rlxc.jacrev, "s")):
        with pytest.raises(rlxc.ShapeError, match="B"):
            make(f, wrt)
    x, s = np.array([0.0, 1.0, 2.0]), np.array([2.0, 3.0])
    np.testing.assert_allclose(rlxc.compile(rlxc.jacfwd(f, "s"))(x, s), np.exp(x)[:, None] * np.ones(2))
    g = rlxc.parse("func @g(%x: f64[B], %s: f64[2]) -> f64[2] { %e = exp %x %t = reduce_sum %e {axes = [0]} %y = mul %s, %t return %y }")["g"]
    dx, ds = rlxc.compile(rlxc.jacrev(g))(x, s)
    np.testing.assert_allclose(dx, s[:, None] * np.exp(x))
    np.testing.assert_allclose(ds, np.exp(x).sum() * np.eye(2))


def test_the_hessian_of_a_chain_of_100_scalar_ops():
    ops = "\n".join(f"%v{i} = {'sin' if i % 2 else 'tanh'} {f'%v{i - 1}' if i else '%x'}" for i in range(100))
    f = rlxc.parse(f"func @f(%x: f64[]) -> f64[] {{ {ops} return %v99 }}")["f"]
    hessian = rlxc.compile(rlxc.hessian(f))
    value = hessian(np.array(0.7))
    gradient = rlxc.compile(rlxc.grad(f))
    want = (gradient(np.array(0.7 + 1e-6)) - gradient(np.array(0.7 - 1e-6))) / 2e-6
    np.testing.assert_allclose(value, want, rtol=1e-6)
