"""Convolution against plain loops; its transposes over many random configurations."""

import itertools

import numpy as np
import pytest
from checks import apply, check_batch, check_derivatives, check_infer_raises_only_errors, check_op, close, legal, op_func, run

from rlxc.errors import Error
from rlxc.ir.primitive import lookup
from rlxc.ir.types import TensorType


@pytest.mark.parametrize("name", ["conv", "conv_transpose"])
def test_the_rules_agree_on_all_samples(name):
    check_op(name, orders=2)


@pytest.mark.parametrize("name", ["conv", "conv_transpose"])
def test_infer_raises_nothing_but_errors(name):
    check_infer_raises_only_errors(name, np.random.default_rng(1), n=600)


def plain_conv(x, w, strides, padding, dilation, lhs_dilation, groups):
    """Seven nested loops' worth of the definition."""
    size = []
    for n, k, s, (lo, hi), d, e in zip(x.shape[2:], w.shape[2:], strides, padding, dilation, lhs_dilation, strict=True):
        whole = ((n - 1) * e + 1 if n else 0) + lo + hi
        size.append(len([p for p in range(0, whole, s) if p + (k - 1) * d < whole]))
    out = np.zeros((x.shape[0], w.shape[0], *size))
    for n, o, *p in np.ndindex(out.shape):
        for c, *k in np.ndindex(w.shape[1:]):
            at = [a * s + b * d - lo for a, s, b, d, (lo, _) in zip(p, strides, k, dilation, padding, strict=True)]
            if any(i % e for i, e in zip(at, lhs_dilation, strict=True)):
                continue
            at = [i // e for i, e in zip(at, lhs_dilation, strict=True)]
            if all(0 <= i < m for i, m in zip(at, x.shape[2:], strict=True)):
                channel = o // (w.shape[0] // groups) * w.shape[1] + c
                out[(n, o, *p)] += x[(n, channel, *at)] * w[(o, c, *k)]
    return out


def random_case(rng):
    rank = int(rng.integers(1, 4)) if rng.random() < 0.5 else 1
    pick = lambda low, high: tuple(int(v) for v in rng.integers(low, high, rank))  # noqa: E731
    groups = int(rng.integers(1, 4))
    inner, outer = int(rng.integers(0 if rng.random() < 0.1 else 1, 3)), int(rng.integers(1, 3))
    top = {1: 9, 2: 6, 3: 4}[rank]
    x = rng.normal(size=(int(rng.integers(0, 3)) if rng.random() < 0.2 else 2, groups * inner, *pick(0 if rng.random() < 0.1 else 1, top)))
    w = rng.normal(size=(groups * outer, inner, *pick(1, 4)))
    attrs = {
        "strides": pick(1, 4),
        "padding": tuple((int(lo), int(hi)) for lo, hi in rng.integers(-2, 4, (rank, 2))),
        "dilation": pick(1, 3),
        "lhs_dilation": pick(1, 4) if rng.random() < 0.5 else (1,) * rank,
        "groups": groups,
    }
    return x, w, attrs


@pytest.mark.parametrize("seed", range(150))
def test_random_convolutions_and_their_derivatives(seed):
    rng = np.random.default_rng(seed)
    x, w, attrs = random_case(rng)
    want = plain_conv(x, w, **attrs)
    close(apply("conv", x, w, **attrs), want, 1e-11)
    types = [TensorType("f64", a.shape) for a in (x, w)]
    func = op_func("conv", *types, **attrs)
    close(run(legal(func), x, w), want, 1e-11)
    check_derivatives(func, [x, w], rng, 2)
    check_batch(lookup("conv"), types, [x, w], attrs, rng, 1e-11)


@pytest.mark.parametrize(("size", "kernel", "stride", "lo", "hi"), list(itertools.product([1, 4, 5], [1, 2, 3], [1, 2, 3], [-1, 0, 2], [0, 1])))
def test_gradients_where_the_stride_leaves_a_remainder(size, kernel, stride, lo, hi):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 2, size)), rng.normal(size=(3, 2, kernel))
    func = op_func("conv", f"f64[2, 2, {size}]", f"f64[3, 2, {kernel}]", strides=(stride,), padding=((lo, hi),))
    check_derivatives(func, [x, w], rng, 1)


