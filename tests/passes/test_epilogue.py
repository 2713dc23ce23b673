"""Elementwise ops that follow an op with loops of its own: one kernel, and the same numbers."""

import numpy as np
import pytest

import rlxc.primitives  # noqa: F401
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Module, Value
from rlxc.ir.interp import interpret
from rlxc.ir.primitive import REGISTRY
from rlxc.ir.types import parse_type
from rlxc.passes.pipelines import make_pipeline
from rlxc.runtime.compile import compile_func
from rlxc.testing.cases import cases_of
from rlxc.testing.numeric import differ

COMPLEX = {"c64", "c128"}
ANCHORS = [p for p in REGISTRY.all() if p.takes_epilogue and p.samples]
WAITS = [
    p
    for p in REGISTRY.all()
    if p.has_loops and p.samples and not p.takes_epilogue and not p.composite and p.has_rule("lower") and not COMPLEX.issuperset(p.dtypes)
]


def legal_cases(prim):
    """The samples that `legalize` leaves alone, so that the op itself is lowered; complex ones are not, but their parts."""
    for case in cases_of(prim):
        if any(t.dtype.is_complex for t in case.types):
            continue
        legal = make_pipeline("legalize,simplify").run(Module((case.func,))).funcs[0]
        if [op.prim for op in legal.ops] == [prim]:
            yield case


def followed(case):
    """The op, then bias, relu and residual (or what booleans have of that); its own result is returned too."""
    b = Builder()
    args = [Value(t, f"x{i}") for i, t in enumerate(case.types)]
    results = b.apply(case.prim, *args, **case.attrs)
    whole = results[0] if isinstance(results, tuple) else results
    type = whole.type
    bias = Value(type.with_shape(type.shape[-1:]), "bias")
    residual = Value(type, "residual")
    spread = b.broadcast(bias, shape=type.shape, axes=tuple(range(type.rank - 1))) if type.rank > 1 else bias
    if type.dtype.is_bool:
        y = b.xor(b.not_(b.and_(whole, spread)), residual)
    else:
        y = b.add(b.max(b.add(whole, spread), b.zeros(type)), residual)
    return Func("f", (*args, bias, residual), tuple(b.ops), (y, whole))


@pytest.mark.parametrize("prim", ANCHORS, ids=lambda p: p.name)
def test_what_follows_is_computed_as_the_op_stores(prim):
    cases = [case for case in legal_cases(prim) if case.original or case.dtype == "f32"]
    funcs = [followed(case) for case in cases]
    whole = Func("f", *(tuple(x for f in funcs for x in part(f)) for part in (lambda f: f.args, lambda f: f.ops, lambda f: f.results)))
    fused = make_pipeline("fuse").run(Module((whole,))).funcs[0]
    assert cases
    apart = 2 if prim.reduction else 1  # what is reduced across rows is known only after them, and read by a kernel of its own
    assert len(kernels(fused)) <= apart * len(cases), fused  # reductions of rows share a kernel where their shapes agree
    rng = np.random.default_rng(1)
    inputs = []
    for case, func in zip(cases, funcs, strict=True):
        inputs += [*case.draw(rng), *(rng.integers(0, 2, a.type.shape).astype(a.type.dtype.numpy) for a in func.args[-2:])]
    want = interpret(whole, inputs)
    for settings in ({}, {"vectorize": False}):
        for i, (got, expected) in enumerate(zip(compile_func(whole, **settings)(*inputs), want, strict=True)):
            problem = differ(got, expected, 1e-5 if got.dtype == np.float32 else 1e-12)
            assert not problem, f"{cases[i // 2]} {settings}: {problem}"


@pytest.mark.parametrize("prim", WAITS, ids=lambda p: p.name)
def test_what_follows_an_op_that_accumulates_in_its_result_is_another_kernel(prim):
    case = next(legal_cases(prim))
    fused = make_pipeline("fuse").run(Module((followed(case),))).funcs[0]
    assert len(kernels(fused)) == 2


def kernels(func):
    """The ops that become kernels."""
    return [op for op in func.ops if op.operands and not op.prim.view]


@pytest.mark.parametrize("shape", [(1, 40, 40), (33, 70, 50), (64, 256, 96)])
@pytest.mark.parametrize("dtype", ["bf16", "f16", "i8"])
def test_a_contraction_of_converted_operands_is_one_kernel(shape, dtype):
    m, k, n = shape
    x, w = Value(parse_type(f"{dtype}[{m}, {k}]"), "x"), Value(parse_type(f"{dtype}[{k}, {n}]"), "w")
    b = Builder()
    y = b.contract(b.mul(b.convert(x, dtype="f32"), b.constant(0.5, type=x.type.with_dtype("f32"))), b.convert(w, dtype="f32"), spec="mk,kn->mn")
    func = Func("f", (x, w), tuple(b.ops), (y,))
    fused = make_pipeline("fuse").run(Module((func,))).funcs[0]
    rng = np.random.default_rng(2)
    inputs = [rng.integers(-3, 4, a.type.shape).astype(a.type.dtype.numpy) for a in (x, w)]
    assert len(kernels(fused)) == 1, fused
    np.testing.assert_array_equal(compile_func(func)(*inputs)[0], interpret(func, inputs)[0])
