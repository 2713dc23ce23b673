"""Reductions, running totals and the places of extremes."""

import numpy as np
import pytest
from checks import apply, check_derivatives, check_infer_raises_only_errors, check_op, close, legal, op_func, run

from rlxc.errors import Error
from rlxc.ir.interp import interpret
from rlxc.ir.types import REALS, DType
from rlxc.passes.gradient import grad_with_loss

SMOOTH = ["reduce_sum", "reduce_prod", "cumsum", "cumprod", "linear_recurrence"]
KINKED = ["reduce_max", "reduce_min", "cummax", "cummin"]  # samples have ties, where the second derivative does not exist
FLAT = ["reduce_any", "reduce_all", "argmax", "argmin"]


@pytest.mark.parametrize("name", SMOOTH)
def test_the_rules_agree_on_all_samples(name):
    check_op(name, orders=3)


@pytest.mark.parametrize("name", KINKED + FLAT)
def test_the_rules_agree_on_all_samples_to_first_order(name):
    with np.errstate(all="ignore"):
        check_op(name)


@pytest.mark.parametrize("name", SMOOTH + KINKED + FLAT)
def test_infer_raises_nothing_but_errors(name):
    check_infer_raises_only_errors(name, np.random.default_rng(1))


@pytest.mark.parametrize("name", KINKED)
def test_derivatives_of_extremes_to_third_order(name):
    rng = np.random.default_rng(0)
    attrs = {"axes": (1,)} if name.startswith("reduce") else {"axis": 1}
    check_derivatives(op_func(name, "f64[2, 5]", **attrs), [rng.normal(size=(2, 5))], rng, 3)


NUMPY = {"reduce_sum": np.sum, "reduce_prod": np.prod, "reduce_max": np.max, "reduce_min": np.min}


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("name", NUMPY)
def test_reductions_are_those_of_numpy_for_each_dtype(name, dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (3, 4, 5)).astype(DType(dtype).numpy)
    for axes in [(), (0,), (2, 1), (0, 1, 2)]:
        wide = x.astype(np.float32) if DType(dtype).is_narrow else x
        want = NUMPY[name](wide, axis=axes, **({"dtype": wide.dtype} if name in ("reduce_sum", "reduce_prod") else {}))
        close(apply(name, x, axes=axes), np.asarray(want).astype(x.dtype), 1e-6)


@pytest.mark.parametrize("dtype", REALS)
def test_nothing_reduces_to_the_neutral_element(dtype):
    x = np.zeros((2, 0), DType(dtype).numpy)
    floating = DType(dtype).is_float
    low, high = (-np.inf, np.inf) if floating else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    for name, want in [("reduce_sum", 0), ("reduce_prod", 1), ("reduce_max", low), ("reduce_min", high)]:
        close(apply(name, x, axes=(1,)), np.full(2, want, x.dtype))
    assert not apply("reduce_any", np.zeros(0, bool), axes=(0,))
    assert apply("reduce_all", np.zeros(0, bool), axes=(0,))


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_narrow_floats_add_up_in_f32(dtype):
    x = np.full(5000, 1.0).astype(DType(dtype).numpy)
    for f in (func := op_func("reduce_sum", f"{dtype}[5000]", axes=(0,)), legal(func)):
        assert float(run(f, x)) == float(np.float32(5000).astype(x.dtype))
    for f in (func := op_func("cumsum", f"{dtype}[5000]", axis=0), legal(func)):
        assert float(run(f, x)[-1]) == float(np.float32(5000).astype(x.dtype))


@pytest.mark.parametrize("name", ["reduce_max", "reduce_min", "cummax", "cummin"])
def test_nan_wins(name):
    x = np.array([1.0, np.nan, 3.0])
    out = apply(name, x, **({"axes": (0,)} if name.startswith("reduce") else {"axis": 0}))
    assert np.isnan(out).any()
    assert np.isnan(np.atleast_1d(out)[-1])


def gradient(func, *arrays, seed):
    return interpret(grad_with_loss(func), [*arrays, seed])[1]


