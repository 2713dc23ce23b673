"""What the processor offers: features, the name LLVM should optimize for, and how wide its vectors are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rlxc.errors import PassError

LEVELS = ("host", "avx512", "avx2", "plain")


@dataclass(frozen=True, slots=True)
class Cpu:
    """A target: LLVM's CPU name and features; bytes of a vector register, and how many there are; bytes of the caches.

    `triple` is LLVM's name of another machine; the host's is empty.
    """

    name: str
    features: str
    vector_bytes: int
    registers: int = 16
    has_fma: bool = True
    has_f16: bool = True  # converts f16
    has_rounding: bool = True  # floor, ceil and so on
    l1: int = 32 << 10
    l2: int = 512 << 10
    l3: int = 8 << 20
    triple: str = ""

    @property
    def has_scale(self) -> bool:
        """Whether it multiplies by powers of two in one instruction."""
        return "+avx512f" in self.features.split(",")

    @property
    def has_amx(self) -> bool:
        """Whether it multiplies tiles of bf16."""
        return "+amx-bf16" in self.features.split(",")


@cache
def target_cpu(level: str = "host") -> Cpu:
    """The host, or the host with fewer features: "avx512", "avx2", "plain". Raises PassError for another name, or one that the host lacks."""
    import llvmlite.binding as llvm

    if level not in LEVELS:
        raise PassError(f"there is no CPU level '{level}'", code="RLX0406", help=f"levels are {', '.join(LEVELS)}")
    has = {name for name, on in llvm.get_host_cpu_features().items() if on}
    host = "avx512" if "avx512vl" in has and "avx512dq" in has else "avx2" if {"avx2", "fma"} <= has else "plain"
    if level == "host":
        level = host
    elif LEVELS.index(level) < LEVELS.index(host):
        raise PassError(f"this processor has no {level}", code="RLX0406", help=f"it has {host}")
    if level == "avx512":
        # The host may hide its model; features tell more than the name. See Note [CPU names].
        name = "sapphirerapids" if "avx512fp16" in has else "cooperlake" if "avx512bf16" in has else "skylake-avx512"
        return Cpu(name, _features(has), 64, 32, **_caches())
    if level == "avx2":
        kept = {f for f in has if not f.startswith(("avx512", "amx", "avx10", "evex"))}
        return Cpu("haswell", _features(kept), 32, **_caches())
    is_x86 = "sse2" in has
    return Cpu("x86-64" if is_x86 else "", "", 16, 16 if is_x86 else 32, has_fma=not is_x86, has_f16=not is_x86, has_rounding=not is_x86, **_caches())


@cache
def _caches() -> dict[str, Any]:
    """Bytes of the data caches that a core can use, by level; what the system does not tell is left to the defaults."""
    found: dict[str, int] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
            if kind != "Instruction" and level in "123" and size.endswith("K"):
                found[f"l{level}"] = int(size[:-1]) << 10
        except (OSError, ValueError):
            continue
    return found


def missing_features(features: str) -> list[str]:
    """Those of the features `+a,+b` that the host lacks."""
    import llvmlite.binding as llvm

    has = llvm.get_host_cpu_features()
    return [f[1:] for f in features.split(",") if f.startswith("+") and not has.get(f[1:])]


def _features(names: set[str]) -> str:
    return ",".join(sorted(f"+{name}" for name in names))


# Note [CPU names]
# ----------------
# Virtual machines often report a CPU model older than the features they offer, and LLVM then tunes for the wrong one. The name is
# therefore derived from the features; it selects tuning only, since the features are given explicitly.
