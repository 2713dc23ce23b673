"""A package from outside registers primitives by an entry point, and needs nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "downstream"

PROGRAM = """
import sys
sys.path.insert(0, {here!r})
import rlxc
{body}
"""


def run(body):
    result = subprocess.run([sys.executable, "-c", PROGRAM.format(here=str(HERE), body=body)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_text_finds_the_op_by_its_entry_point():
    out = run("""
m = rlxc.parse("func @f(%x: f64[3], %k: f64[]) -> f64[3] { %e = spring_energy %x, %k  return %e }")
print(m)
g = rlxc.grad_with_loss(m["f"], wrt=["x", "k"])
print(g)
print(rlxc.interpret(g, *map(__import__("numpy").array, ([1.0, 2.0, 3.0], 2.0, [1.0, 1.0, 1.0]))))
""")
    assert "%e = spring_energy %x, %k : f64[3]" in out
    assert "[2., 4., 6.]" in out
    assert "array(7.)" in out


def test_the_laws_hold_for_its_ops():
    names = ["spring_energy", "neighbours", "scalar_add", "scalar_mul", "scalar_neg", "scalar_exp", "ema", "bessel_j"]
    out = run(f"""
import rlxc.testing
for name in {names}:
    print(rlxc.testing.check_primitive(name))
""")
    for name in names:
        assert f"{name}: " in out


def test_without_the_package_the_op_is_unknown():
    import rlxc

    with pytest.raises(rlxc.Error, match="no op 'spring_energy'"):
        rlxc.parse("func @f(%x: f64[3], %k: f64[]) -> f64[3] { %e = spring_energy %x, %k  return %e }")


def test_numbers_of_another_package_are_differentiated_eagerly():
    run("""
import math
import pytest
from rlxc import eager
from rlxc_scalars import Number

def leaf(x):
    return Number(x, requires_grad=True)

def grads(y, *xs, seed=None):
    y.backward(seed)
    return [None if x.grad is None else x.grad.value for x in xs]

x = leaf(3.0)
y = x * x
assert (type(y.value), y.value, grads(y, x)) == (float, 9.0, [6.0])
a, b = leaf(2.0), leaf(5.0)
assert grads(-(a + b), a, b) == [-1.0, -1.0]
x = leaf(3.0)
assert grads(x + x, x) == [2.0]
x = leaf(3.0)
assert grads((x + x) * x, x) == [12.0]
x = leaf(3.0)
assert grads(2 * x * x, x) == [12.0]

text = "func @f(%x: f64[], %y: f64[]) -> f64[] { %a = scalar_mul %x, %y %b = scalar_add %a, %y return %b }"
f = eager.function(text)
x, y = leaf(2.0), leaf(3.0)
z = f(x, y)
assert z._edge.parents == (x._edge, y._edge) and grads(z, x, y) == [3.0, 3.0]

shared = eager.function("func @f(%x: f64[]) -> f64[] { %a = scalar_exp %x %b = scalar_exp %x %c = scalar_add %a, %b return %c }")
x = leaf(1.0)
z = shared(x)
assert Number.executor.calls.count("scalar_exp") == 1
assert grads(z, x) == [2 * math.e]

three = eager.function("func @f(%a: f64[], %b: f64[], %c: f64[]) -> f64[] { %d = scalar_add %a, %b %e = scalar_add %d, %c return %e }")
a, c = leaf(1.0), leaf(3.0)
b = Number(2.0)
assert grads(three(a, b, c), a, b, c) == [1.0, None, 1.0]

split = eager.function("func @f(%x: f64[]) -> (f64[], f64[]) { %e = scalar_exp %x %y = scalar_add %x, %x return %e, %y }")
x = leaf(3.0)
first, second = split(x)
Number.executor.calls.clear()
assert grads(second, x) == [2.0]
assert Number.executor.calls == []  # nothing is computed for the first one; sums are the executor's

both = eager.function("func @f(%x: f64[], %c: f64[], %d: f64[]) -> (f64[], f64[]) { %a = scalar_add %x, %c %b = scalar_add %x, %d return %a, %b }")
x = leaf(3.0)
eager.backward(both(x, 1.0, 2.0), [1.0, 10.0])
assert x.grad.value == 11.0
twice = eager.function("func @f(%x: f64[]) -> (f64[], f64[]) { %y = scalar_mul %x, %x return %y, %y }")
x = leaf(3.0)
eager.backward(twice(x), [1.0, 10.0])
assert x.grad.value == 66.0

