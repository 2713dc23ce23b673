"""Loops of some length: networks over time, differential equations, what is stored, and what it costs to differentiate them."""

import numpy as np
import pytest

import rlxc
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.passes.residual_report import residual_report
from rlxc.runtime.compile import native

RNG = np.random.default_rng(17)
T, B, D, H = 128, 2, 3, 4
ARGS = f"%wx: f64[{D}, {4 * H}], %wh: f64[{H}, {4 * H}], %b: f64[{4 * H}], %h: f64[{B}, {H}], %c: f64[{B}, {H}], %x: f64[{T}, {B}, {D}]"
CELL = f"""func @cell(%wx: f64[{D}, {4 * H}], %wh: f64[{H}, {4 * H}], %b: f64[{4 * H}], %h: f64[{B}, {H}], %c: f64[{B}, {H}], %x: f64[{B}, {D}])
    -> (f64[{B}, {H}], f64[{B}, {H}]) {{
  %p = matmul %x, %wx
  %q = matmul %h, %wh
  %r = add %p, %q
  %s = add %r, %b
  %i = slice %s {{start = [0, 0], stop = [{B}, {H}]}}
  %f = slice %s {{start = [0, {H}], stop = [{B}, {2 * H}]}}
  %g = slice %s {{start = [0, {2 * H}], stop = [{B}, {3 * H}]}}
  %o = slice %s {{start = [0, {3 * H}], stop = [{B}, {4 * H}]}}
  %i1 = logistic %i
  %f1 = logistic %f
  %g1 = tanh %g
  %o1 = logistic %o
  %kept = mul %f1, %c
  %new = mul %i1, %g1
  %next = add %kept, %new
  %t = tanh %next
  %out = mul %o1, %t
  return %out, %next
}}
"""


def loss(h):
    return f"%q = mul %{h}, %{h} %l = reduce_sum %q {{axes = [0, 1]}} return %l"


@pytest.fixture(scope="module")
def lstm():
    inner = ARGS.replace("%wx", "%u").replace("%wh", "%v").replace("%b", "%a").replace("%h", "%k").replace("%c", "%m").replace(f"%x: f64[{T}, ", "%e: f64[")
    scan = f"%hn, %cn = scan %wx, %wh, %b, %h, %c, %x {{consts = 3, carries = 2, length = {T}}} do ({inner}) {{"
    body = f"%y, %z = call @cell(%u, %v, %a, %k, %m, %e) : f64[{B}, {H}], f64[{B}, {H}] yield %y, %z }}"
    return rlxc.parse(f"{CELL}\nfunc @f({ARGS}) -> f64[] {{ {scan} {body} {loss('hn')} }}")["f"]


@pytest.fixture(scope="module")
def unrolled():
    steps = ["%h0 = reshape %h {shape = [2, 4]}", "%c0 = reshape %c {shape = [2, 4]}"]
    for t in range(T):
        steps.append(f"%s{t} = slice %x {{start = [{t}, 0, 0], stop = [{t + 1}, {B}, {D}]}} %x{t} = reshape %s{t} {{shape = [{B}, {D}]}}")
        steps.append(f"%h{t + 1}, %c{t + 1} = call @cell(%wx, %wh, %b, %h{t}, %c{t}, %x{t}) : f64[{B}, {H}], f64[{B}, {H}]")
    return rlxc.parse(f"{CELL}\nfunc @f({ARGS}) -> f64[] {{ {' '.join(steps)} {loss(f'h{T}')} }}")["f"]


@pytest.fixture(scope="module")
def point():
    return [RNG.normal(size=s) * 0.5 for s in [(D, 4 * H), (H, 4 * H), (4 * H,), (B, H), (B, H), (T, B, D)]]


