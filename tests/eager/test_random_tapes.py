"""Random programs on the tape, whole and op by op, with some operands active and some results seeded: derivatives are those of the transforms."""

import numpy as np
import pytest
from random_programs import random_program

from rlxc import eager
from rlxc.eager.function import fixed, primitive_function
from rlxc.ir.interp import interpret
from rlxc.passes.gradient import jvp, prepare
from rlxc.testing.cases import random_array
from rlxc.testing.eager_tape import Interpreted
from rlxc.testing.laws import _pullback

CHUNKS = 5


class Trial:
    """A program, which of its arguments are active, and which of its results have a cotangent."""

    def __init__(self, seed):
        program = random_program(seed, size=2 + seed % 12)
        self.rng = np.random.default_rng(seed)
        self.func = prepare(program.func)
        self.inputs = program.inputs
        floats = [i for i, a in enumerate(self.func.args) if a.type.dtype.differentiable]
        self.active = [i for i in floats if self.rng.random() < 0.7] or floats[:1]
        self.seeds = [random_array(self.rng, v.type, (-1, 1)) * (self.rng.random() < 0.7) for v in self.func.results]
        self.cotangents = [s for s, v in zip(self.seeds, self.func.results, strict=True) if v.type.dtype.differentiable]
        self.text = f"seed {seed}, active {self.active}\n{self.func}"

    @property
    def is_fit(self):
        return bool(self.active)

    def leaves(self):
        return [Interpreted(x, i in self.active) for i, x in enumerate(self.inputs)]

    def whole(self, xs):
        outs = fixed(self.func)(*xs)
        return outs if isinstance(outs, tuple) else (outs,)

    def op_by_op(self, xs):
        env = dict(zip(self.func.args, xs, strict=True))
        for op in self.func.ops:
            operands = [env[v] for v in op.operands]
            if operands:
                outs = primitive_function(op.prim, dict(op.attrs))(*operands)
            else:
                outs = Interpreted(op.prim.eval(**op.attrs))
            env.update(zip(op.results, outs if isinstance(outs, tuple) else (outs,), strict=True))
        return tuple(env[v] for v in self.func.results)

    def derivatives(self, xs, outs, *, recorded=False):
        """Of the results that have a cotangent that is not zero, with respect to active arguments."""
        given = [(y, Interpreted(s)) for y, s in zip(outs, self.seeds, strict=True) if y.requires_grad and np.any(s)]
        if not given:
            return None
        leaves = [xs[i] for i in self.active]
        found = eager.grad([y for y, _ in given], leaves, [s for _, s in given], create_graph=recorded, allow_unused=True)
        return [Interpreted(np.zeros_like(x._data)) if d is None else d for x, d in zip(leaves, found, strict=True)]

    def close(self, got, want, what):
        for g, w in zip(got, want, strict=True):
            scale = max(1.0, float(np.max(np.abs(np.nan_to_num(w)), initial=0.0)))
            np.testing.assert_allclose(g, w, rtol=1e-7, atol=1e-9 * scale, err_msg=f"{what}\n{self.text}")


@pytest.fixture
def trials(request):
    def chosen(usual, chunk):
        count = request.config.getoption("--programs") or usual
        return [t for t in map(Trial, range(chunk, count, CHUNKS)) if t.is_fit]

    return chosen


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_tape_gives_the_derivatives_of_the_transforms(trials, chunk):
    tried = 0
    for trial in trials(150, chunk):
        with np.errstate(all="ignore"):
            pullback = _pullback(trial.func, trial.active)
            count = len(trial.func.results)
            want = interpret(pullback, [*trial.inputs, *trial.cotangents])[count:]
            for run in (trial.whole, trial.op_by_op):
                xs = trial.leaves()
                got = trial.derivatives(xs, run(xs))
                if got is not None:
                    tried += 1
                    trial.close([g._data for g in got], want, run.__name__)
    assert tried


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_recorded_derivatives_have_the_derivatives_of_the_transforms(trials, chunk):
    tried = 0
    for trial in trials(100, chunk):
        with np.errstate(all="ignore"):
            pullback = _pullback(trial.func, trial.active)
            tangents = [random_array(trial.rng, trial.func.args[i].type, (-1, 1)) for i in trial.active]
            moved = interpret(jvp(pullback, trial.active), [*trial.inputs, *trial.cotangents, *tangents])[-len(trial.active) :]
            xs = trial.leaves()
            slopes = trial.derivatives(xs, trial.whole(xs), recorded=True)
            if slopes is None or not np.all([np.all(np.isfinite(m)) for m in moved]):
                continue
            given = [(s, Interpreted(t)) for s, t in zip(slopes, tangents, strict=True) if s.requires_grad]
            if not given:
                continue
            tried += 1
            leaves = [xs[i] for i in trial.active]
            found = eager.grad([s for s, _ in given], leaves, [t for _, t in given], allow_unused=True)
            got = [np.zeros_like(x._data) if d is None else d._data for x, d in zip(leaves, found, strict=True)]
            trial.close(got, moved, "second order")
    assert tried
