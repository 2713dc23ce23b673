"""How does the time of each stage grow with the size of the program? Prints seconds and exponents; all should be below 1.15.

    python benchmarks/growth.py [--sizes 1000 5000 10000 50000] [--native 200 800]

Three programs: a chain of sines, a wide program (many arguments, values used far away, many results, constants), and a mixed one
(broadcasts, reductions, contractions, calls). With `--native`, lowering and compilation too, up to those sizes.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from collections.abc import Callable

import rlxc
import rlxc.passes
from rlxc.ir.verify import verify
from rlxc.passes.pipelines import make_pipeline

LIMIT = 1.15


def chain(n: int) -> str:
    """Each op uses the one before."""
    lines = [f"  %v{i} = sin {f'%v{i - 1}' if i else '%x'}" for i in range(n)]
    return "func @f(%x: f32[8]) -> f32[8] {\n" + "\n".join(lines) + f"\n  return %v{n - 1}\n}}\n"


def wide(n: int) -> str:
    """Arguments, constants and results by the hundred; every value has several users, near and far."""
    width = max(4, n // 50)
    args = ", ".join(f"%x{i}: f32[8]" for i in range(width))
    lines = []
    for i in range(n - width):
        a, b = f"%x{i * 7 % width}", f"%v{i * 3 // 4}" if i else "%x0"
        match i % 5:
            case 0:
                lines.append(f"  %v{i} = constant dense<{i}.5> : f32[8]")
            case 1:
                lines.append(f"  %v{i} = mul {a}, {b}")
            case 2:
                lines.append(f"  %v{i} = add {b}, %v{i - 1}")
            case 3:
                lines.append(f"  %v{i} = tanh %v{i - 1}")
            case _:
                lines.append(f"  %v{i} = mul %v{i - 1}, {a}")
    last = [f"%v{n - width - 1 - i}" for i in range(width)]
    sums = []
    for i, v in enumerate(last):
        sums.append(f"  %s{i} = add {v}, {f'%s{i - 1}' if i else v}")
    return f"func @f({args}) -> f32[8] {{\n" + "\n".join(lines + sums) + f"\n  return %s{width - 1}\n}}\n"


def mixed(n: int) -> str:
    """Layers: a contraction, a broadcast bias, an activation, a normalization."""
    lines, x = [], "%x"
    for i in range(n // 5):
        lines += [
            f"  %h{i} = matmul {x}, %w",
            f"  %a{i} = add %h{i}, %b",
            f"  %t{i} = tanh %a{i}",
            f"  %m{i} = reduce_sum %t{i} {{axes = [0]}}",
            f"  %y{i} = sub %t{i}, %m{i}",
        ]
        x = f"%y{i}"
    return "func @f(%x: f32[4, 4], %w: f32[4, 4], %b: f32[4]) -> f32[4, 4] {\n" + "\n".join(lines) + f"\n  return {x}\n}}\n"


PROGRAMS = {"chain": chain, "wide": wide, "mixed": mixed}


def stages(text: str) -> dict[str, float]:
    """Seconds that each stage takes on the program."""
    seconds: dict[str, float] = {}

    def timed(name: str, run: Callable):
        gc.collect()
        gc.disable()
        start = time.perf_counter()
        result = run()
        seconds[name] = time.perf_counter() - start
        gc.enable()
        return result

    module = timed("parse", lambda: rlxc.parse(text))
    timed("verify", lambda: verify(module))
    timed("print", lambda: str(module))
    for name in ("inline", "cse", "dce", "simplify"):
        timed(name, lambda name=name: make_pipeline(name).run(module))
    legal = timed("legalize", lambda: make_pipeline("legalize").run(module))
    halves = timed("linearize", lambda: make_pipeline("linearize").run(legal))
    timed("verify-linearity", lambda: make_pipeline("verify-linearity").run(halves))
    timed("transpose", lambda: make_pipeline("transpose").run(halves))
    joint = timed("grad_with_loss", lambda: make_pipeline("grad_with_loss").run(legal))
    timed("jvp", lambda: make_pipeline("jvp").run(legal))
    tidy = timed("tidy the gradient", lambda: make_pipeline("simplify,cse,dce").run(joint))
    timed("fuse the gradient", lambda: make_pipeline("fuse").run(tidy))
    timed("parse the gradient", lambda: rlxc.parse(str(joint)))
    return seconds


def native_stages(text: str) -> dict[str, float]:
    """Seconds of lowering and compilation."""
    from rlxc.runtime.compile import native

    func = rlxc.grad_with_loss(rlxc.parse(text)["f"])
    start = time.perf_counter()
    compiled = native(func)
    _ = compiled.kernels
    lowered = time.perf_counter()
    _ = compiled.emitted
    emitted = time.perf_counter()
    compiled.executable()
    return {"lower": lowered - start, "emit": emitted - lowered, "LLVM": time.perf_counter() - emitted}


def table(program: str, sizes: list[int], measure: Callable[[str], dict[str, float]], repeat: int = 2) -> list[str]:
    """Prints a table; returns the stages that grow too fast, from the first to the last size."""
    rows: dict[str, list[float]] = {}
    for n in sizes:
        text = PROGRAMS[program](n)
        best: dict[str, float] = {}
        for _ in range(repeat):
            for name, seconds in measure(text).items():
                best[name] = min(best.get(name, math.inf), seconds)
        for name, seconds in best.items():
            rows.setdefault(name, []).append(seconds)
    print(f"\n{program:20}" + "".join(f"{n:>10,}" for n in sizes) + "   exponent")
    slow = []
    for name, row in rows.items():
        exponent = math.log(row[-1] / row[0]) / math.log(sizes[-1] / sizes[0])
        mark = "  <-- too fast a growth" if exponent >= LIMIT else ""
        print(f"{name:20}" + "".join(f"{s:10.4f}" for s in row) + f"   {exponent:8.2f}{mark}")
        if mark:
            slow.append(f"{program}: {name}")
    return slow


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 5_000, 10_000, 50_000])
    parser.add_argument("--native", type=int, nargs="*", default=None, help="sizes to compile")
    parser.add_argument("--programs", nargs="+", default=list(PROGRAMS), choices=PROGRAMS)
    args = parser.parse_args()
    slow = []
    for program in args.programs:
        slow += table(program, args.sizes, stages)
        if args.native:
            slow += table(program, args.native, native_stages, repeat=1)
    print("\neverything grows linearly" if not slow else f"\ntoo fast a growth: {', '.join(slow)}")
    return bool(slow)


if __name__ == "__main__":
    sys.exit(main())
