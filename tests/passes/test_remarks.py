"""What passes say of their decisions."""

import numpy as np
import pytest

import rlxc
from rlxc.cli import main
from rlxc.ir.remarks import collecting, remark
from rlxc.runtime.compile import native

LAYER = """func @f(%x: f32[4, 8], %w: f32[8, 8], %b: f32[8]) -> (f32[4, 8], f32[4]) {
  %h = contract %x, %w {spec = "mk,kn->mn"}
  %a = add %h, %b
  %s = reduce_sum %a {axes = [1]}
  %y = contract %a, %w {spec = "mk,kn->mn"}
  return %y, %s
}
"""


def remarks_of(text, kind):
    return [r.message for r in native(rlxc.parse(text).funcs[0]).remarks() if r.kind == kind]


def test_a_kernel_says_what_fused_into_it():
    first, *_ = remarks_of(LAYER, "kernel")
    assert first == "@f.k0: contract, broadcast, add: 544 flop, 544 B of memory"


def test_what_starts_a_kernel_of_its_own_says_why():
    (apart,) = remarks_of(LAYER, "apart")
    assert apart == "%s = reduce_sum : f32[4] starts a kernel of its own: a reduction does not follow contract in its kernel"


def test_what_is_stored_says_who_reads_it():
    (stored,) = remarks_of(LAYER, "stored")
    assert stored == "%a = add : f32[4, 8], 128 B: read by the kernel of contract at other indices or many times, read by the kernel of reduce_sum"


def test_remarks_have_the_place_of_their_op():
    (apart,) = (r for r in native(rlxc.parse(LAYER, "layer.rlx").funcs[0]).remarks() if r.kind == "apart")
    assert str(apart).startswith("layer.rlx:4:8: apart: %s = reduce_sum")


@pytest.mark.parametrize(
    ("ops", "reason"),
    [
        ("%s = scatter_add %x, %u, %i {axes = [0]} %y = neg %s", "scatter_add reads back or accumulates in its result"),
        ("%t = mul %x, %x %r = reverse %t {axes = [0]} %y = add %r, %t", "it reads the mul at other indices"),
    ],
)
def test_reasons(ops, reason):
    text = f"func @f(%x: f32[3], %u: f32[2], %i: i32[2]) -> f32[3] {{ {ops} return %y }}"
    assert any(reason in message for message in remarks_of(text, "apart"))


def test_a_full_group_and_a_long_chain_of_index_maps():
    steps = " ".join(f"%y{i + 1} = lgamma %y{i}" for i in range(13))
    assert any("a group is full with 480 flops" in m for m in remarks_of(f"func @f(%y0: f32[3]) -> f32[3] {{ {steps} return %y13 }}", "apart"))
    steps = " ".join(f"%y{i + 1} = {'reverse' if i % 2 else 'pad'} %y{i}" + (" {axes = [0]}" if i % 2 else ", %c {low = [1], high = [0]}") for i in range(9))
    text = f"func @f(%y0: f32[3]) -> f32[8] {{ %c = constant dense<0.0> : f32[] {steps} return %y9 }}"
    assert any("longer than 8 index maps" in m for m in remarks_of(text, "apart"))


def test_nothing_is_kept_unless_somebody_collects():
    def never():
        raise AssertionError

    remark("kernel", never)
    with collecting() as outer:
        remark("kernel", "one")
        with collecting() as inner:
            remark("kernel", "two")
        remark("kernel", "three")
    assert [r.message for r in outer] == ["one", "three"]
    assert [r.message for r in inner] == ["two"]


def test_from_python_and_from_the_command_line(tmp_path, capsys):
    compiled = rlxc.compile(rlxc.parse(LAYER).funcs[0])
    compiled(np.ones((4, 8), np.float32), np.ones((8, 8), np.float32), np.ones(8, np.float32))
    assert compiled.stages().remarks()
    file = tmp_path / "layer.rlx"
    file.write_text(LAYER)
    assert main(["build", str(file), "-o", str(tmp_path), "--emit", "loops", "--remarks"]) == 0
    assert "layer.rlx:4:8: apart: %s" in capsys.readouterr().err
    assert main(["opt", str(file), "-p", "legalize,fuse", "--remarks"]) == 0
    assert "layer.rlx:3:8: stored: %a" in capsys.readouterr().err
