"""rlxc's matrix products against MKL, oneDNN and OpenBLAS, called through C pointers, in turn, in one process.

    python -m benchmarks.gemm_libraries [--seconds 0.5] [--cpu avx2] [--mkl libmkl_rt.so] [--onednn libdnnl.so] [--openblas libopenblas.so]

Libraries are looked for in this Python's environment (`pip install mkl onednn`; NumPy's OpenBLAS); one that is not there is left out. Calls are
repeated by a loop in machine code, so that nothing of Python is timed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import rlxc
from benchmarks.report import geometric_mean, markdown
from benchmarks.timing import UNDISTURBED
from rlxc.runtime import jit
from rlxc.runtime.compile import native
from rlxc.runtime.cpu import target_cpu
from rlxc.runtime.roofline import peak_flops

SAMPLE = 2e-4  # seconds


class Shape(NamedTuple):
    """C[m, n] = op(A) op(B), k being summed over; `kind` says which of them is transposed: nn, nt or tn."""

    kind: str
    m: int
    n: int
    k: int

    def __str__(self) -> str:
        product = {"nn": "A B", "nt": "A B^T", "tn": "A^T B"}[self.kind]
        return f"{product} {self.m}x{self.n}x{self.k}"


SHAPES = (
    *(Shape("nn", n, n, n) for n in (32, 64, 128, 256, 512, 1024, 2048)),
    *(Shape("nn", m, n, k) for m, n, k in ((128, 768, 768), (128, 3072, 768), (128, 768, 3072), (512, 768, 768), (512, 3072, 768))),
    *(Shape("nn", m, n, k) for m, n, k in ((8, 768, 768), (8, 3072, 768))),
    *(Shape("nt", m, n, k) for m, n, k in ((128, 768, 768), (128, 3072, 768), (128, 768, 3072))),
    *(Shape("tn", m, n, k) for m, n, k in ((768, 768, 128), (768, 3072, 128), (3072, 768, 128), (768, 3072, 512))),
    Shape("nt", 128, 128, 64),
    Shape("nn", 128, 64, 128),
    Shape("tn", 128, 64, 128),
    Shape("nt", 512, 512, 512),
    Shape("tn", 512, 512, 512),
)


@dataclass
class Library:
    """`call(shape, a, b, c)` is the text of one call in LLVM IR, given the addresses of the arrays."""

    name: str
    call: Callable[[Shape, int, int, int], str]


def compare(shapes: Sequence[Shape] = (), seconds: float = 0.5, cpu: str = "host", paths: dict[str, str] | None = None) -> dict[str, Any]:
    """Medians of seconds per call for each shape and library, ratios, and the share of the peak."""
    libraries = find_libraries(paths or {})
    rows = []
    for shape in shapes or SHAPES:
        rows.append(measure(shape, libraries, seconds, cpu))
        print(_line(rows[-1]), file=sys.stderr, flush=True)
    return {"libraries": [x.name for x in libraries], "rows": rows}


def measure(shape: Shape, libraries: Sequence[Library], seconds: float, cpu: str) -> dict[str, Any]:
    """All libraries on one shape, one sample of each in turn."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((shape.k, shape.m) if shape.kind == "tn" else (shape.m, shape.k), dtype=np.float32)
    b = rng.standard_normal((shape.n, shape.k) if shape.kind == "nt" else (shape.k, shape.n), dtype=np.float32)
    exact = (a.T if shape.kind == "tn" else a).astype(np.float64) @ (b.T if shape.kind == "nt" else b)
    kept: list[Any] = []
    ours = Library("rlxc", lambda shape, a, b, c: _our_call(shape, a, b, c, cpu, kept))
    runs, results = {}, {}
    for library in (ours, *libraries):
        results[library.name] = c = np.zeros((shape.m, shape.n), np.float32)
        runs[library.name] = _repeated(library.call(shape, *(x.__array_interface__["data"][0] for x in (a, b, c))), kept)
        runs[library.name](1)
    for name, c in results.items():
        wrong = np.abs(c - exact).max() / np.abs(exact).max()
        if wrong > 1e-4:
            raise SystemExit(f"{name} computes {shape} wrong: by {wrong:.2g} of the largest element")
    counts = {name: max(1, int(SAMPLE / _seconds(run, 1))) for name, run in runs.items()}
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    peaks = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(peaks) < 5:
        for name, run in runs.items():
            samples[name].append(_sample(run, counts[name]))
        if len(peaks) < 5 or len(samples["rlxc"]) % 16 == 0:
            peaks.append(peak_flops(target_cpu(cpu), steps=5_000))
    flops = 2.0 * shape.m * shape.n * shape.k
    peak = statistics.median(peaks)
    busy = any(sum(s.is_clean for s in of_one) < 3 for of_one in samples.values())
    medians = {name: statistics.median(s.cpu if busy else s.wall for s in of_one if busy or s.is_clean) for name, of_one in samples.items()}
    ratios = {name: seconds / medians["rlxc"] for name, seconds in medians.items() if name != "rlxc"}
    rates = {name: flops / s / 1e9 for name, s in medians.items()}
    return {"shape": str(shape), "flops": flops, "gflops": rates, "peak": peak / 1e9, "share": flops / medians["rlxc"] / peak, "ratios": ratios}


