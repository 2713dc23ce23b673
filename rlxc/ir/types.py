"""The types of values: tensors, and at the loop level scalars, vectors and memory."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from rlxc.errors import DTypeError, MissingExtra, ShapeError
from rlxc.ir.lazy import cached_property
from rlxc.ir.names import did_you_mean

# name -> (kind, bits); kinds are b(ool) i(nt) u(nsigned) f(loat) c(omplex)
_DTYPES = {
    "bool": ("b", 8),
    "i8": ("i", 8),
    "i16": ("i", 16),
    "i32": ("i", 32),
    "i64": ("i", 64),
    "u8": ("u", 8),
    "u16": ("u", 16),
    "u32": ("u", 32),
    "u64": ("u", 64),
    "bf16": ("f", 16),
    "f16": ("f", 16),
    "f32": ("f", 32),
    "f64": ("f", 64),
    "c64": ("c", 64),
    "c128": ("c", 128),
    "index": ("i", 64),  # loop counters and addresses; loop level only
}
_NUMPY: dict[str, Any] = {
    "bool": np.bool_,
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
    "c64": np.complex64,
    "c128": np.complex128,
    "index": np.int64,
    **{f"{sign}{bits}": np.dtype(f"{kind}{bits}").type for sign, kind in (("i", "int"), ("u", "uint")) for bits in (8, 16, 32, 64)},
}
MAX_ELEMENTS = 2**62
MAX_RANK = 32  # NumPy's, until 2.0


_KNOWN: dict[str, DType] = {}


class DType(str):
    """An element type. It is its own name: `DType("f32") == "f32"`. There is one object for each."""

    __slots__ = ()

    def __new__(cls, name: str) -> DType:
        known = _KNOWN.get(name)
        if known is not None:
            return known
        if name not in _DTYPES:
            raise DTypeError(f"there is no dtype '{name}'", code="RLX0204", help=did_you_mean_dtype(name) or f"dtypes are {', '.join(TENSOR_DTYPES)}")
        return _KNOWN.setdefault(name, str.__new__(cls, name))

    @property
    def kind(self) -> str:
        return _DTYPES[self][0]

    @property
    def bits(self) -> int:
        return _DTYPES[self][1]

    @property
    def size(self) -> int:
        """Bytes an element takes in memory."""
        return _DTYPES[self][1] // 8

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_integer(self) -> bool:
        return self.kind in "iu"

    @property
    def is_bool(self) -> bool:
        return self.kind == "b"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def part(self) -> DType:
        """The dtype of a complex number's real and imaginary parts; a real dtype itself."""
        return DType({"c64": "f32", "c128": "f64"}.get(self, self))

    @property
    def is_narrow(self) -> bool:
        """A storage format: arithmetic happens in f32."""
        return self in ("f16", "bf16")

    @property
    def differentiable(self) -> bool:
        return self.kind in "fc"

    @property
    def numpy(self) -> np.dtype:
        if self == "bf16":
            return np.dtype(_bfloat16())
        return np.dtype(_NUMPY[self])

    def __repr__(self) -> str:
        return str(self)


TENSOR_DTYPES = tuple(name for name in _DTYPES if name != "index")
FLOATS = tuple(DType(d) for d in ("bf16", "f16", "f32", "f64"))
SIGNED = tuple(DType(d) for d in ("i8", "i16", "i32", "i64"))
UNSIGNED = tuple(DType(d) for d in ("u8", "u16", "u32", "u64"))
INTEGERS = SIGNED + UNSIGNED
BOOL = DType("bool")
REALS = FLOATS + INTEGERS
COMPLEX = (DType("c64"), DType("c128"))
INEXACT = FLOATS + COMPLEX
NUMBERS = REALS + COMPLEX
ORDERED = (BOOL, *REALS)
ANY = (*ORDERED, *COMPLEX)


def dtype_of(array_dtype: Any) -> DType:
    """The DType of a NumPy dtype; raises DTypeError where there is none."""
    return _dtype_of(np.dtype(array_dtype))


@lru_cache(maxsize=256)
def _dtype_of(array_dtype: np.dtype) -> DType:
    name = array_dtype.name
    if name == "bfloat16":
        return DType("bf16")
    for ours, theirs in _NUMPY.items():
        if ours != "index" and np.dtype(theirs).name == name:
            return DType(ours)
    raise DTypeError(f"NumPy dtype {name} has no counterpart in rlxc", code="RLX0204")


@lru_cache(maxsize=1)
def _bfloat16() -> Any:
    try:
        import ml_dtypes
    except ImportError:
        raise MissingExtra("bf16 arrays in Python need the package ml_dtypes", help="pip install 'rlxc[bf16]'") from None
    return ml_dtypes.bfloat16


