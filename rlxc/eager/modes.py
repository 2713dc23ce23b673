"""Whether operations are recorded: `with no_grad():` turns recording off in the thread that runs the block."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


def lock() -> threading.RLock:
    """A lock that is free in a forked process, whose other threads are gone."""
    made = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=made._at_fork_reinit)  # type: ignore[attr-defined]
    return made


class Recording:
    """What a record function reads first: `paused` is the number of blocks, in any thread, that have turned recording off.

    It is zero nearly always, and reading it costs a few nanoseconds; only where it is not does a thread look up whether it is meant.
    """

    __slots__ = ("_here", "_lock", "paused")

    def __init__(self) -> None:
        self.paused = 0
        self._lock = lock()
        self._here = threading.local()

    @property
    def is_on(self) -> bool:
        """Whether this thread records."""
        return not self.paused or getattr(self._here, "on", True)

    @contextmanager
    def set(self, on: bool) -> Iterator[None]:
        before = getattr(self._here, "on", True)
        self._here.on = on
        self._count(1)
        try:
            yield
        finally:
            self._here.on = before
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self.paused += change


RECORDING = Recording()


def no_grad() -> AbstractContextManager[None]:
    """A block (or, as a decorator, a function) in which nothing is recorded: results do not require gradients."""
    return RECORDING.set(False)


def enable_grad() -> AbstractContextManager[None]:
    """A block inside of `no_grad` in which operations are recorded again."""
    return RECORDING.set(True)


def is_grad_enabled() -> bool:
    """Whether this thread records now."""
    return RECORDING.is_on
