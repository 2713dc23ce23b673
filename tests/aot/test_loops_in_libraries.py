"""Loops and branches in libraries: the same code as the JIT's, without a workspace that grows with the number of steps."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import rlxc
from rlxc.cli import main

pytestmark = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang", "ld"))), reason="there is no linker")

PROGRAM = """
func @states(param %w: f64[4, 4], %h: f64[4], %xs: f64[T, 4], %p: bool[]) -> (f64[4], f64[T, 4], f64[4]) {
  %last, %all = scan %w, %h, %xs {consts = 1, carries = 1, length = T} do (%w: f64[4, 4], %h: f64[4], %x: f64[4]) {
    %a = contract %w, %h {spec = "ij,j->i"}
    %b = add %a, %x
    %next = tanh %b
    yield %next, %next
  }
  %y = cond %p, %last do (%x: f64[4]) {
    %s = sin %x
    yield %s
  } do (%x: f64[4]) {
    %c = cos %x
    yield %c
  }
  return %last, %all, %y
}
"""


def test_a_library_gives_the_bits_of_the_jit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.rlx").write_text(PROGRAM)
    assert main(["build", "model.rlx", "--dim", "T=100", "--emit", "so,header"]) == 0
    f = rlxc.load_library("libmodel.so")["states"]
    rng = np.random.default_rng(0)
    given = {"w": rng.standard_normal((4, 4)), "h": np.zeros(4), "xs": rng.standard_normal((100, 4)), "p": np.array(True)}
    for got, want in zip(f(**given), rlxc.compile(rlxc.parse(PROGRAM)["states"])(**given), strict=True):
        np.testing.assert_array_equal(got, want, strict=True)


def test_the_workspace_does_not_grow_with_the_steps():
    needs = [rlxc.compile(rlxc.bind(rlxc.parse(PROGRAM)["states"], T=n)).stages().memory_analysis().workspace for n in (10, 10_000)]
    assert needs[0] == needs[1]
