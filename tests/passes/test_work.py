"""Arithmetic and bytes of ops, as profiles show them."""

import pytest

import rlxc
from rlxc.passes.pipelines import make_pipeline
from rlxc.passes.work import work_of, work_of_func

FUSED = "legalize,simplify,cse,dce,fuse"


def lowered(text, pipeline):
    return make_pipeline(pipeline).run(rlxc.parse(text)).funcs[0]


@pytest.mark.parametrize(
    ("types", "op", "flops"),
    [
        ("%x: f32[4, 5], %y: f32[5, 6]", "matmul %x, %y", 2 * 4 * 5 * 6),
        ("%x: f32[7, 4, 5], %y: f32[7, 5, 6]", "matmul %x, %y", 2 * 7 * 4 * 5 * 6),
        ("%x: f32[2, 4, 8, 8], %y: f32[6, 4, 3, 3]", "conv %x, %y", 2 * (2 * 6 * 6 * 6) * 4 * 9),
        ("%x: f32[2, 4, 8, 8], %y: f32[4, 1, 3, 3]", "conv %x, %y {groups = 4}", 2 * (2 * 4 * 6 * 6) * 9),
        ("%x: f32[4, 5]", "reduce_sum %x {axes = [1]}", 20),
        ("%x: f32[4, 5]", "transpose %x {perm = [1, 0]}", 0),
        ("%x: f32[4, 5]", "reshape %x {shape = [20]}", 0),
        ("%x: f32[4, 5]", "add %x, %x", 20),
    ],
)
def test_flops_are_what_the_definition_of_the_op_asks_for(types, op, flops):
    module = rlxc.parse(f"func @f({types}) -> f32[] {{ %r = {op} %m = mean %r return %m }}")
    func = make_pipeline("legalize").run(module).funcs[0]
    first = next(o for o in func.ops if o.operands)
    assert first.prim.flops([v.type for v in first.operands], [v.type for v in first.results], **first.attrs) == flops


def test_a_fused_op_does_the_work_of_its_ops_and_reads_each_argument_once():
    func = lowered("func @f(%x: f32[8, 4], %y: f32[8, 4]) -> f32[8, 4] { %a = add %x, %y %b = mul %a, %x return %b }", FUSED)
    work = work_of(next(op for op in func.ops if op.regions))
    assert (work.what, work.flops, work.bytes) == ("add mul", 64, 3 * 8 * 4 * 4)


def test_of_an_array_that_is_sliced_only_the_slice_is_read():
    func = lowered("func @f(%x: f32[100, 4]) -> f32[2, 4] { %a = slice %x {start = [3, 0], stop = [5, 4]} %b = exp %a return %b }", FUSED)
    assert work_of(next(op for op in func.ops if op.regions)).bytes == 2 * (2 * 4 * 4)


def test_the_work_of_a_function_is_that_of_its_ops():
    func = lowered("func @f(%x: f32[4, 5], %w: f32[5, 6]) -> f32[4, 6] { %y = matmul %x, %w %z = add %y, %y return %z }", "legalize")
    assert work_of_func(func) == 2 * 4 * 5 * 6 + 4 * 6
