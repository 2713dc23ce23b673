"""PyTorch, compiled: torch.compile of the function, and, of a training step, of the optimizer too."""

from __future__ import annotations

import torch

from benchmarks.peers.base import Unsupported
from benchmarks.peers.torch_peer import Torch


class TorchCompile(Torch):
    tracing_calls = 2

    def version(self):
        return f"torch.compile {torch.__version__}"

    def start(self):
        torch.compile(lambda x: x + 1)(torch.zeros(3))

    def build(self, case, names, args):
        if case.name.startswith(("scalar1k", "ode10k")):
            raise Unsupported("thousands of scalar ops take minutes to compile")
        return super().build(case, names, args)

    def compiled(self, function):
        return torch.compile(function)

    def training(self, mode, function, args, wrt):
        function = self.compiled(function)
        leaves = [args[i].requires_grad_() for i in wrt]
        optimizer = torch.optim.SGD(leaves, 0.1) if mode == "sgd" else torch.optim.Adam(leaves, torch.tensor(1e-3), foreach=True)
        update = torch.compile(optimizer.step)

        def run():
            optimizer.zero_grad()
            value = function(*args)
            value.backward()
            update()
            return value

        return run


peer = TorchCompile