class Dim(str):
    """A named dimension: one size everywhere in its function, known at compile time."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class TensorType:
    """An array: element type and shape; a dimension is an int or, until bound, a `Dim`."""

    dtype: DType
    shape: tuple[int | Dim, ...] = ()

    def __post_init__(self) -> None:
        if type(self.dtype) is not DType:
            object.__setattr__(self, "dtype", DType(self.dtype))
        if len(self.shape) > MAX_RANK:
            raise ShapeError(f"a tensor has at most {MAX_RANK} dimensions, not {len(self.shape)}", code="RLX0205")
        size = 1
        for n in self.shape:
            if isinstance(n, int):
                if n < 0:
                    raise ShapeError(f"a dimension cannot be negative: {n}", code="RLX0205")
                size *= max(n, 1)
        if size > MAX_ELEMENTS // 16:
            raise ShapeError("this shape has more elements than memory has addresses", code="RLX0205")

    @property
    def rank(self) -> int:
        return len(self.shape)

    @cached_property
    def size(self) -> int:
        """Number of elements; every dimension must be bound."""
        self.require_static()
        return math.prod(self.shape)  # type: ignore[arg-type]

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.size

    @property
    def is_static(self) -> bool:
        return all(isinstance(n, int) for n in self.shape)

    def require_static(self) -> None:
        for n in self.shape:
            if isinstance(n, Dim):
                raise ShapeError(f"dimension {n} of {self} has no size yet", code="RLX0206", help=f"bind it: --dim {n}=32, or rlxc.bind(func, {n}=32)")

    def with_shape(self, shape: Any) -> TensorType:
        return _tensor_type(self.dtype, tuple(shape))

    def with_dtype(self, dtype: str) -> TensorType:
        return _tensor_type(DType(dtype), self.shape)

    @cached_property
    def text(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    def __str__(self) -> str:
        return self.text


#: a program has few types: what was checked once, and knows its size and text, serves again
_tensor_type = lru_cache(maxsize=1 << 12)(TensorType)


@dataclass(frozen=True)
class VectorType:
    """A register at the loop level: `lanes` elements of one dtype; one lane is a scalar, written without a count."""

    dtype: DType
    lanes: int = 1

    def with_dtype(self, dtype: str) -> VectorType:
        return VectorType(DType(dtype), self.lanes)

    def with_lanes(self, lanes: int) -> VectorType:
        return VectorType(self.dtype, lanes)

    @cached_property
    def text(self) -> str:
        return str(self.dtype) if self.lanes == 1 else f"{self.dtype}x{self.lanes}"

    def __str__(self) -> str:
        return self.text


#: where memory that is allocated starts: at a multiple of so many bytes
ALIGNMENT = 64


@dataclass(frozen=True)
class MemType:
    """Memory at the loop level: a row-major array that can be loaded from and stored to."""

    dtype: DType
    shape: tuple[int, ...] = ()

    @cached_property
    def tensor(self) -> TensorType:
        return TensorType(self.dtype, self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.size

    @property
    def room(self) -> int:
        """Bytes up to where other memory may start: at least one line of the cache, so that no two are at one address."""
        return -(-max(self.nbytes, 1) // ALIGNMENT) * ALIGNMENT

    @cached_property
    def text(self) -> str:
        return f"mem {self.dtype}[{', '.join(map(str, self.shape))}]"

    def __str__(self) -> str:
        return self.text


Type = TensorType | VectorType | MemType
INDEX = VectorType(DType("index"))

_TYPE = re.compile(r"(?P<mem>mem\s+)?(?P<dtype>bool|bf16|index|[iufc]\d+)(?:x(?P<lanes>\d+))?(?P<shape>\s*\[[^\]]*\])?")


@lru_cache(maxsize=4096)
def parse_type(text: str) -> Type:
    """The type that `text` spells, as in `f32[2, B]`, `f32x16` or `mem f32[8]`."""
    m = _TYPE.fullmatch(text.strip())
    if not m:
        raise DTypeError(f"'{text}' is not a type", code="RLX0204", help=_type_help(text))
    dtype = DType(m["dtype"])
    if m["shape"] is None:
        if m["mem"]:
            raise DTypeError(f"'{text}' is not a type: memory needs a shape", code="RLX0204")
        lanes = int(m["lanes"] or 1)
        if not 1 <= lanes <= 1024:
            raise DTypeError(f"a vector has 1 to 1024 lanes, not {m['lanes']}", code="RLX0204")
        return VectorType(dtype, lanes)
    if m["lanes"]:
        raise DTypeError(f"'{text}' is not a type: a tensor of vectors", code="RLX0204")
    inside = m["shape"].strip()[1:-1].strip()
    shape = tuple(_dim(part.strip(), text) for part in inside.split(",")) if inside else ()
    if m["mem"]:
        if not all(isinstance(n, int) for n in shape):
            raise ShapeError(f"'{text}': memory has no named dimensions", code="RLX0205")
        return MemType(dtype, TensorType(dtype, shape).shape)  # type: ignore[arg-type]
    return TensorType(dtype, shape)


_ALIASES = {
    "float": "f32",
    "double": "f64",
    "half": "f16",
    "bfloat": "bf16",
    "long": "i64",
    "byte": "u8",
    "char": "i8",
    "complex": "c64",
    "int": "i32",
    "uint": "u32",
}


def did_you_mean_dtype(name: str) -> str | None:
    """A help line for a dtype that does not exist, such as `float32` or `f23`."""
    m = re.fullmatch(r"(float|int|uint|bfloat|complex)(\d+)", name)
    guess = m and ("bf" if m[1] == "bfloat" else m[1][0]) + m[2]
    if guess in TENSOR_DTYPES:
        return f"did you mean '{guess}'?"
    return f"did you mean '{_ALIASES[name]}'?" if name in _ALIASES else did_you_mean(name, TENSOR_DTYPES)


def _type_help(text: str) -> str:
    m = re.match(r"(?:mem\s+)?([A-Za-z_]\w*)", text)
    near = did_you_mean_dtype(m[1]) if m and m[1] not in _DTYPES else None
    return near or "a type is a dtype and a shape, as in f32[2, 3]; a scalar is f32[]"


def _dim(text: str, whole: str) -> int | Dim:
    if text.isdecimal() and text.isascii():
        if len(text) > 20:
            raise ShapeError(f"dimension {text[:20]}... is too large", code="RLX0205")
        return int(text)
    if re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII):
        if text in _DTYPES or text in ("true", "false", "none", "inf", "nan"):
            raise ShapeError(f"'{text}' in '{whole}' cannot be the name of a dimension", code="RLX0205")
        return Dim(text)
    raise ShapeError(f"'{text}' is not a dimension in '{whole}'", code="RLX0205", help="a dimension is a whole number or a name")
