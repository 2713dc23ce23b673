"""Executable: a native function that takes and returns NumPy arrays."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from rlxc.codegen.thunks import SYMBOL
from rlxc.errors import OutOfMemory
from rlxc.ir.core import Func
from rlxc.ir.lazy import cached_property
from rlxc.runtime.jit import Loaded, Symbols
from rlxc.runtime.lowlevel import c_function, lowlevel_callable, scalar_function
from rlxc.runtime.workspaces import ALIGNMENT, Workspaces, address_of

LONG = 60_000  # ops of the loop level: some 20 microseconds
LEAST_ROOM, MOST_ROOM = 128 << 10, 32 << 20  # bytes between which glibc learns from a block that it frees


class Executable:
    """Called with one array for each argument, of its dtype and shape, C-contiguous; returns a tuple of new arrays.

    Nothing is checked here: `rlxc.compile` gives a callable that checks. It may be called from several threads at once.
    """

    def __init__(self, func: Func, loaded: Symbols, symbol: str, workspace: int, pool: int | None = None, *, work: int = LONG) -> None:
        self.func = func
        self.workspace = workspace
        self.is_long = work >= LONG  # other threads of Python run meanwhile
        self.workspaces = Workspaces(func, workspace) if workspace else None
        self.pool = pool  # address of the pool of threads
        self.loaded = loaded  # keeps the machine code alive
        self.entry = loaded.address(symbol)
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(self.entry)
        self._results = [(v.type.shape, v.type.dtype.numpy) for v in func.results]  # type: ignore[union-attr]
        _keep_room(sum(v.type.nbytes for v in func.results))  # type: ignore[union-attr]
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

    # for other native code

    @property
    def address(self) -> int:
        """The address of `int f(const void *const *in, void *const *out, void *workspace)`, good for as long as this object lives.

        It takes the addresses of arguments and results, and `workspace_size` bytes, as functions of libraries do; nothing is checked.
        """
        return self._c_function.address(SYMBOL)

    @cached_property
    def _c_function(self) -> Loaded:
        return c_function(self)

    @property
    def workspace_size(self) -> int:
        """Bytes of workspace that `address` asks for, wherever they begin."""
        return self.workspace + ALIGNMENT if self.workspace else 0

    def scalar_function(self, /, **fixed: Any) -> Any:
        """`double f(double)` or `double f(int n, double *x)` as a ctypes function; see `lowlevel.scalar_function`."""
        return scalar_function(self, fixed)

    def lowlevel_callable(self, /, **fixed: Any) -> Any:
        """The scalar function as a scipy.LowLevelCallable."""
        return lowlevel_callable(scalar_function(self, fixed))


def _keep_room(size: int) -> None:
    """Let the C library keep memory of this size when results are freed. See Note [Room for results]."""
    if LEAST_ROOM <= size <= MOST_ROOM:
        np.empty(size, np.uint8)


# Note [Room for results]
# -----------------------
# glibc gives the freed end of its heap back to the system where that is more than twice the largest block that it has ever mapped on its own and
# freed. Results of a call that are together larger are given back after every call, and each of their pages is zeroed anew in the next
# one, which can take longer than the call. A block of their size that is freed at once, and never touched, raises that limit. It does
# nothing for blocks beyond 32 MiB, nor in other C libraries.
