"""`rlxc fmt`: files in canonical form, comments kept."""

from __future__ import annotations

import argparse
import difflib
import sys

from rlxc.cli import OK, REJECTED, UsageError
from rlxc.commands.files import read_program, write_text
from rlxc.frontend.format import format_text


def fmt(args: argparse.Namespace) -> int:
    if args.check + args.diff + args.write > 1:
        raise UsageError("--check, --diff and --write exclude each other")
    if args.write and "-" in args.files:
        raise UsageError("stdin cannot be rewritten", "leave out --write: the formatted text goes to stdout")
    code = OK
    for file in args.files:
        before, name = read_program(file)
        after = format_text(before, name)
        if not (args.check or args.diff or args.write):
            sys.stdout.write(after)
        elif before != after:
            code = REJECTED if not args.write else code
            _changed(args, file, name, before, after)
    return code


def _changed(args: argparse.Namespace, file: str, name: str, before: str, after: str) -> None:
    if args.write:
        write_text(file, after)
        print(f"{name}: formatted", file=sys.stderr)
    elif args.check:
        print(f"{name}: not formatted", file=sys.stderr)
    else:
        lines = difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} (formatted)")
        sys.stdout.writelines(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)
