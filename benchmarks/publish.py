"""docs/performance.md, from measurements made now: every part is run, stored, and put into one page."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import gemm_libraries, report
from benchmarks.cases import CASES, Case
from benchmarks.runner import Plan, machine, run, warm_inductor

DOCS = Path(__file__).resolve().parents[1] / "docs"
SLOW = ("bert12_b8", "scalar1k")  # left out of a quick run
THREADED = ("mm1024.", "mm512.", "bert1_b8", "ffn_real.", "mlp.grad", "softmax", "chain_mix_1e7", "conv.", "block_b8", "triv1")

INTRODUCTION = """# Performance

Every (peer, case) ran in a process of its own, pinned to one core, all peers of a case one after another, {rounds}; answers were compared. A cell is the
median time of a call, of the best round: from arrays that the peer holds already to results that are there. **ratio** is the best peer's
time divided by rlxc's: above 1, rlxc is faster. `!` marks an answer that differs. What the cases are says `benchmarks/cases.py`; this page was written by

    {command}

on {processor} ({cores} cores; {system}), {date}, with {versions}.

![ratios](performance.svg)
"""
COLD = """## Compiling

CPU seconds of tracing, compiling and the first call, with compilers that a peer starts counted. No cache of an earlier process is read.
"""
MEMORY = """## Memory

The most memory that was resident while the case ran, beyond what was before it was compiled: inputs and weights are not counted (but for
ONNX Runtime and OpenVINO, whose models hold the weights).
"""
THREADS = """## Two threads

Time of rlxc on two cores, and what it gains over one.
"""
GEMM = """## Matrix products against libraries

Called by C pointers in one process, in turn; times are medians, the share is of the peak that a loop of nothing but fused multiply-adds
reaches beside it. A ratio is the library's time divided by rlxc's.
"""


def publish(args: argparse.Namespace, pythons: dict[str, str]) -> int:
    """Measure, and write the page and its plot."""
    if args.quick:
        args.rounds, args.seconds = 1, min(args.seconds, 0.3)
    keep = Path(args.keep) if args.keep else None
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
    cases = [c for c in CASES.values() if not (args.quick and c.name.startswith(SLOW))]
    main = stored(keep, "one_thread", lambda: _measure(args, pythons, cases, 1))
    results = main["results"]
    two = {}
    if (main["machine"]["cores"] or 1) > 1:
        chosen = [c for c in cases if c.name.startswith(THREADED)]
        two = stored(keep, "two_threads", lambda: _measure(args, {"rlxc": pythons["rlxc"]}, chosen, 2))
    gemm = stored(keep, "gemm", lambda: gemm_libraries.compare(seconds=0.15 if args.quick else 0.5))
    page = page_text(main, two.get("results", []), gemm, command_of(args))
    (DOCS / "performance.md").write_text(page)
    (DOCS / "performance.svg").write_text(
        report.plot(report.ratios(report.cells(results), excluded=report.wrong_answers(results)), "best peer's time / rlxc's")
    )
    print(DOCS / "performance.md", file=sys.stderr)
    return 0


def page_text(main: dict[str, Any], two: list[dict[str, Any]], gemm: dict[str, Any], command: str) -> str:
    """The page."""
    results, facts = main["results"], main["machine"]
    versions = ", ".join(dict.fromkeys(r["version"] for r in results if "version" in r))
    rounds = max((r.get("round", 0) for r in results), default=0) + 1
    said = "in one round" if rounds == 1 else f"in {rounds} rounds"
    parts = [INTRODUCTION.format(**facts, versions=versions, rounds=said, command=command), "## Time\n", report.table_text(results), COLD]
    gradients = [r for r in results if CASES[r["case"]].mode != "fwd"]
    parts += [report.table_text(gradients, "cold"), MEMORY, report.table_text(gradients, "memory", ["bert", "conv", "attention"])]
    gains = report.speedups([*(r for r in results if r["peer"] == "rlxc"), *two])
    if gains:
        parts += [THREADS, gains]
    if gemm.get("rows"):
        parts += [GEMM, gemm_libraries.table_text(gemm)]
    return "\n".join(parts).rstrip() + "\n"


def stored(folder: Path | None, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` gives, or what it gave before, if that was kept."""
    path = folder / f"{name}.json" if folder else None
    if path and path.exists():
        return json.loads(path.read_text())
    data = measure()
    if path:
        path.write_text(json.dumps(data))
    return data


def command_of(args: argparse.Namespace) -> str:
    """What to type to get such a page again."""
    words = ["python -m benchmarks publish"]
    words += ["--quick"] if args.quick else [f"--rounds {args.rounds}"]
    words += [f"--minutes {args.minutes:g}"] if args.minutes else []
    return " ".join(words)


def _measure(args: argparse.Namespace, pythons: dict[str, str], cases: list[Case], threads: int) -> dict[str, Any]:
    pin = args.cpus if args.cpus and threads == 1 else ("0" if threads == 1 else None)
    plan = Plan(cases, pythons, args.rounds, args.seconds, threads, args.minutes, pin)
    with tempfile.TemporaryDirectory() as folder:
        warm_inductor(plan, str(Path(folder) / "inductor"))
        return {"machine": machine(), "results": run(plan)}
