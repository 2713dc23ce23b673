"""One peer on one case, in a process of its own: `python -m benchmarks.worker PEER CASE SECONDS THREADS` prints one line of JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

from benchmarks.cases import CASES
from benchmarks.peers import PEERS
from benchmarks.peers.base import Peer, Unsupported, flatten
from benchmarks.timing import cpu_seconds, fingerprint, measure, peak_bytes, reset_peak, resident_bytes


def main(peer: str, name: str, seconds: float, threads: int) -> dict[str, Any]:
    """Everything that is measured, as data."""
    case = CASES[name]
    result: dict[str, Any] = {"peer": peer, "case": name, "threads": threads}
    try:
        start = cpu_seconds()
        runner: Peer = import_module(f"benchmarks.peers.{PEERS[peer].module}").peer(threads)
        runner.start()
        result |= {"start": cpu_seconds() - start, "version": runner.version()}
        arrays = case.arrays()
        args = runner.prepare(case, arrays)
        before = resident_bytes()
        cpu, wall = cpu_seconds(), time.perf_counter()
        run = runner.build(case, list(arrays), args)
        got = run()
        result |= {"cold": cpu_seconds() - cpu, "cold wall": time.perf_counter() - wall}
        trains = case.mode in ("sgd", "adam")
        result["answer"] = _print(runner, got)
        for i in range(max(runner.tracing_calls - 1, trains)):
            cpu = cpu_seconds()
            got = run()
            if i + 1 < runner.tracing_calls:
                result["cold"] += cpu_seconds() - cpu
            if trains and i == 0:  # the loss before a step, and after
                result["answer"] += _print(runner, got)
        del got
        reset_peak()
        result["time"] = measure(run, seconds, threads)
        result["memory"] = max(peak_bytes() - before, 0)
    except Unsupported as why:
        result["skipped"] = str(why)
    except (Exception, SystemExit) as error:
        result["error"] = f"{type(error).__name__}: {error}"[:400]
    return result


def _print(runner: Peer, results: Any) -> list[dict[str, Any]]:
    return fingerprint([runner.numpy(r) for r in flatten(results)])


if __name__ == "__main__":
    out = os.dup(1)  # what peers print must not get in between
    os.dup2(2, 1)
    line = json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
    os.write(out, (line + "\n").encode())
    os.close(out)
    os._exit(0)  # threads of some peers take their time
