"""Python's collector of cyclic garbage, kept quiet while IR is made: it would walk all of it, again and again, and find nothing."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

_quiet: list[int] = []  # threads that have turned it off


@contextmanager
def without_collection() -> Iterator[None]:
    """No collection inside the block, or the function that this decorates. It takes a third of the time of large programs."""
    if not gc.isenabled():
        yield
        return
    me = get_ident()
    try:
        _quiet.append(me)
        gc.disable()
        yield
    finally:
        gc.enable()
        _quiet.remove(me)


def _turn_on() -> None:
    """In a forked process: a thread that is not there any more may have turned it off."""
    if any(thread != get_ident() for thread in _quiet):
        gc.enable()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_turn_on)
