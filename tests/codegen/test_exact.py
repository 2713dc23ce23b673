"""x y + z without the instruction, against exact arithmetic."""

from __future__ import annotations

import ctypes
from fractions import Fraction

import numpy as np

import rlxc
from rlxc.codegen.llvm import emit_module
from rlxc.runtime import jit
from rlxc.runtime.cpu import target_cpu

KERNEL = """kernel @f(%x: mem f64[{n}], %y: mem f64[{n}], %z: mem f64[{n}], %out: mem f64[{n}]) {{
  for %i in 0..{n} step 4 {{
    %a = load %x, %i {{lanes = 4}}
    %b = load %y, %i {{lanes = 4}}
    %c = load %z, %i {{lanes = 4}}
    %d = fma %a, %b, %c
    store %out, %d, %i
  }}
}}
"""


def fma(x, y, z):
    n = len(x)
    emitted = emit_module(rlxc.parse(KERNEL.format(n=n)), ["f"], fma=False)
    assert "llvm.fma" not in emitted.text
    loaded = jit.load(jit.object_code(emitted.text, target_cpu("plain")), [emitted.entries["f"]])
    out = np.empty(n)
    buffers = (ctypes.c_void_p * 4)(*(a.ctypes.data for a in (x, y, z, out)))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(loaded.address(emitted.entries["f"]))(buffers, None, None)
    return out


def test_it_is_rounded_once():
    rng = np.random.default_rng(0)
    n = 4000
    x, y = (rng.standard_normal(n) * 2.0 ** rng.integers(-40, 40, n) for _ in range(2))
    z = rng.standard_normal(n) * 2.0 ** rng.integers(-120, 120, n)
    z[: n // 2] = -(x * y)[: n // 2] * (1 + rng.integers(-2, 3, n // 2) * 2.0**-52)  # cancellation
    z[n // 2 : 3 * n // 4] = (x * y)[n // 2 : 3 * n // 4] * 2.0**-53 * rng.integers(-3, 4, n // 4)  # ties, and what is next to them
    x[-200:], y[-200:] = rng.integers(1, 2**27, (2, 200)) * 1.0  # products with few bits
    z[-200:] = x[-200:] * y[-200:] * 2.0**53
    want = np.array([float(Fraction(a) * Fraction(b) + Fraction(c)) for a, b, c in zip(x, y, z, strict=True)])
    np.testing.assert_array_equal(fma(x, y, z), want)


def test_zeros_infinities_and_nans():
    inf, nan = np.inf, np.nan
    cases = [
        (0.0, 1.0, 0.0), (-0.0, 1.0, -0.0), (-0.0, 1.0, 0.0), (1.0, 1.0, -1.0), (2.0, -0.5, 1.0), (0.0, 5.0, 3.0), (1.0, 1.0, 0.0), (1.0, -0.0, -0.0),
        (inf, 1.0, 0.0), (inf, 1.0, -inf), (inf, 0.0, 1.0), (1.0, 1.0, inf), (1.0, 1.0, -inf), (nan, 1.0, 1.0), (1.0, nan, 1.0), (1.0, 1.0, nan),
        (1e300, 1e300, 0.0), (1e300, -1e300, 1.0), (1e308, 1.0, 1e308), (1e305, 2.0, -1e305),
    ]  # fmt: skip
    x, y, z = (np.array(a) for a in zip(*cases, strict=True))
    with np.errstate(all="ignore"):
        want = x * y + z  # exact in these cases, or not finite
    got = fma(x, y, z)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0]))
