"""Executable: a native function that takes and returns NumPy arrays."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from rlxc.errors import OutOfMemory
from rlxc.ir.core import Func
from rlxc.runtime.jit import Loaded
from rlxc.runtime.workspaces import Workspaces, address_of

LONG = 60_000  # ops of the loop level: some 20 microseconds


class Executable:
    """Called with one array for each argument, of its dtype and shape, C-contiguous; returns a tuple of new arrays.

    Nothing is checked here: `rlxc.compile` gives a callable that checks. It may be called from several threads at once.
    """

    def __init__(self, func: Func, loaded: Loaded, symbol: str, workspace: int, pool: int | None = None, *, work: int = LONG) -> None:
        self.func = func
        self.workspace = workspace
        self.is_long = work >= LONG  # other threads of Python run meanwhile
        self.workspaces = Workspaces(func, workspace) if workspace else None
        self.pool = pool  # address of the pool of threads
        self.loaded = loaded  # keeps the machine code alive
        self.entry = loaded.address(symbol)
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(self.entry)
        self._results = [(v.type.shape, v.type.dtype.numpy) for v in func.results]  # type: ignore[union-attr]
        self._addresses = ctypes.c_void_p * (len(func.args) + len(func.results))

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        try:
            results = tuple(np.empty(shape, dtype) for shape, dtype in self._results)
        except (MemoryError, ValueError) as error:
            raise OutOfMemory(f"@{self.func.name}: its results do not fit into memory: {error}", loc=self.func.loc) from None
        self.run_into(arrays, results)
        return results

    def run_into(self, arrays: Any, results: Any) -> None:
        """Run on `arrays` and put the results into arrays that exist; none of them may overlap an argument."""
        addresses = self._addresses(*[address_of(a) for a in (*arrays, *results)])
        if self.workspaces is None:
            self._run(addresses, None, self.pool)
            return
        workspace = self.workspaces.take()
        self._run(addresses, address_of(workspace), self.pool)
        self.workspaces.give(workspace)
