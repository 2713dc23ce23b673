"""Reductions over any axes, beside elementwise results, in one kernel: every shape and tiling, and their accuracy."""

import itertools

import numpy as np
import pytest

import rlxc

SHAPES = [
    (37, 5),
    (3, 100),
    (1000, 77),
    (4097, 3),
    (100, 2, 2),
    (33, 3, 3),
    (17, 4099),
    (7, 1, 13),
    (40, 50, 60),
    (333, 7, 9),
    (4, 5, 6, 7),
    (70001,),
    (0, 5),
    (5, 0),
]


def axes_of(shape):
    return [axes for n in range(1, len(shape) + 1) for axes in itertools.combinations(range(len(shape)), n)]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reductions_over_any_axes_share_a_kernel_with_elementwise_ops(shape, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype({"f32": np.float32, "f64": np.float64}[dtype])
    for axes in axes_of(shape):
        kept = [n for a, n in enumerate(shape) if a not in axes]
        func = rlxc.parse(
            f"""func @f(%x: {dtype}{list(shape)}) -> ({dtype}{kept}, {dtype}{list(shape)}, {dtype}[]) {{
              %t = tanh %x
              %m = mul %t, %x
              %s = reduce_sum %m {{axes = {list(axes)}}}
              %top = reduce_max %t {{axes = {list(range(len(shape)))}}}
              return %s, %m, %top }}"""
        ).funcs[0]
        tolerance = 1e-5 if dtype == "f32" else 1e-12
        for got, want in zip(rlxc.compile(func)(x), rlxc.interpret(func, x), strict=True):
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(1, x.size) ** 0.5)


@pytest.mark.parametrize(("axes", "shape"), [((0,), (3_000_000,)), ((0,), (300_000, 8)), ((1,), (8, 300_000)), ((0, 1), (3000, 1001))], ids=str)
def test_long_sums_are_as_accurate_as_pairwise_ones(axes, shape):
    x = np.random.default_rng(1).random(shape, np.float32)
    kept = [n for a, n in enumerate(shape) if a not in axes]
    got = rlxc.compile(f"func @f(%x: f32{list(shape)}) -> f32{kept} {{ %y = reduce_sum %x {{axes = {list(axes)}}} return %y }}")(x)
    exact = x.sum(axis=axes, dtype=np.float64)
    assert np.max(np.abs(got - exact) / exact) <= max(np.max(np.abs(x.sum(axis=axes) - exact) / exact), 4e-7)


@pytest.mark.parametrize(("axes", "rows"), [((0,), 0), ((1,), 0), ((0, 2), 1)], ids=str)
def test_a_reduction_of_a_part_of_a_row_is_refused(axes, rows):
    kept = [n for a, n in enumerate((2, 3, 4)) if a not in axes]
    text = f"""func @f(%x: f32[2, 3, 4]) -> f32{kept} {{
      %y = fused %x {{rows = {rows}}} do (%a: f32[2, 3, 4]) {{ %s = reduce_sum %a {{axes = {list(axes)}}} : f32{kept} yield %s }}
      return %y }}"""
    with pytest.raises(rlxc.Error, match="combines a part of each row"):
        rlxc.parse(text)


def test_a_region_cannot_read_what_is_reduced_across_its_rows():
    text = """func @f(%x: f32[2, 3]) -> f32[3] {
      %y = fused %x {rows = 1} do (%a: f32[2, 3]) { %s = reduce_sum %a {axes = [0]} : f32[3] %n = neg %s : f32[3] yield %n }
      return %y }"""
    with pytest.raises(rlxc.Error, match="known only after the last row"):
        rlxc.parse(text)


@pytest.mark.parametrize("shape", [(1000, 3), (50, 20, 2, 2), (7, 33, 3, 3), (100, 5), (9, 1, 4)], ids=str)
def test_short_rows_are_reduced_abreast(shape):
    axes = tuple(range(len(shape)))[1 if len(shape) < 4 else 2 :]
    kept = [n for a, n in enumerate(shape) if a not in axes]
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    func = rlxc.parse(
        f"""func @f(%x: f32{list(shape)}) -> (f32{kept}, f32{kept}) {{
          %e = tanh %x
          %s = reduce_sum %e {{axes = {list(axes)}}}
          %m = reduce_max %x {{axes = {list(axes)}}}
          %d = sub %m, %s
          return %d, %m }}"""
    ).funcs[0]
    for got, want in zip(rlxc.compile(func)(x), rlxc.interpret(func, x), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3), (3, 40), (2, 2, 17)])
def test_a_sum_of_products_is_its_own_maximum_in_every_stage(shape):
    """The product is read twice in the stage that finds the maximum, and once where elements are compared with it: a fused multiplication and
    addition there would be rounded otherwise, and no element would be the largest."""
    last, dims = len(shape) - 1, ", ".join(map(str, shape))
    rows = ", ".join(map(str, shape[:-1]))
    f = rlxc.parse(f"""func @f(%x: f64[{dims}], %w: f64[{dims}], %b: f64[{dims}]) -> (f64[{dims}], f64[{rows}]) {{
      %p = mul %x, %w
      %c = cos %p
      %z = add %p, %b
      %m = reduce_max %z {{axes = [{last}]}}
      %l = broadcast %m {{shape = [{dims}], axes = [{last}]}}
      %at = eq %z, %l
      %n = convert %at {{dtype = f64}}
      %s = reduce_sum %n {{axes = [{last}]}}
      return %c, %s
    }}""")["f"]
    compiled = rlxc.compile(f)
    rng = np.random.default_rng(0)
    for _ in range(20):
        np.testing.assert_array_equal(compiled(*(rng.normal(size=shape) for _ in range(3)))[1], 1.0)
