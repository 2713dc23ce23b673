"""Peers and cases in turn: each pair in a process of its own, all peers of a case one after another, and everything again in the next round."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.peers import INDUCTOR, environment

TIMEOUT = 300.0  # seconds for one process


@dataclass
class Plan:
    """What to run. `minutes` ends a run between two cases; what has been measured by then counts."""

    cases: Sequence[Case]
    pythons: dict[str, str]  # peer -> interpreter
    rounds: int = 3
    seconds: float = 0.6
    threads: int = 1
    minutes: float | None = None
    pin: str | None = None  # processors, as taskset takes them
    inductor: str | None = None
    log: Path | None = None  # results are appended there as they come, and those that are there are not measured again
    hopeless: set[tuple[str, str]] = field(default_factory=set)

    def pairs(self) -> Iterator[tuple[int, Case, str]]:
        """(round, case, peer); every second round goes through the peers backwards."""
        for n in range(self.rounds):
            peers = list(self.pythons)
            for c in self.cases:
                for peer in reversed(peers) if n % 2 else peers:
                    yield n, c, peer


def run(plan: Plan) -> list[dict[str, Any]]:
    """All results; says on stderr what it is doing."""
    results = _logged(plan.log)
    done = {(r["round"], r["case"], r["peer"]) for r in results}
    plan.hopeless |= {(r["peer"], r["case"]) for r in results if "time" not in r}
    end = time.time() + 60 * plan.minutes if plan.minutes else None
    began = None
    for n, case, peer in plan.pairs():
        if end and time.time() > end and (n, case.name) != began:
            print(f"the time is over in round {n + 1} of {plan.rounds}, at {case.name}", file=sys.stderr)
            break
        began = (n, case.name)
        if (peer, case.name) in plan.hopeless or (n, case.name, peer) in done:
            continue
        result = run_one(plan, peer, case) | {"round": n}
        if "time" not in result:
            plan.hopeless.add((peer, case.name))
        print(f"{case.name:22} {peer:14} {_said(result)}", file=sys.stderr, flush=True)
        results.append(result)
        if plan.log:
            with plan.log.open("a") as file:
                file.write(json.dumps(result) + "\n")
    return results


def _logged(path: Path | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


def run_one(plan: Plan, peer: str, case: Case, extra: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One process, with `extra` in its environment."""
    command = [plan.pythons[peer], "-m", "benchmarks.worker", peer, case.name, str(plan.seconds), str(plan.threads)]
    if plan.pin and shutil.which("taskset"):
        command = ["taskset", "-c", plan.pin, *command]
    env = environment(peer, plan.threads) | dict(extra or {})
    what = {"peer": peer, "case": case.name, "threads": plan.threads}
    with tempfile.TemporaryDirectory() as folder:
        if INDUCTOR not in os.environ:
            env[INDUCTOR] = str(Path(folder) / "inductor")
            if plan.inductor:
                shutil.copytree(plan.inductor, env[INDUCTOR])
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=env, cwd=folder)
        except subprocess.TimeoutExpired:
            return what | {"error": f"took more than {TIMEOUT:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return what | {"error": f"ended with {done.returncode}: {done.stderr.strip()[-300:]}"}
    return json.loads(lines[-1])


def second_processes(plan: Plan) -> list[dict[str, Any]]:
    """For each case the time of rlxc from the function to its first results, but for the computation itself: in a process that fills a
    cache, and in a second one, which finds it filled."""
    found = []
    for case in plan.cases:
        with tempfile.TemporaryDirectory() as folder:
            cached = {"RLXC_CACHE": "1", "RLXC_CACHE_DIR": folder}
            first, second = (run_one(plan, "rlxc", case, cached) for _ in range(2))
        if "time" in first and "time" in second:
            cold, warm = (max(r["cold"] - r["time"]["median"], 0.0) for r in (first, second))
            print(f"{case.name:22} {cold:.3f} s, then {warm:.3f} s", file=sys.stderr, flush=True)
            found.append({"case": case.name, "first": cold, "second": warm})
    return found


def warm_inductor(plan: Plan, folder: str) -> None:
    """Let torch.compile find out once what the compiler and the processor can do; each process then begins with a copy of that."""
    if "torch_compile" not in plan.pythons:
        return
    env = environment("torch_compile", plan.threads) | {INDUCTOR: folder}
    program = "import torch; torch.compile(lambda x: (x + 1).sum())(torch.zeros(64))"
    subprocess.run([plan.pythons["torch_compile"], "-c", program], env=env, capture_output=True, check=False)
    if Path(folder).is_dir():
        plan.inductor = folder


def machine() -> dict[str, Any]:
    """What the numbers belong to."""
    facts: dict[str, Any] = {"system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(), "date": time.strftime("%Y-%m-%d")}
    try:
        text = Path("/proc/cpuinfo").read_text()
        facts["processor"] = next(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        facts["processor"] = platform.processor()
    facts["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return facts


def _said(result: dict[str, Any]) -> str:
    if "time" not in result:
        return result.get("skipped") or result.get("error", "")
    mark = " (busy)" if result["time"]["disturbed"] else ""
    return f"{result['time']['median'] * 1e6:12.2f} us{mark}   cold {result['cold']:.3f} s   {result['memory'] / 2**20:.0f} MiB"
