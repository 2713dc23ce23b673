"""`rlxc grad|jvp|vjp|hvp|jacfwd|jacrev|hessian|vmap|linearize|transpose`: a function in, the derived function out, as IR."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rlxc import api
from rlxc.cli import OK, UsageError
from rlxc.commands.files import write_text
from rlxc.commands.program import names, read_func
from rlxc.errors import PassError
from rlxc.ir.core import Func, Module
from rlxc.passes.pipelines import make_pipeline
from rlxc.passes.vmap import Axes, axes_option

TIDY = "simplify,cse,dce"


def grad(args: argparse.Namespace) -> int:
    if args.with_seed and args.no_value:
        raise UsageError("--with-seed and --no-value do not go together")
    make = api.grad_with_loss if args.with_seed else api.grad if args.no_value else api.value_and_grad
    return _write([make(read_func(args), names(args.wrt), has_aux=args.has_aux)], args)


def jvp(args: argparse.Namespace) -> int:
    return _write([api.jvp(read_func(args), names(args.wrt), has_aux=args.has_aux)], args)


def vjp(args: argparse.Namespace) -> int:
    return _write(api.vjp(read_func(args), names(args.wrt), has_aux=args.has_aux)[:2], args)


def residuals(args: argparse.Namespace) -> int:
    write_text(args.output, f"{api.residuals(read_func(args), names(args.wrt))}\n")
    return OK


def hvp(args: argparse.Namespace) -> int:
    return _write([api.hvp(read_func(args), names(args.wrt), has_aux=args.has_aux)], args)


def jacfwd(args: argparse.Namespace) -> int:
    return _write([api.jacfwd(read_func(args), names(args.wrt), has_aux=args.has_aux)], args)


def jacrev(args: argparse.Namespace) -> int:
    return _write([api.jacrev(read_func(args), names(args.wrt), has_aux=args.has_aux)], args)


def hessian(args: argparse.Namespace) -> int:
    return _write([api.hessian(read_func(args), names(args.wrt), has_aux=args.has_aux)], args)


def vmap(args: argparse.Namespace) -> int:
    size = int(args.size) if args.size.isdecimal() else args.size or None
    return _write([api.vmap(read_func(args), _axes(args.in_axes, "--in-axes"), _axes(args.out_axes, "--out-axes"), axis_size=size)], args)


def linearize(args: argparse.Namespace) -> int:
    return _write(api.linearize(read_func(args), names(args.wrt), has_aux=args.has_aux), args)


def transpose(args: argparse.Namespace) -> int:
    return _write([api.linear_transpose(read_func(args), names(args.wrt))], args)


def _axes(text: str, flag: str) -> Axes:
    try:
        return axes_option(names(text), flag)
    except PassError as error:
        raise UsageError(error.message, "write axes and `none`, comma-separated, as in 0,none") from None


def _write(funcs: Sequence[Func], args: argparse.Namespace) -> int:
    module = Module(tuple(f.with_(module=None) for f in funcs))
    if not args.raw:
        module = make_pipeline(TIDY).run(module)
    write_text(args.output, str(module))
    return OK
