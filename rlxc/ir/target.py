"""Target: what schedules ask of a processor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Bytes of a vector register, how many there are, and bytes of each level of cache that one core has for itself.

    `vector_bytes` 0 asks for no vectors at all: loops are written as the element rules say.
    """

    vector_bytes: int = 0
    registers: int = 16
    l1: int = 32 << 10
    l2: int = 512 << 10
    l3: int = 8 << 20
    scales: bool = False  # multiplies by powers of two in one instruction
    lapack: bool = False  # native code may call LAPACK

    def lanes(self, element_bytes: int) -> int:
        """Elements of a vector register."""
        return max(1, self.vector_bytes // element_bytes)

    @property
    def has_masks(self) -> bool:
        """Whether loads and stores of some lanes are instructions of their own."""
        return self.vector_bytes >= 32
