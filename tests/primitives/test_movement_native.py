"""Native code of movement, reductions and indexing against the interpreter: inside larger functions, with gradients, and where loops have corners."""

import numpy as np
import pytest
from checks import _type_of, close, draw, op_func, split

import rlxc
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.interp import interpret
from rlxc.ir.primitive import REGISTRY
from rlxc.ir.types import TensorType, dtype_of
from rlxc.passes.gradient import value_and_grad

OPS = [
    "broadcast",
    "reshape",
    "transpose",
    "reverse",
    "slice",
    "pad",
    "concat",
    "split",
    "stack",
    "squeeze",
    "expand_dims",
    "reduce_sum",
    "reduce_prod",
    "reduce_max",
    "reduce_min",
    "cumsum",
    "cumprod",
    "cummax",
    "cummin",
    "linear_recurrence",
    "gather",
    "take",
    "take_along_axis",
    "scatter_add",
    "scatter_set",
    "scatter_mul",
    "scatter_max",
    "scatter_min",
    "dynamic_slice",
    "dynamic_update_slice",
    "sort",
    "top_k",
    "sliding_windows",
    "overlap_add",
    "reduce_window_sum",
    "reduce_window_max",
    "reduce_window_min",
]


# Those whose loops and derivatives are those of another one above, but for the arithmetic or the arrangement.
LIKE_OTHERS = {"scatter_max", "scatter_min", "scatter_set", "reduce_min", "cummin", "reduce_window_min", "stack", "squeeze", "expand_dims", "take"}


def agree(func, arrays, rtol=1e-11):
    with np.errstate(all="ignore"):
        want = interpret(func, arrays)
    got = rlxc.compile(func)(*arrays)
    for g, w in zip(got if isinstance(got, tuple | list) else (got,), want, strict=True):
        assert (np.shape(g), np.asarray(g).dtype) == (np.shape(w), np.asarray(w).dtype)
        close(g, w, rtol)


def loss_around(name, types, attrs):
    """A scalar function with elementwise ops before and after the op, so that there is something to fuse."""
    b = Builder()
    args = tuple(Value(t, f"x{i}") for i, t in enumerate(types))
    out = b.apply(REGISTRY.lookup(name), *[b.mul(b.sin(a), a) if a.type.dtype.is_float else a for a in args], **attrs)
    out = out[0] if isinstance(out, tuple) else out
    y = b.mul(b.cos(out), out)
    y = b.mul(y, b.iota(axis=0, type=out.type)) if out.type.rank else y
    loss = b.reduce_sum(y, axes=tuple(range(out.type.rank)))
    return Func("f", args, tuple(b.ops), (loss,))


@pytest.mark.parametrize("name", OPS)
def test_gradients_of_functions_around_each_op(name):
    rng = np.random.default_rng(0)
    samples = REGISTRY.lookup(name).samples
    for sample in samples[:: max(1, len(samples) // (2 if name in LIKE_OTHERS else 4))]:
        operands, attrs, domain = split(sample)
        arrays = [draw(rng, t.with_dtype("f64") if isinstance(t, TensorType) and t.dtype.is_float else t, domain or (-2.0, 2.0)) for t in operands]
        if any(a.dtype.kind not in "fiub" or not np.isfinite(a).all() for a in arrays):
            continue
        agree(value_and_grad(loss_around(name, [_type_of(a) for a in arrays], attrs)), arrays)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_merge_sort_of_each_length(n, dtype):
    rng = np.random.default_rng(n)
    x = rng.integers(0, 9, (2, n)).astype(dtype)
    if dtype == np.float32:
        x[rng.random(x.shape) < 0.2] = np.nan
    b = Builder()
    rows, columns = (Value(TensorType(dtype_of(x.dtype), a.shape)) for a in (x, x.T))
    results = []
    for descending in (False, True):
        for sort in (b.sort, b.argsort):
            results += [sort(rows, axis=1, descending=descending), sort(columns, axis=0, descending=descending)]
    agree(Func("f", (rows, columns), tuple(b.ops), tuple(results)), [x, x.T])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_random_gathers_and_scatters(seed, dtype):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    shape = rng.integers(1, 5, rank)
    batch = int(rng.integers(0, rank))
    axes = tuple(int(a) for a in rng.permutation(np.arange(batch, rank))[: rng.integers(1, rank - batch + 1)])
    outer = (*shape[:batch], *rng.integers(0, 6, rng.integers(0, 3)))
    rest = tuple(n for a, n in enumerate(shape) if a >= batch and a not in axes)
    x, updates = rng.normal(size=shape), rng.normal(size=(*outer, *rest))
    info = np.iinfo(dtype)
    indices = [np.asarray(np.where(rng.random(outer) < 0.1, info.max, rng.integers(max(info.min, -2), 6, outer))).astype(dtype) for _ in axes]
    for clamp in (False, True):
        for name in ("gather", "scatter_add", "scatter_set", "scatter_mul", "scatter_max", "scatter_min"):
            bounds = "clamp" if clamp else "fill" if name == "gather" else "drop"
            operands = [x, *indices] if name == "gather" else [x, updates, *indices]
            agree(op_func(name, *map(_type_of, operands), axes=axes, batch=batch, bounds=bounds), operands)


def test_extremes_of_many_rows_and_columns():
    x = np.random.default_rng(0).integers(-9, 9, (37, 53)).astype(np.float32)
    x[3, 7] = x[3, 11] = np.nan
    for axis in (0, 1):
        for name in ("argmax", "argmin"):
            agree(op_func(name, "f32[37, 53]", axis=axis), [x])
        for name in ("reduce_max", "reduce_min"):
            agree(op_func(name, "f32[37, 53]", axes=(axis,)), [x])
        for name in ("cummax", "cumsum"):
            for reverse in (False, True):
                agree(op_func(name, "f32[37, 53]", axis=axis, reverse=reverse), [x], 1e-5)
