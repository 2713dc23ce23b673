"""The parser: what it accepts, what it means, and that text and modules round-trip."""

import pytest

from rlxc.errors import Error
from rlxc.frontend.parser import parse

CANONICAL = """rlx 0.1

func @g(%x: f32[B, 3], param %w: f32[3]) -> (f32[3], f32[B, 3]) {
  %a = add %x, %w : f32[B, 3]
  %s = reduce_sum %a {axes = [0]} : f32[3]
  return %s, %a
}

func @f(%x: f32[2, 3]) -> f32[3] {
  %c = constant dense<[[1.0, -0.0, inf], [nan, 1e-45, nan(0x7fc00001)]]> : f32[2, 3]
  %w = constant dense<0.1> : f32[3]
  %a = add %x, %c : f32[2, 3]
  %p, %q = call @g(%a, %w) : f32[3], f32[2, 3]
  return %p
}

func @h(%0: f32[3], %1: lin f32[3]) -> lin f32[3] {
  %2 = mul %0, %1 : lin f32[3]
  return %2
}
"""


def test_canonical_text_prints_as_itself():
    module = parse(CANONICAL)
    assert str(module) == CANONICAL
    assert parse(str(module)) == module


def test_several_errors_are_reported_together():
    with pytest.raises(Error) as caught:
        parse("func @f(%x: f32[3]) -> f32[3] {\n  %y = sinn %x\n  %z = add %y, %x\n  %q = add %u, %x\n  return %z\n}\n", "f.rlx")
    assert [(d.code, str(d.loc)) for d in caught.value.diagnostics] == [("RLX0102", "f.rlx:2:8"), ("RLX0105", "f.rlx:4:12")]
