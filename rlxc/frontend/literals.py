"""What literals mean: integers, floats to the last bit, strings, constant arrays."""

from __future__ import annotations

import json
import re
import struct
from functools import lru_cache

import numpy as np

from rlxc.errors import DTypeError, Error, ParseError, ShapeError
from rlxc.ir.attributes import Dense
from rlxc.ir.types import BOOL, DType, MemType, TensorType, Type, VectorType, parse_type

_LONGEST_NUMBER = 400
_NUMBER = re.compile(
    r"[-+]?(?:0[xX][0-9A-Fa-f]*\.?[0-9A-Fa-f]*(?:[pP][-+]?[0-9]+)?|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|inf|nan|nan\(0x[0-9A-Fa-f]+\))"
)
_WORD = re.compile(r"[^\s,\[\]()]+(?:\(0x[0-9A-Fa-f]+\))?")
_COMMENT = re.compile(r"//[^\n]*")
_INTEGER = re.compile(r"[-+]?(?:[0-9]+|0[xX][0-9A-Fa-f]+)")
_SPACE = re.compile(r"\s+")


def read_int(text: str) -> int:
    """An integer of at most 64 bits, decimal or hexadecimal."""
    if len(text) > _LONGEST_NUMBER:
        raise ParseError(f"the integer {text[:12]}... does not fit 64 bits", code="RLX0005")
    number = int(text, 16) if "x" in text or "X" in text else int(text)
    if not -(2**63) <= number < 2**64:
        raise ParseError(f"the integer {clip(text)} does not fit 64 bits", code="RLX0005")
    return number


def read_ints(text: str) -> tuple[int, ...]:
    """`[0, 1, 2]`"""
    parts = text[1:-1].split(",")
    if len(text) > 18:
        return tuple(read_int(p.strip()) for p in parts)
    return tuple(map(int, parts))


def read_float(text: str) -> float:
    """A float of 64 bits; a nan may show its bits."""
    if text.endswith(")"):
        return struct.unpack("<d", struct.pack("<Q", _nan_bits(text, 64)))[0]
    if len(text) > _LONGEST_NUMBER:
        raise ParseError(f"the number {text[:12]}... has too many digits", code="RLX0005")
    try:
        number = float.fromhex(text) if "x" in text or "X" in text else float(text)
    except (ValueError, OverflowError):
        raise ParseError(f"the number {clip(text)} is not a 64-bit float", code="RLX0005") from None
    if number in (np.inf, -np.inf) and "inf" not in text:
        raise ParseError(f"the number {clip(text)} does not fit 64 bits", code="RLX0005", help="write inf for infinity")
    return number


def _nan_bits(text: str, width: int) -> int:
    """The bits in `nan(0x7ff8000000000001)`, which must be those of a nan of that width (two of them may differ in the sign)."""
    digits = text[text.index("(0x") + 3 : -1]
    bits = int(digits, 16) if len(digits) <= 16 else 0
    exponent, fraction = {16: (0x7C00, 0x3FF), 32: (0x7F800000, 0x7FFFFF), 64: (0x7FF << 52, (1 << 52) - 1)}[width]
    if bits >> width or bits & exponent != exponent or not bits & fraction:
        raise ParseError(f"{clip(text)} is not the bits of a nan of {width} bits", code="RLX0005")
    return bits


def read_string(text: str) -> str:
    """A string in quotes, with the escapes of JSON."""
    try:
        return json.loads(text)
    except ValueError:
        raise ParseError("this string has an escape or a character that strings cannot have", code="RLX0004", help=r"escapes are \" \\ \n \t \u0041") from None


@lru_cache(maxsize=4096)
def read_annotation(text: str) -> tuple[Type, bool]:
    """A type as written after a colon, and whether it is marked `lin`."""
    if len(text) > 1000:
        raise DTypeError(f"'{clip(text)}' is not a type", code="RLX0204")
    bare = text.removeprefix("lin ").removeprefix("lin\t")
    return parse_type(bare.strip()), len(bare) != len(text)


