"""Peers that take turns, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

Process = subprocess.Popen[str]
Samples = dict[str, list[float]]


def add_venvs(parser: ArgumentParser) -> None:
    parser.add_argument("--venvs", default=os.environ.get("RLXC_BENCH_VENVS"), metavar="FOLDER")


def start(peers: dict[str, str], venvs: str | None) -> dict[str, Process]:
    """A process for each peer that this machine has: it runs the peer's code, which answers each line that it reads with seconds by name, as JSON.

    A peer's Python is `venvs`/NAME/bin/python, or else this one.
    """
    processes = {}
    for peer, code in peers.items():
        python = Path(venvs or ".", peer, "bin", "python")
        interpreter = str(python) if venvs and python.exists() else sys.executable
        if subprocess.run([interpreter, "-c", f"import {peer}"], capture_output=True, check=False).returncode:
            print(f"{peer} is left out: {interpreter} does not have it", file=sys.stderr)
        else:
            processes[peer] = subprocess.Popen([interpreter, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return processes


def measure(processes: dict[str, Process], rounds: int, line: str = "") -> dict[str, Samples]:
    """What each peer answers to `line`, by peer and name, one number for each round; the first round warms up. It ends the processes."""
    times: dict[str, Samples] = {peer: {} for peer in processes}
    for turn in range(rounds + 1):
        for peer, process in processes.items():
            for name, seconds in _ask(process, line).items():
                if turn:
                    times[peer].setdefault(name, []).append(seconds)
    for process in processes.values():
        process.communicate()
    return times


def _ask(process: Process, line: str) -> dict[str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit("a peer ended early; what it said stands above")
    times: dict[str, float] = json.loads(answer)
    return times
