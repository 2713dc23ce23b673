"""Shared libraries: object code through a linker, the system's or that of the package ziglang."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rlxc.errors import MissingExtra, Unsupported
from rlxc.runtime import jit
from rlxc.runtime.cpu import Cpu

_SUFFIXES = {"COFF": ".dll", "MachO": ".dylib"}
_ZIG_SYSTEMS = {"ELF": "linux-gnu", "COFF": "windows-gnu", "MachO": "macos"}


def shared_name(name: str, cpu: Cpu) -> str:
    """What a shared library is called on its system."""
    kind = jit.object_format(cpu)
    return f"{'' if kind == 'COFF' else 'lib'}{name}{_SUFFIXES.get(kind, '.so')}"


def link_shared(obj: bytes, name: str, cpu: Cpu) -> bytes:
    """The object code as a shared library; raises MissingExtra if there is no linker for its target."""
    kind = jit.object_format(cpu)
    if kind == "Wasm":
        raise Unsupported("WebAssembly has no shared libraries", code="RLX0702", help="--emit=obj, then wasm-ld --no-entry")
    linker = _linker(cpu, kind)
    with tempfile.TemporaryDirectory(prefix="rlxc-") as folder:
        source, target = Path(folder) / f"{name}.o", Path(folder) / shared_name(name, cpu)
        source.write_bytes(obj)
        try:
            done = subprocess.run([*linker, *_flags(linker, kind, target.name), str(source), "-o", str(target), *_libraries(linker)],
                                  capture_output=True, text=True, errors="replace", check=False)  # fmt: skip
        except OSError as error:
            raise Unsupported(f"cannot run {linker[0]}: {error.strerror or error}", code="RLX0702") from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise Unsupported(f"{' '.join(linker)} does not link lib{name}: {said[-1] if said else 'it failed'}", code="RLX0702", help="--emit=obj or static")
        return target.read_bytes()


def _flags(linker: list[str], kind: str, soname: str) -> list[str]:
    """No start files: there is nothing to set up; libm and libc are needed only if the code calls them."""
    if kind != "ELF":
        return ["-shared"]
    if _is_bare(linker):
        return ["-shared", "-soname", soname]
    return ["-shared", "-nostdlib", f"-Wl,-soname,{soname}", "-Wl,--as-needed"]


def _libraries(linker: list[str]) -> list[str]:
    """A linker alone does not know where libraries are; what a shared library lacks is found when it is loaded."""
    return [] if _is_bare(linker) else ["-lm", "-lc"]


def _is_bare(linker: list[str]) -> bool:
    return Path(linker[0]).name in ("ld", "ld.lld")


def _linker(cpu: Cpu, kind: str) -> list[str]:
    """The command that links for this target: `$CC`, the system's compiler or linker, or ziglang."""
    architecture = jit.triple_of(cpu).partition("-")[0]
    candidates: list[list[str]] = []
    if not cpu.triple:
        candidates = [shlex.split(os.environ.get("CC", "")), ["cc"], ["gcc"], ["clang"], ["ld"]]
    elif kind == "ELF":
        candidates = [[f"{architecture}-linux-gnu-gcc"], ["ld.lld"]]
    elif kind == "COFF":
        candidates = [[f"{architecture}-w64-mingw32-gcc"]]
    for command in candidates:
        if command and shutil.which(command[0]):
            return command
    if importlib.util.find_spec("ziglang"):
        zig = {"arm64": "aarch64", "amd64": "x86_64"}.get(architecture, architecture)
        return [sys.executable, "-m", "ziglang", "cc", "-target", f"{zig}-{_ZIG_SYSTEMS[kind]}"]
    raise MissingExtra(f"there is no linker for {jit.triple_of(cpu)}", help="install a C compiler, or: pip install 'rlxc[link]'; --emit=obj,static need none")
