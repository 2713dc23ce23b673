"""`rlxc build`: IR, assembly and object code of a function, as files."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from rlxc.cli import OK, UsageError
from rlxc.commands.program import names, read_func
from rlxc.commands.remarks import show_remarks
from rlxc.errors import FileError
from rlxc.ir.core import Module
from rlxc.passes.dims import named_dims
from rlxc.runtime.compile import Native, native

# a function may have any name, a file may not: nothing is written outside of the folder
_UNSAFE = re.compile(r"[^\w.$-]|^\.+")
# kind -> suffix, and the bytes of the file
KINDS = {
    "rlx": (".rlx", lambda n: str(Module((n.func.with_(module=None),))).encode()),
    "loops": (".loops.rlx", lambda n: str(n.kernels).encode()),
    "llvm": (".ll", lambda n: n.llvm().encode()),
    "asm": (".s", lambda n: n.assembly().encode()),
    "obj": (".o", lambda n: n.object_code()),
}


def build(args: argparse.Namespace) -> int:
    kinds = names(args.emit)
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"--emit has no kind '{kind}'", f"kinds are {', '.join(KINDS)}")
    if not kinds:
        raise UsageError("--emit names nothing to write", f"kinds are {', '.join(KINDS)}")
    func = read_func(args)
    free = named_dims(func)
    if free:
        raise UsageError(f"@{func.name} has named dimensions: {', '.join(free)}", "give them sizes: " + " ".join(f"--dim {d}=..." for d in free))
    made = native(func, cpu=args.cpu)
    if args.remarks:
        show_remarks(made.remarks())
    for kind in kinds:
        print(_write(made, kind, Path(args.output)))
    return OK


def _write(made: Native, kind: str, folder: Path) -> Path:
    suffix, content = KINDS[kind]
    path = folder / f"{_UNSAFE.sub('_', made.func.name)}{suffix}"
    data = content(made)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from None
    return path
