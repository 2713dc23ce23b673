"""Values that are computed again have the same bits, and less memory is needed at once."""

from __future__ import annotations

import numpy as np
import pytest

import rlxc
from rlxc.ir.core import Module
from rlxc.ir.interp import interpret
from rlxc.passes.inline import inline_calls
from rlxc.passes.pipelines import make_pipeline

LAYER = """
  %p{n} = linear {x}, %w{n}, %b{n}
  %g{n} = gelu %p{n}
  %q{n} = matmul %g{n}, %v{n}
  %s{n} = add {x}, %q{n}
  %r{n} = reshape %s{n} {{shape = [2, 4, 16]}}
  %l{n} = layer_norm %r{n}, %a{n}, %a{n}
  %t{n} = transpose %l{n} {{perm = [1, 0, 2]}}
  %y{n} = reshape %t{n} {{shape = [8, 16]}}
"""


def gradient(layers: int) -> Module:
    """The fused gradient of some layers."""
    params = "".join(f", param %w{n}: f32[16, 32], param %b{n}: f32[32], param %v{n}: f32[32, 16], param %a{n}: f32[16]" for n in range(layers))
    body = "".join(LAYER.format(n=n, x=f"%y{n - 1}" if n else "%x") for n in range(layers))
    text = f"func @f(%x: f32[8, 16]{params}) -> f32[] {{{body}\n  %m = mul %y{layers - 1}, %y{layers - 1}\n  %loss = mean %m\n  return %loss\n}}"
    func = rlxc.value_and_grad(rlxc.parse(text).funcs[0])
    return make_pipeline("legalize,simplify,cse,dce,fuse").run(Module((inline_calls(func).with_(module=None),)))


def arena(module: Module) -> int:
    planned = make_pipeline("lower,plan-memory").run(module)
    return next(op.result.type.nbytes for op in planned.funcs[-1].ops if getattr(op.prim, "allocates", False))


@pytest.mark.parametrize("share", [0.03, 1.0, 1e9])
@pytest.mark.parametrize("layers", [1, 3])
def test_results_have_the_same_bits_and_need_less_memory(layers, share):
    before = gradient(layers)
    after = make_pipeline(f"rematerialize{{least = 0, share = {share}}}").run(before)
    assert rlxc.parse(str(after)) == after
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(a.type.shape).astype(np.float32) for a in before.funcs[0].args]
    for x, y in zip(interpret(before.funcs[0], arrays), interpret(after.funcs[0], arrays), strict=True):
        np.testing.assert_array_equal(x, y)
    assert arena(after) <= arena(before)
    if share > 1 and layers > 1:
        assert arena(after) < 0.9 * arena(before)


def test_small_functions_are_left_alone():
    before = gradient(2)
    assert make_pipeline("rematerialize").run(before) == before


def test_native_code_computes_the_same():
    before = gradient(2)
    after = make_pipeline("rematerialize{least = 0, share = 1e9}").run(before)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(a.type.shape).astype(np.float32) for a in before.funcs[0].args]
    for x, y in zip(rlxc.compile(after.funcs[0])(*arrays), interpret(before.funcs[0], arrays), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
