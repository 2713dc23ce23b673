"""Arrays at call time: matched to arguments by position or name, and checked against their types.

A dtype is what the user wrote, so nothing is converted that could lose something: an ndarray must have the argument's dtype and
shape. Python numbers and lists have no dtype of their own; they are taken where the argument's dtype holds them. Arrays that are
not contiguous are copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from numbers import Number
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError, DTypeError
from rlxc.ir.core import Func, Value
from rlxc.ir.types import MAX_RANK, Dim, DType, TensorType, dtype_of


class Arguments:
    """What a function takes, ready to check arrays against."""

    def __init__(self, func: Func) -> None:
        self.name = func.name
        self.args = func.args
        self.names = func.arg_names
        self.expected = tuple((a.type.dtype.numpy, None if not a.type.is_static else a.type.shape) for a in func.args)

    def bind(self, arrays: Sequence[Any], named: Mapping[str, Any] | None = None) -> list[np.ndarray]:
        """One array for each argument, of its dtype and shape, C-contiguous and aligned."""
        if not named and len(arrays) == len(self.args):
            bound = list(arrays)
        else:
            bound = self.in_order(arrays, named or {})
        for i, (array, (dtype, shape)) in enumerate(zip(bound, self.expected, strict=True)):
            if type(array) is np.ndarray and array.dtype == dtype and array.shape == shape and array.flags.carray:
                continue
            bound[i] = fit(array, self.args[i], f"@{self.name}: %{self.names[i]}")
        return bound

    def in_order(self, arrays: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """Positional and named arrays in the order of the arguments; raises ArgumentError for missing and extra ones."""
        if len(arrays) > len(self.args):
            raise ArgumentError(f"@{self.name} takes {_count(len(self.args))}, not {len(arrays)}", code="RLX0502", help=self.listing())
        slots: dict[str, Any] = dict(zip(self.names, arrays, strict=False))
        for key, value in named.items():
            name = key.removeprefix("%")
            if name not in self.names:
                near = get_close_matches(name, self.names, 1)
                help = f"did you mean %{near[0]}?" if near else self.listing()
                raise ArgumentError(f"@{self.name} has no argument %{name}", code="RLX0503", help=help)
            if name in slots:
                raise ArgumentError(f"@{self.name}: argument %{name} is given twice", code="RLX0503")
            slots[name] = value
        missing = [f"%{name}: {a.type}" for a, name in zip(self.args, self.names, strict=True) if name not in slots]
        if missing:
            raise ArgumentError(f"@{self.name} misses {', '.join(missing)}", code="RLX0502", help=self.listing())
        return [slots[name] for name in self.names]

    def listing(self) -> str:
        if not self.args:
            return f"@{self.name} takes no arguments"
        return "its arguments are " + ", ".join(f"%{name}: {a.type}" for a, name in zip(self.args, self.names, strict=True))


def _count(n: int) -> str:
    return f"{n} argument" if n == 1 else f"{n} arguments"


def fit(value: Any, arg: Value, where: str) -> np.ndarray:
    """`value` as a C-contiguous, aligned array of the argument's type; raises ArgumentError, which opens with `where`, if something would be lost."""
    type_ = arg.type
    assert isinstance(type_, TensorType)
    array = as_array(value, type_, where)
    if array.dtype != type_.dtype.numpy:
        help = f"convert it where you mean to: .astype({_numpy_name(type_.dtype)!r})"
        if array.dtype == type_.dtype.numpy.newbyteorder():
            help = "its bytes are in the other order: .astype(array.dtype.newbyteorder('='))"
        raise ArgumentError(f"{where} is {type_}, not {array_text(array)}", code="RLX0504", help=help)
    check_shape(array, type_, where)
    return ready(array)


def check_shape(array: np.ndarray, type_: TensorType, where: str) -> None:
    if len(array.shape) == type_.rank and all(isinstance(n, Dim) or n == m for n, m in zip(type_.shape, array.shape, strict=True)):
        return
    help = None
    if type_.is_static and array.size == type_.size:
        help = f"it has as many elements: .reshape({type_.shape}) if that is what you mean"
    raise ArgumentError(f"{where} is {type_}, not {array_text(array)}", code="RLX0505", help=help)


def ready(array: np.ndarray) -> np.ndarray:
    """The array itself if native code can read it as it lies, else a copy."""
    return array if array.flags.c_contiguous and array.flags.aligned else np.array(array, order="C", copy=True)


def as_array(value: Any, type_: TensorType, where: str) -> np.ndarray:
    """`value` as an ndarray with a dtype of its own, or with the argument's if it is made of Python numbers."""
    match value:
        case np.ma.MaskedArray():
            raise ArgumentError(f"{where} is {type_}, not a masked array", code="RLX0504", help="fill it first: .filled(0)")
        case np.ndarray():
            array = np.asarray(value)
        case np.generic():
            array = np.asarray(value)
        case bool() | int() | float() | complex() | list() | tuple():
            return from_numbers(value, type_, where)
        case _ if hasattr(value, "__array__") or _has_buffer(value):
            array = _foreign(value, type_, where)
        case _:
            raise ArgumentError(f"{where} is {type_}, not {_article(type(value).__name__)}", code="RLX0504", help="pass a NumPy array")
    if array.dtype.kind not in "biufcV" or array.dtype.names is not None:
        raise ArgumentError(f"{where} is {type_}, not an array of dtype {array.dtype}", code="RLX0504", help="pass an array of numbers")
    return array


