"""Foreign functions: C functions of this process that native code calls by their names.

    norm2 = rlxc.foreign("f64 norm2(ptr, i64)", library.norm2)

A program only states the prototype. The address is asked for when code is loaded (or interpreted) and never kept with machine code, so that
another process finds its own.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rlxc.errors import AttrError, DTypeError, RuleError, UnknownName
from rlxc.ir.lazy import cached_property
from rlxc.ir.primitive import lookup
from rlxc.ir.types import INDEX, MemType, Type, VectorType

#: C types in prototypes, by their names: an address, or a number
C_TYPES: dict[str, Any] = {
    "ptr": ctypes.c_void_p,
    "i32": ctypes.c_int32,
    "i64": ctypes.c_int64,
    "u32": ctypes.c_uint32,
    "u64": ctypes.c_uint64,
    "f32": ctypes.c_float,
    "f64": ctypes.c_double,
}
_PROTOTYPE = re.compile(r"\s*(\w+)\s+([A-Za-z_]\w*)\s*\(([\w\s,]*)\)\s*", re.ASCII)


@dataclass(frozen=True)
class Prototype:
    """What a C function takes and returns: `f64 norm2(ptr, i64)`. A function that returns nothing is `void`."""

    symbol: str
    takes: tuple[str, ...]
    returns: str | None

    def __str__(self) -> str:
        return f"{self.returns or 'void'} {self.symbol}({', '.join(self.takes)})"

    def check(self, operands: tuple[Type, ...]) -> None:
        """Raise DTypeError unless the function takes operands of these types."""
        if len(operands) != len(self.takes):
            raise DTypeError(f"{self} takes {len(self.takes)} operands, not {len(operands)}")
        for i, (expected, given) in enumerate(zip(self.takes, operands, strict=True), 1):
            if expected != _c_type(given):
                raise DTypeError(f"{self} does not take {given} as operand {i}")

    @cached_property
    def ctypes(self) -> Any:
        """The type of such a function in ctypes."""
        return ctypes.CFUNCTYPE(C_TYPES[self.returns] if self.returns else None, *[C_TYPES[t] for t in self.takes])


def _c_type(type: Type) -> str | None:
    if isinstance(type, MemType):
        return "ptr"
    return str(type.dtype) if isinstance(type, VectorType) and type.lanes == 1 and str(type.dtype) in C_TYPES else None


@lru_cache(maxsize=1024)
def read_prototype(text: str) -> Prototype:
    """A prototype from text; raises AttrError where it is none."""
    found = _PROTOTYPE.fullmatch(text)
    if found is None:
        raise AttrError(f"{text!r} is not a prototype", help='write one as "f64 norm2(ptr, i64)"')
    returns, symbol, takes = found[1], found[2], tuple(t.strip() for t in found[3].split(",")) if found[3].strip() else ()
    for name in (*takes, *([] if returns == "void" else [returns])):
        if name not in C_TYPES:
            raise AttrError(f"{text!r}: a C function takes and returns {', '.join(C_TYPES)}, not {name!r}")
    if returns == "ptr":
        raise AttrError(f"{text!r}: a function returns a number or void; what it makes goes to memory that it is given")
    return Prototype(symbol, takes, None if returns == "void" else returns)


@dataclass(frozen=True)
class Foreign:
    """A C function that this process has. In a `lower` or `scalar` rule, `norm2(e, x, n)` calls it."""

    prototype: Prototype
    source: Any

    def __call__(self, e: Any, *operands: Any, steps: int = 0) -> Any:
        """Emit a call: memory for `ptr`, values or Python numbers for the rest. `steps` says about how many scalar operations it will take."""
        if len(operands) != len(self.prototype.takes):
            raise RuleError(f"{self.prototype} takes {len(self.prototype.takes)} operands, not {len(operands)}")
        values = [_operand(e, t, x) for t, x in zip(self.prototype.takes, operands, strict=True)]
        return e.apply(lookup("foreign", "loop"), *values, function=str(self.prototype), steps=int(steps))

    @cached_property
    def address(self) -> int:
        """Where the function is; a source that is a function of Python's is asked now."""
        return _address(self.source, str(self.prototype))


def _operand(e: Any, type: str, x: Any) -> Any:
    if type == "ptr":
        return getattr(x, "value", x)
    if isinstance(x, int | float):
        return e.constant(x, dtype=type)
    return e.convert(x, dtype=type) if x.type == INDEX else x


_known: dict[str, Foreign] = {}


def foreign(prototype: str, function: Any) -> Foreign:
    """Make a C function known to native code by its name, and return what emits calls of it.

    `function` is a ctypes function, an address, a PyCapsule (as in `__pyx_capi__` of Cython modules), or a Python function without arguments
    that returns one of these and is asked when the address is needed first. Types in a prototype are ptr, i32, i64, u32, u64, f32 and f64.
    A name that is known already now means this function, for code that is loaded from now on.
    """
    made = Foreign(read_prototype(prototype), function)
    if not (_is_function(function) or callable(function)):
        raise RuleError(f"{prototype}: a C function is a ctypes function, an address or a PyCapsule, not {type(function).__name__}")
    _known[made.prototype.symbol] = made
    return made


def find_foreign(text: str) -> Foreign:
    """The function that a program calls by this prototype; raises UnknownName where this process has none, DTypeError if it is another one."""
    wanted = read_prototype(text)
    found = _known.get(wanted.symbol)
    if found is None:
        raise UnknownName(f"there is no C function '{wanted.symbol}' in this process", help=f'rlxc.foreign("{wanted}", function) makes one known')
    if found.prototype != wanted:
        raise DTypeError(f"the program calls {wanted}, and this process has {found.prototype}")
    return found


def _is_function(x: Any) -> bool:
    return _is_address(x) or _is_ctypes(x) or _is_capsule(x)


def _is_address(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


def _is_ctypes(x: Any) -> bool:
    return isinstance(x, ctypes._CFuncPtr)  # type: ignore[attr-defined]


def _is_capsule(x: Any) -> bool:
    return type(x).__name__ == "PyCapsule"


def _address(source: Any, prototype: str) -> int:
    if _is_address(source):
        address: int = source
    elif _is_ctypes(source):
        address = ctypes.cast(source, ctypes.c_void_p).value or 0
    elif _is_capsule(source):
        address = _capsule_address(source)
    else:
        given = source()
        if not _is_function(given):
            raise RuleError(f"{prototype}: its function gives {type(given).__name__}, not a ctypes function, an address or a PyCapsule")
        return _address(given, prototype)
    if not address:
        raise RuleError(f"{prototype}: its address is 0")
    return address


def _capsule_address(capsule: Any) -> int:
    """What a capsule holds, whatever its name is."""
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return pointer_of(capsule, name_of(capsule)) or 0
