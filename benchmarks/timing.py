"""Times and memory of a process, and a fingerprint of results. Needs NumPy alone, for it runs beside every peer."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SAMPLE = 2e-4  # seconds: short calls are timed in groups about this long
UNDISTURBED = 0.95  # the least share of a sample's time that the process must have had a processor


def cpu_seconds() -> float:
    """CPU time of this process and of the compilers it ran."""
    t = os.times()
    return time.process_time() + t.children_user + t.children_system


def measure(run: Callable[[], Any], seconds: float, threads: int = 1, least: int = 5) -> dict[str, Any]:
    """Seconds per call: median and quartiles of the samples in which nobody else had the processor.

    Where the machine is so busy that too few such samples are left, CPU times of all samples stand in, and `disturbed` says so. With several
    threads all samples count.
    """
    run()
    start = time.perf_counter()
    run()
    once = max(time.perf_counter() - start, 1e-9)
    group = range(max(1, int(SAMPLE / once)))
    clean, everything, on_cpu = [], [], []
    gc.collect()
    gc.disable()
    try:
        begin = time.perf_counter()
        while True:
            cpu, start = time.process_time(), time.perf_counter()
            for _ in group:
                run()
            now = time.perf_counter()
            took, worked = now - start, time.process_time() - cpu
            everything.append(took / len(group))
            on_cpu.append(worked / len(group))
            if worked >= UNDISTURBED * took:
                clean.append(took / len(group))
            if now - begin > seconds and (len(clean) >= least or now - begin > 3 * seconds) and len(everything) >= least:
                break
    finally:
        gc.enable()
    disturbed = threads == 1 and len(clean) < least
    low, middle, high = np.percentile(everything if threads > 1 else on_cpu if disturbed else clean, [25, 50, 75]).tolist()
    return {"median": middle, "low": low, "high": high, "samples": len(everything), "disturbed": disturbed}


def resident_bytes() -> int:
    return _status("VmRSS:")


def peak_bytes() -> int:
    """The most memory that was resident since `reset_peak`."""
    return _status("VmHWM:")


def reset_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass  # not Linux: the peak is that of the whole process


def _status(key: str) -> int:
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
    except OSError:
        return 0


def fingerprint(results: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Of each result: the shape, the mean size of its elements, and its product with fixed random numbers."""
    prints = []
    for r in results:
        values = np.asarray(r, np.float64).ravel()
        weights = np.random.default_rng(values.size).standard_normal(values.size)
        size = float(np.abs(values).mean()) if values.size else 0.0
        prints.append({"shape": [n for n in np.shape(r) if n != 1], "size": size, "projection": float(values @ weights)})
    return prints


NOISE = 1e-5  # of the size of a usual result


def difference(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]], tolerance: float = 2e-3) -> str | None:
    """What is wrong with `a`, if `b` is right; None if they agree. What is tiny beside the other results may be nothing but rounding errors."""
    if len(a) != len(b):
        return f"{len(a)} results instead of {len(b)}"
    noise = NOISE * float(np.median([y["size"] for y in b])) if b else 0.0
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        if x["shape"] != y["shape"]:
            return f"result {i} is {x['shape']} instead of {y['shape']}"
        count = max(int(np.prod(y["shape"])), 1)
        if not abs(x["size"] - y["size"]) <= tolerance * max(y["size"], 1e-30) + noise:
            return f"result {i} has elements of size {x['size']:.6g} instead of {y['size']:.6g}"
        if not abs(x["projection"] - y["projection"]) <= (4 * tolerance * max(y["size"], 1e-30) + noise) * count**0.5:
            return f"result {i} has the projection {x['projection']:.6g} instead of {y['projection']:.6g}"
    return None