def _has_buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except TypeError:
        return False
    return not isinstance(value, bytes | bytearray)


def _foreign(value: Any, type_: TensorType, where: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception as error:
        raise ArgumentError(f"{where} is {type_}; {_article(type(value).__name__)} does not become an array: {error}", code="RLX0504") from None


def from_numbers(value: Any, type_: TensorType, where: str) -> np.ndarray:
    """Python numbers (perhaps in nested lists) in the argument's dtype, if it holds them: integers exactly, floats rounded but finite."""
    try:
        raw = np.array(value, dtype=object)
    except ValueError:
        raise ArgumentError(f"{where} is {type_}, not a ragged list", code="RLX0504") from None
    if raw.ndim > MAX_RANK:
        raise ArgumentError(f"{where} is {type_}, not a list nested {raw.ndim} deep or more", code="RLX0504")
    for element in raw.flat:
        _check_number(element, type_, where)
    with np.errstate(all="ignore"):
        return np.array(raw.tolist(), dtype=type_.dtype.numpy).reshape(raw.shape)


def _check_number(x: Any, type_: TensorType, where: str) -> None:
    dtype = type_.dtype
    if not isinstance(x, Number | np.bool_):
        raise ArgumentError(f"{where} is {type_}, not {_article(type(x).__name__)}", code="RLX0504", help="pass a NumPy array")
    if isinstance(x, np.generic):
        if x.dtype != dtype.numpy:
            raise ArgumentError(f"{where} is {type_}, not a list of {x.dtype}", code="RLX0504")
        return
    match x:
        case bool():
            fits = dtype.is_bool
        case int() if dtype.is_integer:
            info = np.iinfo(dtype.numpy)
            fits = info.min <= x <= info.max
        case int() if dtype.is_float or dtype.kind == "c":
            fits = _exact(x, dtype)
        case float() if dtype.is_float or dtype.kind == "c":
            fits = not np.isfinite(x) or bool(np.isfinite(_rounded(x, dtype)))
        case complex():
            fits = dtype.kind == "c"
        case _:
            fits = False
    if not fits:
        raise ArgumentError(f"{where} is {type_}, which does not hold {_clip(repr(x))}", code="RLX0506")


def _clip(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[:length] + "..."


def _rounded(x: Any, dtype: DType) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(x, dtype=dtype.numpy)


def _exact(x: int, dtype: DType) -> bool:
    try:
        rounded = _rounded(float(x), dtype)
    except OverflowError:
        return False
    value = complex(rounded).real
    return bool(np.isfinite(value)) and int(value) == x


def check_outputs(out: Any, types: Sequence[TensorType], func: str) -> list[np.ndarray]:
    """Arrays that results may be written to; raises ArgumentError unless they are writable and of the results' types."""
    outs = [out] if isinstance(out, np.ndarray) else out
    if not isinstance(outs, list | tuple) or len(outs) != len(types):
        wanted = "one array: there is one result" if len(types) == 1 else f"a tuple of {len(types)} arrays, one for each result"
        raise ArgumentError(f"@{func}: out is {wanted}", code="RLX0507")
    for i, (array, type_) in enumerate(zip(outs, types, strict=True)):
        where = f"@{func}: out[{i}]"
        if not isinstance(array, np.ndarray):
            raise ArgumentError(f"{where} is {type_}, not {_article(type(array).__name__)}", code="RLX0504")
        if array.dtype != type_.dtype.numpy or array.shape != type_.shape:
            code = "RLX0504" if array.dtype != type_.dtype.numpy else "RLX0505"
            raise ArgumentError(f"{where} is {type_}, not {array_text(array)}", code=code)
        if not array.flags.writeable:
            raise ArgumentError(f"{where} ({type_}) is read-only", code="RLX0507")
        if any(j != i and isinstance(other, np.ndarray) and _overlap(array, other) for j, other in enumerate(outs)):
            raise ArgumentError(f"{where} ({type_}) shares memory with another result", code="RLX0507")
        if _overlaps_itself(array):
            raise ArgumentError(f"{where} ({type_}) has elements that share memory: its strides are {array.strides} bytes", code="RLX0507")
    return list(outs)


def _overlap(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether two arrays share memory; those for which that is hard to say count as if they did."""
    try:
        return bool(np.may_share_memory(x, y) and np.shares_memory(x, y, max_work=10_000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def _overlaps_itself(x: np.ndarray) -> bool:
    """Whether a step along an axis may stay within what the shorter steps reach, as it never does in slices and transposes of an array."""
    if x.flags.c_contiguous or x.size <= 1:
        return False
    reach = x.itemsize
    for stride, n in sorted((abs(stride), n) for stride, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def array_text(array: np.ndarray) -> str:
    """The type of an array as rlx writes it (or NumPy's name where rlx has none), with a swapped byte order noted."""
    try:
        dtype: str = dtype_of(array.dtype)
    except DTypeError:
        dtype = str(array.dtype)
    swapped = "" if array.dtype.isnative else " with swapped bytes"
    return f"{dtype}[{', '.join(map(str, array.shape))}]{swapped}"


def _numpy_name(dtype: DType) -> str:
    return dtype.numpy.name


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
