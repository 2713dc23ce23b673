"""Recurrent cells, one step or a whole sequence by `rlxc.scan`. Weights of all gates stand side by side: [inputs, gates H] and [H, gates H]."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.nn.activations import sigmoid
from rlxc.numpy.common import traced
from rlxc.tracing.control_flow import scan
from rlxc.tracing.immediate import immediate

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn", "rnn_cell"]


@immediate
def rnn_cell(x: Any, h: Any, wx: Any, wh: Any, b: Any) -> Any:
    """tanh(x wx + h wh + b), which is the next state. (Elman, 1990.)"""
    return np.tanh(np.matmul(traced(x), wx) + np.matmul(traced(h), wh) + b)


@immediate
def lstm_cell(x: Any, state: tuple[Any, Any], wx: Any, wh: Any, b: Any) -> tuple[Any, Any]:
    """The next (h, c); gates in the order input, forget, cell, output. (Hochreiter & Schmidhuber, 1997; Gers et al., 2000.)"""
    h, c = state
    return _lstm_gates(np.matmul(traced(x), wx) + np.matmul(traced(h), wh) + b, c)


@immediate
def gru_cell(x: Any, h: Any, wx: Any, wh: Any, bx: Any, bh: Any) -> Any:
    """The next state; gates in the order reset, update, new, the reset after the product with wh. (Cho et al., arXiv:1406.1078; as in cuDNN.)"""
    return _gru_gates(np.matmul(traced(x), wx) + bx, np.matmul(traced(h), wh) + bh, h)


# -- along a sequence: xs is [S, ..., inputs], the first axis being time. What depends on xs alone is one product before the loop.


@immediate
def rnn(xs: Any, h: Any, wx: Any, wh: Any, b: Any, *, reverse: bool = False, checkpoint: int = 0) -> tuple[Any, Any]:
    """All states of `rnn_cell` along xs, and the last one."""

    def step(h: Any, inputs: Any) -> tuple[Any, Any]:
        h = np.tanh(inputs + np.matmul(h, wh))
        return h, h

    last, ys = scan(step, traced(h), np.matmul(traced(xs), wx) + b, reverse=reverse, checkpoint=checkpoint)
    return ys, last


@immediate
def lstm(xs: Any, state: tuple[Any, Any], wx: Any, wh: Any, b: Any, *, reverse: bool = False, checkpoint: int = 0) -> tuple[Any, tuple[Any, Any]]:
    """All h of `lstm_cell` along xs, and the last (h, c)."""

    def step(state: tuple[Any, Any], inputs: Any) -> tuple[Any, Any]:
        state = _lstm_gates(inputs + np.matmul(state[0], wh), state[1])
        return state, state[0]

    last, ys = scan(step, (traced(state[0]), traced(state[1])), np.matmul(traced(xs), wx) + b, reverse=reverse, checkpoint=checkpoint)
    return ys, last


@immediate
def gru(xs: Any, h: Any, wx: Any, wh: Any, bx: Any, bh: Any, *, reverse: bool = False, checkpoint: int = 0) -> tuple[Any, Any]:
    """All states of `gru_cell` along xs, and the last one."""

    def step(h: Any, inputs: Any) -> tuple[Any, Any]:
        h = _gru_gates(inputs, np.matmul(h, wh) + bh, h)
        return h, h

    last, ys = scan(step, traced(h), np.matmul(traced(xs), wx) + bx, reverse=reverse, checkpoint=checkpoint)
    return ys, last


def _lstm_gates(gates: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = np.split(gates, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def _gru_gates(inputs: Any, states: Any, h: Any) -> Any:
    (rx, zx, nx), (rh, zh, nh) = np.split(inputs, 3, -1), np.split(states, 3, -1)
    z = sigmoid(zx + zh)
    n = np.tanh(nx + sigmoid(rx + rh) * nh)
    return (1 - z) * n + z * h