def read_dense(text: str, type: Type) -> Dense:
    """`dense<[[1, 2], [3, 4]]>`, or `dense<0>` with one element for all, as a constant of a type.

    Time is linear in the text: the elements are found in one sweep, and the brackets and commas between them compared with what the shape asks for.
    """
    tensor = _tensor(type)
    body = _COMMENT.sub("", text[len("dense<") : -1])
    dtype = tensor.dtype
    elements = _WORD.findall(body)
    brackets = _SPACE.sub("", _WORD.sub("#", body))
    if dtype.kind == "c":
        brackets = brackets.replace("(#,#)", "#")
    count = brackets.count("#")
    if brackets == "#":
        return Dense(_elements(elements, dtype).reshape(()), tensor)
    if not tensor.is_static:
        raise ShapeError(f"a constant of type {tensor} can only have one element, for all", code="RLX0009", help="give its type numbers as dimensions")
    if tensor.size == 0 and not elements and not brackets.strip("[],"):
        return Dense(np.empty(tensor.shape, dtype.numpy), tensor)
    if count != tensor.size or brackets != _expected(tensor.shape):
        raise _misfit(brackets, count, tensor)
    return Dense(_elements(elements, dtype).reshape(tensor.shape), tensor)


def _tensor(type: Type) -> TensorType:
    match type:
        case MemType():
            return type.tensor
        case VectorType():
            return TensorType(type.dtype)
    return type


def _expected(shape: tuple) -> str:
    """Brackets and commas of an array, with `#` for each element: `[[#,#],[#,#]]`."""
    text = "#"
    for n in reversed(shape):
        text = "[" + ",".join([text] * n) + "]"
    return text


def _misfit(brackets: str, count: int, tensor: TensorType) -> Error:
    if "(" in brackets or ")" in brackets:
        return ParseError("parentheses in a constant are for complex numbers, as in (1.0, -2.0)", code="RLX0009")
    if count != tensor.size:
        return ShapeError(f"{tensor} has {tensor.size} element{'s' * (tensor.size != 1)}, and {count} are given", code="RLX0009")
    return ShapeError(f"the brackets do not have the shape of {tensor}", code="RLX0009", help=f"as in {clip(_expected(tensor.shape), 60)}")


def _elements(words: list[str], dtype: DType) -> np.ndarray:
    match dtype.kind:
        case "b":
            return np.array([_bool(w) for w in words], np.bool_)
        case "i" | "u":
            return _integers(words, dtype)
        case "f":
            return _floats(words, dtype)
    half = DType("f32") if dtype == "c64" else DType("f64")
    if len(words) % 2:
        raise _not_an_element(words[0], dtype)
    return _floats(words, half).view(dtype.numpy)


def _bool(word: str) -> bool:
    if word not in ("true", "false"):
        raise _not_an_element(word, BOOL)
    return word == "true"


def _integers(words: list[str], dtype: DType) -> np.ndarray:
    bounds = np.iinfo(dtype.numpy)
    numbers = []
    for word in words:
        if not _INTEGER.fullmatch(word):
            raise _not_an_element(word, dtype)
        number = read_int(word)
        if not bounds.min <= number <= bounds.max:
            raise DTypeError(f"{number} does not fit {dtype}", code="RLX0009", help=f"it holds {bounds.min} to {bounds.max}")
        numbers.append(number)
    return np.array(numbers, dtype.numpy)


def _floats(words: list[str], dtype: DType) -> np.ndarray:
    """Decimal numbers are rounded to the dtype; nans with bits are set bit by bit."""
    bits: dict[int, int] = {}
    numbers = []
    for i, word in enumerate(words):
        if not _NUMBER.fullmatch(word):
            raise _not_an_element(word, dtype)
        if word.endswith(")"):
            bits[i] = _nan_bits(word, dtype.bits)
            word = "nan"
        numbers.append(read_float(word))
    wide = np.array(numbers, np.float64)
    with np.errstate(all="ignore"):
        array = wide.astype(dtype.numpy)
    over = np.isinf(array.astype(np.float64)) & ~np.isinf(wide)
    if over.any():
        raise DTypeError(f"{clip(words[int(over.argmax())])} does not fit {dtype}", code="RLX0009", help="write inf for infinity")
    for i, pattern in bits.items():
        array.view(f"u{dtype.size}")[i] = pattern
    return array


def _not_an_element(word: str, dtype: DType) -> Error:
    kind = {"c": "complex numbers, as in (1.0, -2.0)", "b": "true or false", "f": "numbers"}.get(dtype.kind, "integers")
    return DTypeError(f"'{clip(word)}' is not an element of {dtype}", code="RLX0009", help=f"elements are {kind}")


def clip(text: str, length: int = 40) -> str:
    """`text`, cut short where it is long."""
    return text if len(text) <= length else text[:length] + "..."
