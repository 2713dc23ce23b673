"""What a call costs: x y + z on three arrays of four numbers, where there is nothing to compute.

    python -m benchmarks.calls                      rlxc and NumPy, and JAX and PyTorch if this Python has them
    python -m benchmarks.calls --venvs FOLDER       peers run by FOLDER/jax/bin/python and FOLDER/torch/bin/python ($RLXC_BENCH_VENVS)

Each of them runs in a process of its own; they take turns, and of each way to call the median over the turns is printed, with the
quartiles. The time of an empty loop is taken off.
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks import turns

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
    turns.add_venvs(parser)
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    processes = turns.start({peer: BEFORE + code + AFTER for peer, code in PEERS.items()}, args.venvs)
    by_peer = turns.measure(processes, args.rounds, str(CALLS))
    times = {name: samples for ways in by_peer.values() for name, samples in ways.items()}
    ours = times["rlxc f(x, y, z)"]
    print(f"{'ns':>8}  {'quartiles':>17}  rlxc is faster by")
    for name, samples in times.items():
        low, middle, high = statistics.quantiles(samples, n=4)
        ratio = statistics.median(b / a for a, b in zip(ours, samples, strict=True))
        print(f"{middle * 1e9:8.0f}  {low * 1e9:8.0f} {high * 1e9:8.0f}  {ratio:6.1f}  {name}")


if __name__ == "__main__":
    main()
