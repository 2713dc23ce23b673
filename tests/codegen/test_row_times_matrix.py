"""Products with a single row: matrices in the second cache and beyond it, of sizes that vectors do not divide."""

from __future__ import annotations

import numpy as np
import pytest

import rlxc


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32"])
@pytest.mark.parametrize(("k", "n"), [(1000, 1023), (1025, 1031), (17, 40000), (40000, 17), (1, 5), (129, 33), (300, 31)])
@pytest.mark.parametrize("spec", ["mk,kn->mn", "mk,nk->mn"])
def test_a_row_times_a_matrix_near_or_far(spec: str, k: int, n: int, dtype: str):
    rng = np.random.default_rng(k + n)
    y_shape = (k, n) if spec == "mk,kn->mn" else (n, k)
    x, y = rng.integers(-9, 9, (1, k)), rng.integers(-9, 9, y_shape)
    numpy_dtype = {"f32": np.float32, "f64": np.float64, "i32": np.int32}[dtype]
    f = rlxc.compile(
        f'func @f(%x: {dtype}[1, {k}], %y: {dtype}[{y_shape[0]}, {y_shape[1]}]) -> {dtype}[1, {n}] {{ %z = contract %x, %y {{spec = "{spec}"}} return %z }}'
    )
    expected = np.einsum(spec, x, y)  # whole numbers: exact in every dtype
    assert np.array_equal(f(x.astype(numpy_dtype), y.astype(numpy_dtype)), expected)
