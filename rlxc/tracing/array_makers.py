"""`np.array([x, y])` and `np.sum([x, y])` of tracers, and `np.asarray(x)`.

NumPy has protocols for what is done to arrays, none for what makes them, of lists or of anything: np.array asks each tracer for a number. So while some
thread traces a function, these few functions of the module numpy are others, which look for tracers first and leave all else to NumPy's. Names bound
before (`from numpy import array`) are NumPy's own still, which ask for numbers and so lead to an error that says what to write.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from rlxc.ir.locks import lock
from rlxc.tracing.protocols import PLAIN, mentions_tracer

#: NumPy's own
NUMPYS = {name: getattr(np, name) for name in ("array", "asarray", "asanyarray", "ascontiguousarray")}

NUMPYS_FULL = np.full
#: functions that are often given lists
_OF_LISTS = (
    "sum", "prod", "mean", "std", "var", "max", "min", "amax", "amin", "median", "average", "any", "all", "argmax", "argmin", "cumsum", "cumprod", "diff",
    "sort", "diag", "dot", "inner", "outer", "cross", "kron", "polyval", "interp", "trapezoid", "reshape", "flip", "roll",
)  # fmt: skip
_OF_MATRICES = ("norm", "inv", "det", "slogdet", "solve", "cholesky", "eigh", "eigvalsh", "matrix_power")

_lock = lock()
_tracing: dict[int, int] = {}  # how many traces a thread is in: an eager tensor's operation may be traced while a function is


def begin() -> None:
    """This thread begins to trace."""
    me = threading.get_ident()
    with _lock:
        _tracing[me] = _tracing.get(me, 0) + 1
        for (module, name), (_, ours) in _FUNCTIONS.items():
            setattr(module, name, ours)


def end() -> None:
    """This thread has ended to trace, if it did."""
    me = threading.get_ident()
    with _lock:
        count = _tracing.pop(me, 1) - 1
        if count:
            _tracing[me] = count
        if not _tracing:
            for (module, name), (plain, _) in _FUNCTIONS.items():
                setattr(module, name, plain)


def _forget_others() -> None:
    """In a forked process, whose other threads are gone."""
    for thread in list(_tracing):
        if thread != threading.get_ident():
            del _tracing[thread]
    if not _tracing:
        end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_others)


def _maker(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def make(*args: Any, **kwargs: Any) -> Any:
        if type(args[0] if args else None) is not np.ndarray and (mentions_tracer(args[:1]) or mentions_tracer(kwargs.values())):
            return getattr(import_module("rlxc.numpy.creation"), name)(*args, **kwargs)
        return plain(*args, **kwargs)

    return make


def _of_lists(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def of(*args: Any, **kwargs: Any) -> Any:
        if any([type(x) in (list, tuple) and mentions_tracer(x) for x in args]):
            array = import_module("rlxc.numpy.creation").array
            args = tuple([array(x) if type(x) in (list, tuple) and mentions_tracer(x) else x for x in args])
        return plain(*args, **kwargs)

    return of


@functools.wraps(np.full)
def _full(*args: Any, **kwargs: Any) -> Any:
    traced = mentions_tracer(args[1:2]) or mentions_tracer(kwargs.values())
    return (import_module("rlxc.numpy.creation").full_ if traced else NUMPYS_FULL)(*args, **kwargs)


#: what are others while somebody traces: NumPy's own, and ours
_FUNCTIONS: dict[tuple[Any, str], tuple[Any, Any]] = {
    **{(np, name): (plain, _maker(name, plain)) for name, plain in NUMPYS.items()},
    **{(np, name): (getattr(np, name), _of_lists(getattr(np, name))) for name in _OF_LISTS},
    **{(np.linalg, name): (getattr(np.linalg, name), _of_lists(getattr(np.linalg, name))) for name in _OF_MATRICES},
    (np, "full"): (np.full, _full),
}
PLAIN.update({ours: plain for plain, ours in _FUNCTIONS.values()})
