"""Memory that kernels allocate: where it lies in the workspace, and whose it is."""

from __future__ import annotations

import ctypes

import numpy as np

import rlxc
from rlxc.codegen.llvm import emit_module
from rlxc.codegen.workspace import Workspace, workspaces
from rlxc.ir.core import Func, Value
from rlxc.ir.emitter import Emitter
from rlxc.ir.types import DType, MemType
from rlxc.passes.schedule.form_fma import form_fma
from rlxc.passes.schedule.vectorize import vectorize
from rlxc.runtime import jit
from rlxc.runtime.cpu import target_cpu

CALLS = """rlx 0.1

kernel @outer(%x: mem f32[4], %y: mem f32[4]) {
  %t = alloc : mem f32[4]
  call @double(%x, %t)
  call @double(%t, %y)
}

kernel @double(%x: mem f32[4], %y: mem f32[4]) {
  %t = alloc : mem f32[4]
  for %i in 0..4 {
    %0 = load %x, %i : f32
    store %t, %0, %i
  }
  call @leaf(%t, %y)
}

kernel @leaf(%x: mem f32[4], %y: mem f32[4]) {
  %t = alloc : mem f32[100]
  for %i in 0..4 {
    %once = alloc : mem f32[1]
    %zero = constant dense<0> : index
    %0 = load %x, %i : f32
    store %once, %0, %zero
    %1 = load %once, %zero : f32
    %2 = add %0, %1 : f32
    store %t, %2, %i
    %3 = load %t, %i : f32
    store %y, %3, %i
  }
}
"""


def test_a_kernel_needs_what_it_allocates_and_the_most_that_a_callee_needs() -> None:
    needs = workspaces(rlxc.parse(CALLS).funcs)
    assert needs == {"outer": Workspace(64, 64 + 64 + 448 + 64), "double": Workspace(64, 64 + 448 + 64), "leaf": Workspace(448 + 64, 448 + 64)}


def test_callees_use_the_workspace_behind_that_of_their_callers() -> None:
    module = rlxc.parse(CALLS)
    assert rlxc.parse(str(module)) == module
    emitted = emit_module(module, ["outer"])
    symbol = emitted.entries["outer"]
    loaded = jit.load(jit.object_code(emitted.text, target_cpu()), [symbol])
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    need = emitted.workspace["outer"]
    space = np.full(need + 256, 77, np.uint8)
    start = space.ctypes.data + -space.ctypes.data % 64
    addresses = (ctypes.c_void_p * 2)(x.ctypes.data, y.ctypes.data)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(loaded.address(symbol))(addresses, start, None)
    np.testing.assert_array_equal(y, 4 * x)
    assert (space[start - space.ctypes.data + need :] == 77).all()


def written(body) -> Func:
    e = Emitter()
    out = Value(MemType(DType("f32"), (8, 8)), "out")
    body(e, out)
    return Func("k", (out,), tuple(e.ops), (), "kernel")


def test_scratch_memory_is_allocated_before_the_loops_that_ask_for_it() -> None:
    def body(e, out):
        def step(i):
            e.alloc("f32", (8,)).store([i], 1.0)

        e.for_(0, 8, step)

    func = written(body)
    assert [op.prim.name for op in func.ops] == ["alloc", "constant", "for"]


def test_scratch_memory_of_a_parallel_loop_is_allocated_inside_and_stays_there() -> None:
    def body(e, out):
        def row(i):
            def step(j):
                e.cond(e.lt(j, 4), lambda: scratch_in(e, j), lambda: ())

            e.for_(0, 8, step)

        e.for_(0, 8, row, parallel=True)

    def scratch_in(e, j):
        e.alloc("f32", (8,)).store([j], 1.0)

    func = written(body)
    for kernel in (func, *(p(rlxc.ir.core.Module((func,))).funcs[0] for p in (form_fma, vectorize))):
        assert not any(op.prim.allocates for op in kernel.ops)
        (rows,) = [op for op in kernel.ops if op.prim.syntax == "for"]
        assert rows.regions[0].ops[0].prim.name == "alloc"
        assert rows.attrs["parallel"]
