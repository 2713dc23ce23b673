"""The work of a call, counted before it runs."""

import pytest

import rlxc
from rlxc.codegen.work import work
from rlxc.runtime.compile import native


def work_of(text):
    func = rlxc.parse(text).funcs[0]
    made = native(func)
    assert made.emitted.work[func.name] == work(made.kernels, func.name)
    return made.emitted.work[func.name]


def test_work_grows_with_the_elements():
    small, large = (work_of(f"func @f(%x: f32[{n}]) -> f32[{n}] {{ %y = exp %x return %y }}") for n in (1024, 1024 * 64))
    assert small * 60 < large < small * 68


def test_work_of_a_product_grows_with_the_cube():
    small, large = (work_of(f"func @f(%x: f32[{n}, {n}]) -> f32[{n}, {n}] {{ %y = matmul %x, %x return %y }}") for n in (64, 256))
    assert small * 40 < large < small * 90


def test_every_call_of_a_kernel_counts():
    once, twice = (
        work_of(f"func @f(%x: f64[999]) -> f64[999] {{ %a = sort %x {{axis = 0}} {b} return {r} }}") for b, r in (("", "%a"), ("%b = sort %a {axis = 0}", "%b"))
    )
    assert twice == pytest.approx(2 * once, rel=0.1)


def test_a_loop_that_never_runs_is_no_work():
    assert work_of("func @f(%x: f32[0]) -> f32[0] { %y = exp %x return %y }") < 10


def test_bodies_of_loops_count_by_their_steps_and_vectors_by_their_registers():
    kernel = rlxc.parse("""
kernel @k(%x: mem f32[4096]) {
  for %i in 0..4096 step 64 {
    %v = load %x, %i {lanes = 64}
    %w = add %v, %v
    store %x, %w, %i
  }
}""")
    assert work(kernel, "k") == 64 * 3 * 4
