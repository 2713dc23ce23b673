"""Remarks: what passes and schedules decided, and why, for people who ask `rlxc build --remarks`.

A pass says `remark("stored", f"{v} is read by 3 kernels", loc)` where it decides. Nothing is kept, nor paid for, unless somebody collects:

    with collecting() as remarks:
        pipeline.run(module)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from rlxc.errors import UNKNOWN, Loc


@dataclass(frozen=True, slots=True)
class Remark:
    """One decision, in a sentence. Kinds: kernel, apart, stored, again, schedule, precision."""

    kind: str
    message: str
    loc: Loc = UNKNOWN

    def __str__(self) -> str:
        where = f"{self.loc}: " if self.loc.line else ""
        return f"{where}{self.kind}: {self.message}"


_COLLECTED: ContextVar[list[Remark] | None] = ContextVar("remarks", default=None)


@contextmanager
def collecting() -> Iterator[list[Remark]]:
    """Collect the remarks made meanwhile, in this thread: a list that grows."""
    found: list[Remark] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def is_collecting() -> bool:
    """Whether anybody hears remarks: then each decision is made by itself, also where it is known from one like it."""
    return _COLLECTED.get() is not None


def remark(kind: str, message: str | Callable[[], str], loc: Loc = UNKNOWN) -> None:
    """Say what was decided, if anybody collects; a message that takes work to write is given as a function."""
    found = _COLLECTED.get()
    if found is not None:
        found.append(Remark(kind, message if isinstance(message, str) else message(), loc))
