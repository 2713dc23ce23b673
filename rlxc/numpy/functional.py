"""Functions that take functions or dtypes: apply_along_axis, apply_over_axes, result_type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlxc.numpy.common import axis_of, is_traced, reshape, traced
from rlxc.tracing.promotion import kind_of, promote
from rlxc.tracing.protocols import implements
from rlxc.tracing.transforms import vmap


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of vectors on each one along an axis, in whose place its results stand."""
    x = traced(arr)
    at = axis_of(axis, x.ndim)
    rows = np.moveaxis(x, at, -1)
    each = vmap(lambda row: func1d(row, *args, **kwargs))(reshape(rows, (rows.size // max(rows.shape[-1], 1), rows.shape[-1])))
    y = reshape(each, (*rows.shape[:-1], *each.shape[1:]))
    more = y.ndim - (x.ndim - 1)
    return np.moveaxis(y, tuple(range(x.ndim - 1, y.ndim)), tuple(range(at, at + more)))


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """A function of an array and an axis, again and again for each axis; axes that disappear are kept with size 1."""
    x = traced(a)
    for axis in axes if isinstance(axes, list | tuple) else (axes,):
        at = axis_of(axis, x.ndim)
        y = func(x, at)
        x = y if y.ndim == x.ndim else np.expand_dims(y, at)
    return x


@implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype that NumPy promotes to."""
    strong = [x for x in arrays_and_dtypes if not is_traced(x)]
    dtype, _ = promote(tuple([kind_of(x) for x in arrays_and_dtypes if is_traced(x)]))
    found: np.dtype = np.result_type(dtype.numpy, *strong)
    return found
