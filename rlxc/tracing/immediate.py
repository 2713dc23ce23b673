"""Functions of ops that work on arrays, too: inside a trace their ops are recorded, outside of traces they are compiled for what they are given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from rlxc.ir.locks import lock
from rlxc.runtime.compiled import Compiled
from rlxc.tracing.pytree import flatten, unflatten
from rlxc.tracing.staging import Aval, Staged, as_native, aval_of, compiled, stage
from rlxc.tracing.static_values import distinction
from rlxc.tracing.trace import current

F = TypeVar("F", bound=Callable[..., Any])
_MAX_KNOWN = 1024


def immediate(f: F) -> F:
    """Decorates a function that emits ops, so that it takes arrays as well as tracers.

    Arrays among the arguments are arrays of the compiled function; everything else (numbers, shapes, names, functions) belongs to it, and must be hashable.
    """
    known: dict[Any, tuple[Staged, Compiled]] = {}
    guard = lock()

    @functools.wraps(f)
    def public(*args: Any, **kwargs: Any) -> Any:
        if current() is not None:
            return f(*args, **kwargs)
        for x in args:
            if hasattr(x, "__rlxc_record__"):  # a tensor of a tape, which is seen here at once
                return x.__array_function__(public, (type(x),), args, kwargs)
        leaves, tree = flatten((args, kwargs))
        other = next((x for x in leaves if _overrides(x)), None)
        if other is not None:  # tensors of a tape, and the like: by NumPy's own protocol
            return other.__array_function__(public, (type(other),), args, kwargs)
        avals = tuple([aval_of(x) if _is_array(x) else None for x in leaves])
        key = (tree, avals, tuple([(distinction(x), x) for x, a in zip(leaves, avals, strict=True) if a is None]))
        with guard:
            found = known.get(key)
        if found is None:
            staged = _stage(f, leaves, avals, tree)
            found = staged, compiled(staged.func)
            with guard:
                if len(known) >= _MAX_KNOWN:
                    known.clear()
                known[key] = found
        staged, native = found
        arrays = [x for x, a in zip(leaves, avals, strict=True) if a is not None]
        results = native(*[as_native(x, v.type) for x, v in zip((*arrays, *staged.captured), staged.func.args, strict=True)])
        count = staged.tree.leaves
        return results if staged.tree.is_leaf else unflatten(staged.tree, results if count > 1 else (results,) if count else ())

    return public  # type: ignore[return-value]


def _overrides(x: Any) -> bool:
    return hasattr(type(x), "__array_function__") and not isinstance(x, np.ndarray)


def _is_array(x: Any) -> bool:
    array_like = hasattr(x, "__array_interface__") or hasattr(x, "__rlxc_call__")
    return isinstance(x, np.ndarray | np.generic) or (array_like and not isinstance(x, type))


def _stage(f: Callable[..., Any], leaves: list[Any], avals: tuple[Aval | None, ...], tree: Any) -> Staged:
    """The function traced with tracers in place of arrays."""

    def rebuild(traced: list[Any]) -> tuple[Any, Any]:
        arrays = iter(traced)
        args, kwargs = unflatten(tree, [x if a is None else next(arrays) for x, a in zip(leaves, avals, strict=True)])
        return args, kwargs

    known = [a for a in avals if a is not None]
    return stage(f, known, rebuild, [None] * len(known), hoists=False)