def _our_call(shape: Shape, a: int, b: int, c: int, cpu: str, kept: list[Any]) -> str:
    x, y = ("km" if shape.kind == "tn" else "mk"), ("nk" if shape.kind == "nt" else "kn")
    sizes = shape._asdict()
    types = ["f32[" + ", ".join(str(sizes[letter]) for letter in letters) + "]" for letters in (x, y, "mn")]
    func = rlxc.parse(f'func @gemm(%a: {types[0]}, %b: {types[1]}) -> {types[2]} {{ %c = contract %a, %b {{spec = "{x},{y}->mn"}} return %c }}').funcs[0]
    made = native(func, cpu=cpu).binary
    loaded = jit.load(made.code, [made.entry])
    space = np.zeros(made.workspace + 64, np.uint8)
    addresses = np.array([a, b, c], np.uint64)
    kept += [loaded, space, addresses]
    start = space.__array_interface__["data"][0]
    table = addresses.__array_interface__["data"][0]
    return f"call void {_pointer(loaded.address(made.entry))}({_ptr(table)}, {_ptr(start + -start % 64)}, ptr null)"


def _repeated(call: str, kept: list[Any]) -> Callable[[int], Any]:
    """A function that makes a call some times, in machine code."""
    text = f"""define void @"rlxc.repeat"(i64 %times) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  {call}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %times
  br i1 %more, label %loop, label %after
after:
  ret void
}}
"""
    loaded = jit.load(jit.object_code(text, target_cpu("host")), ["rlxc.repeat"])
    kept.append(loaded)
    return ctypes.CFUNCTYPE(None, ctypes.c_int64)(loaded.address("rlxc.repeat"))


def _seconds(run: Callable[[int], Any], times: int) -> float:
    start = time.perf_counter()
    run(times)
    return max(time.perf_counter() - start, 1e-9) / times


class Sample(NamedTuple):
    """Seconds per call on the clock, and seconds for which this process had the processor: where that is busy, the latter count."""

    wall: float
    cpu: float

    @property
    def is_clean(self) -> bool:
        return self.cpu >= UNDISTURBED * self.wall


def _sample(run: Callable[[int], Any], times: int) -> Sample:
    cpu, start = time.process_time(), time.perf_counter()
    run(times)
    took = time.perf_counter() - start
    return Sample(took / times, (time.process_time() - cpu) / times)


def _pointer(address: int) -> str:
    return f"inttoptr (i64 {address} to ptr)"


def _ptr(address: int) -> str:
    return f"ptr {_pointer(address)}"


# --- the libraries ---------------------------------------------------------------------------------------------------


def find_libraries(paths: dict[str, str]) -> list[Library]:
    """Those that there are, single-threaded."""
    os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "TBB")} | {"MKL_THREADING_LAYER": "SEQUENTIAL"}
    found = []
    for name, (patterns, symbols, make) in _KNOWN.items():
        for path in [paths[name]] if name in paths else _candidates(patterns):
            library = _open(Path(path))
            if library is None:
                continue
            symbol = next((s for s in symbols if hasattr(library, s)), None)
            if symbol:
                found.append(Library(name, make(ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value, symbol)))
                break
        else:
            print(f"{name} is left out: it is not here", file=sys.stderr)
    return found


def _open(path: Path, depth: int = 20) -> ctypes.CDLL | None:
    """A shared library; those it needs are looked for beside it."""
    for _ in range(depth):
        try:
            return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            missing = path.parent / str(error).partition(":")[0]
            if "cannot open shared object" not in str(error) or not missing.exists() or missing == path or _open(missing, depth - 1) is None:
                return None
    return None


