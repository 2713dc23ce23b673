"""What a call needs of memory: the analysis, and workspaces that are kept and shared."""

from __future__ import annotations

import gc

import numpy as np

import rlxc
from rlxc.cli import main
from rlxc.runtime.workspaces import Workspaces

TEXT = """rlx 0.1

func @f(%x: f32[64, 64], %w: f32[64, 64]) -> (f32[64, 64], f32[64]) {
  %a = contract %x, %w {spec = "mk,kn->mn"}
  %b = contract %a, %w {spec = "mk,kn->mn"}
  %c = contract %b, %b {spec = "mk,kn->mn"}
  %y = contract %c, %w {spec = "mk,kn->mn"}
  %s = sort %c {axis = 1}
  %t = contract %s, %w {spec = "mk,kn->m"}
  return %y, %t
}
"""


def test_an_analysis_has_every_buffer_with_its_place_and_its_lifetime():
    stages = rlxc.compile(TEXT).stages()
    memory = stages.memory_analysis()
    assert (memory.arguments, memory.results) == (2 * 64 * 64 * 4, 64 * 64 * 4 + 64 * 4)
    assert [b.name for b in memory.buffers][:3] == ["%a", "%b", "%c"]
    assert all(b.first < b.last for b in memory.buffers)
    text = str(stages.kernels[memory.function])
    for b in memory.buffers:
        assert f"{b.name} = slot %arena {{offset = {b.offset}}}" in text
    assert memory.live <= memory.arena < sum(b.bytes for b in memory.buffers)
    assert memory.workspace == stages.binary.workspace
    for b in memory.buffers:
        for c in memory.buffers:
            apart = b.last < c.first or c.last < b.first or b.offset + b.bytes <= c.offset or c.offset + c.bytes <= b.offset
            assert apart or b is c


def test_a_function_of_one_kernel_has_no_buffers():
    memory = rlxc.compile("func @f(%x: f32[4]) -> f32[4] { %y = exp %x return %y }").stages().memory_analysis()
    assert (memory.arguments, memory.results, memory.arena, memory.scratch, memory.buffers) == (16, 16, 0, 0, ())
    assert "arguments       16 B" in str(memory)


def test_one_buffer_is_listed_too():
    text = "func @f(%x: f32[8, 8]) -> f32[8, 8] {\n%a = matmul %x, %x\n%b = matmul %a, %x\nreturn %b\n}"
    memory = rlxc.compile(text).stages().memory_analysis()
    assert [(b.name, b.bytes, b.offset, b.first, b.last) for b in memory.buffers] == [("%a", 256, 0, 0, 1)]


def test_the_table_names_the_largest_buffers_first():
    lines = str(rlxc.compile(TEXT).stages().memory_analysis()).splitlines()
    assert lines[0] == "memory of @f"
    assert any(line.split()[:2] == ["%c", "16384"] for line in lines)


def test_the_command_line_prints_it(tmp_path, capsys):
    path = tmp_path / "f.rlx"
    path.write_text(TEXT)
    assert main(["build", str(path), "--memory", "--emit", "loops", "-o", str(tmp_path)]) == 0
    assert "memory of @f" in capsys.readouterr().err


def test_functions_that_need_about_as_much_share_their_workspaces():
    func = rlxc.parse(TEXT).funcs[0]
    one, other, small = Workspaces(func, 3_000_000), Workspaces(func, 2_500_000), Workspaces(func, 100)
    space = one.take()
    one.give(space)
    assert other.take() is space
    assert small.take() is not space
    assert space.nbytes >= 3_000_000
    assert space.ctypes.data % 64 == 0


def test_workspaces_go_with_the_last_function_that_needs_them():
    func = rlxc.parse(TEXT).funcs[0]
    spaces = Workspaces(func, 77_000_000)
    spaces.give(spaces.new())
    shared = spaces.spare
    del spaces
    gc.collect()
    again = Workspaces(func, 77_000_000)
    assert again.spare is not shared
    assert not again.spare


def test_calls_leave_one_workspace_behind():
    f, g = rlxc.compile(TEXT), rlxc.compile(TEXT)
    x = np.eye(64, dtype=np.float32)
    for compiled in (f, g, f, g):
        compiled(x, x)
    spare = Workspaces(f.func, f.stages().binary.workspace).spare
    assert len(spare) == 1
