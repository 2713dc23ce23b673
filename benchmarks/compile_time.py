"""How long does a gradient take to compile, in CPU seconds? Cold, and in a second process that finds it in the cache; beside JAX where it is.

    python benchmarks/compile_time.py [--cases mlp bert12] [--rounds 3] [--jax ~/jax/bin/python] [--growth 1 12 120]

Each measurement is a process of its own, pinned to one CPU, which compiles something trivial first, so that neither imports nor start-up count. rlxc: text is
parsed, differentiated and compiled ("whole"), of which "compile" is the call of `rlxc.compile`. JAX: `jit(value_and_grad(f)).lower(...).compile()`.
Processes of one case take turns; the table has the medians. `--growth` compiles encoders of so many layers, and measures memory too.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
JAX = Path("~/.cache/peerbench/venvs/jax/bin/python").expanduser()
TRIVIAL = "func @f(%x: f32[8]) -> f32[8] {\n  %y = exp %x\n  return %y\n}\n"


def measure_rlxc(case: str) -> dict[str, float]:
    """One compilation in this process; what is on disk is used if RLXC_CACHE says so."""
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    import numpy as np
    import programs

    import rlxc

    rlxc.compile(TRIVIAL)(np.zeros(8, np.float32))
    text = programs.bert(int(case[4:])) if case.startswith("bert") else programs.GRADIENTS[case]()
    memory = _peak()
    times = [time.process_time()]
    func = next(iter(rlxc.parse(text)))
    gradient = rlxc.value_and_grad(func, func.params)
    times.append(time.process_time())
    rlxc.compile(gradient)
    times.append(time.process_time())
    return {"whole": times[2] - times[0], "compile": times[2] - times[1], "memory": _peak() - memory, "ops": len(gradient.ops)}


def measure_jax(case: str) -> dict[str, float]:
    sys.path.insert(0, str(HERE))
    import jax
    import jax.numpy as jnp
    import programs_jax

    jax.jit(jnp.exp)(jnp.zeros(8)).block_until_ready()
    loss, shapes, wrt = programs_jax.bert(int(case[4:])) if case.startswith("bert") else programs_jax.GRADIENTS[case]()
    args = [jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes]
    memory = _peak()
    start = time.process_time()
    jax.jit(jax.value_and_grad(loss, tuple(wrt))).lower(*args).compile()
    return {"whole": time.process_time() - start, "memory": _peak() - memory}


def _peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_process(python: str, kind: str, case: str, folder: str) -> dict[str, float]:
    env = {**os.environ, "RLXC_CACHE": "1", "RLXC_CACHE_DIR": folder, "RLXC_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    pinned = ["taskset", "-c", str(max(os.sched_getaffinity(0)))] if os.path.exists("/usr/bin/taskset") else []
    done = subprocess.run([*pinned, python, __file__, "--measure", kind, case], capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        sys.exit(f"{kind} {case}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def rounds_of(case: str, rounds: int, jax: str | None) -> dict[str, list[dict[str, float]]]:
    """Cold, second and JAX, in turns."""
    found: dict[str, list[dict[str, float]]] = {"cold": [], "second": [], "jax": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            found["cold"].append(in_process(sys.executable, "rlxc", case, folder))
            found["second"].append(in_process(sys.executable, "rlxc", case, folder))
            if jax:
                found["jax"].append(in_process(jax, "jax", case, folder))
    return found


def _median(runs: list[dict[str, float]], what: str) -> float:
    return statistics.median(r[what] for r in runs)


def table(cases: list[str], rounds: int, jax: str | None) -> dict[str, float]:
    """Prints the table; returns the cold seconds of each case."""
    print("| case | ops | whole, cold | of which compile | second: compile | share | second: whole | share | JAX | JAX / rlxc |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    cold = {}
    for case in cases:
        found = rounds_of(case, rounds, jax)
        whole, compile, ops = (_median(found["cold"], what) for what in ("whole", "compile", "ops"))
        again, again_whole = (_median(found["second"], what) for what in ("compile", "whole"))
        cold[case] = whole
        peer = _median(found["jax"], "whole") if jax else math.nan
        cells = [f"{whole * 1e3:.0f} ms", f"{compile * 1e3:.0f} ms", f"{again * 1e3:.1f} ms", f"{again / compile:.1%}"]
        cells += [f"{again_whole * 1e3:.1f} ms", f"{again_whole / whole:.1%}", f"{peer * 1e3:.0f} ms", f"{peer / whole:.1f}"]
        print(f"| {case} | {ops:.0f} | {' | '.join(cells)} |", flush=True)
    return cold


def growth(layers: list[int], rounds: int) -> None:
    """CPU seconds and memory of encoders, and exponents from each size to the next."""
    print("\n| layers | ops | seconds | exponent | MiB | exponent |")
    print("|---:|---:|---:|---:|---:|---:|")
    before = None
    for n in layers:
        runs = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(in_process(sys.executable, "rlxc", f"bert{n}", folder))
        now = {what: _median(runs, what) for what in ("ops", "whole", "memory")}
        exponents = {what: "" for what in now}
        if before:
            size = math.log(now["ops"] / before["ops"])
            exponents = {what: f"{math.log(max(now[what], 1e-9) / max(before[what], 1e-9)) / size:.2f}" for what in now}
        print(f"| {n} | {now['ops']:.0f} | {now['whole']:.2f} | {exponents['whole']} | {now['memory']:.0f} | {exponents['memory']} |", flush=True)
        before = now


def main() -> None:
    names = ["mlp", "ffn", "bert1", "bert12", "conv", "block", "chain", "softmax", "layernorm"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=names)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jax", default=str(JAX) if JAX.exists() else None, help="a Python that has jax")
    parser.add_argument("--growth", type=int, nargs="*", default=[1, 12, 120], help="numbers of layers")
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "CASE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        kind, case = args.measure
        print(json.dumps({"rlxc": measure_rlxc, "jax": measure_jax}[kind](case)))
        return
    cold = table(args.cases, args.rounds, args.jax)
    if {"bert1", "bert12"} <= cold.keys():
        print(f"\n12 layers / 1 layer: {cold['bert12'] / cold['bert1']:.2f}")
    if args.growth:
        growth(args.growth, args.rounds)


if __name__ == "__main__":
    main()
