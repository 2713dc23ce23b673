"""rlxc: a case is traced into IR and compiled; results are new arrays in every call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import rlxc
from benchmarks.cases import Case
from benchmarks.peers.base import Peer
from benchmarks.tracing import Namespace, adam_step, sgd_step, trace, type_of
from rlxc.ir.core import Func


class Rlxc(Peer):
    def __init__(self, threads):
        super().__init__(threads)
        self.xp = Namespace()
        self.names: Sequence[str] = ()

    def version(self):
        return f"rlxc {rlxc.__version__}"

    def start(self):
        rlxc.compile("func @f(%x: f32[3]) -> f32[3] { %y = add %x, %x return %y }")(np.zeros(3, np.float32))

    def build(self, case: Case, names: Sequence[str], args: list[Any]):
        self.names = names
        return super().build(case, names, args)

    def func(self, function: Callable, args: list[Any]) -> Func:
        return trace(function, {name: type_of(a) for name, a in zip(self.names, args, strict=True)}, xp=self.xp)

    def forward(self, case, function, args):
        compiled = rlxc.compile(self.func(function, args))
        return lambda: compiled(*args)

    def gradient(self, function, args, wrt):
        compiled = rlxc.compile(rlxc.value_and_grad(self.func(function, args), wrt))
        return lambda: compiled(*args)

    def training(self, mode, function, args, wrt):
        """State goes from one set of arrays to another and back."""
        step = {"sgd": sgd_step, "adam": adam_step}[mode](self.func(function, args), wrt)
        compiled = rlxc.compile(step)
        data, params = args[: wrt[0]], args[wrt[0] :]
        state = [] if mode == "sgd" else [*(np.zeros_like(p) for _ in range(2) for p in params), np.zeros((), np.float32)]
        now = [np.array(a) for a in (*params, *state)]
        spare = [np.empty_like(a) for a in now]
        loss = np.empty((), np.float32)

        def run():
            nonlocal now, spare
            compiled(*data, *now, out=[loss, *spare])
            now, spare = spare, now
            return loss

        return run


peer = Rlxc
