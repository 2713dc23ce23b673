"""Canonical text is equal for the same program under other names, and differs for everything else."""

import pytest

import rlxc
from rlxc.ir.canonical import attr_digest, canonical_op, canonical_text
from rlxc.ir.types import DType


def text(body: str, args: str = "%x: f32[3], %y: f32[3]", result: str = "f32[3]") -> str:
    return canonical_text(rlxc.parse(f"func @f({args}) -> {result} {{\n{body}\n  return %r\n}}\n")["f"])


def test_names_do_not_count():
    assert text("  %a = add %x, %y\n  %r = exp %a") == text("  %b = add %y, %x\n  %r = exp %b", args="%y: f32[3], %x: f32[3]")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("  %r = sub %x, %y", "  %r = sub %y, %x"),
        ("  %r = add %x, %x", "  %r = add %x, %y"),
        ("  %r = add %x, %y", "  %r = mul %x, %y"),
        ("  %c = constant dense<0.0> : f32[3]\n  %r = add %x, %c", "  %c = constant dense<-0.0> : f32[3]\n  %r = add %x, %c"),
        ("  %c = constant dense<nan> : f32[3]\n  %r = add %x, %c", "  %c = constant dense<nan(0x7fc00001)> : f32[3]\n  %r = add %x, %c"),
        ("  %c = constant dense<1.0> : f32[3]\n  %r = add %x, %c", "  %c = constant dense<[1.0, 1.0, 1.0]> : f32[3]\n  %r = add %x, %c"),
        ("  %r = gelu %x", '  %r = gelu %x {approximate = "tanh"}'),
    ],
)
def test_what_computes_something_else_differs(one, other):
    assert text(one) == text(one)
    assert text(one) != text(other)


def test_types_count():
    assert text("  %r = add %x, %y") != text("  %r = add %x, %y", args="%x: f32[4], %y: f32[4]", result="f32[4]")


def test_attributes_of_different_kinds_differ():
    values = ["f32", DType("f32"), rlxc.Dim("f32"), 1, 1.0, True, None, (1,), (1, 2), ((1,), 2), "1", 0.0, -0.0, float("nan")]
    assert len({attr_digest(v) for v in values}) == len(values)


def test_an_op_is_known_by_the_types_of_its_operands():
    func = rlxc.parse(
        """func @f(%x: f32[3], %y: f32[3], %z: f32[4]) -> (f32[3], f32[3], f32[4]) {
  %a = exp %x
  %b = exp %y
  %c = exp %z
  return %a, %b, %c
}
"""
    )["f"]
    a, b, c = map(canonical_op, func.ops)
    assert a == b != c
