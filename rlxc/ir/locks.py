"""Locks that are free in a forked process, whose other threads are gone."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def lock() -> threading.RLock:
    """A lock that its thread may take again. What it guards must be right at every moment: in a child nobody finishes what was begun."""
    made = threading.RLock()
    _locks.add(made)
    return made


def _free() -> None:
    for each in list(_locks):
        each._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free)
