"""The files that a library is written as."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from rlxc.errors import FileError
from rlxc.ir.core import Module
from rlxc.runtime.aot import Library
from rlxc.runtime.linker import shared_name

# a function may have any name, a file may not: nothing is written outside of the folder
_UNSAFE = re.compile(r"[^\w.$-]|^\.+")
# kind -> name of the file, and its bytes
KINDS: dict[str, tuple[Callable[[str, Library], str], Callable[[Library], bytes]]] = {
    "rlx": (lambda name, _: f"{name}.rlx", lambda x: str(Module(tuple(f.with_(module=None) for f in x.funcs))).encode()),
    "loops": (lambda name, _: f"{name}.loops.rlx", lambda x: str(x.kernels).encode()),
    "llvm": (lambda name, _: f"{name}.ll", lambda x: x.llvm().encode()),
    "asm": (lambda name, _: f"{name}.s", lambda x: x.assembly().encode()),
    "obj": (lambda name, _: f"{name}.o", lambda x: x.object_code()),
    "header": (lambda name, _: f"{name}.h", lambda x: x.header().encode()),
    "static": (lambda name, _: f"lib{name}.a", lambda x: x.archive()),
    "so": (lambda name, x: shared_name(name, x.cpu), lambda x: x.shared()),
    "weights": (lambda name, _: f"{name}.weights", lambda x: x.weights_file()),
}
NAMED = tuple(kind for kind in KINDS if kind != "weights")  # those that a user asks for; weights follow from where they are to be


def safe_name(name: str) -> str:
    """`name` as part of a file's name."""
    return _UNSAFE.sub("_", name)


def path_of(library: Library, kind: str, folder: Path) -> Path:
    """The file that `kind` of the library is written to."""
    return folder / KINDS[kind][0](library.name, library)


def write(library: Library, kind: str, folder: Path) -> Path:
    """Write it, at once; raises FileError where the file cannot be written."""
    path, data = path_of(library, kind, folder), KINDS[kind][1](library)
    part = folder / f".{path.name}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, path)  # a process that has the library loaded keeps the old one
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FileError(f"cannot write {path}: {error.strerror or error}") from None
    return path
