"""Every op of the loop level: native code against `eval`, for every dtype it takes, as a scalar and as vectors."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import rlxc
from rlxc.codegen.llvm import emit_module
from rlxc.ir.attributes import Dense
from rlxc.ir.core import Func, Module, Value
from rlxc.ir.emitter import Emitter
from rlxc.ir.interp import interpret
from rlxc.ir.primitive import REGISTRY, lookup
from rlxc.ir.types import INDEX, TENSOR_DTYPES, DType, MemType, VectorType
from rlxc.passes.schedule.expand_math import expand_math
from rlxc.runtime import jit
from rlxc.runtime.cpu import target_cpu

pytest.importorskip("ml_dtypes")
REALS = [DType(d) for d in TENSOR_DTYPES if d[0] != "c"]
N = 16


def run(module: Module, name: str, arrays: list[np.ndarray]) -> None:
    """Run a kernel natively, in place."""
    emitted = emit_module(expand_math(module), [name])
    symbol = emitted.entries[name]
    loaded = jit.load(jit.object_code(emitted.text, target_cpu()), [symbol])
    addresses = (ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays])
    space = np.zeros(emitted.workspace[name] + 64, np.uint8)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(loaded.address(symbol))
    run(addresses, space.ctypes.data, None)


def both(func: Func, arrays: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The kernel's arrays after interpretation, and after native execution; its text must parse back."""
    module = Module((func,))
    assert rlxc.parse(str(module)) == module
    interpreted, native = [a.copy() for a in arrays], [a.copy() for a in arrays]
    interpret(func, interpreted)
    run(module, func.name, native)
    return interpreted, native


def special(dtype: DType, rng: np.random.Generator) -> np.ndarray:
    """Elements with the corners of their dtype among them."""
    with np.errstate(all="ignore"):
        if dtype.is_float:
            corners = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, np.inf, -np.inf, np.nan, 3.0]
            return np.concatenate([corners, rng.uniform(-3, 3, N - len(corners))]).astype(dtype.numpy)
        if dtype.is_bool:
            return rng.random(N) < 0.5
        info = np.iinfo(dtype.numpy)
        corners = [0, 1, 2, info.min, info.max, info.max - 1, 7, 3]
        corners += [-1, -2] if dtype.kind == "i" else [5, 6]
        return np.concatenate([np.array(corners, dtype.numpy), rng.integers(0, 9, N - len(corners)).astype(dtype.numpy)])


def same(a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    if a.dtype.kind in "biu":
        np.testing.assert_array_equal(b, a)
    else:
        np.testing.assert_allclose(b.astype(np.float64), a.astype(np.float64), rtol=tolerance, atol=1e-300)


def arithmetic() -> list[str]:
    """Ops that take scalars or vectors and nothing else."""
    names = []
    for prim in REGISTRY.all("loop"):
        own = {"sin_far", "cos_far", "tan_far"}  # which are right for far arguments only: tests/vecmath
        own |= {"splat", "fold_lanes", "any_lane", "lane_index", "constant", "convert", "bitcast", "select", "shuffle"}
        if prim.pure and prim.name not in own and prim.signature.operands and "memory" not in prim.signature.operands:
            names.append(prim.name)
    return names


@pytest.mark.parametrize("name", arithmetic())
def test_arithmetic_of_every_dtype_and_width(name):
    """A kernel of many loops: one for each dtype and number of lanes."""
    prim = lookup(name, "loop")
    arity = len(prim.signature.operands)
    rng = np.random.default_rng(3)
    e = Emitter()
    args, arrays, outs = [], [], []
    for dtype in REALS:
        if dtype.is_narrow:
            continue  # storage: converted before arithmetic
        try:
            (result,) = prim.infer_types([VectorType(dtype)] * arity, prim.signature.complete(name, {}))
        except rlxc.Error:
            continue
        memory = [Value(MemType(dtype, (N,)), f"{dtype}.{i}") for i in range(arity)]
        args += memory
        arrays += [rng.permutation(special(dtype, rng)) for _ in range(arity)]
        for lanes in (1, 4, 16):
            out = Value(MemType(result.dtype, (N,)), f"{dtype}.out{lanes}")
            outs.append((len(args), dtype, result.dtype))
            args.append(out)
            arrays.append(np.zeros(N, result.dtype.numpy))

            def body(i, memory=memory, out=out, lanes=lanes):
                e.store(out, e.apply(prim, *[e.load(m, i, lanes=lanes) for m in memory]), i)
                return ()

            e.for_(0, N, body, step=lanes)
    assert outs, f"{name} takes no dtype"
    want, got = both(Func("f", tuple(args), tuple(e.ops), (), "kernel"), arrays)
    for at, _, dtype in outs:
        same(want[at], got[at], {"f32": 1e-5, "f64": 1e-13}.get(dtype, 0))


@pytest.mark.parametrize("source", REALS)
def test_conversion_between_all_dtypes(source):
    x = special(source, np.random.default_rng(4))
    outs, loops = [], []
    for target in REALS:
        for lanes in (1, 16):
            out = f"%{target}.{lanes}"
            outs.append((f"{out}: mem {target}[{N}]", target))
            loops.append(f"""
          for %i in 0..{N} step {lanes} {{
            %0 = load %x, %i {{lanes = {lanes}}}
            %1 = convert %0 {{dtype = {target}}}
            store {out}, %1, %i
          }}""")
    text = f"kernel @f(%x: mem {source}[{N}], {', '.join(out for out, _ in outs)}) {{{''.join(loops)}\n}}"
    want, got = both(rlxc.parse(text).funcs[0], [x, *(np.zeros(N, target.numpy) for _, target in outs)])
    for one, other in zip(want[1:], got[1:], strict=True):
        same(one, other, 0)


MEMORY = """
kernel @f(%x: mem f32[4, 8], %m: mem bool[8], %at: mem i32[8], %out: mem f32[6, 8], %total: mem f32[]) {
  %zero = constant dense<0> : index
  %two = constant dense<2> : index
  %mask = load %m, %zero {lanes = 8}
  %offsets = load %at, %zero {lanes = 8}
  %row = masked_load %x, %mask, %two, %zero
  masked_store %out, %row, %mask, %zero, %zero
  %picked = gather %x, %offsets
  %one = constant dense<1> : index
  store %out, %picked, %one, %zero
  %some = gather %x, %offsets, %mask
  store %out, %some, %two, %zero
  %flat = view %x {shape = [32]}
  %lanes = lane_index : i32x8
  %f = convert %lanes {dtype = f32}
  %three = constant dense<3> : index
  store %out, %f, %three, %zero
  %back = view %out {shape = [48]}
  %far = constant dense<32> : i32x8
  %places = add %far, %offsets
  %small = constant dense<7> : i32x8
  %within = and %offsets, %small
  %where = add %far, %within
  scatter %back, %f, %where
  scatter %back, %row, %where, %mask
  %any = any_lane %mask
  %sum = fold_lanes %row {kind = "add"}
  %largest = fold_lanes %f {kind = "max"}
  %chosen = if %any do () {
    %a = add %sum, %largest
    yield %a
  } do () {
    yield %sum
  }
  store %total, %chosen
}
"""


@pytest.mark.parametrize("flags", [[True] * 8, [False] * 8, [True, False, False, True, True, False, True, False]])
def test_memory_lanes_and_branches(flags):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4, 8)).astype(np.float32)
    at = np.array([3, 31, 0, 8, 8, 17, 30, 5], np.int32)
    func = rlxc.parse(MEMORY).funcs[0]
    want, got = both(func, [x, np.array(flags), at, np.zeros((6, 8), np.float32), np.zeros((), np.float32)])
    np.testing.assert_array_equal(want[3], got[3])
    np.testing.assert_allclose(want[4], got[4], rtol=1e-6)


