"""Kernels that are the same are lowered once and emitted once."""

import numpy as np

import rlxc
from rlxc.passes import lower
from rlxc.runtime.compile import native


def layers(n: int) -> rlxc.Func:
    lines, x = [], "%x"
    for i in range(n):
        lines += [f"  %h{i} = matmul {x}, %w{i}", f"  %y{i} = softmax %h{i}"]
        x = f"%y{i}"
    args = ", ".join(["%x: f32[4, 8]", *[f"%w{i}: f32[8, 8]" for i in range(n)]])
    return rlxc.parse("func @f(" + args + ") -> f32[4, 8] {\n" + "\n".join(lines) + f"\n  return {x}\n}}\n")["f"]


def test_a_layer_is_lowered_once_however_often_it_occurs(monkeypatch):
    lowered = []
    original = lower.lower_kernel
    monkeypatch.setattr(lower, "lower_kernel", lambda op, *rest: lowered.append(op) or original(op, *rest))
    few = native(layers(2)).kernels
    count = len(lowered)
    many = native(layers(12)).kernels
    assert len(few.funcs) == len(many.funcs)
    assert len(lowered) == 2 * count


def test_each_call_gets_its_own_weights():
    func = layers(3)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal([int(n) for n in a.type.shape], dtype=np.float32) for a in func.args]
    np.testing.assert_allclose(rlxc.compile(func)(*arrays), rlxc.interpret(func, *arrays), rtol=1e-5)


def test_an_op_that_reads_one_value_twice_is_no_other_kernel_than_one_that_reads_two():
    func = rlxc.parse(
        """func @f(%x: f32[2, 2], %y: f32[2, 2]) -> (f32[2, 2], f32[2, 2]) {
  %a = matmul %x, %y
  %b = matmul %x, %x
  return %a, %b
}
"""
    )["f"]
    assert len(native(func).kernels.funcs) == 2
    x, y = np.arange(4, dtype=np.float32).reshape(2, 2), np.ones((2, 2), np.float32)
    for got, want in zip(rlxc.compile(func)(x, y), (x @ y, x @ x), strict=True):
        np.testing.assert_array_equal(got, want)
