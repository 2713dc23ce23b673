"""Named dimensions get their sizes."""

import subprocess
import sys

import pytest

import rlxc

TEXT = """
func @outer(%x: f32[N, 3], %y: f32[2]) -> f32[N] {
  %a = call @rows(%x) : f32[N]
  %b = call @sum(%y) : f32[]
  %c = add %a, %b : f32[N]
  return %c
}

func @rows(%m: f32[B, C]) -> f32[B] {
  %s = reduce_sum %m {axes = [1]} : f32[B]
  return %s
}

func @sum(%m: f32[B]) -> f32[] {
  %s = reduce_sum %m {axes = [0]} : f32[]
  return %s
}
"""


def test_the_pass_binds_every_function_that_has_the_name():
    m = rlxc.run_passes(rlxc.parse(TEXT), 'bind-dims{dims=["B=5", "N=4"]}')
    assert [str(f.args[0].type) for f in m] == ["f32[4, 3]", "f32[5, C]", "f32[5]"]
    assert rlxc.parse(str(m)) == m


def test_calls_are_bound_with_the_sizes_of_their_operands():
    f = rlxc.bind(rlxc.parse(TEXT)["outer"], N=4)
    assert [op.prim.name for op in f.ops] == ["reduce_sum", "reduce_sum", "add"]
    assert str(f.results[0].type) == "f32[4]"


def test_shapes_in_attributes_and_constants_are_bound():
    f = rlxc.parse("""
func @f(%x: f32[3]) -> f32[B, 3] {
  %k = constant dense<2.0> : f32[B, 3]
  %y = broadcast %x {shape = [B, 3], axes = [0]} : f32[B, 3]
  %z = mul %y, %k : f32[B, 3]
  return %z
}""")["f"]
    bound = rlxc.bind(f, B=2)
    assert {str(op.result.type) for op in bound.ops} == {"f32[2, 3]"}
    assert rlxc.interpret(bound, [1.0, 2.0, 3.0]).tolist() == [[2, 4, 6]] * 2


def test_dimensions_that_are_not_named_stay():
    f = rlxc.bind(rlxc.parse(TEXT)["rows"], C=3)
    assert str(f.args[0].type) == "f32[B, 3]"
    with pytest.raises(rlxc.UnknownName, match="no dimension named D"):
        rlxc.bind(f, D=2)


@pytest.mark.parametrize("text", ["B", "B=", "=2", "B=-1", "2=B", "B=x"])
def test_a_size_is_written_name_equals_number(text):
    with pytest.raises(rlxc.PassError, match="does not give a dimension its size"):
        rlxc.run_passes(rlxc.parse(TEXT), f'bind-dims{{dims=["{text}"]}}')


def test_every_pass_is_known_from_the_start():
    code = """
import importlib, pkgutil
import rlxc.passes
from rlxc.passes.manager import PASSES
before = set(PASSES)
for m in pkgutil.walk_packages(rlxc.passes.__path__, "rlxc.passes."):
    importlib.import_module(m.name)
print(sorted(set(PASSES) - before))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("pipeline", ["fuse", "lower", "inline,legalize,fuse,lower"])
def test_lowering_asks_for_the_sizes(pipeline):
    with pytest.raises(rlxc.ShapeError, match=r"dimension N of .* has no size yet") as caught:
        rlxc.run_passes(rlxc.parse(TEXT), pipeline)
    assert caught.value.loc.line == 2


def test_inlining_gives_the_dimensions_of_a_callee_the_names_of_the_caller():
    m = rlxc.run_passes(rlxc.parse(TEXT), "inline,legalize")
    assert {str(op.result.type) for op in m["outer"].ops} == {"f32[N]", "f32[]"}
    assert rlxc.parse(str(m)) == m
    g = rlxc.grad_with_loss(m["outer"], wrt=["x", "y"])
    assert [str(v.type) for v in g.results] == ["f32[N]", "f32[N, 3]", "f32[2]"]
