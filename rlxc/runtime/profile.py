"""Profile: how long each kernel of a function takes, from timestamps that an instrumented build stores around it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlxc.errors import Loc
from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func
from rlxc.runtime.compile import Native, native

MAX_CALLS = 2_000
TRACED = 5  # calls in a trace
UNDISTURBED = 0.95  # the least share of a call's time that the process must have had a processor, for the call to count
CALIBRATION = 0.02  # seconds over which ticks are compared with the wall clock


@dataclass(frozen=True, slots=True)
class KernelRun:
    """One call of a kernel in the program: what it does, and the median of the seconds it took."""

    name: str
    what: str
    flops: float
    bytes: int
    loc: Loc
    seconds: float


@dataclass(frozen=True)
class Profile:
    """Kernels in order of execution. `ticks` has a row for each call of the function, `rate` ticks make a second."""

    func: str
    kernels: tuple[KernelRun, ...]
    ticks: np.ndarray
    rate: float

    @property
    def seconds(self) -> float:
        """What all kernels take together."""
        return sum(k.seconds for k in self.kernels)

    def chrome_trace(self) -> dict[str, Any]:
        """The last calls in the format of chrome://tracing and Perfetto: one event a kernel, times in microseconds."""
        rows = self.ticks[-TRACED:]
        micros = (rows - rows[:1, :1]) / self.rate * 1e6
        events: list[dict[str, Any]] = [{"name": "process_name", "ph": "M", "pid": 1, "args": {"name": f"@{self.func}"}}]
        for row in micros:
            events.append(_event(f"@{self.func}", row[0], row[-1], {}))
            for k, start, end in zip(self.kernels, row, row[1:], strict=False):
                events.append(_event(k.name, start, end, {"what": k.what, "flops": k.flops, "bytes": k.bytes, "source": str(k.loc)}))
        return {"traceEvents": events, "displayTimeUnit": "ns"}


def profile(func: Func, arrays: Sequence[np.ndarray], *, seconds: float = 0.5, **options: Any) -> Profile:
    """Call an instrumented build of `func` on `arrays`, which fit it, for about so many seconds."""
    made = native(func, **options, profile=True)
    run = made.executable()
    run(*arrays)
    began, rows, shares = [], [], []
    end = time.perf_counter() + max(seconds, CALIBRATION)
    while True:
        cpu, start = time.process_time(), time.perf_counter()
        times = run(*arrays)[-1]
        now = time.perf_counter()
        began.append(start)
        rows.append(times)
        shares.append((time.process_time() - cpu) / (now - start))
        span = start - began[0]
        if span > CALIBRATION and (now > end or len(rows) >= MAX_CALLS):
            break
    rate = float(rows[-1][0] - rows[0][0]) / span
    ticks, share = np.array(rows), np.array(shares)
    clean = share >= UNDISTURBED
    chosen = clean if clean.sum() >= 3 else np.ones(len(rows), bool)
    took = np.diff(ticks[chosen], axis=1) / rate
    if chosen is not clean:  # a kernel is interrupted in some calls and not in others: those in which it took least
        took = np.sort(took, axis=0)[: max(1, len(took) // 4)]
    return Profile(func.name, tuple(_kernels(made, took)), ticks[chosen], rate)


def is_undisturbed(cpu: float, wall: float) -> bool:
    """Whether a process that used `cpu` seconds in `wall` seconds had the processor to itself."""
    return cpu >= UNDISTURBED * wall


def _kernels(made: Native, took: np.ndarray) -> list[KernelRun]:
    """The calls in the program, with the median of the seconds that each took: a row of `took` is one run."""
    main = made.kernels[made.func.name]
    calls = [op for op in main.ops if callee_of(op)]
    work = [(op.attrs["what"], op.attrs["flops"], op.attrs["bytes"], op.loc) for op in calls]
    return [KernelRun(str(callee_of(op)), *w, statistics.median(s.tolist())) for op, w, s in zip(calls, work, took.T, strict=True)]


def _event(name: str, start: float, end: float, args: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "ph": "X", "pid": 1, "tid": 1, "ts": float(start), "dur": float(end - start), "args": args}
