"""`rlxc grad|jvp|linearize|transpose`: a function in, the derived function out, as IR."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rlxc import api
from rlxc.cli import OK
from rlxc.commands.files import write_text
from rlxc.commands.program import names, read_func
from rlxc.ir.core import Func, Module
from rlxc.passes.pipelines import make_pipeline

TIDY = "simplify,cse,dce"


def grad(args: argparse.Namespace) -> int:
    func = read_func(args)
    make = api.grad_with_loss if args.with_seed else api.value_and_grad
    return _write([make(func, names(args.wrt))], args)


def jvp(args: argparse.Namespace) -> int:
    return _write([api.jvp(read_func(args), names(args.wrt))], args)


def linearize(args: argparse.Namespace) -> int:
    return _write(api.linearize(read_func(args), names(args.wrt)), args)


def transpose(args: argparse.Namespace) -> int:
    return _write([api.linear_transpose(read_func(args), names(args.wrt))], args)


def _write(funcs: Sequence[Func], args: argparse.Namespace) -> int:
    module = Module(tuple(f.with_(module=None) for f in funcs))
    if not args.raw:
        module = make_pipeline(TIDY).run(module)
    write_text(args.output, str(module))
    return OK
