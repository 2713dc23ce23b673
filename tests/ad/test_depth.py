"""Long chains and tall towers go through everything without recursion."""

import sys

import numpy as np
import pytest

import rlxc
from rlxc.ir.interp import interpret
from rlxc.ir.verify import verify
from rlxc.passes.pipelines import make_pipeline

CHAIN = 10_000
TOWER = 60


def chain(n):
    ops = [f"  %v{i} = sin {f'%v{i - 1}' if i else '%x'}" for i in range(n)]
    return "func @f(%x: f64[]) -> f64[] {\n" + "\n".join(ops) + f"\n  return %v{n - 1}\n}}"


def tower(n):
    ops = [f"  %v{i} = mul {f'%v{i - 1}' if i else '%x'}, {f'%v{i - 1}' if i else '%x'}" for i in range(n)]
    return "func @f(%x: f64[]) -> f64[] {\n" + "\n".join(ops) + f"\n  return %v{n - 1}\n}}"


@pytest.fixture(autouse=True)
def shallow_stack():
    """A stack that anything growing with the program overflows."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    yield
    sys.setrecursionlimit(before)


PIPELINES = [
    "inline",
    "legalize",
    "simplify",
    "cse",
    "dce",
    "default",
    "linearize,verify-linearity,transpose,dce",
    "grad",
    "value_and_grad,simplify,cse,dce,fuse",
    "jvp,dce",
    "jvp,jvp,dce",
    "vjp",
    "hvp,simplify,cse,dce",
    "hessian,dce",
    "vmap{size=3},vmap{size=2},dce",
]


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("program", [rlxc.parse(chain(CHAIN // 10)), rlxc.parse(tower(TOWER))], ids=["chain", "tower"])
def test_every_pass_takes_it(program, pipeline):
    module = make_pipeline(pipeline).run(program)
    verify(module)
    assert rlxc.parse(str(module)) == module


def test_a_chain_of_10000_sines_is_parsed_printed_differentiated_and_evaluated():
    module = rlxc.parse(chain(CHAIN))
    assert rlxc.parse(str(module)) == module
    gradient = rlxc.value_and_grad(module["f"])
    verify(gradient.as_module())
    assert rlxc.parse(str(gradient.as_module())) == gradient.as_module()
    value, slope = interpret(gradient, [np.float64(0.5)])
    want = [0.5]
    for _ in range(CHAIN):
        want.append(np.sin(want[-1]))
    np.testing.assert_allclose(value, want[-1], rtol=1e-13)
    np.testing.assert_allclose(slope, np.prod(np.cos(want[:-1])), rtol=1e-9)


def test_a_tower_of_60_squares_has_as_many_ops_as_levels_in_its_gradient():
    """2^60 paths, and 60 multiplications a derivative."""
    f = rlxc.parse(tower(TOWER))["f"]
    gradient = make_pipeline("simplify,cse,dce").run(rlxc.value_and_grad(f).as_module()).funcs[-1]
    assert len(gradient.ops) < 5 * TOWER
    value, slope = interpret(gradient, [np.float64(1.0)])
    assert (value, slope) == (1.0, 2.0**TOWER)
