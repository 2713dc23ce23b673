"""Calls from Python straight into machine code: types whose instances CPython calls by the emitted wrapper, and what the wrapper reads.

    kind = CallableType(base)            a subclass of `base`, `kind.type`; `base.__call__` stands behind it as the slow path
    kind.prepare(instance)               calls of this instance go through the wrapper, which knows no native code yet
    instance._call = Call(executable)    it runs that from now on

An instance has two words more than one of `base`: the address of the wrapper, where CPython looks for it (the vectorcall protocol), and `_call`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.codegen.python_wrapper import CALL, PYTHON, STRUCTURES, wrapper_text
from rlxc.errors import InternalError
from rlxc.ir.core import Value
from rlxc.runtime.executable import Executable
from rlxc.runtime.python_objects import address, new_array, tuple_items
from rlxc.runtime.support import load_support

MAX_ARRAYS = 4096  # of a call: their addresses are on the stack

_WORD = 8


def _structure(name: str) -> Any:
    c_types = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64}
    return type(name, (ctypes.Structure,), {"_fields_": [(field, c_types[type_]) for field, type_ in STRUCTURES[name].items()]})


_Python, _CallStructure, _Array = map(_structure, ("python", "call", "array"))


class Call(_CallStructure):  # type: ignore[misc, valid-type]
    """What the wrapper reads of one native function. It owns all that it points to, machine code included."""

    calls: int  # that it has made

    def __init__(self, executable: Executable, names: Sequence[str] | None = None, numbers: Sequence[str] | None = None) -> None:
        """`names` is what arguments, and `out`, are called by, unless they are the function's; `numbers` says for each argument which numbers are
        taken for an array of rank 0: "python" ones only, those of "numpy" and arrays only, or "any"."""
        func, workspaces = executable.func, executable.workspaces
        taken = [*(numbers or ["any"] * len(func.args)), *["any"] * len(func.results)]
        self.executable = executable
        self.kept: list[Any] = []
        super().__init__(
            entry=executable.entry,
            threads=executable.pool,
            workspaces=self._id(workspaces.spare) if workspaces else None,
            new_workspace=self._id(workspaces.new) if workspaces else None,
            arguments=len(func.args),
            results=len(func.results),
            names=self._array(ctypes.c_void_p, [self._id(sys.intern(name)) for name in names or (*func.arg_names, "out")]),
            arrays=self._array(_Array, [self._type(v, taken) for v, taken in zip((*func.args, *func.results), taken, strict=True)]),
            is_long=executable.is_long,
        )

    def _type(self, value: Value, taken: str) -> Any:
        type_: Any = value.type
        dtype = type_.dtype.numpy
        return _Array(
            dtype=self._id(dtype),
            rank=type_.rank if taken != "python" else -1,  # which no array has
            shape=self._array(ctypes.c_int64, type_.shape),
            bytes=type_.size * dtype.itemsize,
            scalar_type=self._id(dtype.type) if type_.rank == 0 and taken != "python" else None,
            float_bits=type_.dtype.bits if type_.rank == 0 and taken != "numpy" and type_.dtype in ("f32", "f64") else 0,
        )

    def _array(self, type_: Any, items: Sequence[Any]) -> int:
        """The address of a C array that lives as long as this object."""
        array = (type_ * len(items))(*items)
        self.kept.append(array)
        return ctypes.addressof(array)

    def _id(self, thing: Any) -> int:
        """The address of an object that lives as long as this one."""
        self.kept.append(thing)
        return id(thing)


class CallableType:
    """A subclass of `base` whose instances are called by machine code, and that code. It lives as long as the process."""

    def __init__(self, base: type) -> None:
        self._slot = base.__basicsize__
        self._slow_path = vars(base)["__call__"]
        loaded = load_support(wrapper_text(), [CALL, PYTHON])
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(loaded))  # for good: at exit, callables may outlive this
        self._wrapper = loaded.address(CALL)
        python = _Python.from_address(loaded.address(PYTHON))
        for field, value in self._python().items():
            setattr(python, field, value)
        self.type = _subclass(base)
        self.type.__doc__ = base.__doc__

    def prepare(self, instance: Any) -> None:
        if type(instance) is not self.type:
            raise InternalError(f"{type(instance).__name__} has no room for the address of its code")
        ctypes.c_void_p.from_address(id(instance) + self._slot).value = self._wrapper

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
            "call_type": id(Call),
            "call_slot": self._slot + _WORD,
            "slow_path": id(self._slow_path),
            "new_array": new_array(),
            **{field: address(name) for field, name in functions.items()},
        }


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
_OBJECT_EX, _SIZE, _READONLY = 16, 19, 1
_HAVE_VECTORCALL = 1 << 11
_described: list[Any] = []  # CPython may go on reading a description


def _subclass(base: type) -> type:
    """A subclass with two words more: the address of the function that calls an instance, and an attribute, `_call`."""
    slot = base.__basicsize__
    members = (_Member * 3)(
        _Member(b"__vectorcalloffset__", _SIZE, slot, _READONLY, None),
        _Member(b"_call", _OBJECT_EX, slot + _WORD, 0, None),
    )
    slots = (_Slot * 3)(_Slot(_TP_MEMBERS, ctypes.addressof(members)), _Slot(_TP_CALL, address("PyVectorcall_Call")))
    spec = _Spec(f"{base.__module__}.{base.__qualname__}".encode(), slot + 2 * _WORD, 0, _HAVE_VECTORCALL, slots)
    _described.append((members, slots, spec))
    make = ctypes.pythonapi["PyType_FromSpecWithBases"]
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object]
    made: type = make(ctypes.addressof(spec), (base,))
    return made
