"""What one core of this machine can do at most: arithmetic from registers, and reading memory of a given size. Measured once a process.

The roofline (Williams, Waterman & Patterson, doi:10.1145/1498765.1498785): a computation of `flops` and `bytes` takes at least
max(flops / peak, bytes / bandwidth) seconds.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from rlxc.runtime import jit
from rlxc.runtime.cpu import Cpu, target_cpu

SECONDS = 0.02  # of each measurement; the best of its runs counts


@dataclass(frozen=True, slots=True)
class Roofline:
    """Of one core: flops a second in f32 and in f64, and bytes a second by the size of what is read."""

    peak: dict[str, float]
    bandwidth: dict[int, float]

    def bandwidth_of(self, bytes: float) -> float:
        """Bytes a second at which so many are read, if the nearest cache that they fit into holds them."""
        fitting = [size for size in self.bandwidth if size >= bytes]
        return self.bandwidth[min(fitting) if fitting else max(self.bandwidth)]

    def least_seconds(self, flops: float, bytes: float, dtype: str = "f32", threads: int = 1) -> float:
        """The time that nothing on `threads` such cores can beat."""
        return max(flops / self.peak[dtype], bytes / self.bandwidth_of(bytes)) / threads


@cache
def measure_roofline(level: str = "host") -> Roofline:
    """The roofline of the core that this thread runs on, for code made for `level`."""
    cpu = target_cpu(level)
    sizes = (cpu.l1 // 2, cpu.l2 // 2, cpu.l3 // 2, max(4 * cpu.l3, 64 << 20))
    return Roofline({dtype: peak_flops(cpu, dtype) for dtype in ("f32", "f64")}, {size: read_bandwidth(cpu, size) for size in sizes})


def peak_flops(cpu: Cpu, dtype: str = "f32", steps: int = 20_000) -> float:
    """Flops a second of fused multiply-adds (products and sums, where the processor has none) that never leave the registers.

    There are enough independent chains of them to keep every unit busy.
    """
    chains = cpu.registers - 4
    lanes = cpu.vector_bytes // (4 if dtype == "f32" else 8)
    run = _load(_peak_text("float" if dtype == "f32" else "double", dtype, lanes, chains, cpu.has_fma), cpu, "rlxc.peak", ctypes.c_int64)
    return 2.0 * lanes * chains * steps / _best_seconds(lambda: run(steps))


def read_bandwidth(cpu: Cpu, size: int) -> float:
    """Bytes a second at which memory of `size` bytes is read again and again."""
    memory = np.ones(size, np.uint8)
    step = 8 * cpu.vector_bytes
    count = size // step
    times = 1 + (1 << 20) // size  # so that the call itself costs nothing
    run = _load(_sum_text(cpu.vector_bytes), cpu, "rlxc.sum", ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    address = memory.__array_interface__["data"][0]
    return times * count * step / _best_seconds(lambda: run(address, count, times))


def _best_seconds(run: Callable[[], object]) -> float:
    best, end = float("inf"), time.perf_counter() + SECONDS
    while True:
        start = time.thread_time()  # others may have the processor meanwhile
        run()
        best = min(best, max(time.thread_time() - start, 1e-9))
        if time.perf_counter() > end:
            return best


def _load(text: str, cpu: Cpu, symbol: str, *arguments: type) -> Callable[..., float]:
    loaded = jit.load(jit.object_code(text, cpu), [symbol])
    function = ctypes.CFUNCTYPE(ctypes.c_double, *arguments)(loaded.address(symbol))
    function.loaded = loaded  # type: ignore[attr-defined]  # the machine code lives as long as the function
    return function


def _peak_text(element: str, suffix: str, lanes: int, chains: int, fma: bool) -> str:
    vector = f"<{lanes} x {element}>"
    one = f"splat ({element} 1.0)"
    phis = [f"  %a{i} = phi {vector} [ {one}, %entry ], [ %b{i}, %loop ]" for i in range(chains)]
    if fma:
        steps = [f"  %b{i} = call {vector} @llvm.fma.v{lanes}{suffix}({vector} %a{i}, {vector} %m, {vector} %c)" for i in range(chains)]
    else:
        steps = [f"  %t{i} = fmul {vector} %a{i}, %m\n  %b{i} = fadd {vector} %t{i}, %c" for i in range(chains)]
    sums = [f"  %s{i} = fadd {vector} {f'%s{i - 1}' if i > 1 else '%b0'}, %b{i}" for i in range(1, chains)]
    return "\n".join(
        [
            'define double @"rlxc.peak"(i64 %steps) {',
            "entry:",
            f"  %x = sitofp i64 %steps to {element}",  # what the compiler cannot know
            f"  %v = insertelement {vector} poison, {element} %x, i64 0",
            f"  %m = shufflevector {vector} %v, {vector} poison, <{lanes} x i32> zeroinitializer",
            f"  %c = fneg {vector} %m",
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
            *phis,
            *steps,
            "  %next = add i64 %i, 1",
            "  %more = icmp slt i64 %next, %steps",
            "  br i1 %more, label %loop, label %after",
            "after:",
            *sums,
            *_as_double(vector, element, f"%s{chains - 1}"),
            "}",
            f"declare {vector} @llvm.fma.v{lanes}{suffix}({vector}, {vector}, {vector})",
        ]
    )


def _sum_text(vector_bytes: int) -> str:
    lanes = vector_bytes // 4
    vector, width = f"<{lanes} x float>", 8
    phis = [f"  %a{i} = phi {vector} [ zeroinitializer, %again ], [ %b{i}, %loop ]" for i in range(width)]
    loads = []
    for i in range(width):
        loads.append(f"  %p{i} = getelementptr i8, ptr %at, i64 {i * vector_bytes}")
        loads.append(f"  %x{i} = load {vector}, ptr %p{i}, align 1")
        loads.append(f"  %b{i} = fadd {vector} %a{i}, %x{i}")
    sums = [f"  %s{i} = fadd {vector} {f'%s{i - 1}' if i > 1 else '%b0'}, %b{i}" for i in range(1, width)]
    return "\n".join(
        [
            'define double @"rlxc.sum"(ptr %memory, i64 %steps, i64 %times) {',
            "entry:",
            "  br label %again",
            "again:",
            "  %n = phi i64 [ 0, %entry ], [ %n1, %after ]",
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %again ], [ %next, %loop ]",
            *phis,
            f"  %offset = mul i64 %i, {width * vector_bytes}",
            "  %at = getelementptr i8, ptr %memory, i64 %offset",
            *loads,
            "  %next = add i64 %i, 1",
            "  %more = icmp slt i64 %next, %steps",
            "  br i1 %more, label %loop, label %after",
            "after:",
            *sums,
            "  %n1 = add i64 %n, 1",
            "  %onward = icmp slt i64 %n1, %times",
            "  br i1 %onward, label %again, label %end",
            "end:",
            *_as_double(vector, "float", f"%s{width - 1}"),
            "}",
        ]
    )


def _as_double(vector: str, element: str, value: str) -> list[str]:
    lines = [f"  %lane = extractelement {vector} {value}, i64 0"]
    return [*lines, "  ret double %lane"] if element == "double" else [*lines, "  %wide = fpext float %lane to double", "  ret double %wide"]
