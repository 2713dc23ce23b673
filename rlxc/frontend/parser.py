"""Text to Module: `parse` and `load`."""

from __future__ import annotations

import os
from pathlib import Path

import rlxc.primitives  # noqa: F401  (registers the ops)
from rlxc.errors import ArgumentError, FileError, Loc, ParseError, Report
from rlxc.frontend.grammar import read_syntax
from rlxc.frontend.resolve import resolve
from rlxc.frontend.syntax import ModuleSyntax
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Module

MAX_BYTES = 256 * 2**20


def parse(text: str, file: str = "<text>") -> Module:
    """The module that `text` spells, at either level; `file` is the name that locations give.

    Raises one Error with all diagnostics (at most 20), in the order of the text.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"a program is text, not {type(text).__name__}", code="RLX0502", help="rlxc.load reads a file" if text is not None else None)
    return read_module(text.removeprefix("\ufeff"), file)[1]


def read_module(text: str, file: str) -> tuple[ModuleSyntax, Module]:
    """A text's syntax and what it means."""
    report = Report()
    with without_collection():
        syntax = read_syntax(text, file, report)
        module = resolve(syntax, file, report)
    report.raise_if_any()
    return syntax, module


def load(path: str | os.PathLike[str]) -> Module:
    """The module in a `.rlx` file, which is UTF-8 text. Raises FileError where it cannot be read."""
    return parse(read_text(path), str(path))


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file; raises FileError if it cannot be read, ParseError if it is not UTF-8."""
    path = os.fspath(path)  # an int would be a file descriptor
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise FileError(f"{path} is larger than {MAX_BYTES // 2**20} MB", help="keep large constants in a resource file")
        data = Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from None
    return decode(data, str(path))


def decode(data: bytes, file: str = "<text>") -> str:
    """Bytes as text; raises ParseError at the first byte that is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise ParseError(
            f"byte 0x{data[error.start]:02x} is not UTF-8 text", code="RLX0007", loc=Loc(file, line, column, line, column + 1), help="save the file as UTF-8"
        ) from None
