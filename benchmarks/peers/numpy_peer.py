"""NumPy, with the BLAS of its wheel. Forward only."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.base import Ops, Peer, Unsupported
from benchmarks.peers.loops import Loops


def _one(number):
    return np.float32(number)


class NumPyOps(Loops, Ops):
    stack = staticmethod(np.stack)
    exp, log, sqrt, sin, tanh = (staticmethod(f) for f in (np.exp, np.log, np.sqrt, np.sin, np.tanh))
    maximum, matmul, transpose, reshape = (staticmethod(f) for f in (np.maximum, np.matmul, np.transpose, np.reshape))

    def sigmoid(self, x):
        return 1 / (1 + np.exp(-x))

    def relu(self, x):
        return np.maximum(x, _one(0))

    def gelu(self, x):
        try:
            from scipy.special import erf
        except ImportError:
            raise Unsupported("erf is SciPy's, which is not here") from None
        return x * (erf(x * _one(0.5**0.5)) + 1) * _one(0.5)

    def gelu_tanh(self, x):
        return x * (np.tanh(_one(0.7978845608) * (x + _one(0.044715) * x * x * x)) + 1) * _one(0.5)

    def linear(self, x, w, bias):
        return x @ w + bias

    def sum(self, x, axis=None):
        return np.sum(x, axis=axis)

    def mean(self, x):
        return np.mean(x)

    def argmax(self, x):
        return np.argmax(x, -1)

    def cumsum(self, x):
        return np.cumsum(x, -1)

    def softmax(self, x):
        e = np.exp(x - x.max(-1, keepdims=True))
        e /= e.sum(-1, keepdims=True)
        return e

    def layernorm(self, x, gain, bias):
        d = x - x.mean(-1, keepdims=True)
        return d / np.sqrt((d * d).mean(-1, keepdims=True) + _one(1e-5)) * gain + bias

    def attention(self, q, k, v):
        return self.softmax(q @ np.swapaxes(k, -1, -2) * _one(q.shape[-1] ** -0.5)) @ v

    def xent(self, logits, targets):
        z = logits - logits.max(-1, keepdims=True)
        return -np.mean(np.sum(targets * (z - np.log(np.exp(z).sum(-1, keepdims=True))), -1))

    def conv2d(self, x, w, groups=1):
        """Windows as a matrix, then one product for each group."""
        n, _, height, width = x.shape
        out, each, kh, kw = w.shape
        padded = np.pad(x, ((0, 0), (0, 0), (kh // 2, (kh - 1) // 2), (kw // 2, (kw - 1) // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
        columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, groups, each * kh * kw, height * width)
        return np.matmul(w.reshape(groups, out // groups, -1), columns).reshape(n, out, height, width)

    def concat(self, xs, axis):
        return np.concatenate(xs, axis)

    def take(self, table, ids):
        return table[ids]

    def rows(self, x, start, stop):
        return x[start:stop]

    def cols(self, x, start, stop):
        return x[:, start:stop]

    def zeros(self, shape):
        return np.zeros(shape, np.float32)

    def to_f32(self, i):
        return np.float32(i)


class NumPy(Peer):
    xp = NumPyOps()

    def version(self):
        return f"NumPy {np.__version__}"

    def forward(self, case, function, args):
        return lambda: function(*args)


peer = NumPy
