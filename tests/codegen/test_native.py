"""Native code against NumPy where width, remainders and dtypes matter: every loop length, every reduction, every conversion."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest

import rlxc
from rlxc.ir.interp import interpret
from rlxc.passes.pipelines import make_pipeline
from rlxc.runtime.compile import Options, compile_func, native, native_pipeline
from rlxc.runtime.cpu import LEVELS, target_cpu

RNG = np.random.default_rng(7)
NARROW = ("f16", "bf16")


def available_levels() -> list[str]:
    levels = []
    for level in LEVELS:
        try:
            target_cpu(level)
        except rlxc.Error:
            continue
        levels.append(level)
    return levels


def run(text: str, *arrays: np.ndarray, **options) -> tuple[np.ndarray, ...]:
    func = rlxc.parse(text).funcs[0]
    return compile_func(func, **options)(*arrays)


@pytest.mark.parametrize("n", [*range(34), 63, 64, 65, 127, 128, 129, 1000])
def test_every_loop_length_computes_every_element_once(n):
    x = RNG.standard_normal(n).astype(np.float32)
    text = f"func @f(%x: f32[{n}]) -> (f32[{n}], f32[]) {{ %y = mul %x, %x %s = reduce_sum %y {{axes = [0]}} return %y, %s }}"
    y, s = run(text, x)
    np.testing.assert_array_equal(y, x * x)
    np.testing.assert_allclose(s, np.sum(x.astype(np.float64) ** 2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["i8", "u8", "i16", "i32", "u32", "i64", "u64", "f32", "f64", "bf16", "f16"])
@pytest.mark.parametrize("op", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("n", [1, 5, 33, 130])
def test_reductions_of_every_dtype(dtype, op, n):
    numpy_dtype = rlxc.parse(f"func @f(%x: {dtype}[1]) -> {dtype}[1] {{ return %x }}").funcs[0].args[0].type.dtype.numpy
    x = (RNG.standard_normal((3, n)) * 2).astype(numpy_dtype) if dtype[0] in "bf" else RNG.integers(0, 100, (3, n)).astype(numpy_dtype)
    func = rlxc.parse(f"func @f(%x: {dtype}[3, {n}]) -> {dtype}[3] {{ %s = reduce_{op} %x {{axes = [1]}} return %s }}").funcs[0]
    (want,), (got,) = interpret(func, [x]), compile_func(func)(x)
    if dtype[0] in "iu":
        np.testing.assert_array_equal(got, want)
    else:
        tolerance = {"f64": 1e-12, "f32": 1e-4}.get(dtype, 2e-2)
        np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=tolerance, atol=tolerance)


def test_nan_wins_in_max_and_min_of_every_lane():
    for n in (3, 40, 200):
        for at in range(0, n, 7):
            x = RNG.standard_normal(n).astype(np.float32)
            x[at] = np.nan
            text = f"func @f(%x: f32[{n}]) -> (f32[], f32[]) {{ %a = reduce_max %x {{axes = [0]}} %b = reduce_min %x {{axes = [0]}} return %a, %b }}"
            assert all(np.isnan(v) for v in run(text, x))


@pytest.mark.parametrize("level", available_levels())
@pytest.mark.parametrize("dtype", NARROW)
def test_every_narrow_float_converts_as_in_numpy(dtype, level):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    numpy_dtype = np.float16 if dtype == "f16" else ml_dtypes.bfloat16
    every = np.arange(65536, dtype=np.uint16).view(numpy_dtype)
    text = f"func @f(%x: {dtype}[65536]) -> f32[65536] {{ %y = convert %x {{dtype = f32}} return %y }}"
    (wide,) = run(text, every, cpu=level)
    np.testing.assert_array_equal(wide, every.astype(np.float32))
    bits = np.concatenate([RNG.integers(0, 2**32, 60000, dtype=np.uint32), every.astype(np.float32).view(np.uint32)[::13]])
    near = np.concatenate([bits, every.astype(np.float32).view(np.uint32) + 0x1000])  # also between two of them
    singles = near.view(np.float32)
    text = f"func @f(%x: f32[{singles.size}]) -> {dtype}[{singles.size}] {{ %y = convert %x {{dtype = {dtype}}} return %y }}"
    (narrow,) = run(text, singles, cpu=level)
    with np.errstate(all="ignore"):
        want = singles.astype(numpy_dtype)
    np.testing.assert_array_equal(np.isnan(narrow), np.isnan(want))
    finite = ~np.isnan(want)
    np.testing.assert_array_equal(narrow.view(np.uint16)[finite], want.view(np.uint16)[finite])


@pytest.mark.parametrize("target", ["i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "bool", "f32"])
@pytest.mark.parametrize("source", ["f32", "f64", "i64", "u64", "i8", "bool"])
def test_conversions_saturate_and_truncate_as_the_interpreter_says(source, target):
    special = {
        "f": [0.0, -0.0, 0.5, -0.5, 1.5, 127.9, 128.0, -129.0, 3e9, -3e9, 1e19, -1e19, 2.0**63, np.inf, -np.inf, np.nan, 255.0, 256.0],
        "i": [0, 1, -1, 127, -128, 64],
        "u": [0, 1, 2**64 - 1, 2**63, 255, 256],
        "b": [True, False, True],
    }[source[0]]
    func = rlxc.parse(f"func @f(%x: {source}[{len(special)}]) -> {target}[{len(special)}] {{ %y = convert %x {{dtype = {target}}} return %y }}").funcs[0]
    x = np.array(special, func.args[0].type.dtype.numpy)
    np.testing.assert_array_equal(compile_func(func)(x)[0], interpret(func, [x])[0])


CHAIN = """
func @chain(%x: f32[1000], %y: f32[1000]) -> f32[1000] {
  %a = mul %x, %y
  %b = tanh %a
  %c = exp %b
  %d = sin %c
  %e = log %c
  %f = add %d, %e
  %g = erf %f
  return %g
}
"""

LAYER_NORM = """
func @norm(%x: f32[16, 200], %g: f32[200], %b: f32[200]) -> f32[16, 200] {
  %y = layer_norm %x, %g, %b
  return %y
}
"""

SOFTMAX = "func @softmax(%x: f32[16, 200]) -> f32[16, 200] { %y = softmax %x {axis = -1} return %y }"


@pytest.mark.parametrize("text", [CHAIN, LAYER_NORM, SOFTMAX])
def test_chains_and_rows_are_one_vectorized_kernel_without_calls_to_libm(text):
    made = native(rlxc.parse(text).funcs[0])
    assert len(made.kernels.funcs) == 2, "one kernel, and the function that calls it"
    called = set(re.findall(r"\b(?:callq?|jmp)\s+\*?([A-Za-z_][\w.@]*)", made.assembly()))
    assert all(name.startswith("rlxc.") for name in called), called
    register = {64: "zmm", 32: "ymm", 16: "xmm"}[made.cpu.vector_bytes]
    assert register in made.assembly()


@pytest.mark.parametrize("level", available_levels())
@pytest.mark.parametrize("text", [CHAIN, LAYER_NORM, SOFTMAX])
def test_every_cpu_level_computes_the_same_program(text, level):
    func = rlxc.parse(text).funcs[0]
    arrays = [RNG.uniform(0.1, 1, v.type.shape).astype(np.float32) for v in func.args]
    np.testing.assert_allclose(compile_func(func, cpu=level)(*arrays)[0], interpret(func, arrays)[0], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("text", [CHAIN, LAYER_NORM, SOFTMAX])
def test_every_stage_prints_parses_and_means_the_same(text):
    module = rlxc.parse(text)
    func = module.funcs[0]
    arrays = [RNG.uniform(0.1, 1, v.type.shape).astype(np.float32) for v in func.args]
    (want,) = interpret(func, arrays)
    for step in re.split(r",(?![^{]*})", native_pipeline(target_cpu(), Options())):
        module = make_pipeline(step).run(module)
        assert rlxc.parse(str(module)) == module, step
        stage = module[func.name]
        if stage.kind == "kernel":
            got = np.zeros_like(want)
            if step in ("form-fma", "vectorize"):  # loop by loop in Python: a few stages are enough
                interpret(stage, [*arrays, got])
            else:
                continue
        else:
            (got,) = interpret(stage, arrays)
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6, err_msg=step)


def test_results_that_are_arguments_constants_views_or_repeated_are_copies():
    text = """
    func @f(%x: f32[2, 3]) -> (f32[2, 3], f32[3, 2], f32[2, 3], f32[2], f32[2, 3], f32[2, 3]) {
      %r = reshape %x {shape = [3, 2]}
      %c = constant dense<[1.0, 2.0]> : f32[2]
      %y = exp %x
      return %x, %r, %x, %c, %y, %y
    }
    """
    x = RNG.standard_normal((2, 3)).astype(np.float32)
    outs = run(text, x)
    for a, b in [(outs[0], x), (outs[1], x.reshape(3, 2)), (outs[2], x), (outs[3], [1, 2])]:
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(outs[4], np.exp(x), rtol=1e-6)
    np.testing.assert_array_equal(outs[4], outs[5])
    assert len({v.__array_interface__["data"][0] for v in (*outs, x)}) == 7


def test_a_function_may_be_called_from_many_threads():
    func = rlxc.parse(LAYER_NORM).funcs[0]
    run_it = compile_func(func)
    arrays = [RNG.uniform(0.1, 1, v.type.shape).astype(np.float32) for v in func.args]
    want = run_it(*arrays)[0]
    wrong = []

    def work():
        for _ in range(50):
            if not np.array_equal(run_it(*arrays)[0], want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "new\nline", "data.0", "entry.f", "sin", "é"])
def test_a_function_may_have_any_name(name):
    func = rlxc.parse("func @f(%x: f32[2]) -> f32[2] { %c = constant dense<[1.0, 2.0]> : f32[2] %y = add %x, %c return %y }")["f"]
    np.testing.assert_array_equal(compile_func(func.with_(name=name, module=None))(np.ones(2, np.float32))[0], [2, 3])


def test_llvm_knows_the_options_that_are_set():
    """Another version of LLVM may lack them, and ends the process: try it, then add it."""
    import subprocess
    import sys

    import llvmlite.binding as llvm

    from rlxc.runtime import jit

    assert llvm.llvm_version_info[0] in jit._TRIED
    options = [f"-{name}={value}" for value in ("true", "false") for name in jit._NEEDLESS]
    script = f"import llvmlite.binding as llvm\nfor o in {options}: llvm.set_option('', o)\nprint('done')"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout == "done\n"


@pytest.mark.parametrize("passes", ["split-reductions{tile = 4}", "vectorize{bytes = 16}", "split-reductions{tile = 4},vectorize{bytes = 16}"])
def test_a_number_that_a_sum_starts_from_may_be_used_in_the_loop_as_well(passes):
    """What is left of a loop that is split or widened goes on from other values than the loop began with."""
    text = """kernel @f(%x: mem f32[11], %y: mem f32[2]) {
      %0 = constant dense<0.0> : f32
      %s = for %i in 0..11 carry (%a = %0) {
        %1 = load %x, %i : f32
        %2 = max %1, %0 : f32
        store %x, %2, %i
        %3 = add %a, %2 : f32
        yield %3
      }
      %4 = constant dense<0> : index
      %5 = constant dense<1> : index
      store %y, %s, %4
      store %y, %0, %5
    }"""
    kernel = make_pipeline(passes).run(rlxc.parse(text))["f"]
    x, y = 5 - np.arange(11, dtype=np.float32), np.empty(2, np.float32)
    interpret(kernel, [x, y])
    np.testing.assert_array_equal(y, [15, 0])
