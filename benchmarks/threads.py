"""What threads gain: fork and join of nothing, and cases of the benchmark with one thread and with more.

    python -m benchmarks.threads [--threads 2] [--cases matmul,softmax.fwd,...] [--seconds 3] [--json FILE]

One thread and several take turns in one process, call by call for short ones; of the ratios of neighbouring samples the median and the
quartiles are printed. Results must be the same to the bit.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rlxc
import rlxc.primitives
from benchmarks.cases import Case, find
from benchmarks.peers.rlxc_peer import Rlxc
from rlxc.runtime import jit, threads
from rlxc.runtime.cpu import target_cpu

CASES = "mm64.fwd,mm128.fwd,mm256.fwd,mm512.fwd,mm1024.fwd,mlp,bert1_b1,bert1_b8,chain,rows,reduce,conv"
SAMPLE = 1e-3  # seconds, about

FORK_JOIN = """
define void @nothing(ptr %context, i64 %begin, i64 %end, i64 %slot) {
  ret void
}
define void @fork_and_join(ptr %pool, i64 %times) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  %run = load ptr, ptr %pool
  call void %run(ptr %pool, ptr @nothing, ptr null, i64 64, i64 1, i64 64, i64 1000000000)
  %n = add i64 %i, 1
  %more = icmp slt i64 %n, %times
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


def fork_join() -> dict[str, float]:
    """Microseconds of a loop of 64 pieces that do nothing: one after the other, and after the workers have gone to sleep."""
    loaded = jit.load(jit.object_code(FORK_JOIN, target_cpu()), ["fork_and_join"])
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(loaded.address("fork_and_join"))
    pool = threads.pool_address()

    def took(times: int) -> float:
        start = time.perf_counter()
        call(pool, times)
        return (time.perf_counter() - start) / times * 1e6

    took(10000)
    hot = [took(1000) for _ in range(200)]
    cold = []
    for _ in range(200):
        time.sleep(0.002)
        cold.append(took(1))
    return {"hot": float(np.median(hot)), "asleep": float(np.median(cold))}


def runs(case: Case, counts: Sequence[int]) -> list[Callable[[], Any]]:
    """The case compiled for each number of threads."""
    arrays = case.arrays()
    names, args = list(arrays), list(arrays.values())
    peer = Rlxc(1)
    peer.names = names
    func = peer.func(case.function(peer.xp), args)
    if case.mode == "grad":
        func = rlxc.value_and_grad(func, case.wrt)
    compiled = [rlxc.compile(func, threads=n) for n in counts]
    return [lambda f=f: f(*args) for f in compiled]  # type: ignore[misc]


def compare(one: Callable, many: Callable, seconds: float) -> dict[str, Any]:
    """Ratios of the times of neighbouring samples."""
    want, got = one(), many()
    same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(_tuple(want), _tuple(got), strict=True))
    start = time.perf_counter()
    one()
    group = range(max(1, int(SAMPLE / (time.perf_counter() - start))))
    pairs = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(pairs) < 5:
        pair = []
        for run in (one, many):
            start = time.perf_counter()
            for _ in group:
                run()
            pair.append((time.perf_counter() - start) / len(group))
        pairs.append(pair)
    times = np.array(pairs)
    low, middle, high = np.percentile(times[:, 0] / times[:, 1], [25, 50, 75])
    return {"one": float(np.median(times[:, 0])), "many": float(np.median(times[:, 1])), "ratio": middle, "low": low, "high": high, "same": same}


def _tuple(x: Any) -> tuple:
    return x if isinstance(x, tuple) else (x,)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rlxc.set_num_threads(options.threads)
    empty = fork_join()
    print(f"fork and join: {empty['hot']:.2f} us hot, {empty['asleep']:.1f} us from sleep")
    results: dict[str, Any] = {"fork_join": empty}
    for case in [c for name in options.cases.split(",") for c in find(name) if c.mode in ("fwd", "grad")]:
        found = compare(*runs(case, (1, options.threads)), options.seconds)
        results[case.name] = found
        note = "" if found["same"] else "  RESULTS DIFFER"
        print(f"{case.name:24} {found['one'] * 1e6:10.1f} us  {found['ratio']:5.2f}x ({found['low']:.2f}-{found['high']:.2f}){note}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
