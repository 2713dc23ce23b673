"""Parallel loops in native code: private memory, values from outside, and the same bits with any number of threads."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import rlxc
from rlxc.codegen.llvm import Emitted, emit_module
from rlxc.ir.interp import interpret
from rlxc.passes.schedule.expand_math import expand_math
from rlxc.runtime import jit, threads
from rlxc.runtime.cpu import target_cpu

SOFTMAX = """
kernel @f(%x: mem f32[64, 40], %y: mem f32[64, 40], %m: mem f32[64]) {
  %low = constant dense<-inf> : f32
  %zero = constant dense<0.0> : f32
  for %i in 0..64 {parallel = true, chunk = 3} {
    %kept = alloc : mem f32[40]
    %top = for %j in 0..40 carry (%a = %low) {
      %v = load %x, %i, %j
      %n = max %a, %v
      yield %n
    }
    %sum = for %j in 0..40 carry (%a = %zero) {
      %v = load %x, %i, %j
      %d = sub %v, %top
      %e = exp %d
      store %kept, %e, %j
      %n = add %a, %e
      yield %n
    }
    for %j in 0..40 {
      %v = load %kept, %j
      %r = div %v, %sum
      store %y, %r, %i, %j
    }
    store %m, %top, %i
  }
}
"""

# Values from outside: a scalar and a vector that are computed before the loop, constant data, memory the kernel allocates.
OUTSIDE = """
kernel @f(%x: mem f32[8], %y: mem f32[50, 8]) {
  %zero = constant dense<0> : index
  %table = global dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]> : mem f32[8]
  %shared = alloc : mem f32[8]
  for %i in 0..8 {
    %v = load %x, %i
    %t = load %table, %i
    %p = mul %v, %t
    store %shared, %p, %i
  }
  %first = load %x, %zero
  %all = load %x, %zero {lanes = 8}
  %positive = gt %all, %all
  for %i in 2..50 step 2 {parallel = true} {
    %w = load %shared, %zero {lanes = 8}
    %f = splat %first {lanes = 8}
    %p = mul %w, %f
    %q = add %p, %all
    %r = select %positive, %p, %q
    store %y, %r, %i, %zero
  }
}
"""


def emitted(text: str, count: int) -> Emitted:
    return emit_module(expand_math(rlxc.parse(text)), ["f"], threads=count)


def run(text: str, arrays: list[np.ndarray], count: int, *, with_pool: bool = True) -> list[np.ndarray]:
    made = emitted(text, count)
    symbol = made.entries["f"]
    loaded = jit.load(jit.object_code(made.text, target_cpu()), [symbol])
    arrays = [a.copy() for a in arrays]
    addresses = (ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays])
    space = np.full(made.workspace["f"] + 128, 77, np.uint8)
    start = -space.ctypes.data % 64
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(loaded.address(symbol))
    for _ in range(20):
        call(addresses, space.ctypes.data + start, threads.pool_address() if with_pool else None)
    assert np.all(space[start + made.workspace["f"] :] == 77), "it writes only to the workspace it asked for"
    return arrays


CASES = {"softmax": (SOFTMAX, [(64, 40), (64, 40), (64,)]), "outside": (OUTSIDE, [(8,), (50, 8)])}


@pytest.mark.parametrize("name", CASES)
def test_parallel_loops_give_the_same_bits_with_any_number_of_threads(name, eager_workers):
    text, shapes = CASES[name]
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    serial = run(text, arrays, 1)
    interpreted = [a.copy() for a in arrays]
    interpret(rlxc.parse(text).funcs[0], interpreted)
    for got, want in zip(serial, interpreted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    for count, with_pool in [(2, True), (3, True), (2, False), (16, True)]:
        eager_workers(min(count, 4))
        for got, want in zip(run(text, arrays, count, with_pool=with_pool), serial, strict=True):
            np.testing.assert_array_equal(got, want)


def test_private_memory_is_there_once_for_each_thread_that_may_take_part():
    assert emitted(SOFTMAX, 1).workspace["f"] == 192
    assert emitted(SOFTMAX, 4).workspace["f"] == 4 * 192
    assert emitted(SOFTMAX, 100).workspace["f"] == 22 * 192, "64 iterations are 22 chunks of 3"


def test_a_module_without_parallel_loops_asks_for_no_pool():
    assert not emitted(SOFTMAX, 1).parallel, "for one thread there is nothing to share"
    assert emitted(SOFTMAX, 2).parallel
    assert not emitted(SOFTMAX.replace("parallel = true, ", ""), 2).parallel