def test_an_lstm_over_128_steps_has_the_gradients_of_the_unrolled_one(lstm, unrolled, point):
    want = rlxc.interpret(rlxc.value_and_grad(unrolled), *point)
    for got in (rlxc.interpret(rlxc.value_and_grad(lstm), *point), rlxc.compile(rlxc.value_and_grad(lstm))(*point)):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_an_lstm_in_segments_has_the_same_value_and_gradients_and_keeps_less(lstm, point):
    (op,) = [op for op in lstm.ops if op.prim.name == "scan"]
    b = Builder()
    outs = b.with_regions(op.prim, op.operands, dict(op.attrs) | {"checkpoint": 16}, op.regions)
    env = dict(zip(op.results, outs, strict=True))
    for other in lstm.ops:
        if other is not op:
            b.rebuild(other, env)
    segments = lstm.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in lstm.results))
    want = rlxc.interpret(rlxc.value_and_grad(lstm), *point)
    for a, b in zip(rlxc.compile(rlxc.value_and_grad(segments))(*point), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    assert residual_report(segments, ["wx"]).kept_bytes < residual_report(lstm, ["wx"]).kept_bytes / 8


def euler(steps):
    """Backward Euler for x' = -k x, with Newton's method on x + h k x = before, which is solved in one division."""
    return rlxc.parse(f"""func @f(%k: f64[], %x: f64[]) -> f64[] {{
      %h = constant dense<{1.0 / steps}> : f64[]
      %hk = mul %h, %k
      %y = scan %hk, %x {{consts = 1, carries = 1, length = {steps}}} do (%a: f64[], %v: f64[]) {{
        %one = constant dense<1.0> : f64[]
        %d = add %one, %a
        %w = div %v, %d
        yield %w
      }}
      return %y
    }}""")["f"]


def test_backward_euler_has_the_derivatives_of_its_closed_form():
    n = 10_000
    k, x = 1.3, 2.0
    value, dk, dx = rlxc.compile(rlxc.value_and_grad(euler(n)))(np.array(k), np.array(x))
    growth = (1 + k / n) ** -n
    np.testing.assert_allclose([value, dx, dk], [x * growth, growth, -x * growth / (1 + k / n)], rtol=1e-10)


def test_the_length_of_a_loop_does_not_matter_to_its_differentiation():
    def ops(n):
        return sum(1 for _ in rlxc.value_and_grad(euler(n)).walk())

    assert ops(10) == ops(100_000)


def test_memory_is_linear_in_what_is_kept():
    """One carry a step, and nothing that does not change."""
    for n in (100, 1000):
        report = residual_report(euler(n))
        assert report.kept_bytes <= 8 * n + 64


def test_the_report_says_what_is_kept_and_why(lstm):
    text = str(rlxc.residuals(lstm, ["wx", "wh"]))
    assert "by scan at" in text
    assert "costs more to compute again than to keep" in text
    assert "an argument" in text
    report = residual_report(lstm, ["wx", "wh"])
    assert sum(k.bytes for k in report.entries if k.kind == "residual") == report.kept_bytes


def test_a_thousand_gathers_from_one_array_are_a_thousand_steps():
    """The gradient of an array that a loop reads from costs as much as what it reads, not as much as the array, each step."""
    f = rlxc.parse("""func @f(%x: f64[100000], %i: i64[1000]) -> f64[] {
      %z = constant dense<1.0> : f64[]
      %o = scan %x, %z, %i {consts = 1, carries = 1, length = 1000} do (%a: f64[100000], %c: f64[], %k: i64[]) {
        %g = gather %a, %k {axes = [0]}
        %h = mul %g, %g
        %m = add %h, %c
        yield %m
      }
      return %o
    }""")["f"]
    gradient = rlxc.compile(rlxc.grad(f))
    assert native(gradient.func).emitted.work["f.grad"] < 1_000_000  # a thousand sums of the whole array are twelve times as much
    x, i = np.ones(100_000), np.arange(1000) % 700
    want = np.zeros(100_000)
    np.add.at(want, i, 2.0)
    np.testing.assert_array_equal(gradient(x, i), want)


def test_a_function_with_a_thousand_loops_is_differentiated():
    b = Builder()
    f = euler(3)
    (op,) = [op for op in f.ops if op.prim.name == "scan"]
    k, x = Value(f.args[0].type, "k"), Value(f.args[1].type, "x")
    v = x
    for _ in range(1000):
        env = dict(zip(op.operands, (k, v), strict=True))
        b.rebuild(op, env)
        v = env[op.results[0]]
    many = Func("many", (k, x), tuple(b.ops), (v,))
    gradient = rlxc.grad(many)
    assert len(gradient.ops) < 10_000


def test_backward_euler_with_a_solve_in_the_body_is_the_matrix_power():
    """(I + h A)^-n x: the loop against NumPy, and its gradients against complex steps."""
    n = 20
    f = rlxc.parse(f"""func @f(%a: f64[3, 3], %x: f64[3, 1], %c: f64[3, 1]) -> f64[] {{
      %h = constant dense<0.05> : f64[]
      %ha = mul %h, %a
      %one = constant dense<[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]> : f64[3, 3]
      %m = add %one, %ha
      %y = scan %m, %x {{consts = 1, carries = 1, length = {n}}} do (%b: f64[3, 3], %v: f64[3, 1]) {{
        %w = solve %b, %v
        yield %w
      }}
      %p = mul %y, %c
      %s = reduce_sum %p {{axes = [0, 1]}}
      return %s
    }}""")["f"]
    a, x, c = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 1)), RNG.normal(size=(3, 1))

    def value(a, x):
        return (np.linalg.matrix_power(np.linalg.inv(np.eye(3) + 0.05 * a), n) @ x * c).sum()

    got, da, dx = rlxc.interpret(rlxc.value_and_grad(f, ["a", "x"]), a, x, c)
    np.testing.assert_allclose(got, value(a, x), rtol=1e-12)
    step = 1e-30
    for d, at, of in ((da, a, lambda v: value(v, x)), (dx, x, lambda v: value(a, v))):
        for i in np.ndindex(at.shape):
            beside = at.astype(complex)
            beside[i] += 1j * step
            np.testing.assert_allclose(d[i], of(beside).imag / step, rtol=1e-10, atol=1e-12)