def _candidates(patterns: Sequence[str]) -> list[Path]:
    folders = [Path(sys.prefix) / "lib", Path(np.__file__).parent.parent / "numpy.libs", Path("/usr/lib/x86_64-linux-gnu")]
    return [path for folder in folders for pattern in patterns for path in sorted(folder.glob(pattern))]


def _cblas(address: int, symbol: str) -> Callable[[Shape, int, int, int], str]:
    size = "i64" if "64" in symbol else "i32"

    def call(s: Shape, a: int, b: int, c: int) -> str:
        turned = [112 if s.kind == "tn" else 111, 112 if s.kind == "nt" else 111]
        lda, ldb = (s.m if s.kind == "tn" else s.k), (s.k if s.kind == "nt" else s.n)
        numbers = f"i32 101, i32 {turned[0]}, i32 {turned[1]}, {size} {s.m}, {size} {s.n}, {size} {s.k}"
        arrays = f"float 1.0, {_ptr(a)}, {size} {lda}, {_ptr(b)}, {size} {ldb}, float 0.0, {_ptr(c)}, {size} {s.n}"
        return f"call void {_pointer(address)}({numbers}, {arrays})"

    return call


def _dnnl(address: int, symbol: str) -> Callable[[Shape, int, int, int], str]:
    def call(s: Shape, a: int, b: int, c: int) -> str:
        turned = [ord("T" if s.kind == "tn" else "N"), ord("T" if s.kind == "nt" else "N")]
        lda, ldb = (s.m if s.kind == "tn" else s.k), (s.k if s.kind == "nt" else s.n)
        numbers = f"i8 {turned[0]}, i8 {turned[1]}, i64 {s.m}, i64 {s.n}, i64 {s.k}"
        arrays = f"float 1.0, {_ptr(a)}, i64 {lda}, {_ptr(b)}, i64 {ldb}, float 0.0, {_ptr(c)}, i64 {s.n}"
        return f"%status = call i32 {_pointer(address)}({numbers}, {arrays})"

    return call


#: name -> files, symbols, and how a call is written
_KNOWN: dict[str, tuple[tuple[str, ...], tuple[str, ...], Callable]] = {
    "MKL": (("libmkl_rt.so*",), ("cblas_sgemm",), _cblas),
    "oneDNN": (("libdnnl.so*",), ("dnnl_sgemm",), _dnnl),
    "OpenBLAS": (("libscipy_openblas*.so", "libopenblas*.so*"), ("scipy_cblas_sgemm64_", "scipy_cblas_sgemm", "cblas_sgemm"), _cblas),
}


# --- what is shown ---------------------------------------------------------------------------------------------------


def table_text(data: dict[str, Any]) -> str:
    """A Markdown table, with the geometric mean of each library's ratios."""
    names = data["libraries"]
    rows = [["shape", "rlxc GFLOP/s", "of the peak", *(f"{n} GFLOP/s" for n in names), *(f"/ {n}" for n in names)]]
    for r in data["rows"]:
        rates, ratios = [f"{r['gflops'][n]:.0f}" for n in names], [f"{r['ratios'][n]:.2f}" for n in names]
        rows.append([f"`{r['shape']}`", f"{r['gflops']['rlxc']:.0f}", f"{r['share']:.0%}", *rates, *ratios])
    for label, kept in (("geometric mean", data["rows"]), ("of those above 1 MFLOP", [r for r in data["rows"] if r["flops"] > 1e6])):
        means = [f"**{geometric_mean(r['ratios'][n] for r in kept):.2f}**" for n in names]
        rows.append([label, "", "", *[""] * len(names), *means])
    return markdown(rows)


def _line(row: dict[str, Any]) -> str:
    ratios = "  ".join(f"{n} {r:.2f}" for n, r in row["ratios"].items())
    return f"{row['shape']:22} {row['gflops']['rlxc']:7.1f} GFLOP/s, {row['share']:.0%} of the peak;  {ratios}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each shape")
    parser.add_argument("--cpu", default="host", help="what rlxc compiles for; libraries are held to it by their own variables")
    parser.add_argument("--json", action="store_true", help="as JSON")
    for name in _KNOWN:
        parser.add_argument(f"--{name.lower()}", metavar="FILE")
    args = parser.parse_args()
    paths = {name: path for name in _KNOWN if (path := getattr(args, name.lower()))}
    if args.cpu == "avx2":
        os.environ |= {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}
    data = compare(seconds=args.seconds, cpu=args.cpu, paths=paths)
    print(json.dumps(data) if args.json else table_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
