"""Long straight code on scalars: what kernels pass on to each other, and what functions of the module they share."""

import numpy as np
import pytest

import rlxc
from rlxc.passes.schedule.expand_math import MANY
from rlxc.runtime.compile import native


def chain(n: int, name: str = "tanh") -> str:
    lines = [f"  %v{i} = {name} {f'%v{i - 1}' if i else '%x'}" for i in range(n)]
    return "func @f(%x: f64[]) -> f64[] {\n" + "\n".join(lines) + f"\n  return %v{n - 1}\n}}\n"


def test_a_kernel_that_is_called_once_knows_where_scalars_lie():
    func = rlxc.grad(rlxc.parse(chain(100))["f"], "x")
    text = native(func).llvm()
    assert "getelementptr i8, ptr %workspace, i64 -" in text
    x = np.float64(0.7)
    np.testing.assert_allclose(rlxc.compile(func)(x), rlxc.interpret(func, x), rtol=1e-13)


def test_a_kernel_with_many_arguments_of_the_caller_reads_their_addresses_from_the_table():
    n = 40
    lines = [f"  %s{i} = sin %x{i}" for i in range(n)]
    lines += [f"  %t{i} = add %{'s' if i == 1 else 't'}{i - 1}, %s{i}" for i in range(1, n)]
    lines += [f"  %p{i} = mul %s{i}, %t{n - 1}" for i in range(n)]
    lines += [f"  %u{i} = add %{'p' if i == 1 else 'u'}{i - 1}, %p{i}" for i in range(1, n)]
    args = ", ".join(f"%x{i}: f64[]" for i in range(n))
    func = rlxc.parse(f"func @f({args}) -> f64[] {{\n" + "\n".join(lines) + f"\n  return %u{n - 1}\n}}\n")["f"]
    assert "ptr noalias %buffers" in native(func).llvm()
    xs = np.random.default_rng(0).uniform(-3, 3, n)
    np.testing.assert_allclose(rlxc.compile(func)(*xs), np.sin(xs).sum() ** 2, rtol=1e-13)


def test_sines_share_what_far_arguments_need():
    text = native(rlxc.parse(chain(10, "sin"))["f"]).llvm()
    assert text.count("define internal double @") == 1
    assert text.count("rlxc.$a.sin_far") > 2


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "log", "log1p", "pow"])
@pytest.mark.parametrize("shape", [(), (33,)])
def test_seldom_arguments_beside_others(name, shape):
    """Lanes that need the rare part do not change their neighbours."""
    rng = np.random.default_rng(1)
    with np.errstate(all="ignore"):
        for dtype in (np.float32, np.float64):
            x = np.where(rng.random(shape) < 0.5, rng.uniform(0.1, 3, shape), rng.uniform(-1, 1, shape) * 10.0 ** rng.integers(6, 38, shape)).astype(dtype)
            args = (x, dtype(2.5)) if name == "pow" else (x,)
            wide = [np.asarray(a, np.longdouble if dtype is np.float64 else np.float64) for a in args]
            want = getattr(np, name)(*wide) if name in ("log", "log1p", "pow") else getattr(np, name)(wide[0].astype(np.float64))
            got = rlxc.jit(lambda *args: getattr(np, name)(*args))(*args)
            np.testing.assert_allclose(np.asarray(got, np.float64), np.asarray(want.astype(dtype), np.float64), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", ["sin", "tanh", "exp", "log1p", "pow"])
def test_a_function_of_many_scalars_is_written_once_and_gives_the_same_bits(name, dtype):
    n = MANY
    second = f", %x{n - 1}" if name == "pow" else ""
    lines = [f"  %y{i} = {name} %x{i}{second}" for i in range(n)]
    args = ", ".join(f"%x{i}: {dtype}[]" for i in range(n))
    results = ", ".join(f"%y{i}" for i in range(n))
    text = f"func @f({args}) -> ({', '.join([f'{dtype}[]'] * n)}) {{\n" + "\n".join(lines) + f"\n  return {results}\n}}\n"
    func = rlxc.parse(text)["f"]
    llvm = native(func).llvm()
    assert llvm.count(f'@"rlxc.$a.{name}.') == n + 1
    xs = np.random.default_rng(2).uniform(0.1, 3, n).astype(f"float{dtype[1:]}")
    one = rlxc.compile(f"func @f(%x: {dtype}[], %z: {dtype}[]) -> {dtype}[] {{ %y = {name} %x{', %z' if name == 'pow' else ''} return %y }}")
    np.testing.assert_array_equal(rlxc.compile(func)(*xs), [one(x, xs[-1]) for x in xs])


@pytest.mark.parametrize("function", [np.sin, np.tanh, lambda x: np.exp(x * 0.01), lambda x: x * x * 0.5 + 0.1])
def test_the_code_of_the_hessian_of_a_chain_grows_with_its_length(function):
    def lines(n):
        def f(x):
            for _ in range(n):
                x = function(x)
            return x

        return len(rlxc.jit(rlxc.hessian(f)).lower(0.7).llvm().splitlines())

    assert lines(160) < 2.6 * lines(80)
