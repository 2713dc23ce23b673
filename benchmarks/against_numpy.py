"""Fused kernels against NumPy: interleaved, medians of ratios, answers compared.

python benchmarks/against_numpy.py            # prints a table, and what the assembly of each kernel calls
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable

import numpy as np

import rlxc
from rlxc.runtime.compile import native

ROUNDS = 40

CHAIN = """
func @chain(%x: f32[100000], %y: f32[100000]) -> f32[100000] {
  %a = mul %x, %y
  %b = add %a, %x
  %c = tanh %b
  %d = mul %c, %c
  %e = sub %d, %y
  %f = exp %e
  %g = add %f, %a
  %h = sqrt %g
  %i = mul %h, %b
  %j = add %i, %c
  return %j
}
"""
CHEAP = """
func @cheap(%x: f32[100000], %y: f32[100000]) -> f32[100000] {
  %a = mul %x, %y
  %b = add %a, %x
  %c = mul %b, %b
  %d = sub %c, %y
  %e = max %d, %x
  %f = mul %e, %a
  %g = add %f, %b
  %h = neg %g
  %i = min %h, %d
  %j = add %i, %c
  return %j
}
"""
SOFTMAX = "func @softmax(%x: f32[1024, 512]) -> f32[1024, 512] { %y = softmax %x {axis = -1} return %y }"
LAYER_NORM = """
func @layer_norm(%x: f32[1024, 768], %g: f32[768], %b: f32[768]) -> f32[1024, 768] {
  %y = layer_norm %x, %g, %b {eps = 1e-5}
  return %y
}
"""
GELU = 'func @gelu(%x: f32[100000]) -> f32[100000] { %y = gelu %x {approximate = "tanh"} return %y }'


def chain(x, y):
    a = x * y
    b = a + x
    c = np.tanh(b)
    return np.sqrt(np.exp(c * c - y) + a) * b + c


def cheap(x, y):
    a = x * y
    b = a + x
    c = b * b
    d = c - y
    return np.minimum(-(np.maximum(d, x) * a + b), d) + c


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm(x, g, b):
    d = x - x.mean(axis=-1, keepdims=True)
    return d / np.sqrt((d * d).mean(axis=-1, keepdims=True) + np.float32(1e-5)) * g + b


def gelu(x):
    return np.float32(0.5) * x * (1 + np.tanh(np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)))


CASES: list[tuple[str, Callable]] = [(CHAIN, chain), (CHEAP, cheap), (GELU, gelu), (SOFTMAX, softmax), (LAYER_NORM, layer_norm)]


def main() -> None:
    """Measure every case and print one line each."""
    rng = np.random.default_rng(0)
    print(f"{'case':12} {'rlxc us':>9} {'NumPy us':>9} {'ratio':>6}  {'kernels':>7}  registers  calls in the kernel")
    for text, reference in CASES:
        func = rlxc.parse(text).funcs[0]
        made = native(func)
        run = made.executable()
        arrays = [rng.uniform(0.1, 1.0, v.type.shape).astype(np.float32) for v in func.args]
        np.testing.assert_allclose(run(*arrays)[0], reference(*arrays), rtol=2e-4, atol=2e-5)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(_seconds(run, arrays))
            theirs.append(_seconds(reference, arrays))
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        register, calls = _look_at(made.assembly(), func.name)
        times = f"{statistics.median(ours) * 1e6:9.1f} {statistics.median(theirs) * 1e6:9.1f}"
        print(f"{func.name:12} {times} {ratio:6.2f}  {len(made.kernels.funcs) - 1:7}  {register:9}  {calls}")


def _seconds(f: Callable, arrays: list[np.ndarray]) -> float:
    start = time.perf_counter()
    f(*arrays)
    return time.perf_counter() - start


def _look_at(assembly: str, name: str) -> tuple[str, str]:
    """The widest registers of the first kernel, and what it calls."""
    body = assembly.split(f"rlxc.{name}.k0:", 1)[1].split(".cfi_endproc", 1)[0]
    calls = sorted(set(re.findall(r"callq?\s+(\S+)", body)))
    register = next((r for r in ("zmm", "ymm", "xmm") if f"%{r}" in body), "none")
    return register, ", ".join(calls) or "none"


if __name__ == "__main__":
    main()
