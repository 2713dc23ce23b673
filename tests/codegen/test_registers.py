"""What LLVM keeps in registers: sums of products stay there, whatever is fused to them."""

from __future__ import annotations

import platform
import re

import numpy as np
import pytest

import rlxc
from rlxc.codegen.llvm import emit_module
from rlxc.ir.core import Module
from rlxc.runtime import jit
from rlxc.runtime.compile import native
from rlxc.runtime.cpu import target_cpu

LOOPS = """
kernel @f(%x: mem f32[48, 16]) {
  %half = constant dense<0.5> : f32
  %halves = splat %half {lanes = 16} : f32x16
  %zero = constant dense<0> : index
  for %i in 0..48 step 4 {
    %v = load %x, %i, %zero {lanes = 16} : f32x16
    %r = mul %v, %halves
    store %x, %r, %i, %zero
  }
}
"""

TANH = """
func @f(%x: f32[128, 96], %w: f32[96, 512], %b: f32[512]) -> f32[128, 512] {
  %h = linear %x, %w, %b
  %y = gelu %h {approximate = "tanh"}
  return %y
}
"""


def emit(text: str) -> str:
    module = rlxc.parse(text)
    assert isinstance(module, Module)
    return emit_module(module, ["f"]).text


def test_a_loop_says_how_often_it_runs():
    assert '!prof !{!"branch_weights", i32 11, i32 1}' in emit(LOOPS)


def test_a_loop_that_runs_once_has_weights_too():
    assert '!prof !{!"branch_weights", i32 1, i32 1}' in emit(LOOPS.replace("0..48", "0..4"))


def test_a_constant_in_every_lane_is_a_literal():
    text = emit(LOOPS)
    assert "splat (float" in text
    assert "shufflevector" not in text


@pytest.mark.skipif(not target_cpu().has_scale, reason="counts AVX-512 registers")
def test_constants_of_an_epilogue_take_no_registers_from_the_sums():
    """The loop with the products must not load or store sums on the stack, though the polynomial behind it has two dozen constants."""
    assembly = rlxc.compile(TANH).stages().assembly()
    blocks = re.split(r"^\.L\w+:", assembly, flags=re.MULTILINE)
    products = [b.split("\n\tj", 1)[0] for b in blocks if b.count("vfmadd231ps") >= 20]
    assert products
    for block in products:
        assert not re.search(r"\(%rsp\), %zmm|%zmm\d+, -?\d*\(%rsp\)", block)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads assembly of x86")
@pytest.mark.parametrize("shapes", [((128, 96), (96, 512)), ((128, 768), (768, 768)), ((384, 384), (384, 384))])
@pytest.mark.parametrize("level", ["avx2", "avx512"])
def test_sums_of_a_contraction_stay_in_registers(level, shapes):
    (m, k), (_, n) = shapes
    text = f'func @f(%x: f32[{m}, {k}], %w: f32[{k}, {n}]) -> f32[{m}, {n}] {{ %y = contract %x, %w {{spec = "ij,jk->ik"}} return %y }}'
    assembly = native(rlxc.parse(text)["f"], cpu=level, threads=1).assembly()
    blocks = re.split(r"^\.L\w+:", assembly, flags=re.MULTILINE)
    products = [b.split("\n\tj", 1)[0] for b in blocks if b.count("vfmadd231ps") >= 10]
    assert products
    for block in products:
        assert not re.search(r"\(%rsp\), %[yz]mm|%[yz]mm\d+, -?\d*\(%rsp\)", block)


def test_the_text_with_weights_is_what_llvm_takes():
    assert jit.object_code(emit(LOOPS), target_cpu())
    x = np.ones((8, 4), np.float32)
    assert np.array_equal(rlxc.compile("func @f(%x: f32[8, 4]) -> f32[8, 4] { %y = add %x, %x return %y }")(x), x + x)
