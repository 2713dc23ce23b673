"""Memory for what a function computes in between."""

from __future__ import annotations

import numpy as np

from rlxc.errors import OutOfMemory
from rlxc.ir.core import Func

ALIGNMENT = 64


class Workspaces:
    """The workspaces of one function: a call takes one for itself, and gives it back for the next call.

    `spare` is a plain list of arrays of bytes, so that taking from it and putting back are one step each, for Python and for machine code.
    """

    def __init__(self, func: Func, nbytes: int) -> None:
        self.func = func
        self.nbytes = nbytes
        self.spare: list[np.ndarray] = []

    def take(self) -> np.ndarray:
        try:
            return self.spare.pop()
        except IndexError:
            return self.new()

    def give(self, workspace: np.ndarray) -> None:
        self.spare.append(workspace)

    def new(self) -> np.ndarray:
        """An array of bytes that starts at a multiple of ALIGNMENT; raises OutOfMemory."""
        try:
            raw = np.empty(self.nbytes + ALIGNMENT, np.uint8)
        except (MemoryError, ValueError):
            raise OutOfMemory(f"@{self.func.name} needs {self.nbytes} bytes for what it computes in between", loc=self.func.loc) from None
        start = -address_of(raw) % ALIGNMENT
        return raw[start : start + self.nbytes]


def address_of(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
