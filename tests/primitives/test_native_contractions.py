"""Native code of contractions, convolutions and composites, and of their gradients, against the interpreter."""

import numpy as np
import pytest
from checks import close, draw, op_func, split
from test_contract import random_spec
from test_conv import random_case

from rlxc.ir.interp import interpret
from rlxc.ir.primitive import lookup
from rlxc.ir.types import TensorType, dtype_of
from rlxc.passes.gradient import grad_with_loss
from rlxc.runtime.compile import compile_func


def check_native(func, arrays, rng, rtol=1e-11):
    """The function and, where there is one, its gradient."""
    cases = [(func, arrays)]
    if func.results[0].type.dtype.is_float:
        ct = draw(rng, func.results[0].type, (-1.0, 1.0))
        cases.append((grad_with_loss(func), [*arrays, ct]))
    for f, inputs in cases:
        got = compile_func(f)(*inputs)
        want = interpret(f, inputs)
        for g, w in zip(got if isinstance(got, tuple) else (got,), want, strict=True):
            assert g.dtype == w.dtype
            close(g, w, rtol)


@pytest.mark.parametrize("seed", range(15))
def test_random_contractions(seed):
    rng = np.random.default_rng(seed)
    spec, xs, ys = random_spec(rng)
    check_native(op_func("contract", f"f64{xs}", f"f64{ys}", spec=spec), [rng.normal(size=xs), rng.normal(size=ys)], rng)


@pytest.mark.parametrize(
    ("spec", "x", "y"),
    [
        ("hkbm,hbk->bm", (4, 288, 3, 5), (4, 3, 288)),
        ("kbm,kb->mb", (769, 3, 7), (769, 3)),
    ],
)
def test_one_sum_of_several_chains(spec, x, y):
    rng = np.random.default_rng(0)
    check_native(op_func("contract", f"f64{list(x)}", f"f64{list(y)}", spec=spec), [rng.normal(size=x), rng.normal(size=y)], rng)


def test_one_sum_of_several_chains_of_small_floats():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=shape).astype(ml_dtypes.bfloat16) for shape in ((7, 1152), (1, 1152)))
    check_native(op_func("contract", "bf16[7, 1152]", "bf16[1, 1152]", spec="mk,nk->mn"), [x, y], rng, 2e-2)


@pytest.mark.parametrize("seed", range(25))
def test_random_convolutions(seed):
    rng = np.random.default_rng(seed)
    x, w, attrs = random_case(rng)
    check_native(op_func("conv", TensorType("f64", x.shape), TensorType("f64", w.shape), **attrs), [x, w], rng)


@pytest.mark.parametrize(
    ("x", "w", "attrs"),
    [
        ((2, 8, 5, 70), (8, 4, 3, 3), {"groups": 2, "strides": (1, 2), "padding": ((1, 1), (1, 2))}),
        ((1, 3, 150), (6, 3, 5), {"padding": ((-1, 3),), "dilation": (3,)}),
        ((1, 2, 40), (4, 2, 35), {"dilation": (1,)}),
        ((1, 2, 90), (3, 2, 40), {"dilation": (2,), "strides": (3,)}),
        ((2, 4, 4, 20), (4, 1, 2, 3), {"groups": 4, "lhs_dilation": (1, 3), "strides": (2, 2)}),
    ],
)
def test_convolutions_longer_than_a_vector(x, w, attrs):
    rng = np.random.default_rng(0)
    check_native(op_func("conv", TensorType("f32", x), TensorType("f32", w), **attrs), [rng.normal(size=s).astype(np.float32) for s in (x, w)], rng, 1e-4)


@pytest.mark.parametrize("dtype", ["i8", "u16", "i64", "f16", "bf16"])
def test_matrix_products_of_other_dtypes(dtype):
    pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(0)
    types = [TensorType(dtype, s) for s in ((5, 7), (7, 3))]
    arrays = [draw(rng, t) if t.dtype.is_float else rng.integers(0, 120, t.shape).astype(t.dtype.numpy) for t in types]
    check_native(op_func("matmul", *types), arrays, rng, 2e-2)
    images = [a.reshape(s) for a, s in zip(arrays, ((1, 5, 7), (1, 7, 3)), strict=True)]
    kernel = images[1][:, :5]
    check_native(op_func("conv", _type(images[0]), _type(kernel)), [images[0], kernel], rng, 2e-2)


def _type(a):
    return TensorType(dtype_of(a.dtype), a.shape)


COMPOSITES = [
    "gelu",
    "softplus",
    "softmax",
    "logsumexp",
    "cross_entropy",
    "layer_norm",
    "group_norm",
    "attention",
    "embedding",
    "max_pool",
    "avg_pool",
    "var",
    "rope",
]


@pytest.mark.parametrize("name", COMPOSITES)
def test_composites_on_their_samples_in_f32(name):
    rng = np.random.default_rng(0)
    prim = lookup(name)
    for sample in prim.samples[-4:]:
        operands, attrs, domain = split(sample)
        narrow = [o.astype(np.float32) if isinstance(o, np.ndarray) and o.dtype == np.float64 else o for o in operands]
        arrays = [draw(rng, o if isinstance(o, np.ndarray) or not o.dtype.is_float else o.with_dtype("f32"), domain or prim.domain) for o in narrow]
        with np.errstate(all="ignore"):
            check_native(op_func(name, *map(_type, arrays), **attrs), arrays, rng, 5e-5)