@pytest.mark.parametrize("seed", range(30))
def test_conv_transpose_is_the_transpose_of_conv(seed):
    """<conv(x, w), y> == <x, conv_transpose(y, w)>: the kernel [O, C / groups, ...] of the one is that of the other."""
    rng = np.random.default_rng(seed)
    x, w, attrs = random_case(rng)
    attrs |= {"lhs_dilation": (1,) * (x.ndim - 2), "padding": tuple((abs(lo), abs(hi)) for lo, hi in attrs["padding"])}
    z = apply("conv", x, w, **attrs)
    if 0 in z.shape or 0 in x.shape:
        return
    y = rng.normal(size=z.shape)
    del attrs["lhs_dilation"]
    extra = []
    for n, m, k, s, d, (lo, hi) in zip(x.shape[2:], z.shape[2:], w.shape[2:], attrs["strides"], attrs["dilation"], attrs["padding"], strict=True):
        extra.append(n - ((m - 1) * s - lo - hi + (k - 1) * d + 1))
    back = apply("conv_transpose", y, w, output_padding=tuple(extra), **attrs)
    close(np.vdot(z, y), np.vdot(x, back), 1e-10)
    func = op_func("conv_transpose", TensorType("f64", y.shape), TensorType("f64", w.shape), output_padding=tuple(extra), **attrs)
    close(run(legal(func), y, w), back, 1e-11)


def test_defaults_are_ones_and_zeros():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 2, 5, 6)), rng.normal(size=(3, 2, 2, 3))
    close(apply("conv", x, w), plain_conv(x, w, (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), 1))


def test_a_pointwise_convolution_is_a_contraction():
    func = legal(op_func("conv", "f64[2, 3, 4, 4]", "f64[5, 3, 1, 1]"))
    assert [op.prim.name for op in func.ops] == ["reshape", "contract"]


def test_integers_wrap_around():
    x, w = np.full((1, 1, 3), 100, np.int8), np.full((1, 1, 2), 3, np.int8)
    assert apply("conv", x, w).tolist() == [[[88, 88]]]


def test_half_floats_are_summed_in_f32():
    x, w = np.full((1, 1, 4000), 0.1, np.float16), np.ones((1, 1, 4000), np.float16)
    assert abs(float(apply("conv", x, w)[0, 0, 0]) - 4000 * float(np.float16(0.1))) < 0.2


def test_the_batch_dimension_may_be_named():
    func = op_func("conv", "f32[B, 2, 5]", "f32[3, 2, 3]")
    assert str(func.results[0].type) == "f32[B, 3, 3]"


@pytest.mark.parametrize(
    ("types", "attrs", "says"),
    [
        (("f64[1, 2, 5]", "f64[3, 1, 3]"), {}, "has 2 channels, but the kernel f64[3, 1, 3] takes 1"),
        (("f64[1, 2, 5]", "f64[3, 1, 3]"), {"groups": 2}, "2 groups do not divide the 3 channels"),
        (("f64[1, 2, 5]", "f64[3, 2, 3]"), {"strides": (0,)}, "strides are 1 or more"),
        (("f64[1, 2, 5]", "f64[3, 2, 3]"), {"strides": (1, 1)}, "should have 1 number"),
        (("f64[1, 2, 5]", "f64[3, 2, 0]"), {}, "one element or more"),
        (("f64[1, 2]", "f64[3, 2]"), {}, "takes [N, C, spatial...]"),
        (("f64[1, 2, 5]", "f64[3, 2, 3, 3]"), {}, "is no kernel"),
        (("f64[1, 2, S]", "f64[3, 2, 3]"), {}, "dimension S"),
    ],
)
def test_wrong_operands_are_refused_with_a_reason(types, attrs, says):
    with pytest.raises(Error) as error:
        op_func("conv", *types, **attrs)
    assert says in str(error.value)
