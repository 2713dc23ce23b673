"""`rlxc bench`: how long a call takes, what each kernel takes of it, and how near that is to what the machine can do."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlxc import api
from rlxc.cli import OK
from rlxc.commands.arrays import read_inputs
from rlxc.commands.program import names, read_func
from rlxc.errors import FileError
from rlxc.ir.core import Func
from rlxc.passes.dims import match_dims, named_dims
from rlxc.passes.pipelines import make_pipeline
from rlxc.passes.work import work_of_func
from rlxc.runtime.arguments import Arguments
from rlxc.runtime.compiled import Compiled
from rlxc.runtime.profile import Profile, is_undisturbed, profile
from rlxc.runtime.roofline import Roofline, measure_roofline
from rlxc.runtime.threads import num_threads, set_num_threads

SAMPLE = 1e-4  # seconds: short calls are timed in groups of this length
COLUMNS = ("kernel", "time", "share", "GFLOP/s", "GB/s", "roofline", "ops")


def bench(args: argparse.Namespace) -> int:
    if args.threads is not None:
        set_num_threads(args.threads)
    func = read_func(args)
    if args.grad is not None:
        func = api.value_and_grad(func, names(args.grad))
    inputs = read_inputs(func, args, fill="random")
    arrays = Arguments(func).bind((), inputs)
    started = time.perf_counter()
    compiled = Compiled(func, api.engine({"cpu": args.cpu, "precision": args.precision}))
    compiled(*arrays)
    cold = time.perf_counter() - started
    samples = measure(lambda: compiled(*arrays), args.seconds)
    report = summarize(_bound(func, arrays), arrays, samples, cold, args)
    if args.trace:
        _write_json(args.trace, report.pop("profile").chrome_trace())
    report.pop("profile", None)
    print(json.dumps(report) if args.json else as_text(report))
    return OK


def measure(run: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds per call, sample by sample: those in which this process had the processor to itself; CPU times, if there are too few."""
    began = time.perf_counter()
    run()
    once = max(time.perf_counter() - began, 1e-9)
    group = range(max(1, int(SAMPLE / once)))
    on_cpu: list[float] = []
    clean: list[float] = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        while True:
            cpu, start = time.process_time(), time.perf_counter()
            for _ in group:
                run()
            now = time.perf_counter()
            worked = time.process_time() - cpu
            on_cpu.append(min(worked, now - start) / len(group))  # of several threads, what they worked is more than the time
            if is_undisturbed(worked, now - start):
                clean.append((now - start) / len(group))
            if now > end and len(on_cpu) >= 3:
                return clean if len(clean) >= 3 else on_cpu
    finally:
        if collecting:
            gc.enable()


def _bound(func: Func, arrays: Sequence[np.ndarray]) -> Func:
    sizes = match_dims(func, [a.shape for a in arrays])
    return api.bind(func, **{d: sizes[d] for d in named_dims(func)})


def summarize(func: Func, arrays: Sequence[np.ndarray], samples: list[float], cold: float, args: argparse.Namespace) -> dict[str, Any]:
    """Everything that is shown, as data."""
    low, middle, high = np.percentile(samples, [25, 50, 75]).tolist()
    prof = profile(func, arrays, seconds=args.seconds / 2, cpu=args.cpu, precision=args.precision)
    roof = measure_roofline(args.cpu)
    legal = make_pipeline("legalize,planes,simplify,cse,dce").run(api.as_module(func.with_(module=None)))[func.name]
    touched = sum(v.type.nbytes for v in (*func.args, *func.results))  # type: ignore[union-attr]
    flops, dtype = work_of_func(legal), "f64" if any(v.type.dtype == "f64" for v in (*func.args, *func.results)) else "f32"  # type: ignore[union-attr]
    threads = num_threads()
    least = roof.least_seconds(flops, touched, dtype, threads)
    return {
        "function": func.name,
        "seconds": {"median": middle, "low": low, "high": high, "samples": len(samples)},
        "first call": cold,
        "flops": flops,
        "bytes": touched,
        "roofline": least / middle,
        "machine": {"flops": roof.peak[dtype] * threads, "bandwidth": roof.bandwidth_of(touched) * threads, "dtype": dtype, "threads": threads},
        "kernels": _kernels(prof, roof, dtype, threads),
        "profile": prof,
    }


def _kernels(prof: Profile, roof: Roofline, dtype: str, threads: int) -> list[dict[str, Any]]:
    rows = []
    for k in prof.kernels:
        least = roof.least_seconds(k.flops, k.bytes, dtype, threads)
        share = k.seconds / prof.seconds if prof.seconds else 0.0
        rows.append(
            {"kernel": k.name, "seconds": k.seconds, "share": share, "flops": k.flops, "bytes": k.bytes, "roofline": least / max(k.seconds, 1e-9)}
            | {"ops": k.what, "source": str(k.loc)}
        )
    return rows


def as_text(report: dict[str, Any]) -> str:
    """A few lines, and a table of the kernels."""
    s, m = report["seconds"], report["machine"]
    cores = "one core" if m["threads"] == 1 else f"{m['threads']} cores"
    lines = [
        f"@{report['function']}",
        f"  time      {_time(s['median'])} a call, quartiles {_time(s['low'])} and {_time(s['high'])}; first call after {_time(report['first call'])}",
        f"  work      {_si(report['flops'])}FLOP, {_si(report['bytes'])}B in and out: {_si(report['flops'] / s['median'])}FLOP/s, "
        f"{_si(report['bytes'] / s['median'])}B/s, {report['roofline']:.0%} of the roofline",
        f"  machine   {cores}: {_si(m['flops'])}FLOP/s ({m['dtype']}), {_si(m['bandwidth'])}B/s from memory of this size",
        "",
    ]
    return "\n".join([*lines, *_kernel_lines(report["kernels"], report["function"])])


def profile_text(func: Func, arrays: Sequence[np.ndarray], cpu: str, trace: Path) -> str:
    """The table of the kernels alone; their trace is written to `trace`."""
    prof = profile(func, arrays, cpu=cpu, threads=1)  # as libraries run
    _write_json(str(trace), prof.chrome_trace())
    dtype = "f64" if any(v.type.dtype == "f64" for v in (*func.args, *func.results)) else "f32"  # type: ignore[union-attr]
    return "\n".join([f"@{func.name}", *_kernel_lines(_kernels(prof, measure_roofline(cpu), dtype, 1), func.name)])


def _kernel_lines(kernels: list[dict[str, Any]], function: str) -> list[str]:
    rows: list[tuple[str, ...]] = [COLUMNS]
    for k in kernels:
        rate = (f"{x / max(k['seconds'], 1e-9) / 1e9:.1f}" for x in (k["flops"], k["bytes"]))
        name = k["kernel"].removeprefix(function + ".")
        rows.append((name, _time(k["seconds"]), f"{k['share']:.1%}", *rate, f"{k['roofline']:.0%}", k["ops"]))
    return _table(rows)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(r[i]) for r in rows) for i in range(len(COLUMNS))]
    return ["  ".join(c.ljust(w) if i in (0, len(COLUMNS) - 1) else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))).rstrip() for r in rows]


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _si(number: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g} "


def _write_json(path: str, data: Any) -> None:
    try:
        if path == "-":
            print(json.dumps(data))
            return
        with open(path, "w") as f:
            json.dump(data, f)
        print(path, file=sys.stderr)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from None
