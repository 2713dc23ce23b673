"""Convolutions as contractions over staged images, against their meaning: strides, dilations, padding and cuts, groups, and cotangents."""

import numpy as np
import pytest

import rlxc
from rlxc.primitives.contraction import conv_columns
from rlxc.primitives.contraction.conv_phases import phases_of
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


def random_case(rng) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Shapes and attributes of a convolution with something left over everywhere."""
    rank, groups = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 5]))
    inputs, outputs = (int(rng.integers(1, n)) for n in ((4, 4) if groups > 1 else (8, 24)))
    most = {1: 90, 2: 20, 3: 7}[rank]
    kernel, strides, dilation, lhs = ([int(n) for n in rng.integers(1, most + 1, rank)] for most in (4, 4, 3, 3))
    size = [int(n) for n in rng.integers(most // 2, most + 1, rank)]
    padding = [[int(lo), int(hi)] for lo, hi in rng.integers(-1, 4, (rank, 2))]
    attrs = f"strides = {strides}, padding = {padding}, dilation = {dilation}, lhs_dilation = {lhs}, groups = {groups}"
    images = int(rng.integers(1, 9))
    return (images, groups * inputs, *size), (groups * outputs, inputs, *kernel), attrs


@pytest.mark.parametrize("seed", range(24))
def test_values_and_cotangents_of_random_shapes(seed):
    test_values_and_cotangents(*random_case(np.random.default_rng(seed)))


DEPTHWISE = [
    ((2, 6, 13, 17), (6, 1, 3, 3), "padding = [[1, 1], [1, 1]], groups = 6"),
    ((1, 5, 40, 70), (5, 1, 3, 3), "padding = [[1, 1], [1, 1]], groups = 5"),
    ((3, 4, 41, 39), (8, 1, 5, 5), "padding = [[2, 2], [2, 2]], strides = [2, 2], groups = 4"),
    ((2, 3, 100), (3, 1, 3), "padding = [[1, 0]], dilation = [2], groups = 3"),
    ((2, 3, 9, 8, 40), (3, 1, 3, 3, 2), "padding = [[1, 1], [0, 1], [1, 0]], strides = [1, 2, 1], groups = 3"),
    ((2, 4, 30, 30), (4, 1, 9, 9), "groups = 4"),
]


@pytest.mark.parametrize(("x", "w", "attrs"), DEPTHWISE)
def test_depthwise(x, w, attrs):
    test_values_and_cotangents(x, w, attrs)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_narrow_floats_are_summed_in_f32(dtype):
    shapes = (2, 5, 13, 17), (7, 5, 3, 3)
    func = rlxc.value_and_grad(program(*shapes, "padding = [[1, 1], [1, 1]]", dtype))
    arrays = [(RNG.standard_normal(s) / 4).astype(a.type.dtype.numpy) for s, a in zip(shapes, func.args, strict=True)]
    for got, right in zip(rlxc.compile(func)(*arrays), rlxc.interpret(func, *arrays), strict=True):
        right = right.astype(np.float64)
        np.testing.assert_allclose(got.astype(np.float64), right, rtol=0.03, atol=0.02 * abs(right).max())


def test_between_the_elements_of_a_dilated_image_there_is_nothing():
    text = "func @f(%x: f32[1, 1, 3], %w: f32[1, 1, 2]) -> f32[1, 1, 4] { %z = conv %x, %w {lhs_dilation = [2]} return %z }"
    arrays = [np.array([[[1, 2, 3]]], np.float32), np.array([[[np.inf, 1]]], np.float32)]
    for run in (rlxc.compile(text), lambda *a: rlxc.interpret(text, *a)):
        np.testing.assert_array_equal(run(*arrays), [[[np.inf, 2, np.inf, 3]]])


def test_phases_take_every_place_and_every_product_once():
    for v in (Window(9, k, s, lo, 2, d, e) for k in (1, 2, 3, 5) for s in (1, 2, 3) for lo in (-1, 0, 2) for d in (1, 2, 3) for e in (1, 2, 3, 4)):
        found = {}
        for phase in phases_of(v):
            for q in range(phase.count):
                place = phase.place + q * phase.step
                assert place not in found
                found[place] = set()
                for t in range(phase.window.kernel) if phase.window else ():
                    u = phase.window
                    found[place].add((phase.first + t * phase.pace, q * u.stride + t * u.dilation - u.lo))
            assert phase.window is None or phase.window.result == phase.count
        terms = [(p, k, p * v.stride + k * v.dilation - v.lo) for p in range(v.result) for k in range(v.kernel)]
        assert found == {p: {(k, at // v.lhs_dilation) for q, k, at in terms if q == p and at % v.lhs_dilation == 0} for p in range(v.result)}


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


FEW_PLACES = [
    ((1, 32, 9, 11), (20, 32, 3, 3), "padding = [[1, 1], [1, 1]]"),  # runs of whole vectors
    ((3, 16, 10, 9), (9, 16, 2, 3), "strides = [2, 1], padding = [[1, 0], [0, 2]]"),
    ((2, 16, 12, 13), (33, 16, 3, 2), "dilation = [1, 2], padding = [[0, 1], [1, 1]]"),  # places that are no neighbours
    ((2, 32, 9, 10), (10, 16, 3, 3), "groups = 2, padding = [[1, 1], [1, 1]]"),
    ((2, 3, 41, 45), (24, 3, 7, 7), "strides = [2, 2], padding = [[3, 3], [3, 3]]"),  # patches, a few rows at a time
    ((1, 3, 200, 210), (24, 3, 5, 5), "padding = [[2, 2], [2, 2]]"),
    ((2, 5, 120), (30, 5, 4), "padding = [[1, 2]]"),
    ((1, 2, 9, 10, 11), (26, 2, 3, 3, 3), "padding = [[1, 1], [0, 1], [1, 0]]"),
]


@pytest.mark.parametrize(("x", "w", "attrs"), FEW_PLACES)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_cotangents_of_kernels(x, w, attrs, dtype):
    func = rlxc.value_and_grad(program(x, w, attrs, dtype), "w")
    arrays = [RNG.standard_normal(s) for s in (x, w)]
    want = rlxc.interpret(rlxc.value_and_grad(program(x, w, attrs, "f64"), "w"), *arrays)
    close = 2e-4 if dtype == "f32" else 1e-12
    for got, right in zip(rlxc.compile(func)(*(a.astype(np.dtype(dtype.replace("f", "float"))) for a in arrays)), want, strict=True):
        np.testing.assert_allclose(got, right, rtol=close, atol=close * abs(right).max())


@pytest.mark.parametrize(("x", "w", "attrs"), FEW_PLACES)
def test_channels_that_do_not_fit_the_cache_are_added_one_by_one(x, w, attrs, monkeypatch):
    monkeypatch.setattr(conv_columns, "channels_together", lambda *_: 1)
    test_cotangents_of_kernels(x, w, attrs, "f32")


def test_a_result_is_stored_swapped():
    body = "%z = conv %x, %w {padding = [[1, 1], [0, 1]], swapped = true} return %z"
    func = rlxc.parse(f"func @f(%x: f32[3, 20, 9, 10], %w: f32[8, 20, 3, 3]) -> f32[8, 3, 9, 9] {{ {body} }}").funcs[0]
    x, w = (RNG.standard_normal(a.type.shape).astype(np.float32) for a in func.args)
    np.testing.assert_allclose(rlxc.compile(func)(x, w), rlxc.interpret(func, x, w), rtol=2e-4, atol=2e-4)


TURNED = [
    ((1, 12, 9, 11), (12, 30, 3, 3), "padding = [[1, 1], [1, 1]]"),
    ((3, 130, 7, 6), (130, 263, 3, 3), "padding = [[1, 1], [1, 1]]"),  # a kernel larger than the second cache
    ((2, 8, 9, 10), (8, 5, 3, 2), "groups = 2, dilation = [1, 2], padding = [[0, 1], [2, 1]]"),
    ((2, 6, 7, 8), (6, 9, 3, 3), "lhs_dilation = [2, 2], padding = [[1, 2], [1, 1]]"),
    ((2, 6, 11, 13), (6, 9, 3, 3), "strides = [2, 2], padding = [[1, 2], [1, 1]]"),
    ((1, 6, 4, 4), (6, 9, 4, 5), "padding = [[0, 0], [1, 1]]"),
    ((2, 6, 19), (6, 1, 3), "groups = 6"),
]


@pytest.mark.parametrize(("x", "w", "attrs"), TURNED)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_turned_kernels_and_their_cotangents(x, w, attrs, dtype):
    attrs = f"{attrs}, turned = true"
    func = rlxc.value_and_grad(program(x, w, attrs, dtype))
    arrays = [RNG.standard_normal(s) for s in (x, w)]
    want = rlxc.interpret(rlxc.value_and_grad(program(x, w, attrs, "f64")), *arrays)
    close = 5e-4 if dtype == "f32" else 1e-12
    for got, right in zip(rlxc.compile(func)(*(a.astype(np.dtype(dtype.replace("f", "float"))) for a in arrays)), want, strict=True):
        np.testing.assert_allclose(got, right, rtol=close, atol=close * abs(right).max())
