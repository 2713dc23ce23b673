"""Convolutions as contractions over staged images, against their meaning: strides, dilations, padding and cuts, groups, and cotangents."""

import numpy as np
import pytest

import rlxc
from rlxc.primitives.contraction.conv_shape import walks_of
from rlxc.primitives.conv import Window

RNG = np.random.default_rng(5)


def program(x, w, attrs: str, dtype: str = "f32") -> rlxc.Func:
    head = f"func @f(%x: {dtype}{list(x)}, %w: {dtype}{list(w)}) -> {dtype}[]"
    body = f"%z = conv %x, %w {{{attrs}}} %y = mul %z, %z %s = reduce_sum %y {{axes = {list(range(len(x)))}}} return %s"
    return rlxc.parse(f"{head} {{ {body} }}").funcs[0]


CASES = [
    ((1, 3, 20), (4, 3, 3), ""),
    ((2, 5, 17), (7, 5, 4), "strides = [3], padding = [[2, 1]]"),
    ((3, 4, 11, 13), (6, 4, 3, 3), "padding = [[1, 1], [1, 1]]"),
    ((2, 4, 12, 14), (6, 4, 3, 2), "strides = [2, 3], padding = [[1, 0], [2, 1]], dilation = [1, 2]"),
    ((1, 4, 9, 9), (6, 2, 3, 3), "padding = [[-1, 2], [1, -2]], groups = 2"),
    ((2, 6, 7, 6), (9, 2, 2, 3), "lhs_dilation = [2, 3], padding = [[1, 1], [2, 0]], groups = 3"),
    ((1, 3, 8, 9), (5, 3, 2, 2), "strides = [2, 2], lhs_dilation = [3, 2], padding = [[1, 2], [0, 1]]"),
    ((1, 2, 5, 6, 7), (4, 2, 3, 2, 3), "padding = [[1, 1], [0, 1], [1, 0]], strides = [1, 2, 1]"),
    ((2, 40, 5, 5), (30, 40, 3, 3), "padding = [[1, 1], [1, 1]]"),
    ((4, 3, 30, 20), (5, 3, 28, 19), ""),
    ((5, 4, 20, 20), (6, 2, 9, 9), "dilation = [2, 2], padding = [[0, 1], [1, 0]], groups = 2"),
]


@pytest.mark.parametrize(("x", "w", "attrs"), CASES)
def test_values_and_cotangents(x, w, attrs):
    func = rlxc.value_and_grad(program(x, w, attrs))
    arrays = [RNG.standard_normal(s).astype(np.float32) for s in (x, w)]
    wide = [a.astype(np.float64) for a in arrays]
    want = rlxc.interpret(rlxc.value_and_grad(program(x, w, attrs, "f64")), *wide)
    for got, right in zip(rlxc.compile(func)(*arrays), want, strict=True):
        np.testing.assert_allclose(got, right, rtol=2e-4, atol=2e-4 * abs(right).max())


@pytest.mark.parametrize("dtype", ["f64", "i32"])
def test_other_dtypes(dtype):
    text = f"func @f(%x: {dtype}[2, 3, 9, 8], %w: {dtype}[4, 3, 3, 3]) -> {dtype}[2, 4, 7, 6] {{ %z = conv %x, %w return %z }}"
    numpy = {"f64": np.float64, "i32": np.int32}[dtype]
    arrays = [RNG.integers(-9, 9, s).astype(numpy) for s in ((2, 3, 9, 8), (4, 3, 3, 3))]
    np.testing.assert_array_equal(rlxc.compile(text)(*arrays), rlxc.interpret(text, *arrays))


@pytest.mark.parametrize("v", [Window(9, 3, s, lo, hi, 1, e) for s in (1, 2, 3) for e in (1, 2, 3) for lo, hi in ((0, 0), (2, 1), (-2, 3), (4, -3))], ids=str)
def test_walks_stage_what_padding_and_dilation_say(v):
    staged = {}
    for walk in walks_of(v, v.stride):
        for t in range(walk.count):
            staged[walk.phase + v.stride * (walk.start + t * walk.stretch)] = walk.first + t * walk.step
    assert staged == {at: i for i in range(v.size) if 0 <= (at := i * v.lhs_dilation + v.lo) < v.padded}
