"""A program named on the command line: parsed, verified, its function picked, its dimensions bound."""

from __future__ import annotations

import argparse

from rlxc import api
from rlxc.cli import UsageError
from rlxc.commands.files import read_program, split_function
from rlxc.errors import PassError, UnknownName
from rlxc.frontend.parser import parse
from rlxc.ir.core import Func, Module
from rlxc.passes.bind import parse_size
from rlxc.passes.dims import named_dims


def read_module(file: str) -> Module:
    text, name = read_program(file)
    return parse(text, name)


def read_func(args: argparse.Namespace) -> Func:
    """The function that FILE@function, `--fn`, and `--dim` mean."""
    file, name = split_function(args.file)
    wanted = getattr(args, "fn", None)
    if name and wanted and name != wanted.removeprefix("@"):
        raise UsageError(f"two functions are named: @{name} and @{wanted}")
    func = pick(read_module(file), name or wanted)
    return with_dims(func, getattr(args, "dim", []))


def pick(module: Module, name: str | None) -> Func:
    try:
        return api.pick(module, name.removeprefix("@") if name else None)
    except UnknownName as error:
        if name or not any(f.kind == "func" for f in module):
            raise
        raise UsageError(error.message, "name it: FILE@function, or --fn NAME") from None


def sizes(texts: list[str]) -> dict[str, int]:
    """`B=4` and the like as sizes of dimensions."""
    try:
        return dict(parse_size(text) for text in texts)
    except PassError as error:
        raise UsageError(f"--dim: {error.message}", "write NAME=SIZE, as in --dim B=4") from None


def with_dims(func: Func, texts: list[str]) -> Func:
    dims = sizes(texts)
    unknown = [d for d in dims if d not in named_dims(func)]
    if unknown:
        known = ", ".join(named_dims(func)) or "none"
        raise UsageError(f"@{func.name} has no dimension named {unknown[0]}", f"its named dimensions are {known}")
    return api.bind(func, **dims) if dims else func


def names(text: str) -> list[str]:
    """`w1,b1` as a list."""
    return [part.strip().removeprefix("%") for part in text.split(",") if part.strip()]
