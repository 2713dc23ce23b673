"""PyTorch, op by op."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.peers.base import Ops, Peer
from benchmarks.peers.loops import Loops


class TorchOps(Loops, Ops):
    stack = staticmethod(torch.stack)
    exp, log, sqrt, sin, tanh = (staticmethod(f) for f in (torch.exp, torch.log, torch.sqrt, torch.sin, torch.tanh))
    matmul, reshape, sigmoid, relu, mean = (staticmethod(f) for f in (torch.matmul, torch.reshape, torch.sigmoid, torch.relu, torch.mean))
    gelu, attention = staticmethod(F.gelu), staticmethod(F.scaled_dot_product_attention)

    def gelu_tanh(self, x):
        return F.gelu(x, approximate="tanh")

    def maximum(self, x, number):
        return torch.clamp_min(x, number)

    def transpose(self, x, perm):
        return x.permute(perm)

    def linear(self, x, w, bias):
        return torch.addmm(bias, x, w) if x.ndim == 2 else torch.matmul(x, w) + bias

    def sum(self, x, axis=None):
        return torch.sum(x) if axis is None else torch.sum(x, axis)

    def argmax(self, x):
        return torch.argmax(x, -1)

    def cumsum(self, x):
        return torch.cumsum(x, -1)

    def softmax(self, x):
        return F.softmax(x, -1)

    def layernorm(self, x, gain, bias):
        return F.layer_norm(x, gain.shape, gain, bias, 1e-5)

    def xent(self, logits, targets):
        return F.cross_entropy(logits, targets)

    def conv2d(self, x, w, groups=1):
        return F.conv2d(x, w, padding=w.shape[-1] // 2, groups=groups)

    def batchnorm(self, x, gain, bias):
        return F.batch_norm(x, None, None, gain, bias, training=True, eps=1e-5)

    def concat(self, xs, axis):
        return torch.cat(xs, axis)

    def take(self, table, ids):
        return F.embedding(ids, table)

    def rows(self, x, start, stop):
        return x[start:stop]

    def cols(self, x, start, stop):
        return x[:, start:stop]

    def zeros(self, shape):
        return torch.zeros(shape)

    def to_f32(self, i):
        return torch.tensor(float(i))


class Torch(Peer):
    xp = TorchOps()

    def __init__(self, threads):
        super().__init__(threads)
        torch.set_num_threads(threads)

    def version(self):
        return f"PyTorch {torch.__version__}"

    def put(self, array):
        return torch.tensor(array)

    def numpy(self, result):
        return result.detach().numpy() if isinstance(result, torch.Tensor) else result

    def compiled(self, function: Callable) -> Callable:
        return function

    def forward(self, case, function, args):
        function = self.compiled(function)

        def run():
            with torch.no_grad():
                if case.from_numpy:
                    return function(*map(torch.from_numpy, args)).numpy()
                return function(*args)

        return run

    def gradient(self, function, args, wrt):
        function = self.compiled(function)
        leaves = [args[i].requires_grad_() for i in wrt]

        def run():
            value = function(*args)
            return [value, *torch.autograd.grad(value, leaves)]

        return run

    def training(self, mode, function, args, wrt):
        function = self.compiled(function)
        leaves = [args[i].requires_grad_() for i in wrt]
        optimizer = torch.optim.SGD(leaves, 0.1) if mode == "sgd" else torch.optim.Adam(leaves, 1e-3, foreach=True)

        def run():
            optimizer.zero_grad()
            value = function(*args)
            value.backward()
            optimizer.step()
            return value

        return run


peer = Torch
