"""The values an attribute can have, and how they are written, compared and hashed.

An attribute is an int, float, str, bool, DType, Dim, Symbol, TensorType, Dense, Resource, or a tuple of attributes.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlxc.ir.names import symbol_text
from rlxc.ir.types import Dim, DType, TensorType, dtype_of

_NAN_BITS = struct.unpack("<Q", struct.pack("<d", math.nan))[0]


class Symbol(str):
    """The name of a function, as in `call @f`."""

    __slots__ = ()


class Dense:
    """A constant array, frozen. One element standing for all of them (a splat) is kept as one element."""

    __slots__ = ("_key", "array", "type")

    def __init__(self, array: Any, type: TensorType | None = None) -> None:
        data = np.array(array, copy=True)
        self.type = type or TensorType(dtype_of(data.dtype), data.shape)
        if data.dtype != self.type.dtype.numpy:
            data = data.astype(self.type.dtype.numpy)
        if data.ndim and data.shape != self.type.shape:
            raise ValueError(f"an array of shape {data.shape} is not a {self.type}")
        self.array = data if data.flags.c_contiguous else np.ascontiguousarray(data).reshape(data.shape)
        self.array.flags.writeable = False
        self._key: tuple | None = None

    @property
    def is_splat(self) -> bool:
        return self.array.ndim == 0

    def numpy(self) -> np.ndarray:
        """The whole array, read-only; a splat is a view of its one element."""
        shape: Any = self.type.shape
        return np.broadcast_to(self.array, shape)

    @property
    def key(self) -> tuple:
        if self._key is None:
            self._key = (self.type, self.is_splat, self.array.tobytes())
        return self._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dense) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Dense({attr_text(self)} : {self.type})"


@dataclass(frozen=True, slots=True)
class Resource:
    """A constant kept in a file (`.safetensors` or `.npz`), named and not read until it is needed."""

    file: str
    key: str


def attr_key(value: Any) -> Any:
    """A hashable stand-in that is equal exactly when two attributes are the same, bit for bit (nan is nan, -0.0 is not 0.0)."""
    match value:
        case bool():
            return ("b", value)
        case float():
            return ("f", struct.pack("<d", value))
        case tuple() | list():
            return tuple(attr_key(v) for v in value)
        case Dense():
            return value.key
        case str():
            return (type(value).__name__, str(value))
    return value


def attrs_key(attrs: Mapping[str, Any]) -> tuple:
    """Like `attr_key` for a whole attribute dictionary, whatever its order."""
    if not attrs:
        return ()
    return tuple((k, attr_key(attrs[k])) for k in sorted(attrs))


def attr_text(value: Any) -> str:
    """How an attribute is written in `.rlx`."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return float_text(value)
        case Symbol():
            return symbol_text(value)
        case DType() | Dim() | TensorType():
            return str(value)
        case str():
            return json.dumps(value)
        case tuple() | list():
            return "[" + ", ".join(attr_text(v) for v in value) + "]"
        case Dense():
            return f"dense<{_dense_text(value)}>"
        case Resource():
            return f"resource {json.dumps(value.file)} {json.dumps(value.key)}"
    raise TypeError(f"{value!r} is not an attribute")


def float_text(value: float) -> str:
    """The shortest decimal that reads back the same bits; a nan that is not the usual one shows its bits."""
    if math.isnan(value):
        bits = struct.unpack("<Q", struct.pack("<d", value))[0]
        return "nan" if bits == _NAN_BITS else f"nan(0x{bits:x})"
    return repr(float(value))


def _dense_text(value: Dense) -> str:
    array = value.array
    if array.ndim == 0:
        return _element_text(array, value.type.dtype)
    if array.size == 0:
        return "[]"
    texts = [_element_text(x, value.type.dtype) for x in array.reshape(-1)]
    n: int
    for n in reversed(array.shape):
        texts = ["[" + ", ".join(texts[i : i + n]) + "]" for i in range(0, len(texts), n)]
    return texts[0]


def _element_text(x: Any, dtype: DType) -> str:
    match dtype.kind:
        case "b":
            return "true" if x else "false"
        case "i" | "u":
            return str(int(x))
        case "f":
            if np.isnan(x):
                bits = int(np.asarray(x).view(f"u{dtype.size}"))
                usual = int(np.asarray(np.nan, dtype.numpy).view(f"u{dtype.size}"))
                return "nan" if bits == usual else f"nan(0x{bits:x})"
            return repr(float(x)) if dtype == "f64" else _short_float(x)
    half = DType("f32") if dtype == "c64" else DType("f64")
    real, imag = np.asarray(x).reshape(1).view(half.numpy)  # not x.real, which may quiet a nan
    return f"({_element_text(real, half)}, {_element_text(imag, half)})"


def _short_float(x: Any) -> str:
    """Shortest text of an f32 (or narrower) number; `float(text)` rounded to the dtype gives the same bits."""
    text = str(np.float32(x)) if x.dtype.itemsize < 4 else str(np.asarray(x)[()])
    if np.float32(float(text)) != np.float32(x):  # rounded twice, to f64 and then to f32
        text = repr(float(x))
    return text if any(c in text for c in ".einf") else text + ".0"
