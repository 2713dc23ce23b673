"""LLVM's spelling of types and numbers."""

from __future__ import annotations

import re
import struct
from typing import Any, NamedTuple

import numpy as np

from rlxc.ir.types import DType, MemType, Type, VectorType


class Ref(NamedTuple):
    """An operand: its text (a name or a literal) and its type."""

    text: str
    type: Any


PREFIX = "rlxc."  # so that no function of ours is taken for one of libm
FOREIGN = "rlxc.$c."  # nor a C function that this process brings


def symbol_of(name: str) -> str:
    """The symbol of the kernel called `name`, which may hold any characters: others than letters, digits, _ and . become $hex$."""
    return PREFIX + re.sub(r"[^A-Za-z0-9_.]", lambda m: f"${ord(m[0]):x}$", name)


_SCALARS = {"bool": "i1", "bf16": "i16", "f16": "half", "f32": "float", "f64": "double", "index": "i64"}
_SUFFIXES = {"half": "f16", "float": "f32", "double": "f64"}


def suffix_of(element: str) -> str:
    """How intrinsics spell an element type: f32 for float."""
    return _SUFFIXES.get(element, element)


def scalar_type(dtype: DType) -> str:
    """LLVM's name of an element in a register; bf16 is carried as its bits."""
    return _SCALARS.get(dtype) or f"i{dtype.bits}"


def memory_type(dtype: DType) -> str:
    """LLVM's name of an element in memory."""
    return "i8" if dtype.is_bool else scalar_type(dtype)


def vector_type(element: str, lanes: int) -> str:
    return element if lanes == 1 else f"<{lanes} x {element}>"


def llvm_type(type: Type) -> str:
    """LLVM's name of a type."""
    if isinstance(type, MemType):
        return "ptr"
    assert isinstance(type, VectorType)
    return vector_type(scalar_type(type.dtype), type.lanes)


def literal(number: Any, dtype: DType) -> str:
    """LLVM's spelling of a number, exact to the bit."""
    if dtype.is_bool:
        return "true" if number else "false"
    if dtype.is_integer:
        return str(int(number))
    if dtype == "bf16":
        return str(int(np.asarray(number, dtype.numpy).view(np.uint16)))
    if dtype == "f16":
        return f"0xH{int(np.asarray(number, np.float16).view(np.uint16)):04X}"
    if dtype == "f32":
        return f"0x{_double_bits(np.float32(number)):016X}"
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(number)))[0]:016X}"


def _double_bits(number: np.float32) -> int:
    """Bits of the f64 that spells an f32; a nan keeps its payload."""
    if np.isnan(number):
        bits = int(np.asarray(number).view(np.uint32))
        return (bits >> 31) << 63 | 0x7FF << 52 | (bits & 0x7FFFFF) << 29
    return struct.unpack("<Q", struct.pack("<d", float(number)))[0]


def byte_string(raw: bytes) -> str:
    """A constant array of these bytes, with its type."""
    text = raw.hex("\\").upper()
    return f'[{len(raw)} x i8] c"' + (f"\\{text}" if raw else "") + '"'
