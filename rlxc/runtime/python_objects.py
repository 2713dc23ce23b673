"""What emitted code needs to know of CPython and NumPy in this process: addresses of objects and functions, and whether objects lie in memory as it expects."""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from functools import cache
from typing import Any

import numpy as np

from rlxc.codegen.python_wrapper import ARRAY, DTYPE, NUMBER, READABLE, SIZE, STRUCTURE, TYPE, WRITABLE

# Positions in the table of functions that NumPy offers to C code; they are part of its binary interface.
_ARRAY_TYPE = 2
_NEW_FROM_DESCR = 94


@cache
def supported() -> bool:
    """Whether this Python is one that emitted code can deal with: CPython with a GIL in 64 bits, and all that is read lies where it is expected."""
    return (
        sys.implementation.name == "cpython"
        and sys.maxsize == 2**63 - 1
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and all(map(_lies_as_expected, _some_arrays()))
        and _others_lie_as_expected()
        and _array_function(_ARRAY_TYPE) == id(np.ndarray)
    )


def address(name: str) -> int:
    """Of a function of CPython's C interface."""
    return _address(getattr(ctypes.pythonapi, name))


def new_array() -> int:
    """Address of NumPy's PyArray_NewFromDescr."""
    return _array_function(_NEW_FROM_DESCR)


def tuple_items() -> int:
    """Offset of the first item of a tuple."""
    return tuple.__basicsize__


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _array_function(index: int) -> int:
    core: Any = sys.modules.get("numpy._core._multiarray_umath") or sys.modules.get("numpy.core._multiarray_umath")
    get_pointer = ctypes.pythonapi["PyCapsule_GetPointer"]
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    table = get_pointer(core._ARRAY_API, None)
    return _read(ctypes.c_size_t, table, 8 * index)


def _read(type_: Any, start: int, offset: int) -> int:
    value: int = type_.from_address(start + offset).value
    return value


def _read_bytes(number: Any, offset: int) -> bytes:
    return ctypes.string_at(id(number) + offset, np.array(number).nbytes)


def _some_arrays() -> list[np.ndarray]:
    odd = np.zeros(9, np.uint8)[1:].view(np.float32)
    fixed = np.zeros((2, 3), np.int16)
    fixed.flags.writeable = False
    return [np.zeros(()), np.zeros((3, 4, 5), np.float32), np.zeros((4, 5), ">i8").T, np.zeros((2, 0), bool)[::-1], odd, fixed]


def _lies_as_expected(x: np.ndarray) -> bool:
    shape = _read(ctypes.c_size_t, id(x), ARRAY["shape"]) if x.ndim else 0
    flags = _read(ctypes.c_int32, id(x), ARRAY["flags"])
    return (
        _read(ctypes.c_size_t, id(x), TYPE) == id(np.ndarray)
        and _read(ctypes.c_size_t, id(x), ARRAY["data"]) == x.__array_interface__["data"][0]
        and _read(ctypes.c_int32, id(x), ARRAY["rank"]) == x.ndim
        and all(_read(ctypes.c_int64, shape, 8 * i) == n for i, n in enumerate(x.shape))
        and _read(ctypes.c_size_t, id(x), ARRAY["dtype"]) == id(x.dtype)
        and (flags & READABLE == READABLE) == (x.flags.c_contiguous and x.flags.aligned)
        and (flags & WRITABLE == WRITABLE) == x.flags.carray
        and _read(ctypes.c_int32, id(x.dtype), DTYPE["number"]) == x.dtype.num
        and chr(_read(ctypes.c_uint8, id(x.dtype), DTYPE["order"])) == x.dtype.byteorder
    )


def _others_lie_as_expected() -> bool:
    numbers = (0.1, *(np.array(5).astype(t)[()] for t in "?bBhHiIlLefdFD"))
    items, structure = (object(), object(), object()), (ctypes.c_int64 * 2)()
    return (
        object.__basicsize__ == TYPE + 8
        and all(_read_bytes(x, NUMBER) == np.array(x).tobytes() for x in numbers)
        and _read(ctypes.c_size_t, id(structure), STRUCTURE) == ctypes.addressof(structure)
        and _read(ctypes.c_int64, id(items), SIZE) == len(items)
        and [_read(ctypes.c_size_t, id(items), tuple_items() + 8 * i) for i in range(3)] == [id(x) for x in items]
    )
