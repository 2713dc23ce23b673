"""What machine code depends on besides the program: the compiler's own sources, LLVM, the processor, ops from other packages.

A change of any of them changes the key under which machine code is kept.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from rlxc.ir.canonical import canonical_text
from rlxc.ir.core import Func
from rlxc.ir.primitive import Primitive


def program_key(func: Func, *settings: object) -> str | None:
    """A digest of the function, which calls nothing, and of all that its machine code depends on; None if that cannot be told."""
    others = _packages_of(func)
    if others is None:
        return None
    digest = hashlib.sha256()
    for part in (compiler_identity(), *map(_sources, others), *settings, func.name, canonical_text(func)):
        text = str(part).encode()
        digest.update(len(text).to_bytes(8, "little"))
        digest.update(text)
    return digest.hexdigest()


@cache
def compiler_identity() -> str:
    """The compiler, its sources as they are now, and what it stands on."""
    python = f"{sys.implementation.cache_tag} {sys.maxsize}"
    versions = f"rlxc {sys.modules['rlxc'].__version__} llvmlite {llvmlite.__version__} numpy {np.__version__}"
    return f"{versions} llvm {llvm.llvm_version_info} {llvm.get_default_triple()} python {python} {_sources('rlxc')}"


def _packages_of(func: Func) -> set[str] | None:
    """Packages other than rlxc whose ops the function uses; None if an op was made where no file tells what it does."""
    packages = set()
    for prim in {op.prim for op in func.walk()}:
        if not _is_own(prim):
            if "<locals>" in type(prim).__qualname__ or type(prim).__module__ == "__main__":
                return None
            packages.add(type(prim).__module__.partition(".")[0])
    return packages if all(_sources(p) for p in packages) else None


def _is_own(prim: Primitive) -> bool:
    return type(prim).__module__.startswith("rlxc.")


@cache
def _sources(package: str) -> str:
    """Paths, sizes and times of the Python files of a package, as one digest; empty where there are none."""
    module = sys.modules.get(package)
    digest = hashlib.sha256()
    found = False
    for path in _files(module):
        facts = os.stat(path)
        digest.update(f"{path} {facts.st_size} {facts.st_mtime_ns}\n".encode())
        found = True
    return digest.hexdigest() if found else ""


def _files(module: ModuleType | None) -> Iterator[str]:
    file = getattr(module, "__file__", None)
    if file and not hasattr(module, "__path__") and os.path.isfile(file):
        yield file
    for folder in getattr(module, "__path__", ()):
        for where, folders, names in os.walk(folder):
            folders[:] = sorted(f for f in folders if f != "__pycache__")
            yield from (os.path.join(where, name) for name in sorted(names) if name.endswith(".py"))
