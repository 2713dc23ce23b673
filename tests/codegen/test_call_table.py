"""A program that calls many kernels is a table; it computes what instructions would."""

import numpy as np
import pytest

import rlxc
from rlxc.codegen import call_table
from rlxc.runtime.compile import native

MIXED = """func @f(%x: f32[6, 8], %w: f32[8, 8], %i: i32[3]) -> (f32[6, 8], f32[48], f32[3, 8], f32[6, 8]) {
  %c = constant dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]> : f32[8]
  %a = matmul %x, %w
  %b = matmul %a, %w
  %s = softmax %b
  %m = matmul %s, %w
  %d = add %m, %c
  %r = reshape %d {shape = [48]}
  %e = embedding %d, %i
  %o = cumsum %d {axis = 1}
  %p = matmul %o, %w
  return %m, %r, %e, %p
}
"""


def both_ways(func: rlxc.Func, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    arrays = []
    for a in func.args:
        shape = [int(n) for n in a.type.shape]
        arrays.append(rng.standard_normal(shape, dtype=np.float32) if a.type.dtype.is_float else rng.integers(0, 3, shape, a.type.dtype.numpy))
    results = []
    for few in (0, 10**9):
        monkeypatch.setattr(call_table, "FEW", few)
        made = native(func)
        assert ("$words" in made.llvm()) == (few == 0)
        results.append(rlxc.compile(func)(*arrays))
    for a, b in zip(*results, strict=True):
        assert a.tobytes() == b.tobytes()


def layers(n: int) -> rlxc.Func:
    lines, x = [], "%x"
    for i in range(n):
        lines += [f"  %h{i} = matmul {x}, %w{i}", f"  %y{i} = softmax %h{i}"]
        x = f"%y{i}"
    args = ", ".join(["%x: f32[4, 8]", *[f"param %w{i}: f32[8, 8]" for i in range(n)]])
    return rlxc.parse("func @f(" + args + ") -> f32[4, 8] {\n" + "\n".join(lines) + f"\n  return {x}\n}}\n")["f"]


def test_a_table_computes_what_instructions_do(monkeypatch):
    both_ways(rlxc.parse(MIXED)["f"], monkeypatch)


def test_so_does_that_of_a_gradient(monkeypatch):
    func = layers(5)
    both_ways(rlxc.grad_with_loss(func, func.params), monkeypatch)


def test_code_does_not_grow_with_the_number_of_calls():
    short, long = (native(layers(n)).llvm() for n in (20, 40))
    assert "$words" in short
    assert len(long.splitlines()) == len(short.splitlines())


def test_a_program_of_a_few_calls_is_written_out():
    assert "$words" not in native(layers(2)).llvm()


@pytest.mark.parametrize("threads", [1, 2])
def test_tables_pass_the_pool_on(threads):
    func = layers(20)
    arrays = [np.ones([int(n) for n in a.type.shape], np.float32) for a in func.args]
    np.testing.assert_allclose(rlxc.compile(func, threads=threads)(*arrays), rlxc.interpret(func, *arrays), rtol=1e-5)
