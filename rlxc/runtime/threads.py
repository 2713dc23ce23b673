"""The process's pool of threads: how many there are, and what becomes of them at a fork and at exit.

Nothing is started before a function with a parallel loop is called, and nothing at all where there is one thread.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
from functools import lru_cache

from rlxc.codegen.thread_pool import SLOTS, SYMBOLS, has_pool, pool_text
from rlxc.errors import ArgumentError
from rlxc.ir.locks import lock
from rlxc.runtime.support import load_support

PATIENCE_NS = 100_000  # work that found the workers asleep, after which they are woken
SPIN_NS = 100_000  # how long a worker watches for more work before it sleeps

_lock = lock()
_wanted: int | None = None


def num_threads() -> int:
    """How many threads a call may use: what `set_num_threads` said, else RLXC_NUM_THREADS, else the CPUs this process may run on."""
    return _wanted if _wanted is not None else _default_threads()


def set_num_threads(n: int) -> None:
    """Let calls use `n` threads, the caller's included. What was compiled before uses at most as many as there were then."""
    global _wanted
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ArgumentError(f"a number of threads is a positive integer, not {n!r}")
    with _lock:
        _wanted = min(n, SLOTS)
        if _pool.cache_info().currsize and (pool := _pool()) is not None:
            pool.resize(_wanted - 1)


def wake_after(nanoseconds: int) -> None:
    """Wake sleeping workers once they have missed so much work: a measure of what that costs, which tests set to 0."""
    with _lock:
        if (pool := _pool()) is not None:
            pool.tune(nanoseconds, SPIN_NS)


def pool_address() -> int | None:
    """What an entry takes as its pool: an address that stays valid, or None where there are no threads."""
    with _lock:
        pool = _pool()
        return None if pool is None else pool.address


@lru_cache(maxsize=1)
def _default_threads() -> int:
    text = os.environ.get("RLXC_NUM_THREADS", "").strip()
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise ArgumentError(f"RLXC_NUM_THREADS is a positive integer, not '{text}'")
        return min(int(text), SLOTS)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus, SLOTS)


class _Pool:
    """The machine code and the memory of the pool; both live as long as the process, since workers may be in them."""

    def __init__(self) -> None:
        loaded = load_support(pool_text(platform.machine()), SYMBOLS)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(loaded))
        self.address, init, resize, reset = map(loaded.address, SYMBOLS)
        self.resize = ctypes.CFUNCTYPE(None, ctypes.c_int32)(resize)
        self.reset = ctypes.CFUNCTYPE(None)(reset)
        self.tune = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(init)
        self.tune(PATIENCE_NS, SPIN_NS)
        self.resize(num_threads() - 1)
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._stop)

    def _forget(self) -> None:
        """A forked child has none of its parent's workers; it starts its own when it needs them."""
        self.reset()

    def _stop(self) -> None:
        """Workers end before the interpreter does; calls from then on are serial."""
        self.resize(0)


@lru_cache(maxsize=1)
def _pool() -> _Pool | None:
    return _Pool() if has_pool(platform.machine(), platform.system()) else None
