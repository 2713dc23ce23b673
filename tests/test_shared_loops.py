"""The same bits with any number of threads: random programs, and every primitive's samples, with every loop shared that can be."""

from __future__ import annotations

import numpy as np
import pytest
from random_programs import random_program
from test_laws import PRIMITIVES

import rlxc
from benchmarks import programs
from rlxc.ir.core import Func
from rlxc.ir.interp import interpret
from rlxc.passes.gradient import prepare
from rlxc.runtime.compile import compile_func, native
from rlxc.testing.cases import cases_of
from rlxc.testing.laws import check_runner, together

CHUNKS = 8


def same_bits(func: Func, inputs, use) -> None:
    """Code for one thread, and code for three that are there or not, give the same bits."""
    want = [x.tobytes() for x in compile_func(func, threads=1, share_all=True)(*inputs)]
    run = compile_func(func, threads=3, share_all=True)
    for count in (1, 2, 3, 3):
        use(count)
        assert [x.tobytes() for x in run(*inputs)] == want, f"{count} threads\n{func}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_programs_give_the_same_bits(chunk, eager_workers):
    for seed in range(chunk * 1000, chunk * 1000 + 10):
        program = random_program(seed, size=2 + seed % 9)
        same_bits(program.func, program.inputs, eager_workers)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_gradients_of_random_programs_give_the_same_bits(chunk, eager_workers):
    for seed in range(chunk * 1000, chunk * 1000 + 3):
        program = random_program(seed, size=2 + seed % 9, floats=("f32",))
        func = prepare(program.func)
        wrt = [i for i, a in enumerate(func.args) if a.type.dtype.is_float]
        losses = [v for v in func.results if v.type.dtype == "f32"]
        if not wrt or not losses:
            continue
        gradient = rlxc.grad_with_loss(func.with_(results=(losses[0],)), wrt)
        same_bits(gradient, [*program.inputs, np.ones(losses[0].type.shape, np.float32)], eager_workers)


@pytest.mark.parametrize("name", [p.name for p in PRIMITIVES])
def test_every_primitive_gives_the_same_bits(name, eager_workers, request):
    prim = next(p for p in PRIMITIVES if p.name == name)
    every_dtype = request.config.getoption("--all-settings")
    cases = [case for case in cases_of(prim) if case.results and (every_dtype or case.original or case.dtype in ("f32", "i32"))]
    rng = np.random.default_rng(5)
    inputs = [a for case in cases for a in case.draw(rng)]
    run = compile_func(together(cases), threads=3, share_all=True)
    eager_workers(1)
    want = [x.tobytes() for x in run(*inputs)]
    for count in (2, 3):
        eager_workers(count)
        assert [x.tobytes() for x in run(*inputs)] == want, f"{count} threads"
    check_runner(lambda arrays: run(*arrays), cases, rng)


def test_what_the_tests_above_try_is_shared():
    for name in ("exp", "transpose", "reduce_sum", "softmax", "gather", "sort", "cumsum", "conv"):
        prim = next(p for p in PRIMITIVES if p.name == name)
        case = max(cases_of(prim), key=lambda case: case.size)
        assert "parallel = true" in str(native(case.func, share_all=True).kernels), name


LONG = {
    "map": "func @f(%x: f32[100003]) -> f32[100003] { %y = tanh %x return %y }",
    "sum": "func @f(%x: f32[1000, 999]) -> f32[] { %y = reduce_sum %x {axes = [0, 1]} return %y }",
    "extremes": "func @f(%x: f32[300, 3001]) -> (f32[], f32[]) { %a = reduce_max %x {axes = [0, 1]} %b = reduce_min %x {axes = [0, 1]} return %a, %b }",
    "columns": "func @f(%x: f32[1000, 777]) -> f32[777] { %y = reduce_sum %x {axes = [0]} return %y }",
    "softmax": "func @f(%x: f32[301, 203]) -> f32[301, 203] { %y = softmax %x {axis = -1} return %y }",
    "few rows": "func @f(%x: f32[3, 70001]) -> f32[3, 70001] { %y = softmax %x {axis = -1} return %y }",
    "transpose": "func @f(%x: f32[3, 200, 150]) -> f32[3, 150, 200] { %y = transpose %x {perm = [0, 2, 1]} return %y }",
    "matmul": "func @f(%x: f32[203, 101], %w: f32[101, 85]) -> f32[203, 85] { %y = matmul %x, %w return %y }",
    "large matmul": "func @f(%x: f32[203, 301], %w: f32[301, 517]) -> f32[203, 517] { %y = matmul %x, %w return %y }",
    "batched": "func @f(%x: f32[5, 60, 70], %w: f32[5, 70, 50]) -> f32[5, 60, 50] { %y = matmul %x, %w return %y }",
    "conv": "func @f(%x: f32[2, 8, 30, 30], %w: f32[16, 8, 3, 3]) -> f32[2, 16, 28, 28] { %y = conv %x, %w return %y }",
}


@pytest.mark.parametrize("name", LONG)
def test_long_loops_are_shared_and_give_the_same_bits(name, eager_workers):
    func = rlxc.parse(LONG[name]).funcs[0]
    rng = np.random.default_rng(7)
    inputs = [rng.standard_normal(a.type.shape).astype(np.float32) for a in func.args]
    serial = compile_func(func, threads=1)
    want = [x.tobytes() for x in serial(*inputs)]
    made = native(func, threads=3)
    assert made.emitted.parallel
    run = made.executable()
    for count in (1, 2, 3, 3):
        eager_workers(count)
        for _ in range(5):
            assert [x.tobytes() for x in run(*inputs)] == want, f"{count} threads"
    for got, exact in zip(serial(*inputs), interpret(func, [x.astype(np.float64) for x in inputs]), strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-4)


PROGRAMS = {
    "mlp": programs.mlp,
    "transformer": lambda: programs.bert(1, batch=3, D=64, H=4, F=160, S=70),
    "block": lambda: programs.block(2),
    "chain": programs.chain,
    "layernorm": programs.layernorm,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_and_their_gradients_give_the_same_bits_in_every_run(name, eager_workers):
    func = rlxc.parse(PROGRAMS[name]()).funcs[0]
    rng = np.random.default_rng(11)
    inputs = [(rng.standard_normal(a.type.shape) * 0.1 + (name == "chain")).astype(np.float32) for a in func.args]
    for f in (func, rlxc.value_and_grad(func, list(func.params))):
        want = [x.tobytes() for x in compile_func(f, threads=1)(*inputs)]
        run = compile_func(f, threads=3)
        for count in (1, 2, 3):
            eager_workers(count)
            for _ in range(3):
                assert [x.tobytes() for x in run(*inputs)] == want, f"@{f.name}, {count} threads"