for power, at, order, value in [(3, 2.0, 3, 6.0), (4, 1.0, 4, 24.0), (5, 1.0, 5, 120.0)]:
    x = leaf(at)
    y = x
    for _ in range(power - 1):
        y = y * x
    for _ in range(order):
        y = eager.grad(y, x, create_graph=True)
    assert y.value == value

x = leaf(1.0)
y = x.exp()
for _ in range(3):
    y = eager.grad(y, x, create_graph=True)
assert y.value == math.e
x = leaf(1.0)
y = x
for _ in range(20_000):
    y = y * x
assert grads(y, x) == [20_001.0]
""")


def test_numbers_of_another_package_are_compiled_and_traced():
    out = run("""
import numpy as np
from rlxc import eager
from rlxc.tracing.tracer import emit
f = rlxc.parse("func @f(%x: f64[]) -> f64[] { %a = scalar_mul %x, %x %b = scalar_exp %a return %b }")["f"]
print(*rlxc.compile(rlxc.value_and_grad(f))(0.5))
g = rlxc.trace(lambda x: emit("scalar_exp", emit("scalar_mul", x, x)), "f64[]")
print(*rlxc.compile(rlxc.value_and_grad(g))(0.5))
x = eager.tensor(0.5, requires_grad=True)
y = eager.apply("scalar_exp", eager.apply("scalar_mul", x, x))
y.backward()
print(y.item(), x.grad.item())
""")
    values = {line for line in out.splitlines()}
    assert len(values) == 1
    assert out.startswith("1.2840254166877")


def test_arrays_go_through_loops_and_c_functions_of_another_package():
    run("""
import numpy as np
from scipy.special import jv, jvp
from rlxc import eager
from rlxc.tracing.tracer import emit

RNG = np.random.default_rng(0)
at = RNG.uniform(0.5, 8.0, (3, 4))
text = "func @f(%x: f64[3, 4]) -> f64[3, 4] { %a = bessel_j %x {order = 2} %y = ema %a {rate = 0.25} return %y }"
native = rlxc.compile(text)(at)
np.testing.assert_allclose(native, rlxc.interpret(text, at), rtol=1e-14)
weights = np.zeros((4, 4))
for k in range(4):
    weights[k, : k + 1] = 0.25 * 0.75 ** np.arange(k, -1, -1)
np.testing.assert_allclose(native, jv(2, at) @ weights.T, rtol=1e-12)

seed = RNG.standard_normal((3, 4))
want = (seed @ weights) * jvp(2, at)
traced = rlxc.trace(lambda x: emit("ema", emit("bessel_j", x, order=2), rate=0.25), "f64[3, 4]")
for func in (rlxc.parse(text)["f"], traced):
    np.testing.assert_allclose(rlxc.compile(rlxc.grad_with_loss(func))(at, seed)[1], want, rtol=1e-10)
x = eager.tensor(at, requires_grad=True)
eager.apply("ema", eager.apply("bessel_j", x, order=2), rate=0.25).backward(seed)
np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-10)

x = eager.tensor(1.5, requires_grad=True)
y = eager.apply("bessel_j", x, order=0)
for order in range(1, 4):
    y = eager.grad(y, x, create_graph=True)
    np.testing.assert_allclose(y.item(), jvp(0, 1.5, order), rtol=1e-12)
""")


def test_a_package_that_fails_is_told_of_and_keeps_nobody_from_the_others(tmp_path):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rlxc.primitives]\nbroken = broken_ops\n")
    (tmp_path / "broken_ops.py").write_text("raise RuntimeError('kaboom')")
    run(f"""
import warnings
import pytest
sys.path.insert(0, {str(tmp_path)!r})
told = "the package broken has ops, but broken_ops fails: RuntimeError: kaboom"
with pytest.warns(RuntimeWarning, match=told):
    assert rlxc.apply("spring_energy", 2.0, 3.0) == 6.0
with pytest.raises(rlxc.Error, match=told):
    rlxc.apply("no_such_op", 1.0)
""")
