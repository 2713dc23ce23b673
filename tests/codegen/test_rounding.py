"""Rounding to whole numbers without the instructions: every sign, tie and edge, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import rlxc

OPS = {"floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc}


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("n", [None, 3])
def test_whole_numbers_without_instructions_have_the_right_bits(op, dtype, n):
    t = np.dtype(np.float32 if dtype == "f32" else np.float64)
    whole = 2.0 ** (23 if dtype == "f32" else 52)
    edges = [
        0.0,
        0.25,
        0.5,
        0.75,
        1.0,
        1.5,
        2.5,
        3.5,
        1e6 + 0.5,
        whole / 2 - 0.5,
        whole / 2 + 0.5,
        whole - 1,
        whole - 0.5,
        whole,
        whole + 1,
        2 * whole,
        1e30,
        np.inf,
    ]
    edges += [np.nextafter(t.type(x), t.type(y)) for x in (0.5, 1.0, 2.0) for y in (0.0, 9.0)] + [
        np.finfo(t).tiny,
        np.finfo(t).smallest_subnormal,
        np.finfo(t).max,
    ]
    x = np.array([*edges, *(-np.array(edges)), *np.random.default_rng(0).normal(0, 10, 200)], t)
    f = rlxc.compile(f"func @f(%x: {dtype}[{x.size}]) -> {dtype}[{x.size}] {{ %y = {op} %x return %y }}", cpu="plain", vectorize=n is None)
    np.testing.assert_array_equal(f(x).view(f"u{t.itemsize}"), OPS[op](x).view(f"u{t.itemsize}"))
    assert np.isnan(f(np.full(x.size, np.nan, t))).all()


def test_no_library_is_called_for_them():
    text = "func @f(%x: f32[9]) -> f32[9] { %a = floor %x %b = ceil %a %c = round %b %d = trunc %c return %d }"
    for call in ("floor", "ceil", "roundeven", "trunc"):
        assert f"llvm.{call}." not in rlxc.compile(text, cpu="plain").stages().llvm()
