"""The levels of instructions that tests compile for, of those that this machine has."""

from __future__ import annotations

from rlxc.errors import PassError
from rlxc.runtime.cpu import LEVELS, target_cpu


def levels() -> list[str]:
    """All of them: the host, and what is below it."""
    return [level for level in LEVELS if _has(level)]


def lower_levels() -> list[str]:
    """Those whose code is not the host's."""
    return [level for level in levels() if target_cpu(level) != target_cpu()]


def _has(level: str) -> bool:
    try:
        target_cpu(level)
    except PassError:
        return False
    return True
