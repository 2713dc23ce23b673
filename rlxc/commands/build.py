"""`rlxc build`: functions as files: IR, assembly, object code, a C header, static and shared libraries."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from rlxc import api
from rlxc.cli import OK, UsageError
from rlxc.commands.arrays import fill_array
from rlxc.commands.bench import profile_text
from rlxc.commands.files import split_function
from rlxc.commands.program import names, pick, read_module, sizes, with_dims
from rlxc.commands.remarks import show_remarks
from rlxc.errors import FileError
from rlxc.ir.core import Func
from rlxc.ir.remarks import collecting
from rlxc.passes.dims import named_dims
from rlxc.runtime.aot import Library
from rlxc.runtime.arguments import Arguments
from rlxc.runtime.compile import options_of
from rlxc.runtime.library_files import NAMED, path_of, safe_name, write
from rlxc.runtime.memory import memory_analysis
from rlxc.runtime.params import read_arrays


def build(args: argparse.Namespace) -> int:
    kinds = _kinds(args)
    library = read_library(args)
    if args.remarks:
        with collecting() as remarks:
            assert library.kernels
        show_remarks(remarks)
    if args.memory:
        for f in library.funcs:
            print(memory_analysis(library.kernels, f.name, len(f.args)), file=sys.stderr)
    for kind in kinds:
        print(_write(library, kind, args))
    if args.profile:
        _profile(library, args)
    return OK


def _profile(library: Library, args: argparse.Namespace) -> None:
    """Run each function on random arrays, and on the weights that there are: times of the kernels to stderr, and a trace as a file."""
    rng = np.random.default_rng(0)
    for func in library.funcs:
        given = [library.weights.get(name) if a.param else None for a, name in zip(func.args, func.arg_names, strict=True)]
        arrays = [fill_array(a.type, "random", rng) if w is None else w for a, w in zip(func.args, given, strict=True)]
        path = Path(args.output) / f"{safe_name(func.name)}.trace.json"
        print(profile_text(func, Arguments(func).bind(arrays), library.options.cpu, path), file=sys.stderr)


def _kinds(args: argparse.Namespace) -> list[str]:
    if args.profile and args.target:
        raise UsageError("what is made for another machine cannot be profiled here", "leave out --target, or --profile")
    kinds = names(args.emit)
    for kind in kinds:
        if kind not in NAMED:
            raise UsageError(f"--emit has no kind '{kind}'", f"kinds are {', '.join(NAMED)}")
    if not kinds:
        raise UsageError("--emit names nothing to write", f"kinds are {', '.join(NAMED)}")
    return [*kinds, "weights"] if args.map_weights else kinds


def read_library(args: argparse.Namespace) -> Library:
    """What the command line asks for, not yet compiled."""
    if args.embed_weights and args.map_weights:
        raise UsageError("weights are embedded, or mapped from a file, not both")
    if args.primal and args.grad is None:
        raise UsageError("--primal goes with --grad")
    funcs = _with_sizes(_chosen(args), args.dim)
    if args.grad is not None:
        funcs = [g for f in funcs for g in ([f] * args.primal + [_value_and_grad(f, names(args.grad))])]
    file, _ = split_function(args.file)
    name = safe_name(args.name or (Path(file).stem if file != "-" else funcs[0].name))
    cpu = args.cpu or ("plain" if args.target else "host")
    path = args.embed_weights or args.map_weights
    weights = read_arrays(path) if path else {}
    params = {p for f in funcs for p in f.params}
    if path and not params & set(weights):
        raise FileError(f"{path} has no array for a param", code="RLX0606", help=f"params are {', '.join(sorted(params)) or 'not there'}")
    return Library(name, tuple(funcs), options_of({"cpu": cpu, "precision": args.precision}), args.target, weights, "file" if args.map_weights else "embedded")


def _chosen(args: argparse.Namespace) -> list[Func]:
    """The functions of FILE@function and `--fn`."""
    file, name = split_function(args.file)
    wanted = [n.removeprefix("@") for n in names(args.fn or "")]
    if name and wanted and wanted != [name]:
        raise UsageError(f"two functions are named: @{name} and @{wanted[0]}")
    module = read_module(file)
    if name or not wanted:
        return [pick(module, name)]
    return [pick(module, n) for n in dict.fromkeys(wanted)]


def _with_sizes(funcs: list[Func], texts: list[str]) -> list[Func]:
    """Every dimension bound; a size goes to those functions that have the dimension."""
    known = {d for f in funcs for d in named_dims(f)}
    if len(funcs) > 1:
        given = sizes(texts)
        if unknown := [d for d in given if d not in known]:
            raise UsageError(f"no function has a dimension named {unknown[0]}", f"named dimensions are {', '.join(sorted(known)) or 'not there'}")
        funcs = [api.bind(f, **{d: n for d, n in given.items() if d in named_dims(f)}) for f in funcs]
    else:
        funcs = [with_dims(f, texts) for f in funcs]
    for f in funcs:
        if free := named_dims(f):
            raise UsageError(f"@{f.name} has named dimensions: {', '.join(free)}", "give them sizes: " + " ".join(f"--dim {d}=..." for d in free))
    return funcs


def _value_and_grad(func: Func, wrt: list[str]) -> Func:
    return api.value_and_grad(func, wrt).with_(name=f"{func.name}.value_and_grad")


def _write(library: Library, kind: str, args: argparse.Namespace) -> Path:
    path = path_of(library, kind, Path(args.output))
    if path.exists() and Path(args.file).exists() and path.samefile(args.file):
        raise UsageError(f"{path} is the program itself, which would be overwritten", "name another folder: -o DIR")
    return write(library, kind, Path(args.output))
