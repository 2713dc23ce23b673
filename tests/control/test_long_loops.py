"""Loops at length: against their unrolled form, a closed form, and a solver; what they cost in memory and in time to compile."""

from __future__ import annotations

import time

import numpy as np
import pytest

import rlxc

STEPS = 128

CELL = """
func @cell(%wx: f64[3, 12], %wh: f64[3, 12], %b: f64[12], %h: f64[2, 3], %c: f64[2, 3], %x: f64[2, 3]) -> (f64[2, 3], f64[2, 3]) {
  %0 = matmul %x, %wx
  %1 = matmul %h, %wh
  %2 = add %0, %1
  %z = add %2, %b
  %zi = slice %z {start = [0, 0], stop = [2, 3]}
  %zf = slice %z {start = [0, 3], stop = [2, 6]}
  %zg = slice %z {start = [0, 6], stop = [2, 9]}
  %zo = slice %z {start = [0, 9], stop = [2, 12]}
  %i = logistic %zi
  %f = logistic %zf
  %g = tanh %zg
  %o = logistic %zo
  %kept = mul %f, %c
  %new = mul %i, %g
  %c1 = add %kept, %new
  %t = tanh %c1
  %h1 = mul %o, %t
  return %h1, %c1
}
"""

HEAD = "%wx: f64[3, 12], %wh: f64[3, 12], %b: f64[12], %h0: f64[2, 3], %xs: f64[128, 2, 3]"


def looped():
    return f"""{CELL}
func @f({HEAD}) -> f64[] {{
  %h, %c, %hs = scan %wx, %wh, %b, %h0, %h0, %xs {{consts = 3, carries = 2, length = {STEPS}}}
  do (%wx: f64[3, 12], %wh: f64[3, 12], %b: f64[12], %h: f64[2, 3], %c: f64[2, 3], %x: f64[2, 3]) {{
    %h1, %c1 = call @cell(%wx, %wh, %b, %h, %c, %x)
    yield %h1, %c1, %h1
  }}
  %s = mul %hs, %hs
  %loss = reduce_sum %s {{axes = [0, 1, 2]}}
  return %loss
}}"""


def unrolled():
    lines = [f"{CELL}func @f({HEAD}) -> f64[] {{", "%total0 = constant dense<0.0> : f64[]"]
    lines += ["%zero = constant dense<0.0> : f64[2, 3]", "%c0 = add %h0, %zero"]
    for t in range(STEPS):
        lines += [
            f"%y{t} = slice %xs {{start = [{t}, 0, 0], stop = [{t + 1}, 2, 3]}}",
            f"%x{t} = reshape %y{t} {{shape = [2, 3]}}",
            f"%h{t + 1}, %c{t + 1} = call @cell(%wx, %wh, %b, %h{t}, %c{t}, %x{t})",
            f"%s{t} = mul %h{t + 1}, %h{t + 1}",
            f"%r{t} = reduce_sum %s{t} {{axes = [0, 1]}}",
            f"%total{t + 1} = add %total{t}, %r{t}",
        ]
    return "\n".join([*lines, f"return %total{STEPS}", "}"])


def test_gradients_of_an_lstm_are_those_of_its_unrolled_form():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) * 0.5 for s in ((3, 12), (3, 12), (12,), (2, 3), (STEPS, 2, 3))]
    wrt = ("wx", "wh", "b", "h0", "xs")
    got = rlxc.compile(rlxc.value_and_grad(rlxc.parse(looped())["f"], wrt))(*arrays)
    want = rlxc.interpret(rlxc.value_and_grad(rlxc.parse(unrolled())["f"], wrt), *arrays)
    for x, y in zip(got, want, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


def test_backward_euler_with_a_solver_in_each_step():
    """y' = A y, whose steps are (I - h A) y' = y; against the exponential of A."""
    pytest.importorskip("scipy")
    from scipy.linalg import expm

    n = 2000
    text = f"""
    func @f(%a: f64[2, 2], %y: f64[2]) -> f64[2] {{
      %last = scan %a, %y {{consts = 1, carries = 1, length = {n}}} do (%a: f64[2, 2], %y: f64[2]) {{
        %z = solve %a, %y
        yield %z
      }}
      return %last
    }}"""
    a, y, h = np.array([[-1.0, 2.0], [-2.0, -1.0]]), np.array([1.0, -0.5]), 1.0 / n
    f = rlxc.compile(rlxc.parse(text)["f"])
    once = f(np.eye(2) - h * a, y)
    power = np.linalg.matrix_power(np.linalg.inv(np.eye(2) - h * a), n) @ y
    np.testing.assert_allclose(once, power, rtol=1e-10)
    np.testing.assert_allclose(once, expm(a) @ y, rtol=3e-3)


SQUARES = """
func @f(%x: f64[], %a: f64[N], %xs: f64[T]) -> f64[] {
  %y, %b = scan %x, %a, %xs {consts = 0, carries = 2, length = T} do (%c: f64[], %b: f64[N], %e: f64[]) {
    %m = mul %c, %c
    %k = constant dense<0.25> : f64[]
    %p = mul %m, %k
    %s = add %p, %e
    %w = broadcast %s {shape = [N], axes = [0]}
    %d = add %b, %w
    yield %s, %d
  }
  %t = reduce_sum %b {axes = [0]}
  %z = add %y, %t
  return %z
}"""


def test_memory_grows_with_what_is_kept_and_with_nothing_else():
    """Of a step, the derivative needs one number: the carried array is neither kept nor copied."""

    def workspace(n, steps, gradient):
        func = rlxc.bind(rlxc.parse(SQUARES)["f"], N=n, T=steps)
        return rlxc.compile(rlxc.value_and_grad(func, ("x", "a")) if gradient else func).stages().memory_analysis().workspace

    assert workspace(4096, 100, False) == workspace(4096, 10_000, False)
    more = workspace(4096, 10_000, True) - workspace(4096, 100, True)
    assert more <= 2 * 8 * 9_900


def test_the_time_to_compile_does_not_depend_on_the_number_of_steps():
    took = []
    for steps in (10, 10_000, 10, 10_000):
        func = rlxc.bind(rlxc.parse(SQUARES)["f"], N=8, T=steps)
        start = time.process_time()
        rlxc.compile(rlxc.value_and_grad(func, ("x",))).stages().object_code()
        took.append(time.process_time() - start)
    assert min(took[1::2]) < 2 * min(took[::2]) + 0.05
