"""LAPACK and BLAS, which the package scipy carries, as C functions of native code.

SciPy offers them to other packages through capsules; all arguments are addresses, of Fortran's types. Fortran's matrices are stored by columns,
so a matrix of ours is the transposed one there: `A x = b` is `x' A' = b'`, a lower triangle is an upper one, and what is orthogonal by columns
is so by rows. Nothing is transposed for it, where the routine has such a twin.

Workspace comes from the kernel's own: there is no allocation.
"""

from __future__ import annotations

from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from rlxc.errors import MissingExtra
from rlxc.ir.attributes import Dense
from rlxc.ir.core import Value
from rlxc.ir.foreign import Foreign, foreign
from rlxc.ir.types import DType, MemType, TensorType

BLOCK = 64  # columns that routines work on at a time: their workspace is that many vectors

#: routines and how many arguments they take
_BLAS = {"trsm": 11}
_LAPACK = {"potrf": 5, "getrf": 6, "gelqf": 8, "orglq": 9, "syevd": 11, "gesdd": 14}


@cache
def is_there() -> bool:
    """Whether native code of this process can call LAPACK."""
    return find_spec("scipy") is not None


def _capsule(library: str, routine: str) -> Any:
    try:
        from scipy.linalg import cython_blas, cython_lapack
    except ImportError:
        raise MissingExtra(f"native code that calls {routine} needs the package scipy", help="pip install 'rlxc[scipy]'") from None
    return {"blas": cython_blas, "lapack": cython_lapack}[library].__pyx_capi__[routine]


def _routine(library: str, routine: str, arguments: int) -> Foreign:
    return foreign(f"void scipy_{routine}({', '.join(['ptr'] * arguments)})", partial(_capsule, library, routine))


#: by name with its letter: dpotrf. They are known from the start, since code from the cache asks for them.
ROUTINES = {
    letter + name: _routine(library, letter + name, arguments)
    for library, names in (("blas", _BLAS), ("lapack", _LAPACK))
    for name, arguments in names.items()
    for letter in "sd"
}


def call(e: Any, routine: str, dtype: str, *arguments: Any, flops: float) -> None:
    """Emit a call: letters, numbers (integers, or floats of `dtype`) and memory."""
    passed = [_memory(e, dtype, x) for x in arguments]
    ROUTINES[("s" if dtype == "f32" else "d") + routine](e, *passed, steps=int(flops / 8))


def _memory(e: Any, dtype: str, x: Any) -> Value:
    match x:
        case str():
            return _constant(e, np.frombuffer(x.encode(), np.uint8), "u8")
        case int():
            return _constant(e, np.array([x], np.int32), "i32")
        case float():
            return _constant(e, np.array([x], DType(dtype).numpy), dtype)
    return x.value


def _constant(e: Any, array: np.ndarray, dtype: str) -> Value:
    return e.global_(value=Dense(array, TensorType(DType(dtype), array.shape)), type=MemType(DType(dtype), array.shape))
