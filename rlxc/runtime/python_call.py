"""Calls from Python straight into machine code: types whose instances CPython calls by the emitted wrapper, and what the wrapper reads.

    kind = CallableType(base)      a subclass of `base`, `kind.type`; `base.__call__` stands behind it as the slow path
    kind.prepare(instance)         calls of this instance go through the wrapper, which knows no native code yet
    kind.serve(instance, call)     they go to the native function of a `Call` from now on

An instance has two words more than one of `base`: the address of the wrapper, where CPython looks for it (the vectorcall protocol), and that of a `call`.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np

from rlxc.codegen.python_wrapper import CALL, PYTHON, STRUCTURES, wrapper_text
from rlxc.ir.core import Value
from rlxc.runtime import jit
from rlxc.runtime.cpu import target_cpu
from rlxc.runtime.executable import Executable
from rlxc.runtime.python_objects import address, new_array, tuple_items

MAX_ARRAYS = 4096  # of a call: their addresses are on the stack

_WORD = 8


def _structure(name: str) -> Any:
    c_types = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64}
    return type(name, (ctypes.Structure,), {"_fields_": [(field, c_types[type_]) for field, type_ in STRUCTURES[name].items()]})


_Python, _Call, _Array = map(_structure, ("python", "call", "array"))


class Call:
    """What the wrapper reads of one native function. It owns all of that, machine code included."""

    def __init__(self, executable: Executable) -> None:
        func, workspaces = executable.func, executable.workspaces
        self._loaded = executable.loaded
        self._shapes: list[Any] = []
        self._dtypes: list[np.dtype] = []
        values = [*func.args, *func.results]
        self._arrays = (_Array * len(values))(*map(self._array, values))
        self._names = [sys.intern(name) for name in (*func.arg_names, "out")]
        self._name_addresses = (ctypes.c_void_p * len(self._names))(*map(id, self._names))
        self._workspaces = (workspaces.spare, workspaces.new) if workspaces else None
        self._structure = _Call(
            entry=executable.entry,
            threads=executable.pool,
            owner=id(self),
            workspaces=id(self._workspaces[0]) if self._workspaces else None,
            new_workspace=id(self._workspaces[1]) if self._workspaces else None,
            arguments=len(func.args),
            results=len(func.results),
            names=ctypes.addressof(self._name_addresses),
            arrays=ctypes.addressof(self._arrays),
            is_long=executable.is_long,
        )
        self.address = ctypes.addressof(self._structure)

    def _array(self, value: Value) -> Any:
        type_: Any = value.type
        dtype = type_.dtype.numpy
        shape = (ctypes.c_int64 * type_.rank)(*type_.shape)
        self._dtypes.append(dtype)
        self._shapes.append(shape)
        float_bits = type_.dtype.bits if type_.rank == 0 and type_.dtype in ("f32", "f64") else 0
        return _Array(dtype=id(dtype), rank=type_.rank, shape=ctypes.addressof(shape), bytes=type_.size * dtype.itemsize, float_bits=float_bits)


class CallableType:
    """A subclass of `base` whose instances are called by machine code, and that code. It lives as long as the process."""

    def __init__(self, base: type) -> None:
        self._slot = base.__basicsize__
        self._slow_path = vars(base)["__call__"]
        self._loaded = jit.load(jit.object_code(wrapper_text(), target_cpu("plain")), [CALL, PYTHON])
        self._wrapper = self._loaded.address(CALL)
        _Python.from_address(self._loaded.address(PYTHON)).__init__(**self._python())
        self.type = _subclass(base)

    def prepare(self, instance: Any) -> None:
        _word(instance, self._slot).value = self._wrapper

    def serve(self, instance: Any, call: Call) -> None:
        """The instance must keep `call` alive for as long as it serves."""
        _word(instance, self._slot + _WORD).value = call.address

    def _python(self) -> dict[str, int]:
        functions = {
            "new_tuple": "PyTuple_New",
            "set_item": "PyTuple_SetItem",
            "keep": "Py_IncRef",
            "drop": "Py_DecRef",
            "bind": "PyMethod_New",
            "apply": "PyObject_Vectorcall",
            "apply_to_nothing": "PyObject_CallNoArgs",
            "clear_error": "PyErr_Clear",
            "release_gil": "PyEval_SaveThread",
            "take_gil": "PyEval_RestoreThread",
            "list_size": "PyList_Size",
            "list_item": "PyList_GetItem",
            "list_slice": "PyList_SetSlice",
            "list_append": "PyList_Append",
        }
        return {
            "array_type": id(np.ndarray),
            "float_type": id(float),
            "tuple_type": id(tuple),
            "tuple_items": tuple_items(),
            "call_slot": self._slot + _WORD,
            "slow_path": id(self._slow_path),
            "new_array": new_array(),
            **{field: address(name) for field, name in functions.items()},
        }


def _word(instance: Any, offset: int) -> ctypes.c_void_p:
    return ctypes.c_void_p.from_address(id(instance) + offset)


# How a type is described to PyType_FromSpecWithBases; numbers are part of CPython's stable binary interface.


class _Member(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("type", ctypes.c_int), ("offset", ctypes.c_ssize_t), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


class _Slot(ctypes.Structure):
    _fields_ = (("slot", ctypes.c_int), ("value", ctypes.c_void_p))


class _Spec(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


_TP_CALL, _TP_MEMBERS = 50, 72
_PYSSIZET, _READONLY = 19, 1
_HAVE_VECTORCALL = 1 << 11
_described: list[Any] = []  # CPython may go on reading a description


def _subclass(base: type) -> type:
    """A subclass with two words more, the first of which is the address of the function that calls an instance."""
    slot = base.__basicsize__
    members = (_Member * 2)(_Member(b"__vectorcalloffset__", _PYSSIZET, slot, _READONLY, None))
    slots = (_Slot * 3)(_Slot(_TP_MEMBERS, ctypes.addressof(members)), _Slot(_TP_CALL, address("PyVectorcall_Call")))
    spec = _Spec(f"{base.__module__}.{base.__qualname__}".encode(), slot + 2 * _WORD, 0, _HAVE_VECTORCALL, slots)
    _described.append((members, slots, spec))
    make = ctypes.pythonapi["PyType_FromSpecWithBases"]
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object]
    made: type = make(ctypes.addressof(spec), (base,))
    return made
