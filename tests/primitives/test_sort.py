"""Sorting, and the largest k."""

import numpy as np
import pytest
from checks import apply, check_infer_raises_only_errors, check_op, close, legal, op_func

from rlxc.errors import Error
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.interp import interpret
from rlxc.ir.types import REALS, DType, parse_type
from rlxc.passes.gradient import grad_with_loss


@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_the_rules_agree_on_all_samples(name):
    check_op(name, orders=3)


@pytest.mark.parametrize("name", ["sort", "argsort", "top_k"])
def test_infer_raises_nothing_but_errors(name):
    check_infer_raises_only_errors(name, np.random.default_rng(1))


@pytest.mark.parametrize("dtype", REALS)
def test_sorting_is_stable_in_both_directions(dtype):
    x = np.random.default_rng(0).integers(0, 4, (3, 9)).astype(DType(dtype).numpy)
    wide = x.astype(np.float64)
    for axis in (0, 1):
        close(apply("argsort", x, axis=axis), np.argsort(wide, axis, kind="stable"))
        close(apply("argsort", x, axis=axis, descending=True), np.argsort(-wide, axis, kind="stable"))
        close(apply("sort", x, axis=axis), np.sort(wide, axis).astype(x.dtype))
        close(apply("sort", x, axis=axis, descending=True), -np.sort(-wide, axis).astype(x.dtype) if dtype[0] != "u" else np.flip(np.sort(x, axis), axis))


def test_nan_is_the_greatest():
    x = np.array([1.0, np.nan, np.inf, np.nan, -np.inf])
    close(apply("argsort", x, axis=0), [4, 0, 2, 1, 3])
    close(apply("argsort", x, axis=0, descending=True), [1, 3, 2, 0, 4])


def test_of_equal_elements_the_first_gets_the_first_cotangent():
    func = op_func("sort", "f64[3]", axis=0)
    _, dx = interpret(grad_with_loss(func), [np.array([2.0, 1.0, 2.0]), np.array([10.0, 20.0, 30.0])])
    close(dx, [20, 10, 30])


def test_top_k_gives_values_and_indices_and_its_gradient():
    x = np.array([[1.0, 5.0, 5.0, 2.0], [0.0, -1.0, 7.0, 7.0]])
    func = op_func("top_k", "f64[2, 4]", k=2, dtype=DType("i32"))
    for f in (func, legal(func)):
        values, at = interpret(f, [x])
        close(values, [[5, 5], [7, 7]])
        close(at, [[1, 2], [2, 3]])
        assert at.dtype == np.int32
    b = Builder()
    arg = Value(parse_type("f64[2, 4]"), "x")
    values, _ = b.top_k(arg, k=2)
    _, dx = interpret(grad_with_loss(Func("f", (arg,), tuple(b.ops), (values,))), [x, np.array([[1.0, 2.0], [3.0, 4.0]])])
    close(dx, [[0, 1, 2, 0], [0, 0, 3, 4]])


def test_top_k_of_each_axis_and_size():
    x = np.random.default_rng(0).normal(size=(3, 4))
    for axis in (0, 1):
        for k in range(x.shape[axis] + 1):
            func = op_func("top_k", "f64[3, 4]", k=k, axis=axis)
            for f in (func, legal(func)):
                values, at = interpret(f, [x])
                close(values, np.take(-np.sort(-x, axis), range(k), axis))
                close(np.take_along_axis(x, at, axis), values)
    with pytest.raises(Error, match="top_k"):
        op_func("top_k", "f64[3]", k=4)
