"""Arrays that are made after the form of others: zeros_like and its kin; array, which puts tracers together."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from rlxc.numpy.arrangement import broadcast_to, reshape, stack
from rlxc.numpy.common import F64
from rlxc.numpy.operands import cast, convert, full, tracer_of
from rlxc.tracing.array_makers import NUMPYS, NUMPYS_FULL
from rlxc.tracing.promotion import as_dtype
from rlxc.tracing.protocols import implements, mentions_tracer
from rlxc.tracing.trace import current
from rlxc.tracing.tracer import Tracer

__all__ = ["array", "asarray", "empty", "full_like", "ones", "ones_like", "zeros", "zeros_like"]


def _like(number: Any, a: Any, dtype: Any, shape: Any) -> Any:
    a = tracer_of(a)
    wanted = a.aval.dtype if dtype is None else as_dtype(dtype)
    sizes = a.shape if shape is None else tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if isinstance(number, Tracer) or np.ndim(number):
        return broadcast_to(cast(number, wanted), sizes)
    return full(np.asarray(number).astype(wanted.numpy), wanted, sizes)


@implements(np.zeros_like, np.empty_like)
def zeros_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, device: Any = None) -> Any:
    """Zeros in the shape and dtype of `a`."""
    return _like(0, a, dtype, shape)


@implements(np.ones_like)
def ones_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, device: Any = None) -> Any:
    """Ones in the shape and dtype of `a`."""
    return _like(1, a, dtype, shape)


@implements(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, device: Any = None) -> Any:
    """A number in the shape and dtype of `a`."""
    return _like(fill_value, a, dtype, shape)


def _filled(plain: Callable[..., Any], number: Any) -> Callable[..., Any]:
    @functools.wraps(plain)
    def make(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
        if current() is None:
            return plain(shape, dtype, order)
        return full(number, F64 if dtype is None else as_dtype(dtype), shape if isinstance(shape, tuple | list) else (shape,))

    return make


#: traced arrays while a function is traced, so that they have `.at`
zeros, ones, empty = _filled(np.zeros, 0), _filled(np.ones, 1), _filled(np.empty, 0)


@functools.wraps(NUMPYS_FULL)
def full_(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", *, device: Any = None, like: Any = None) -> Any:
    """Something repeated to a shape; a traced array while a function is traced."""
    if current() is None:
        return NUMPYS_FULL(shape, fill_value, dtype, order)
    made = _array(fill_value) if dtype is None else convert(_array(fill_value), dtype)
    return broadcast_to(tracer_of(np.asarray(made) if isinstance(made, int | float | complex) else made), shape)


@implements(NUMPYS["array"])
def array(object: Any, dtype: Any = None, *, copy: Any = True, order: str = "K", subok: bool = False, ndmin: int = 0, ndmax: int = 0, like: Any = None) -> Any:
    """An array of what lists hold, tracers among them."""
    made = _array(object)
    if dtype is not None:
        made = convert(made, dtype)
    return reshape(made, (1,) * (ndmin - made.ndim) + made.shape) if ndmin > made.ndim else made


@implements(NUMPYS["asarray"], NUMPYS["asanyarray"], NUMPYS["ascontiguousarray"])
def asarray(a: Any, dtype: Any = None, order: str | None = None, *, device: Any = None, copy: Any = None, like: Any = None) -> Any:
    """The same as an array."""
    return array.__wrapped__(a, dtype)  # type: ignore[attr-defined]


asanyarray = ascontiguousarray = asarray


def _array(x: Any) -> Any:
    if isinstance(x, list | tuple) and mentions_tracer(x):
        return stack([_array(i) for i in x])
    return tracer_of(x) if isinstance(x, Tracer) else np.asarray(x)