def test_ties_of_extremes_share_the_gradient():
    x = np.array([3.0, 1.0, 3.0, 3.0])
    close(gradient(op_func("reduce_max", "f64[4]", axes=(0,)), x, seed=np.array(6.0)), [2, 0, 2, 2])
    close(gradient(op_func("cummax", "f64[4]", axis=0), x, seed=np.array([0, 0, 0, 6.0])), [2, 0, 2, 2])
    close(gradient(op_func("cummax", "f64[4]", axis=0), x, seed=np.array([0, 0, 6.0, 0])), [3, 0, 3, 0])
    close(gradient(op_func("cummin", "f64[4]", axis=0, reverse=True), x, seed=np.array([6.0, 0, 0, 0])), [0, 6, 0, 0])


def test_infinite_cotangents_do_not_leak_into_elements_that_lost():
    x = np.array([3.0, 1.0])
    close(gradient(op_func("reduce_max", "f64[2]", axes=(0,)), x, seed=np.array(np.inf)), [np.inf, 0])


@pytest.mark.parametrize("zeros", [(), (1,), (0, 3), (0, 1, 2)])
def test_products_with_zeros_have_right_derivatives_to_third_order(zeros):
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 2.0, (2, 4))
    x[1, list(zeros)] = 0.0
    check_derivatives(op_func("reduce_prod", "f64[2, 4]", axes=(1,)), [x], rng, 3)
    check_derivatives(op_func("reduce_prod", "f64[2, 4]", axes=(1, 0)), [x], rng, 3)
    check_derivatives(op_func("cumprod", "f64[2, 4]", axis=1, reverse=bool(zeros)), [x], rng, 3)


ACCUMULATE = {"cumsum": np.add, "cumprod": np.multiply, "cummax": np.maximum, "cummin": np.minimum}


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("name", ACCUMULATE)
def test_running_totals_are_those_of_numpy_for_each_dtype(name, dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (3, 4)).astype(DType(dtype).numpy)
    wide = x.astype(np.float32) if DType(dtype).is_narrow else x
    for axis in (0, 1):
        want = ACCUMULATE[name].accumulate(wide, axis, dtype=wide.dtype)
        close(apply(name, x, axis=axis), want.astype(x.dtype), 1e-6)
        want = np.flip(ACCUMULATE[name].accumulate(np.flip(wide, axis), axis, dtype=wide.dtype), axis)
        close(apply(name, x, axis=axis, reverse=True), want.astype(x.dtype), 1e-6)


@pytest.mark.parametrize("dtype", [*REALS, "bool"])
def test_argmax_finds_the_first(dtype):
    x = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 1]]).astype(DType(dtype).numpy)
    for f in (func := op_func("argmax", f"{dtype}[3, 4]", axis=1), legal(func)):
        close(run(f, x), np.argmax(x.astype(np.float32), 1))
    for f in (func := op_func("argmin", f"{dtype}[3, 4]", axis=0, dtype=DType("i32")), legal(func)):
        close(run(f, x), np.argmin(x.astype(np.float32), 0).astype(np.int32))


def test_the_first_nan_is_the_extreme():
    x = np.array([1.0, np.nan, 3.0, np.nan])
    assert apply("argmax", x, axis=0) == apply("argmin", x, axis=0) == 1


def test_argmax_of_nothing_is_refused():
    with pytest.raises(Error, match="empty"):
        op_func("argmax", "f64[2, 0]", axis=1)
    with pytest.raises(Error, match="too small"):
        op_func("argmax", "f64[200]", axis=0, dtype=DType("i8"))
    assert apply("argmax", np.zeros((0, 3)), axis=1).shape == (0,)


def test_reductions_refuse_the_wrong_dtypes():
    for name, type in [("reduce_sum", "bool[2]"), ("reduce_max", "bool[2]"), ("reduce_any", "f32[2]"), ("reduce_all", "i32[2]")]:
        with pytest.raises(Error, match=name):
            op_func(name, type, axes=(0,))
