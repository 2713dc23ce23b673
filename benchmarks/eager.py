"""What an operation of the eager tape costs, forward and backward, on arrays so small that there is nothing to compute.

    python -m benchmarks.eager                      rlxc, and PyTorch and autograd if this Python has them
    python -m benchmarks.eager --venvs FOLDER       peers run by FOLDER/torch/bin/python and FOLDER/autograd/bin/python ($RLXC_BENCH_VENVS)

Each of them runs in a process of its own; they take turns, and of each case the median over the turns is printed, in nanoseconds an operation. A chain is
100 operations, or nearly, and one backward pass; a square is one of each, so that what a backward pass costs by itself is in it too.
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks import turns

CHAIN = 100
REPEATS = {"square": 200, "forward": 10, "chain": 10, "two leaves": 10, "fan-out": 10, "numbers": 10, "elements": 10, "sums": 10, "layers": 10}

PEERS = {
    "rlxc": """
from rlxc import eager
def leaf(a): return eager.tensor(a, requires_grad=True)
one, backward = eager.tensor(np.ones(4)), lambda y: y.backward(one)
tanh = np.tanh
""",
    "torch": """
import torch
torch.set_num_threads(1)
def leaf(a): return torch.tensor(a, requires_grad=True)
one = torch.ones(4, dtype=torch.float64)
def backward(y): y.backward(one)
tanh = torch.tanh
""",
    "autograd": """
import autograd.core, autograd.extend
from autograd.numpy import tanh
from autograd.core import VJPNode, backward_pass
from autograd.tracer import new_box, trace_stack
node = VJPNode.new_root()
trace_stack.new_trace().__enter__()
def leaf(a): return new_box(a, 0, VJPNode.new_root())
one = np.ones(4)
def backward(y): backward_pass(one, y._node)
""",
}

CASES = """
x, z, w = leaf(np.ones(4)), leaf(np.ones(4)), leaf(np.eye(4))
def square():
    backward(x * x)
def forward():
    y = x
    for _ in range(CHAIN): y = y * y
def chain():
    y = x
    for _ in range(CHAIN): y = y * y
    backward(y)
def two_leaves():
    y = x
    for _ in range(CHAIN // 2): y = y * z + x
    backward(y)
def fan_out():
    y = x * x
    for _ in range(CHAIN // 2): y = y + x * z
    backward(y)
def numbers():
    y = x
    for _ in range(CHAIN // 2): y = 1.0 - 0.5 * y
    backward(y)
def elements():
    y = x
    for _ in range(CHAIN // 2): y = z * y[1]
    backward(y)
def sums():
    y = x
    for _ in range(CHAIN // 2): y = z * y.sum()
    backward(y)
def layers():
    y = x
    for _ in range(CHAIN // 3): y = tanh(y @ w + z)
    backward(y)
cases = {"numbers": (numbers, CHAIN), "elements": (elements, CHAIN), "sums": (sums, CHAIN), "layers": (layers, CHAIN)}
cases |= {"square": (square, 1), "forward": (forward, CHAIN), "chain": (chain, CHAIN), "two leaves": (two_leaves, CHAIN), "fan-out": (fan_out, CHAIN)}
for line in sys.stdin:
    times = {}
    for name, (run, ops) in cases.items():
        start = time.perf_counter()
        for _ in range(REPEATS[name]): run()
        times[name] = (time.perf_counter() - start) / REPEATS[name] / ops
    print(json.dumps(times), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    turns.add_venvs(parser)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    before = f"import json, sys, time\nimport numpy as np\nCHAIN, REPEATS = {CHAIN}, {REPEATS}\n"
    processes = turns.start({peer: before + code + CASES for peer, code in PEERS.items()}, args.venvs)
    times = turns.measure(processes, args.rounds)
    print(f"{'ns an operation':16}" + "".join(f"{peer:>12}" for peer in times))
    for name in REPEATS:
        print(f"{name:16}" + "".join(f"{statistics.median(samples[name]) * 1e9:12.0f}" for samples in times.values()))
    for peer in times:
        if peer != "rlxc":
            ratios = [f"{statistics.median(b / a for a, b in zip(times['rlxc'][n], times[peer][n], strict=True)):.1f} ({n})" for n in REPEATS]
            print(f"rlxc is faster than {peer} by {', '.join(ratios)}")


if __name__ == "__main__":
    main()
