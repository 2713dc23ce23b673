"""Sums of products stay as accurate as those of numeric libraries, however long they are: rounding errors do not grow with the number of terms.

The bound is what sums of blocks give: a chain of some hundred products, then a sum of the chains. One chain through all of them is 3 times worse
for 3,000 products, and 25 times for 100,000.
"""

from __future__ import annotations

import numpy as np
import pytest

import rlxc
from rlxc.primitives.contraction.micro_kernel import CHAIN

SHAPES = [
    *[(64, 64, 64), (256, 256, 256), (512, 512, 512), (128, 96, 768), (96, 128, 768), (128, 96, 3072), (1, 96, 3072), (40, 64, 1500), (300, 48, 1030)],
    *[(64, 48, 100_000), (7, 33, 100_000), (33, 1, 65_536), (1, 1, 100_000), (50, 40, 20_011)],
]


def by_blocks(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """f32 products added one after another in blocks of CHAIN, and those blocks one after another."""
    (m, k), n = x.shape, w.shape[1]
    count = -(-k // CHAIN)
    x = np.pad(x, ((0, 0), (0, count * CHAIN - k))).reshape(m, count, CHAIN)
    w = np.pad(w, ((0, count * CHAIN - k), (0, 0))).reshape(count, CHAIN, n)
    blocks = np.zeros((count, m, n), np.float32)
    for i in range(CHAIN):  # of all blocks at once
        blocks += x[:, :, i].T[:, :, np.newaxis] * w[:, i, np.newaxis, :]
    total = np.zeros((m, n), np.float32)
    for block in blocks:
        total += block
    return total


def root_mean_square(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("spec", ["mk,kn->mn", "mk,nk->mn", "km,kn->mn"])
@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_contractions_are_as_accurate_as_sums_of_blocks(m, n, k, spec):
    rng = np.random.default_rng(k)
    sizes = {"m": m, "n": n, "k": k}
    shapes = [tuple(sizes[a] for a in part) for part in spec.partition("->")[0].split(",")]
    f = rlxc.compile(f'func @f(%x: f32{list(shapes[0])}, %w: f32{list(shapes[1])}) -> f32[{m}, {n}] {{ %y = contract %x, %w {{spec = "{spec}"}} return %y }}')
    rows = min(m, 8)  # are enough to know the error
    for positive in (False, True):
        x, w = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
        if positive:
            x, w = np.abs(x), np.abs(w)
        some, right = (x[:rows] if spec[0] == "m" else x[:, :rows].T), (w if spec[3] == "k" else w.T)
        want = some.astype(np.float64) @ right.astype(np.float64)
        error = root_mean_square(f(x, w)[:rows] - want)
        bound = max(root_mean_square(by_blocks(some, right) - want), 2.0**-25 * root_mean_square(want))
        most = 2 if m > 1 and n > 1 else 8  # a matrix times a vector is a sum of sums of 8
        assert error <= most * bound, f"{error / bound:.2f} times the error of blocks"


@pytest.mark.parametrize("channels", [3, 16, 61, 200])
def test_convolutions_are_as_accurate(channels):
    rng = np.random.default_rng(channels)
    x, w = rng.random((1, channels, 12, 12), np.float32), rng.random((24, channels, 3, 3), np.float32)
    f = rlxc.compile(f"func @f(%x: f32[1, {channels}, 12, 12], %w: f32[24, {channels}, 3, 3]) -> f32[1, 24, 10, 10] {{ %y = conv %x, %w return %y }}")
    patches = np.lib.stride_tricks.sliding_window_view(x[0], (3, 3), axis=(1, 2)).transpose(1, 2, 0, 3, 4).reshape(100, -1)
    matrix = w.reshape(24, -1).T
    want = patches.astype(np.float64) @ matrix.astype(np.float64)
    error = root_mean_square(f(x, w)[0].reshape(24, 100).T - want)
    assert error <= 2 * max(root_mean_square(by_blocks(patches, matrix) - want), 2.0**-25 * root_mean_square(want))
