"""`rlxc run`: compile a function, call it, print or write or compare its results."""

from __future__ import annotations

import argparse
import sys

import numpy as np

from rlxc import api
from rlxc.cli import OK, REJECTED, UsageError
from rlxc.commands.arrays import read_inputs
from rlxc.commands.program import names, read_func
from rlxc.errors import FileError
from rlxc.runtime.arguments import array_text
from rlxc.runtime.compiled import Compiled
from rlxc.runtime.interpret import interpreter
from rlxc.runtime.params import read_arrays, write_arrays


def run(args: argparse.Namespace) -> int:
    func = read_func(args)
    if args.grad is not None:
        func = api.value_and_grad(func, names(args.grad))
    inputs = read_inputs(func, args)
    compiled = Compiled(func, interpreter if args.interpret else api.engine({"cpu": args.cpu, "precision": args.precision}))
    results = compiled(**inputs)
    arrays = dict(zip(func.result_names, results if isinstance(results, tuple) else (results,), strict=True))
    if args.output:
        write_arrays(_path(args.output, "--output"), arrays)
    elif not args.expect:
        print_arrays(arrays)
    return compare(arrays, args) if args.expect else OK


def print_arrays(arrays: dict[str, np.ndarray]) -> None:
    """One result after another, in the syntax of `.rlx` (long arrays are cut)."""
    for name, array in arrays.items():
        digits = np.finfo(array.dtype).precision + 2 if array.dtype.kind == "f" and array.dtype.itemsize >= 4 else 8
        body = np.array2string(array, separator=", ", threshold=100, floatmode="unique" if digits else "maxprec", max_line_width=120)
        print(f"%{name}: {array_text(array)} =" + (" " if array.ndim < 2 else "\n") + body)


def compare(arrays: dict[str, np.ndarray], args: argparse.Namespace) -> int:
    """Compare results with the arrays of a file, by name or else by position; says how far apart they are."""
    path = _path(args.expect, "--expect")
    expected = read_arrays(path)
    if not set(expected) & set(arrays):
        if len(expected) != len(arrays):
            raise FileError(f"{path} holds {', '.join(expected)}; the results are {', '.join(arrays)}", code="RLX0606")
        expected = dict(zip(arrays, expected.values(), strict=True))
    code = OK
    for name, want in expected.items():
        if name not in arrays:
            raise FileError(f"{path}: there is no result '{name}'", code="RLX0606", help=f"the results are {', '.join(arrays)}")
        got = arrays[name]
        if got.shape != want.shape:
            print(f"%{name}: {array_text(got)} is not {array_text(want)}", file=sys.stderr)
            code = REJECTED
            continue
        exact = got.dtype.kind in "biu" and want.dtype.kind in "biu"
        close = got == want if exact else np.isclose(got.astype(complex), want.astype(complex), rtol=args.rtol, atol=args.atol, equal_nan=True)
        with np.errstate(all="ignore"):
            apart = np.abs(got.astype(complex) - want.astype(complex))
        worst = float(np.nanmax(apart)) if apart.size and not np.isnan(apart).all() else 0.0
        wrong = int(close.size - close.sum())
        print(f"%{name}: {'ok' if not wrong else f'{wrong} of {close.size} elements differ'}, at most {worst:.3g} apart", file=sys.stderr)
        code = REJECTED if wrong else code
    return code


def _path(text: str, flag: str) -> str:
    path = text.removeprefix("@")
    if not path:
        raise UsageError(f"{flag} needs a file", f"as in {flag} @out.npz")
    return path
