"""Native code of every elementwise op agrees with its eval, on corners and at random, for every dtype it takes."""

import numpy as np
import pytest

import rlxc.primitives  # noqa: F401
from rlxc.errors import DTypeError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.interp import interpret
from rlxc.ir.primitive import REGISTRY
from rlxc.ir.types import ANY, DType, TensorType
from rlxc.passes.legalize import legalize
from rlxc.runtime.compile import compile_func

OPS = [p for p in REGISTRY.all() if p.elementwise]
DTYPES = [d for d in ANY if not d.is_complex]  # test_complex.py tries the others
ATTRS = {"named": {"name": "here"}}
ULPS = {"lgamma": 64, "digamma": 64, "polygamma": 64, "erf_inv": 8, "erfc": 8}  # of the largest of |result| and 1


def corners(dtype):
    """Numbers at which an op might go wrong."""
    dtype = DType(dtype)
    if dtype == "bool":
        return np.array([True, False])
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        few = [0, 1, 2, 3, 7, 8, 9, 63, 100, dtype.bits - 1, dtype.bits, info.min, info.max, info.min // 2, info.max - 1]
        few += [] if dtype.kind == "u" else [-1, -2, -7, -8]
        return np.array(few, dtype.numpy)
    info = np.finfo(np.float32 if dtype.is_narrow else dtype.numpy)
    few = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 7.0, 10.0, 100.0, 1e-3, 0.3, 1 / 3, np.inf]
    few += [1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-8 + 2.0**-40] if dtype == "f64" else []
    few += [] if dtype.is_narrow else [float(info.max), float(info.tiny), 1e10]
    return np.array([*few, *(-x for x in few), np.nan]).astype(dtype.numpy)


def operands(prim, dtype):
    """Every pair of corners (triples are pairs and one of three), then random numbers."""
    rng = np.random.default_rng(3)
    few = corners(dtype)
    n = len(prim.signature.operands)
    if n == 1:
        xs = [few]
    else:
        xs = [a.reshape(-1) for a in np.meshgrid(few, few)]
        if n == 3:
            xs.append(np.resize(few[:3], xs[0].shape))
    if dtype != "bool" and not DType(dtype).is_integer:
        xs = [np.concatenate([x, rng.uniform(-3, 3, 64).astype(x.dtype), rng.uniform(0, 1, 64).astype(x.dtype)]) for x in xs]
    if prim.name == "select":
        xs[0] = rng.random(xs[0].shape) < 0.5
    return xs


def func_of(cases):
    """A function that applies ops, each to arguments of its own."""
    b = Builder()
    args, results = [], []
    for prim, arrays, attrs in cases:
        mine = [Value(TensorType(d, a.shape), f"x{len(args) + i}") for i, (d, a) in enumerate(arrays)]
        results.append(b.apply(prim, *mine, **attrs))
        args += mine
    return Func("f", tuple(args), tuple(b.ops), tuple(results))


def variants(prim):
    """Dtypes and attributes to try."""
    for dtype in DTYPES:
        if prim.name != "select" and dtype not in prim.dtypes:
            continue
        if prim.name in ("convert", "bitcast"):
            yield from ((dtype, {"dtype": d}) for d in DTYPES if prim.name == "convert" or (d.bits == dtype.bits and d != "bool"))
        elif prim.name == "polygamma":
            yield from ((dtype, {"n": n}) for n in (0, 1, 2, 5, 40))
        else:
            yield dtype, ATTRS.get(prim.name, {})


@pytest.mark.parametrize("prim", [p for p in OPS if p.name != "complex"], ids=lambda p: p.name)
def test_native_code_agrees_with_eval(prim):
    tried = [(operands(prim, dtype), dtype, attrs) for dtype, attrs in variants(prim)]
    f = func_of([(prim, [("bool" if a.dtype == bool else dtype, a) for a in arrays], attrs) for arrays, dtype, attrs in tried])
    whole = [a for arrays, _, _ in tried for a in arrays]
    results = zip(tried, interpret(legalize.on_func(f), whole), compile_func(f)(*whole), strict=True)
    for (arrays, dtype, attrs), want, got in results:
        agree(f"{prim.name} {dtype} {attrs}", prim, arrays, np.asarray(want), np.asarray(got))


def agree(label, prim, arrays, want, got):
    got = got.reshape(want.shape)
    assert got.dtype == want.dtype, label
    if want.dtype.kind in "biu":
        bad = got != want
    else:
        wide = [x.astype(np.float64) for x in (got, want)]
        eps = float(np.finfo(np.float32).eps) if want.dtype == np.float32 else 2.0**-52 if want.dtype == np.float64 else 2.0**-7
        with np.errstate(all="ignore"):
            near = np.abs(wide[0] - wide[1]) <= eps * ULPS.get(prim.name, 4) * np.maximum(np.abs(wide[1]), ULPS.get(prim.name, 0) > 8)
        tiny = np.abs(wide[1]) <= 1e-37
        zeros = (want == 0) & (got == 0) & (np.signbit(want) != np.signbit(got))
        bad = ~(near | (got == want) | (np.isnan(got) & np.isnan(want)) | (tiny & (np.abs(wide[0]) <= 1e-37))) | zeros
    at = np.nonzero(bad)[0][:5]
    assert not at.size, f"{label}\n" + "\n".join(f"{[a[i] for a in arrays]}: native {got[i]!r}, eval {want[i]!r}" for i in at)


def test_an_op_that_does_not_take_a_dtype_says_so():
    with pytest.raises(DTypeError, match="sin does not take"):
        func_of([(REGISTRY.lookup("sin"), [("i32", np.zeros(3, np.int32))], {})])
