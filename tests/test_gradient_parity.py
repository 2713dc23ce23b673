"""The block that the project began with, from text: gradients against central differences, in f32 and f64, twice the same bits."""

import numpy as np
import pytest

import rlxc

FFN = """
rlx 0.1

func @ffn_loss(%x: DT[2, 3], param %w1: DT[3, 4], param %b1: DT[4], param %w2: DT[4, 2]) -> DT[] {
  %h = matmul %x, %w1
  %a = add %h, %b1
  %g = gelu %a
  %y = matmul %g, %w2
  %loss = reduce_sum %y {axes = [0, 1]}
  return %loss
}
"""
M, K, N, P = 2, 3, 4, 2
X = 0.1 + 0.07 * np.arange(M * K)
PARAMS = {"w1": -0.2 + 0.05 * np.arange(K * N), "b1": 0.01 * (np.arange(N) + 1), "w2": 0.05 + 0.03 * np.arange(N * P)}
SHAPES = {"x": (M, K), "w1": (K, N), "b1": (N,), "w2": (N, P)}


def module(dtype):
    return rlxc.parse(FFN.replace("DT", dtype))


def program(func, params, dtype):
    compiled = rlxc.Session(device="cpu").compile(func)
    for name, value in params.items():
        compiled.set_param(name, value.astype(dtype))
    return compiled


def forward(compiled, params, dtype):
    for name, value in params.items():
        compiled.set_param(name, value.astype(dtype))
    return float(compiled.run({"x": X.reshape(M, K).astype(dtype)})[0])


def gradients(dtype, numpy_dtype):
    func = rlxc.grad_with_loss(module(dtype)["ffn_loss"], wrt=["w1", "b1", "w2"])
    compiled = program(func, PARAMS, numpy_dtype)
    return compiled.run({"x": X.reshape(M, K).astype(numpy_dtype), "d_output": np.ones((), numpy_dtype)})


def central_difference(compiled, name, i, step, dtype):
    sides = []
    for sign in (1, -1):
        moved = {k: v.copy() for k, v in PARAMS.items()}
        moved[name][i] += sign * step
        sides.append(forward(compiled, moved, dtype))
    return (sides[0] - sides[1]) / (2 * step)


@pytest.mark.parametrize(("dtype", "numpy_dtype", "step"), [("f32", np.float32, 1e-3), ("f64", np.float64, 1e-5)])
def test_every_gradient_entry_equals_its_central_difference(dtype, numpy_dtype, step):
    loss, *grads = gradients(dtype, numpy_dtype)
    compiled = program(module(dtype)["ffn_loss"], PARAMS, numpy_dtype)
    assert abs(float(loss) - forward(compiled, PARAMS, numpy_dtype)) < 1e-4
    checked = 0
    for name, grad in zip(("w1", "b1", "w2"), grads, strict=True):
        assert grad.shape == SHAPES[name]
        for i, got in enumerate(grad.reshape(-1)):
            want = central_difference(compiled, name, i, step, numpy_dtype)
            if dtype == "f32":
                assert abs(got - want) < 5e-3 or abs(got - want) < 5e-3 * abs(want), (name, i)
            else:
                assert abs(got - want) < 1e-7 * max(abs(want), 1e-2), (name, i)
            checked += 1
    assert checked == 24


@pytest.mark.parametrize(("dtype", "numpy_dtype"), [("f32", np.float32), ("f64", np.float64)])
def test_two_runs_give_the_same_bits(dtype, numpy_dtype):
    for first, second in zip(gradients(dtype, numpy_dtype), gradients(dtype, numpy_dtype), strict=True):
        assert first.tobytes() == second.tobytes()


def test_the_interpreter_gives_the_same_gradients():
    func = rlxc.grad_with_loss(module("f64")["ffn_loss"], wrt=["w1", "b1", "w2"])
    arrays = {k: v.reshape(SHAPES[k]) for k, v in {"x": X, **PARAMS}.items()}
    for native, meant in zip(gradients("f64", np.float64), rlxc.interpret(func, **arrays, d_output=1.0), strict=True):
        np.testing.assert_allclose(native, meant, rtol=1e-12)
