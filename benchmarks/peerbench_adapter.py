"""rlxc as a peer of peerbench: a workload's function is traced into IR, compiled, and called with NumPy arrays.

    RLXC_ADAPTER=benchmarks/peerbench_adapter.py RLXC_PYTHON=python3 python bench.py --peers jax,torch,rlxc --workloads ffn

Outputs are new arrays in every call; a training step writes its new state into the arrays of the step before the last one.
`RLXC_PREPACK=1` binds a workload's weights once, as a program's parameters, in cases that run forward.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from peers import Base, Skip  # peerbench's

sys.path.append(str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("RLXC_CACHE", "0")  # what is measured as a cold start is one

import rlxc
from benchmarks.tracing import Namespace, adam_step, sgd_step, trace, type_of
from rlxc.ir.core import Func, Value


class P(Base):
    name, families = "rlxc", ("rlxc",)

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        os.environ["RLXC_NUM_THREADS"] = str(threads)
        self.xp = Namespace()

    def version(self) -> str:
        import llvmlite.binding as llvm

        return f"rlxc {rlxc.__version__} (LLVM {'.'.join(map(str, llvm.llvm_version_info))})"

    def init(self, spec) -> None:
        rlxc.compile("func @f(%x: f32[3]) -> f32[3] { %y = add %x, %x return %y }")(np.zeros(3, np.float32))

    def build(self, fn, args, spec):
        func = trace(fn, {name: type_of(a) for name, a in zip(self.names, args, strict=True)}, xp=self.xp)
        match spec["mode"]:
            case "fwd" if os.environ.get("RLXC_PREPACK") == "1" and self.weights:
                return self.with_weights(func, args)
            case "fwd":
                return self.caller(func, args)
            case "grad":
                return self.caller(rlxc.value_and_grad(func, tuple(spec["wrt"])), args)
            case "sgd":
                return self.trainer(sgd_step(func, range(2, len(args))), args, [])
            case "adam":
                moments = [np.zeros_like(a) for _ in range(2) for a in args[2:]]
                return self.trainer(adam_step(func, range(2, len(args))), args, [*moments, np.zeros((), np.float32)])
        raise Skip(f"mode {spec['mode']}")

    def caller(self, func: Func, args):
        compiled = rlxc.compile(func)
        return lambda: compiled(*args)

    def with_weights(self, func: Func, args):
        marked = {a: Value(a.type, a.name, param=True) for a in func.args if a.name in self.weights}
        program = rlxc.Session().compile(_renamed(func, marked))
        inputs = {}
        for a, array in zip(func.args, args, strict=True):
            if a in marked:
                program.set_param(a.name, array)
            else:
                inputs[a.name] = array
        return lambda: program.run(**inputs)

    def trainer(self, step: Func, args, state):
        """Steps that carry the parameters and the optimizer's state, in two sets of arrays that take turns."""
        compiled = rlxc.compile(step)
        data = args[:2]
        now = [np.array(a) for a in (*args[2:], *state)]
        spare = [np.empty_like(a) for a in now]
        loss = np.empty((), np.float32)

        def run():
            nonlocal now, spare
            compiled(*data, *now, out=[loss, *spare])
            now, spare = spare, now
            return [loss]

        return run


def _renamed(func: Func, env: dict[Value, Value]) -> Func:
    """`func` with values of `env` in place of its arguments."""
    from rlxc.ir.builder import Builder

    b = Builder()
    values = dict(env)
    args = tuple(env.get(a, a) for a in func.args)
    for op in func.ops:
        b.rebuild(op, values)
    return func.with_(args=args, ops=tuple(b.ops), results=tuple(values.get(v, v) for v in func.results))
