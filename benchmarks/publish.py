"""docs/performance.md, from measurements made now: every part is run, stored, and put into one page."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import gemm_libraries, report
from benchmarks.cases import CASES, Case
from benchmarks.peers import environment, library_python
from benchmarks.runner import Plan, machine, run, second_processes, warm_inductor

DOCS = Path(__file__).resolve().parents[1] / "docs"
SLOW = ("bert12_b8", "scalar1k")  # left out of a quick run
CACHED = ("ffn_real.grad", "mlp.adam", "bert1_b1.grad", "bert12_b1.grad", "block_b8.grad", "chain_mix_1e5.grad")
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
SECOND = """### a second process

CPU seconds of rlxc from the function to its first results, without one computation of them: in a process that compiles it, and in the next
one, which finds the machine code in the cache.
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
    main = stored(keep, "one_thread", lambda: _measure(args, pythons, cases, 1, keep and keep / "one_thread.jsonl"))
    results = main["results"]
    two = {}
    if (main["machine"]["cores"] or 1) > 1:
        chosen = [c for c in cases if c.name.startswith(THREADED)]
        two = stored(keep, "two_threads", lambda: _measure(args, {"rlxc": pythons["rlxc"]}, chosen, 2))
    again = stored(keep, "second_process", lambda: {"rows": _second_processes(args, pythons)})
    gemm = stored(keep, "gemm", lambda: _libraries(args))
    page = page_text(main, two.get("results", []), gemm, again["rows"], command_of(args))
    folder = Path(args.docs)
    (folder / "performance.md").write_text(page)
    (folder / "performance.svg").write_text(
        report.plot(report.ratios(report.cells(results), excluded=report.wrong_answers(results)), "best peer's time / rlxc's")
    )
    print(folder / "performance.md", file=sys.stderr)
    return 0


def page_text(main: dict[str, Any], two: list[dict[str, Any]], gemm: dict[str, Any], again: list[dict[str, Any]], command: str) -> str:
    """The page."""
    results, facts = main["results"], main["machine"]
    versions = ", ".join(dict.fromkeys(r["version"] for r in results if "version" in r))
    rounds = max((r.get("round", 0) for r in results), default=0) + 1
    said = "in one round" if rounds == 1 else f"in {rounds} rounds"
    parts = [INTRODUCTION.format(**facts, versions=versions, rounds=said, command=command), "## Time\n", report.table_text(results), COLD]
    gradients = [r for r in results if CASES[r["case"]].mode != "fwd"]
    parts += [
        report.table_text(gradients, "cold"),
        *([SECOND, again_text(again)] if again else []),
        MEMORY,
        report.table_text(gradients, "memory", ["bert", "conv", "attention"]),
    ]
    gains = report.speedups([*(r for r in results if r["peer"] == "rlxc"), *two])
    if gains:
        parts += [THREADS, gains]
    if gemm.get("rows"):
        parts += [GEMM, gemm_libraries.table_text(gemm)]
    return "\n\n".join(p.strip() for p in parts if p.strip()) + "\n"


def again_text(rows: list[dict[str, Any]]) -> str:
    table = [["case", "first process", "second process", "share"]]
    for r in rows:
        table.append([f"`{r['case']}`", report.seconds_text(r["first"]), report.seconds_text(r["second"]), f"{r['second'] / r['first']:.1%}"])
    return report.markdown(table)


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


def _second_processes(args: argparse.Namespace, pythons: dict[str, str]) -> list[dict[str, Any]]:
    cases = [CASES[name] for name in CACHED if not (args.quick and name.startswith(SLOW))]
    return second_processes(Plan(cases, pythons, seconds=0.01, pin=args.cpus or "0"))


def _libraries(args: argparse.Namespace) -> dict[str, Any]:
    """The comparison with libraries, in a process of the Python that has them."""
    command = [library_python(args.venvs), "-m", "benchmarks.gemm_libraries", "--json", "--seconds", "0.15" if args.quick else "0.5"]
    if shutil.which("taskset"):
        command = ["taskset", "-c", args.cpus or "0", *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment("rlxc", 1), check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {"rows": []}


def _measure(args: argparse.Namespace, pythons: dict[str, str], cases: list[Case], threads: int, log: Path | None = None) -> dict[str, Any]:
    pin = args.cpus if args.cpus and threads == 1 else ("0" if threads == 1 else None)
    plan = Plan(cases, pythons, args.rounds, args.seconds, threads, args.minutes, pin, log=log)
    with tempfile.TemporaryDirectory() as folder:
        warm_inductor(plan, str(Path(folder) / "inductor"))
        return {"machine": machine(), "results": run(plan)}
