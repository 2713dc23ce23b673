"""Whether operations are recorded: `with no_grad():` turns recording off in the thread that runs the block."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import partial
from typing import Any, NamedTuple

from rlxc.ir.locks import lock


class Entered(NamedTuple):
    """A block that a thread is in while `held` is locked."""

    held: threading.Lock
    thread: object
    on: bool


class Recording:
    """What a record function reads first: `blocks` are those in which recording was turned on or off, in any thread.

    There are none nearly always, and to see that costs a few nanoseconds; only where there are does a thread look up whether one is its own.
    """

    __slots__ = ("_here", "_lock", "blocks")

    def __init__(self) -> None:
        self.blocks: list[Entered] = []
        self._lock = lock()
        self._here = threading.local()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget_others)

    @property
    def is_on(self) -> bool:
        """Whether this thread records: what its innermost block says."""
        me = self._thread()
        left = False
        for held, thread, on in reversed(self.blocks):
            if not held.locked():
                left = True
            elif thread is me:
                return on
        if left:
            self._keep(lambda block: block.held.locked())
        return True

    @property
    def is_off(self) -> bool:
        """The contrary, told at once where the block entered last, in any thread, is this thread's."""
        try:
            held, thread, on = self.blocks[-1]
        except IndexError:
            return False
        return not on if thread is self._thread() and held.locked() else not self.is_on

    def enter(self, held: threading.Lock, on: bool) -> None:
        with self._lock:
            self.blocks.append(Entered(held, self._thread(), on))

    def _thread(self) -> object:
        try:
            return self._here.itself
        except AttributeError:
            self._here.itself = object()
            return self._here.itself

    def _keep(self, wanted: Callable[[Entered], bool]) -> None:
        with self._lock:
            self.blocks[:] = [block for block in self.blocks if wanted(block)]

    def _forget_others(self) -> None:
        me = self._thread()
        self._keep(lambda block: block.thread is me)


RECORDING = Recording()


class _Own(threading.local):
    """What a thread has of a block: the lock that it takes next, and those it took. Threads may share a block, as those do that call a decorated function."""

    def __init__(self) -> None:
        self.next: threading.Lock | None = None
        self.held: list[threading.Lock] = []


class _Leave:
    """The `__exit__` of a block, which `with` looks up before it enters: to unlock what the block holds. See Note [Interrupts]."""

    def __get__(self, block: Block | None, owner: type) -> Any:
        if block is None:
            return lambda block, *error: _leave(block.own, *error)
        block.own.next = threading.Lock()
        return block.own.next.__exit__


def _leave(own: _Own, *_: Any) -> None:
    own.held.pop().release()


class Block(ContextDecorator):
    """A block in which this thread records, or does not. It can be entered again, inside of itself too."""

    __exit__ = _Leave()  # type: ignore[assignment]

    def __init__(self, on: bool) -> None:
        self._on = on
        self.own = _Own()
        self.__dict__["__exit__"] = partial(_leave, self.own)  # for who calls it by name

    def __enter__(self) -> None:
        own = self.own
        held = own.next or threading.Lock()
        own.next = None
        try:
            held.acquire()
            own.held[:] = [*(h for h in own.held if h.locked()), held]
            RECORDING.enter(held, self._on)
        except BaseException:
            held.release()
            raise


def no_grad() -> Block:
    """A block (or, as a decorator, a function) in which nothing is recorded: results do not require gradients."""
    return Block(False)


def enable_grad() -> Block:
    """A block inside of `no_grad` in which operations are recorded again."""
    return Block(True)


def is_grad_enabled() -> bool:
    """Whether this thread records now."""
    return RECORDING.is_on


# Note [Interrupts]
# -----------------
# KeyboardInterrupt is raised where Python next looks for signals, which it does as every function written in Python begins. An `__exit__` written in Python
# may so never run a line, and would leave recording off for good (one interrupt in a hundred did). To unlock is a function of C, which is either not begun
# or done. So a block is over when its lock is free, and whoever looks next takes it off the list.
