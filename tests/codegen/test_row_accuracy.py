"""softmax and layer_norm against f64: within 4 units in the last place of the row's scale, on random and on hard rows.

Down the columns, where an element's sum is made one row after the other, softmax is within 6.
"""

from __future__ import annotations

import numpy as np
import pytest

import rlxc

EPS = float(np.finfo(np.float32).eps)


def rows(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((4, n))
    huge = x.copy()
    huge[:, n // 2] = 1e30
    masked = x.copy()
    masked[:, : n // 2] = -np.inf
    hard = {"random": x, "wide": 50 * x, "offset": x + 1e4, "negative offset": x - 1e4, "huge": huge, "equal": np.full_like(x, 0.3), "masked": masked}
    return {name: a.astype(np.float32) for name, a in hard.items()}


@pytest.mark.parametrize("name", rows(4))
@pytest.mark.parametrize("n", [17, 1000, 1023, 1024, 1025])
@pytest.mark.parametrize(("axis", "units"), [(0, 6), (1, 4)])
def test_softmax_is_near_its_value_in_f64(axis: int, units: int, n: int, name: str):
    x = rows(n)[name]
    x = x if axis else np.ascontiguousarray(x.T)
    type = f"f32[{x.shape[0]}, {x.shape[1]}]"
    y = rlxc.compile(f"func @f(%x: {type}) -> {type} {{ %y = softmax %x {{axis = {axis}}} return %y }}")(x)
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis, keepdims=True))
    exact = e / e.sum(axis, keepdims=True)
    assert np.abs(y - exact).max() <= units * EPS * exact.max()
    assert (y >= 0).all()
    assert not y[np.isneginf(x)].any()


@pytest.mark.parametrize("name", ["random", "wide", "offset", "negative offset", "equal"])
@pytest.mark.parametrize("n", [17, 1000, 1023, 1024, 1025])
def test_layer_norm_is_near_its_value_in_f64(n: int, name: str):
    """The scale of a row is what its largest element, before the mean is taken away, would be normalized to: an offset is rounded with it."""
    x = rows(n)[name]
    gain, bias = np.linspace(0.5, 1.5, n, dtype=np.float32), np.linspace(-1, 1, n, dtype=np.float32)
    text = f"func @f(%x: f32[4, {n}], %g: f32[{n}], %b: f32[{n}]) -> f32[4, {n}] {{ %y = layer_norm %x, %g, %b {{eps = 1e-5}} return %y }}"
    y = rlxc.compile(text)(x, gain, bias)
    wide = x.astype(np.float64)
    mean, deviation = wide.mean(1, keepdims=True), np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    exact = (wide - mean) / deviation * gain + bias
    scale = np.maximum(np.abs(exact).max(1, keepdims=True), np.abs(mean) / deviation)
    assert (np.abs(y - exact) <= 4 * EPS * scale).all()
