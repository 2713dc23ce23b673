"""Other machines than the host: what a triple such as aarch64-linux-gnu stands for, at a level of instructions that all of them have."""

from __future__ import annotations

from dataclasses import replace

import llvmlite.binding as llvm

from rlxc.errors import PassError
from rlxc.runtime.cpu import LEVELS, Cpu, target_cpu

#: short spellings of common triples
_TRIPLES = {
    "x86_64-linux": "x86_64-unknown-linux-gnu",
    "aarch64-linux": "aarch64-unknown-linux-gnu",
    "x86_64-windows": "x86_64-pc-windows-msvc",
    "aarch64-windows": "aarch64-pc-windows-msvc",
    "x86_64-macos": "x86_64-apple-macosx11.0.0",
    "aarch64-macos": "arm64-apple-macosx11.0.0",
    "x86_64-w64-mingw32": "x86_64-w64-windows-gnu",
    "wasm32": "wasm32-unknown-unknown",
}
#: the levels of x86-64 that compilers agree on: v4, v3 and the first one
_V3 = "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe"
_X86 = {
    "avx512": Cpu("x86-64-v4", f"{_V3},+avx512bw,+avx512cd,+avx512dq,+avx512f,+avx512vl", 64, 32),
    "avx2": Cpu("x86-64-v3", _V3, 32),
    "plain": Cpu("x86-64", "", 16, has_fma=False, has_f16=False, has_rounding=False),
}
_OTHERS = {
    "aarch64": Cpu("generic", "+neon", 16, 32, l1=64 << 10),
    "wasm32": Cpu("generic", "+simd128", 16, has_fma=False, has_f16=False),
}
_ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64"}


def machine(level: str, target: str = "") -> Cpu:
    """The host at a level, or any machine of `target`. Raises PassError for a target that rlxc does not know."""
    if not target:
        return target_cpu(level)
    triple = _with_vendor(_TRIPLES.get(target, target))
    first = triple.partition("-")[0]
    architecture = _ARCHITECTURES.get(first, first)
    if level not in LEVELS:
        raise PassError(f"there is no CPU level '{level}'", code="RLX0406", help=f"levels are {', '.join(LEVELS)}")
    if architecture == "x86_64":
        is_host = llvm.get_default_triple().startswith(("x86_64", "amd64"))
        cpu = _X86.get(level) or (target_cpu("host") if is_host else _X86["plain"])
    elif architecture not in _OTHERS:
        known = ", ".join(_TRIPLES)
        raise PassError(f"rlxc writes no code for '{target}'", code="RLX0406", help=f"targets are {known}, and other triples of these architectures")
    elif level not in ("host", "plain"):
        raise PassError(f"{architecture} has no level '{level}'", code="RLX0406", help="its level is 'plain'")
    else:
        cpu = _OTHERS[architecture]
    return replace(cpu, triple=_checked(triple, target))


def _with_vendor(triple: str) -> str:
    """`aarch64-linux-gnu` as LLVM reads it: aarch64-unknown-linux-gnu."""
    parts = triple.split("-")
    return "-".join([parts[0], "unknown", *parts[1:]]) if len(parts) > 1 and parts[1] in ("linux", "windows") else triple


def _checked(triple: str, target: str) -> str:
    """A triple whose operating system LLVM has understood: for one that it has not, it would silently write ELF."""
    expected = "COFF" if "windows" in triple or "mingw" in triple else "MachO" if "apple" in triple or "darwin" in triple else None
    if expected and llvm.get_object_format(triple) != expected:
        raise PassError(f"'{target}' is not a triple that LLVM understands", code="RLX0406", help="write ARCHITECTURE-VENDOR-SYSTEM-ENVIRONMENT")
    return triple
