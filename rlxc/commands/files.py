"""What commands read and write: programs, arrays, results."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlxc import __version__
from rlxc.errors import FileError

#: Text of the files read in this run, by the name that locations give; diagnostics show their lines.
SOURCES: dict[str, str] = {}


def split_function(spec: str) -> tuple[str, str | None]:
    """`ffn.rlx@loss` as a file and a function; a file whose name has an `@` is taken as it is."""
    if "@" not in spec or os.path.exists(spec):
        return spec, None
    file, _, func = spec.rpartition("@")
    return file or "-", func


def read_program(file: str) -> tuple[str, str]:
    """Text of a file, or of stdin for `-`, and the name that locations give it."""
    from rlxc.frontend.parser import decode, read_text

    if file == "-":
        name = "<stdin>"
        stream = sys.stdin
        if stream is None:
            raise FileError("cannot read stdin: it is closed")
        text = decode(stream.buffer.read(), name) if hasattr(stream, "buffer") else stream.read()
    else:
        name = file
        text = read_text(file)
    SOURCES[name] = text
    return text, name


def write_text(path: str | None, text: str) -> None:
    """To a file, or to stdout."""
    if path is None or path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from None


def write_reproducer(argv: Sequence[str], trace: str, reproducer: str | None, sources: Mapping[str, str]) -> str | None:
    """Write a file that shows an internal error again, here or else in the temporary folder; returns its path."""
    program = reproducer or "\n".join(sources.values())
    head = [f"rlxc {__version__}, Python {platform.python_version()}, {platform.machine()} {platform.system()}", "rlxc " + " ".join(argv), *trace.splitlines()]
    text = "".join(f"// {line}\n" for line in head) + program
    name = f"rlxc-reproducer-{hashlib.sha256(text.encode()).hexdigest()[:8]}.rlx"
    for folder in (os.curdir, tempfile.gettempdir()):
        path = os.path.normpath(os.path.join(folder, name))
        try:
            Path(path).write_text(text, encoding="utf-8", errors="replace")
        except OSError:
            continue
        return path
    return None