@pytest.mark.parametrize("kind", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("dtype", ["i8", "i32", "u64", "f32", "f64"])
def test_lanes_fold_in_a_fixed_order(kind, dtype):
    x = special(DType(dtype), np.random.default_rng(6))
    text = f"""
    kernel @f(%x: mem {dtype}[{N}], %out: mem {dtype}[]) {{
      %z = constant dense<0> : index
      %v = load %x, %z {{lanes = {N}}}
      %s = fold_lanes %v {{kind = "{kind}"}}
      store %out, %s
    }}"""
    want, got = both(rlxc.parse(text).funcs[0], [x, np.zeros((), x.dtype)])
    np.testing.assert_array_equal(want[1], got[1])


@pytest.mark.parametrize("dtype", ["bool", "i8", "bf16", "f32", "f64"])
@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("picked", [(0,), (1, 0), (0, 1, 1, 0), (1, 0, 0, 1, 1, 0, 1, 0)])
def test_a_shuffle_picks_lanes_of_two_vectors(dtype, lanes, picked):
    picked = [i * (2 * lanes - 1) // max(1, lanes - 1) % (2 * lanes) if lanes > 1 else i for i in picked]
    x = special(DType(dtype), np.random.default_rng(7))
    text = f"""
    kernel @f(%x: mem {dtype}[{N}], %out: mem {dtype}[8]) {{
      %z = constant dense<0> : index
      %at = constant dense<4> : index
      %a = load %x, %z {{lanes = {lanes}}}
      %b = load %x, %at {{lanes = {lanes}}}
      %s = shuffle %a, %b {{lanes = {list(picked)}}}
      store %out, %s, %z
    }}"""
    want, got = both(rlxc.parse(text).funcs[0], [x, np.zeros(8, x.dtype)])
    expected = np.concatenate([x[:lanes], x[4 : 4 + lanes]])[picked]
    np.testing.assert_array_equal(want[1][: len(picked)], expected)
    np.testing.assert_array_equal(got[1][: len(picked)], expected)


def test_a_global_is_shared_and_a_table_is_read():
    e = Emitter()
    out = Value(MemType(DType("f32"), (4,)), "out")
    table = Dense(np.array([2.0, 3.0, 5.0, 7.0], np.float32))
    e.store(out, e.table(table, e.lane_index(type=VectorType(DType("i32"), 4))), e.as_index(0))
    func = Func("f", (out,), tuple(e.ops), (), "kernel")
    want, got = both(func, [np.zeros(4, np.float32)])
    np.testing.assert_array_equal(got[0], [2, 3, 5, 7])
    np.testing.assert_array_equal(want[0], got[0])
    twice = emit_module(Module((func, func.with_(name="g"))), ["f", "g"])
    assert twice.text.count("internal unnamed_addr constant") == 1


def test_index_arithmetic_folds_numbers():
    e = Emitter()
    assert e.ravel([1, 2], (3, 4)) == 6
    assert e.unravel(6, (3, 4)) == [1, 2]
    i = Value(INDEX, "i")
    assert e.index_add(i, 0) is i
    assert e.index_mul(i, 1) is i
    assert e.index_mul(i, 0) == 0
    assert not e.ops
