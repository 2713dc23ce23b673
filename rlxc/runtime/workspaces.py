"""Memory for what functions compute in between: kept from call to call, since memory that is touched for the first time costs page faults.

Functions that need about as much share their workspaces: a process with many functions keeps one of each size, not one for each function.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

import numpy as np

from rlxc.errors import OutOfMemory
from rlxc.ir.core import Func
from rlxc.ir.locks import lock

ALIGNMENT = 64
SMALLEST, LARGE = 1 << 16, 1 << 28  # bytes


class Workspaces:
    """The workspaces of one function: a call takes one for itself, and gives it back for the next call.

    `spare` is a plain list of arrays of bytes, so that taking from it and putting back are one step each, for Python and for machine code.
    """

    def __init__(self, func: Func, nbytes: int) -> None:
        self.func = func
        self.nbytes = nbytes
        self.shared = _shared(nbytes)
        self.spare = self.shared.spare

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
            raw = np.empty(self.shared.nbytes + ALIGNMENT, np.uint8)
        except (MemoryError, ValueError):
            raise OutOfMemory(f"@{self.func.name} needs {self.nbytes} bytes for what it computes in between", loc=self.func.loc) from None
        start = -address_of(raw) % ALIGNMENT
        return raw[start : start + self.shared.nbytes]


class _Spare:
    """Workspaces of one size that no call uses now; they go with the last function that needs this size."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.spare: list[np.ndarray] = []


_of_size: WeakValueDictionary[int, _Spare] = WeakValueDictionary()
_lock = lock()


def _shared(nbytes: int) -> _Spare:
    """Workspaces of at least `nbytes`: a power of two, of which only what is needed is ever touched; large ones are multiples of LARGE."""
    size = max(SMALLEST, 1 << (nbytes - 1).bit_length()) if nbytes <= LARGE else -(-nbytes // LARGE) * LARGE
    with _lock:
        found = _of_size.get(size)
        if found is None:
            found = _of_size[size] = _Spare(size)
        return found


def address_of(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
