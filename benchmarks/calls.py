"""What a call costs: x y + z on three arrays of four numbers, where there is nothing to compute.

    python -m benchmarks.calls                      rlxc and NumPy, and JAX and PyTorch if this Python has them
    python -m benchmarks.calls --venvs FOLDER       peers run by FOLDER/jax/bin/python and FOLDER/torch/bin/python ($RLXC_BENCH_VENVS)

Each of them runs in a process of its own; they take turns, and of each way to call the median over the turns is printed, with the
quartiles. The time of an empty loop is taken off.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import IO

CALLS = 2000  # of a slice

PEERS = {
    "rlxc": """
import rlxc
f = rlxc.compile("func @f(%x: f32[4], %y: f32[4], %z: f32[4]) -> f32[4] { %a = mul %x, %y %b = add %a, %z return %b }")
program = rlxc.Session().compile(f.func)
program.set_param("y", y)
program.set_param("z", z)
inputs = {"x": x}
ways = {
    "rlxc f(x, y, z)": "f(x, y, z)",
    "rlxc f(x, y, z, out=o)": "f(x, y, z, out=o)",
    "rlxc f(x=x, y=y, z=z)": "f(x=x, y=y, z=z)",
    "rlxc program.run({'x': x})": "program.run(inputs)",
}
""",
    "numpy": """
ways = {
    "numpy add(x, y)": "np.add(x, y)",
    "numpy add(x, y, out=o)": "np.add(x, y, out=o)",
}
""",
    "jax": """
import jax
f = jax.jit(lambda x, y, z: x * y + z)
a, b, c = map(jax.device_put, (x, y, z))
ways = {
    "jax f(x, y, z), arrays of jax, no waiting": "f(a, b, c)",
    "jax f(x, y, z), arrays of jax": "f(a, b, c).block_until_ready()",
    "jax f(x, y, z), arrays of NumPy": "f(x, y, z).block_until_ready()",
}
""",
    "torch": """
import torch
torch.set_num_threads(1)
a, b, c, d = map(torch.from_numpy, (x, y, z, o))
ways = {
    "torch addcmul(z, x, y)": "torch.addcmul(c, a, b)",
    "torch addcmul(z, x, y, out=o)": "torch.addcmul(c, a, b, out=d)",
    "torch x * y + z": "a * b + c",
}
""",
}

BEFORE = """
import json, sys, time
import numpy as np
x, y, z, o = (np.array([1, 2, 3, 4], np.float32) for _ in range(4))
"""
AFTER = """
def loop(call):
    space = dict(globals())
    exec("def run(n):\\n    for _ in n:\\n        " + call, space)
    return space["run"]
def seconds(run, n):
    start = time.perf_counter()
    run(range(n))
    return time.perf_counter() - start
loops, nothing = {name: loop(call) for name, call in ways.items()}, loop("pass")
for line in sys.stdin:
    n = int(line)
    empty = min(seconds(nothing, n) for _ in range(3))
    print(json.dumps({name: (seconds(run, n) - empty) / n for name, run in loops.items()}), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venvs", default=os.environ.get("RLXC_BENCH_VENVS"), metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    workers = {peer: worker(peer, args.venvs) for peer in PEERS}
    times = measure({peer: w for peer, w in workers.items() if w is not None}, args.rounds)
    ours = times["rlxc f(x, y, z)"]
    print(f"{'ns':>8}  {'quartiles':>17}  rlxc is faster by")
    for name, samples in times.items():
        low, middle, high = statistics.quantiles(samples, n=4)
        ratio = statistics.median(b / a for a, b in zip(ours, samples, strict=True))
        print(f"{middle * 1e9:8.0f}  {low * 1e9:8.0f} {high * 1e9:8.0f}  {ratio:6.1f}  {name}")


def worker(peer: str, venvs: str | None) -> subprocess.Popen[str] | None:
    """A process that times the ways to call one peer whenever it is told to; None if there is no such peer."""
    python = Path(venvs or ".", peer, "bin", "python")
    interpreter = str(python) if venvs and python.exists() else sys.executable
    if subprocess.run([interpreter, "-c", f"import {peer}"], capture_output=True, check=False).returncode:
        print(f"{peer} is left out: {interpreter} does not have it", file=sys.stderr)
        return None
    code = BEFORE + PEERS[peer] + AFTER
    return subprocess.Popen([interpreter, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measure(workers: dict[str, subprocess.Popen[str]], rounds: int) -> dict[str, list[float]]:
    """Seconds per call of every way to call, one for each round; the first round warms up."""
    times: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for process in workers.values():
            for name, seconds in ask(process.stdin, process.stdout).items():
                if turn:
                    times.setdefault(name, []).append(seconds)
    for process in workers.values():
        process.communicate()
    return times


def ask(to: IO[str] | None, answer: IO[str] | None) -> dict[str, float]:
    assert to is not None
    assert answer is not None
    to.write(f"{CALLS}\n")
    to.flush()
    line = answer.readline()
    if not line:
        raise SystemExit("a peer ended early; what it said stands above")
    times: dict[str, float] = json.loads(line)
    return times


if __name__ == "__main__":
    main()
