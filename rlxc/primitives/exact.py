"""NumPy functions for `eval` that are as exact as the dtype allows, since `eval` is what native code is measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def exactly(function: Callable[..., Any], *xs: Any) -> Any:
    """`function` of arrays of one float dtype, computed in a wider one and rounded once.

    f64 is computed in long double (64 bits of mantissa on x86, no wider than f64 on some other machines), the rest in f64.
    """
    dtype = xs[0].dtype
    if dtype.kind == "c":
        wide: Any = np.clongdouble if dtype == np.complex128 else np.complex128
    else:
        wide = np.longdouble if dtype == np.float64 else np.float64
    with np.errstate(all="ignore"):
        return round_to(function(*[np.asarray(x).astype(wide) for x in xs]), dtype)


def round_to(x: Any, dtype: Any) -> Any:
    """`x` in a float dtype; narrow ones are reached by way of f32, as in native code."""
    if dtype.itemsize < 4:
        x = x.astype(np.float32)
    return x.astype(dtype)
