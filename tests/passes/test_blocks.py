"""What is large between contractions is computed block by block: the same values, in memory that grows with the rows and not with their square."""

import numpy as np
import pytest

import rlxc
from rlxc.ir.interp import interpret
from rlxc.passes.pipelines import make_pipeline
from rlxc.runtime.compile import native

RNG = np.random.default_rng(3)

ATTENTION = """
func @f(%q: f32[2, 4, 24, 8], %k: f32[2, 4, 40, 8], %v: f32[2, 4, 40, 8]) -> f32[2, 4, 24, 8] {{
  %o = attention %q, %k, %v {attrs}
  return %o
}}"""

LAYER = """
func @f(%x: f32[2, 32, 24], %w: f32[24, 72], %p: f32[24, 24]) -> f32[] {
  %h = contract %x, %w {spec = "bsd,de->bse"}
  %q = slice %h {start = [0, 0, 0], stop = [2, 32, 24]}
  %k = slice %h {start = [0, 0, 24], stop = [2, 32, 48]}
  %v = slice %h {start = [0, 0, 48], stop = [2, 32, 72]}
  %qh = reshape %q {shape = [2, 32, 3, 8]}
  %kh = reshape %k {shape = [2, 32, 3, 8]}
  %vh = reshape %v {shape = [2, 32, 3, 8]}
  %qt = transpose %qh {perm = [0, 2, 1, 3]}
  %kt = transpose %kh {perm = [0, 2, 1, 3]}
  %vt = transpose %vh {perm = [0, 2, 1, 3]}
  %o = attention %qt, %kt, %vt
  %ot = transpose %o {perm = [0, 2, 1, 3]}
  %os = reshape %ot {shape = [2, 32, 24]}
  %y = contract %os, %p {spec = "bsd,de->bse"}
  %z = mul %y, %y
  %s = reduce_sum %z {axes = [0, 1, 2]}
  return %s
}"""

TENSORS = "legalize,simplify,cse,dce"


def blocked_ops(func) -> list:
    return [op for op in func.ops if op.prim.by_blocks]


def after(func, passes: str):
    return make_pipeline(passes).run(rlxc.ir.core.Module((func.with_(module=None),))).funcs[-1]


def scalar_loss(func):
    """The sum of squares of the result, so that it can be differentiated."""
    text = str(func.as_module()).replace("return %o", "%z = mul %o, %o  %s = reduce_sum %z {axes = [0, 1, 2, 3]}  return %s")
    return rlxc.parse(text.replace(") -> f32[2, 4, 24, 8]", ") -> f32[]")).funcs[0]


@pytest.mark.parametrize("attrs", ["", "{causal = true}", "{window = 5, offset = 3}", "{softcap = 3.0, scale = 0.2}"])
@pytest.mark.parametrize("l2", [1 << 20, 2048])
def test_attention_and_its_gradient_by_blocks_of_rows(attrs, l2):
    func = rlxc.parse(ATTENTION.format(attrs=attrs)).funcs[0]
    for f in (func, rlxc.value_and_grad(scalar_loss(func))):
        arrays = [RNG.standard_normal(a.type.shape).astype(np.float32) for a in f.args]
        want = interpret(f, arrays)
        by_blocks = after(f, f"{TENSORS},blocks{{l2 = {l2}}}")
        assert len(blocked_ops(by_blocks)) == 1
        for got, right in zip(interpret(by_blocks, arrays), want, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-4)
        for got, right in zip(native(by_blocks).executable()(*arrays), want, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-4)


def test_a_mask_and_grouped_heads():
    text = """
func @f(%q: f32[2, 4, 24, 8], %k: f32[2, 2, 40, 8], %v: f32[2, 2, 40, 8], %m: bool[24, 40]) -> f32[2, 4, 24, 8] {
  %o = attention %q, %k, %v, %m
  return %o
}"""
    func = rlxc.parse(text).funcs[0]
    arrays = [RNG.standard_normal(a.type.shape).astype(np.float32) for a in func.args[:3]] + [RNG.random((24, 40)) < 0.7]
    np.testing.assert_allclose(rlxc.compile(func)(*arrays), rlxc.interpret(func, *arrays), rtol=1e-4, atol=1e-4)


def test_a_derivative_that_comes_later_computes_what_is_large_again():
    func = rlxc.value_and_grad(rlxc.parse(LAYER).funcs[0], ("x", "w", "p"))
    arrays = [RNG.standard_normal(a.type.shape).astype(np.float32) / 4 for a in func.args]
    by_blocks = after(func, f"{TENSORS},blocks{{l2 = 4096}}")
    assert len(blocked_ops(by_blocks)) == 2
    scores = 2 * 3 * 32 * 32
    assert all(v.type.size < scores for op in by_blocks.ops for v in op.results), "no scores outside of blocks"
    for got, right in zip(native(by_blocks).executable()(*arrays), interpret(func, arrays), strict=True):
        np.testing.assert_allclose(got, right, rtol=2e-4, atol=2e-4)


def test_memory_grows_with_the_rows_and_not_with_their_square():
    def workspace(rows: int) -> int:
        text = ATTENTION.format(attrs="").replace("24, 8", f"{rows}, 8").replace("40, 8", f"{rows}, 8")
        return native(rlxc.value_and_grad(scalar_loss_of(text, rows))).emitted.workspace["f.grad"]

    def scalar_loss_of(text: str, rows: int):
        text = text.replace("return %o", "%z = mul %o, %o  %s = reduce_sum %z {axes = [0, 1, 2, 3]}  return %s")
        return rlxc.parse(text.replace(f") -> f32[2, 4, {rows}, 8]", ") -> f32[]")).funcs[0]

    assert workspace(4096) < 5 * workspace(1024)


def test_the_text_of_blocked_ops_is_read_back():
    func = rlxc.value_and_grad(rlxc.parse(LAYER).funcs[0], ("x", "w", "p"))
    for passes in (f"{TENSORS},blocks", f"{TENSORS},blocks,fuse"):
        module = make_pipeline(passes).run(rlxc.ir.core.Module((func.with_(module=None),)))
        assert rlxc.parse(str(module)) == module


@pytest.mark.parametrize(
    "why",
    [
        '%s = contract %x, %y {spec = "bmk,bnk->bmn"}  %z = contract %s, %y {spec = "bmn,bnk->bmk"}  return %z, %s',
        '%s = contract %x, %y {spec = "bmk,bnk->bmn"}  %z = contract %s, %y {spec = "bmn,bnk->bmk"}  %t = cumsum %s {axis = 1}  return %z, %t',
    ],
)
def test_nothing_is_done_where_what_is_large_is_wanted(why):
    func = rlxc.parse(f"func @f(%x: f32[2, 16, 4], %y: f32[2, 16, 4]) -> (f32[2, 16, 4], f32[2, 16, 16]) {{ {why} }}").funcs[0]
    assert not blocked_ops(after(func, f"{TENSORS},blocks"))
