"""What passes made of functions that were traced outside of other traces, so that `rlxc.grad(f)(x)` in a loop transforms f once.

f is traced at each call, since it may see other things than before: it is the program that is looked up, not the Python function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlxc.ir.core import Func
from rlxc.ir.locks import lock
from rlxc.tracing.trace import current

_MAX_KNOWN = 256
_known: dict[Any, Any] = {}
_lock = lock()


def transformed(transform: Callable[..., Any], func: Func, *args: Any, **kwargs: Any) -> Any:
    """`transform(func, ...)`, or what it gave for the same program. Inside a trace it is made anew, since its places in the user's code are still of use."""
    if current() is not None:
        return transform(func, *args, **kwargs)
    key = (transform, func, _frozen(args), _frozen(tuple(kwargs.items())))
    with _lock:
        made = _known.pop(key, None)
        if made is not None:
            _known[key] = made  # at the end: the first is the one used longest ago
            return made
    made = transform(func, *args, **kwargs)
    with _lock:
        _known[key] = made
        while len(_known) > _MAX_KNOWN:
            _known.pop(next(iter(_known)))
    return made


def _frozen(x: Any) -> Any:
    return tuple([_frozen(i) for i in x]) if isinstance(x, list | tuple | range) else x
