"""`np.array([x, y])` of tracers, and `np.asarray(x)`.

NumPy has protocols for what is done to arrays, none for what makes them: np.array asks each tracer for a number. So while some thread traces a function,
these few functions of the module numpy are others, which look for tracers first and leave all else to NumPy's. Names bound before
(`from numpy import array`) are NumPy's own still, which ask for numbers and so lead to an error that says what to write.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from rlxc.tracing.protocols import mentions_tracer

#: NumPy's own
NUMPYS = {name: getattr(np, name) for name in ("array", "asarray", "asanyarray", "ascontiguousarray")}

_lock = threading.Lock()
_traces = 0


def begin() -> None:
    """A thread begins to trace."""
    global _traces
    with _lock:
        _traces += 1
        if _traces == 1:
            for name, maker in _MAKERS.items():
                setattr(np, name, maker)


def end() -> None:
    """A thread has ended to trace."""
    global _traces
    with _lock:
        _traces -= 1
        if _traces == 0:
            for name, plain in NUMPYS.items():
                setattr(np, name, plain)


def _maker(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def make(*args: Any, **kwargs: Any) -> Any:
        if type(args[0] if args else None) is not np.ndarray and (mentions_tracer(args[:1]) or mentions_tracer(kwargs.values())):
            return getattr(import_module("rlxc.numpy.creation"), name)(*args, **kwargs)
        return plain(*args, **kwargs)

    return make


_MAKERS = {name: _maker(name, plain) for name, plain in NUMPYS.items()}
