"""Recurrent cells: one step, for use by itself or in `rlxc.scan`. Weights of all gates stand side by side: [inputs, gates H] and [H, gates H]."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.nn.activations import sigmoid
from rlxc.numpy.common import traced
from rlxc.tracing.immediate import immediate

__all__ = ["gru_cell", "lstm_cell", "rnn_cell"]


@immediate
def rnn_cell(x: Any, h: Any, wx: Any, wh: Any, b: Any) -> Any:
    """tanh(x wx + h wh + b), which is the next state. (Elman, 1990.)"""
    return np.tanh(np.matmul(traced(x), wx) + np.matmul(traced(h), wh) + b)


@immediate
def lstm_cell(x: Any, state: tuple[Any, Any], wx: Any, wh: Any, b: Any) -> tuple[Any, Any]:
    """The next (h, c); gates in the order input, forget, cell, output. (Hochreiter & Schmidhuber, 1997; Gers et al., 2000.)"""
    h, c = state
    gates = np.matmul(traced(x), wx) + np.matmul(traced(h), wh) + b
    i, f, g, o = np.split(gates, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@immediate
def gru_cell(x: Any, h: Any, wx: Any, wh: Any, bx: Any, bh: Any) -> Any:
    """The next state; gates in the order reset, update, new, the reset after the product with wh. (Cho et al., arXiv:1406.1078; as in cuDNN.)"""
    rx, zx, nx = np.split(np.matmul(traced(x), wx) + bx, 3, -1)
    rh, zh, nh = np.split(np.matmul(traced(h), wh) + bh, 3, -1)
    z = sigmoid(zx + zh)
    n = np.tanh(nx + sigmoid(rx + rh) * nh)
    return (1 - z) * n + z * h
