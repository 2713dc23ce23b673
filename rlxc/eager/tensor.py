"""Tensor: an array that operations are recorded on. It has NumPy's operators, methods and indices, and NumPy's functions take it.

What an operation means is what it means to a tracer: it is traced once for the kinds of its operands (`rlxc/eager/traced.py`), compiled, and
recorded as one node. So `np.linalg.norm(x)` is one node as `x * y` is, and both mean the same in a function that is compiled.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial, wraps
from typing import Any

import numpy as np

from rlxc import api
from rlxc.eager.executor import NativeExecutor
from rlxc.eager.function import MAX_RULES
from rlxc.eager.kinds import SCALARS, Kind, Position
from rlxc.eager.modes import RECORDING
from rlxc.eager.native import native
from rlxc.eager.sweep import variable
from rlxc.eager.traced import call, staged, traced
from rlxc.eager.variable import Variable
from rlxc.eager.whole import Whole
from rlxc.errors import ArgumentError, DifferentiationError
from rlxc.ir.core import Func, Value
from rlxc.runtime.arguments import fit
from rlxc.runtime.compiled import Compiled
from rlxc.tracing.staging import Staged
from rlxc.tracing.trace import current
from rlxc.tracing.tracer import Tracer

SMALL = 32


def tensor(array: Any, requires_grad: bool = False) -> Tensor:
    """A tensor that holds a copy of `array`; a leaf of the tape if it requires a gradient."""
    return Tensor(array, requires_grad)


def function(program: Any, name: str | None = None) -> Callable[..., Any]:
    """A callable on tensors, whose every call is recorded as one node.

    `program` is a Func, a Module, `.rlx` text, a path, or a Compiled; `name` picks a function of several. Arguments come by position or by name. A Python
    function is traced, once for the kinds of its arguments, which may be trees; what is no array is known while tracing.
    """
    if isinstance(program, Compiled):
        return _whole(program.func)
    if callable(program):
        return wraps(program)(lambda *args, **kwargs: call(program, args, kwargs))
    return Whole(api.pick(program, name), Tensor)


@lru_cache(maxsize=1024)
def _whole(func: Func) -> Whole:
    return Whole(func, Tensor)


def _binary(function: Any, reflected: bool = False) -> Callable[[Any, Any], Any]:
    """An operator. Its way to the second use of an operation: two look-ups by identity, and the rule's own function."""
    table: dict[Any, dict[Any, Callable[..., Any]]] = {}
    squares: dict[Any, Callable[[Any], Any]] = {}
    name = function.__name__
    both = traced((lambda x, y: function(y, x)) if reflected else function, name)
    same = traced(lambda x: function(x, x), name)

    def operate(self: Any, other: Any) -> Any:
        try:
            if other is self:
                return squares[self._kind](self)
            return table[self._kind][other._kind if type(other) is Tensor else type(other)](self, other)
        except KeyError:
            return with_array(self, other) if type(other) is np.ndarray else first(self, other)

    def with_array(self: Any, array: np.ndarray) -> Any:
        other = Tensor.constant(array)
        rule = both.rules.get((self._kind, other._kind))
        if rule is None or RECORDING.blocks:
            return both.on(Tensor, (self, array))
        return rule.record(self, other.kept() if 1 in rule.keeps else other)

    def first(self: Any, other: Any) -> Any:
        if not _is_operand(other) or isinstance(other, Tracer):  # a tracer takes tensors as they are
            return NotImplemented
        if type(other) is not Tensor and type(other) not in SCALARS:
            return both.on(Tensor, (self, other))
        if other is self:
            if len(squares) >= MAX_RULES:
                squares.clear()
            square = self._kind
            return same.record([square], Tensor, lambda record: squares.__setitem__(square, record))(self)
        if len(table) >= MAX_RULES:
            table.clear()
        kind = other._kind if type(other) is Tensor else SCALARS[type(other)]
        place, key = table.setdefault(self._kind, {}), kind if type(other) is Tensor else type(other)
        return both.record([self._kind, kind], Tensor, lambda record: place.__setitem__(key, record))(self, other)

    return operate


def _reflected(function: Any) -> Callable[[Any, Any], Any]:
    return _binary(function, reflected=True)


def _power() -> Callable[[Any, Any], Any]:
    """x ** n, which is traced for each whole number n: its derivative is simpler than that of any power."""
    dynamic = _binary(np.power)

    def operate(self: Any, other: Any) -> Any:
        if type(other) is int and abs(other) <= 64:
            return call(operator.pow, (self, other))
        return dynamic(self, other)

    return operate


def _unary(function: Any) -> Callable[[Any], Any]:
    table: dict[Any, Callable[[Any], Any]] = {}
    any_kind = traced(function)

    def operate(self: Any) -> Any:
        try:
            return table[self._kind](self)
        except KeyError:
            if len(table) >= MAX_RULES:
                table.clear()
            kind = self._kind
            return any_kind.record([kind], Tensor, lambda record: table.__setitem__(kind, record))(self)

    return operate


def _methods(names: str) -> Iterator[Callable[..., Any]]:
    """Methods that are those of tracers."""
    return map(_method, names.split())


def _method(name: str) -> Callable[..., Any]:
    function = getattr(Tracer, name)
    alone = _unary(function)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return call(function, (self, *args), kwargs) if args or kwargs else alone(self)

    method.__name__ = name
    method.__doc__ = f"As ndarray.{name}."
    return method


def _assigned(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`x -= y`: a new value for a leaf where nothing is recorded, as in the step of an optimizer; else the same as `x = x - y`."""

    def operate(self: Any, other: Any) -> Any:
        result = operation(self, other)
        if result is NotImplemented or not self.requires_grad or not self.is_leaf or RECORDING.is_on:
            return result
        self.assign(result)
        return self

    return operate


_ufunc, _single, _pair = cache(traced), cache(_unary), cache(_binary)


def _is_operand(x: Any) -> bool:
    return isinstance(x, Tensor | np.ndarray | np.generic | list | tuple) or type(x) in SCALARS


_KINDS: dict[tuple[Any, tuple[int, ...], bool], Kind] = {}  # which a look-up by type would find too, in more time


class Tensor(Variable):
    """An array that operations are recorded on. `eager.tensor` makes one; `.numpy()` gives what it holds."""

    __slots__ = ()
    __array_priority__ = 2000

    executor = NativeExecutor(native)
    promotes_numbers = True

    @classmethod
    def _kind_of(cls, value: np.ndarray, active: bool) -> Kind:
        kind = _KINDS.get((value.dtype, value.shape, active))
        if kind is None:
            kind = _KINDS[value.dtype, value.shape, active] = super()._kind_of(value, active)
        return kind

    @classmethod
    def fitted(cls, value: Any, arg: Value, where: str) -> Any:
        return fit(value, arg, where)

    def kept(self) -> Tensor:
        return variable(self._kind, self._data.copy())  # type: ignore[no-any-return]

    def __rlxc_call__(self, func: Func, args: Any, named: Any) -> Any:
        """What a compiled function does that is called with tensors."""
        return _whole(func)(*args, **named)

    def __rlxc_record__(self, name: str, stage: Callable[..., Staged]) -> Callable[[list[Any]], Any]:
        """What a jitted function does with arguments of one form that has tensors; `stage` traces it for types of the leaves."""
        return staged(name, stage)

    # what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self._data.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self._data.size  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self._data)

    # its numbers

    def numpy(self) -> np.ndarray:
        """The array, read-only."""
        return self.value  # type: ignore[no-any-return]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad and RECORDING.is_on:
            help = "x.detach() or x.numpy() where derivatives are not to flow; NumPy's functions take tensors as they are"
            if current() is not None:
                help = "a function that is traced is given it as an argument; x.detach() where it is to be a constant"
            raise DifferentiationError("a tensor that requires a gradient becomes an array, which forgets it", code="RLX0323", help=help)
        return np.array(self.value, dtype=dtype, copy=copy)

    def item(self) -> Any:
        return self._data.item()

    def tolist(self) -> Any:
        return self._data.tolist()

    def __float__(self) -> float:
        return float(self._data)

    def __int__(self) -> int:
        return int(self._data)

    def __index__(self) -> int:
        return operator.index(self._data)

    def __complex__(self) -> complex:
        return complex(self._data)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __format__(self, spec: str) -> str:
        return format(self._data[()], spec) if self.ndim == 0 and spec else str(self)

    def __round__(self, digits: int = 0) -> Any:
        return self.round(digits)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="tensor(")
        return f"tensor({text}{', requires_grad=True' if self.requires_grad else ''})"

    __hash__ = object.__hash__

    # operators

    __add__, __radd__ = _binary(np.add), _reflected(np.add)
    __sub__, __rsub__ = _binary(np.subtract), _reflected(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply), _reflected(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.divide), _reflected(np.divide)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide), _reflected(np.floor_divide)
    __mod__, __rmod__ = _binary(np.remainder), _reflected(np.remainder)
    __pow__, __rpow__ = _power(), _reflected(np.power)
    __matmul__, __rmatmul__ = _binary(np.matmul), _reflected(np.matmul)
    __and__, __rand__ = _binary(np.bitwise_and), _reflected(np.bitwise_and)
    __or__, __ror__ = _binary(np.bitwise_or), _reflected(np.bitwise_or)
    __xor__, __rxor__ = _binary(np.bitwise_xor), _reflected(np.bitwise_xor)
    __lshift__, __rlshift__ = _binary(np.left_shift), _reflected(np.left_shift)
    __rshift__, __rrshift__ = _binary(np.right_shift), _reflected(np.right_shift)
    __lt__, __le__ = _binary(np.less), _binary(np.less_equal)
    __gt__, __ge__ = _binary(np.greater), _binary(np.greater_equal)
    __eq__, __ne__ = _binary(np.equal), _binary(np.not_equal)
    __neg__, __pos__, __abs__, __invert__ = _unary(np.negative), _unary(np.positive), _unary(np.abs), _unary(np.invert)
    __iadd__, __isub__, __imul__, __itruediv__ = map(_assigned, (__add__, __sub__, __mul__, __truediv__))

    # elements

    def __getitem__(self, index: Any) -> Any:
        if type(index) is int and (shape := self._data.shape) and -shape[0] <= index < shape[0]:
            return _element(self, index % shape[0])
        return call(operator.getitem, (self, _dynamic(index, self.shape)))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ArgumentError("elements of a tensor are not assigned", code="RLX0507", help="x = x.at[index].set(y) gives a new tensor")

    @property
    def at(self) -> At:
        """`x.at[index].set(y)`, and add, multiply, min, max: x with other elements."""
        return At(self)

    # NumPy's functions

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.pop("out", None) is not None:
            raise ArgumentError(f"np.{ufunc.__name__} on tensors does not take out=", code="RLX0507", help="results are new tensors")
        if method == "__call__" and not kwargs and not any(type(x) in (list, tuple, Tracer) for x in inputs):
            if len(inputs) == 1:
                return _single(ufunc)(self)
            return _pair(ufunc)(*inputs) if type(inputs[0]) is Tensor else _ufunc(ufunc).on(Tensor, inputs)
        return call(ufunc if method == "__call__" else getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in _OF_SHAPE:
            return _OF_SHAPE[function](*args, **kwargs)
        if function in _OF_PLACES:
            _OF_PLACES[function](*args, **kwargs)
        if function in _OF_NUMBERS:
            return function(*[x.numpy() if isinstance(x, Tensor) else x for x in args], **kwargs)
        return call(function, args, kwargs)

    # methods, as arrays have them

    reshape, ravel, flatten, squeeze, transpose, swapaxes = _methods("reshape ravel flatten squeeze transpose swapaxes")
    repeat, diagonal, trace, dot, astype = _methods("repeat diagonal trace dot astype")
    sum, prod, mean, var, std, max, min, any, all = _methods("sum prod mean var std max min any all")
    argmax, argmin, argsort, cumsum, cumprod, clip, round = _methods("argmax argmin argsort cumsum cumprod clip round")

    def take(self, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
        """As ndarray.take."""
        return self.__array_function__(np.take, (Tensor,), (self, indices, axis, out, mode), {})

    @property
    def T(self) -> Any:
        return self.transpose()

    @property
    def mT(self) -> Any:
        return self.swapaxes(-1, -2)


def _size(a: Tensor, axis: int | None = None) -> int:
    return a.size if axis is None else a.shape[axis]


_OF_SHAPE: dict[Any, Callable[..., Any]] = {np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim, np.size: _size}

#: NumPy's functions of the numbers, or of what holds them, whose results have no derivatives.
_OF_NUMBERS = {np.nonzero, np.flatnonzero, np.argwhere, np.array_repr, np.array_str, np.array2string, np.result_type, np.may_share_memory, np.shares_memory}


def _elements() -> Callable[[Any, int], Any]:
    """x[i] for an i within bounds."""
    table: dict[Any, Callable[[Any, int], Any]] = {}
    function = traced(lambda x, i: x[i], "getitem")

    def element(x: Any, i: int) -> Any:
        try:
            return table[x._kind](x, i)
        except KeyError:
            if len(table) >= MAX_RULES:
                table.clear()
            kind = x._kind
            return function.record([kind, Position._kind], Tensor, lambda record: table.__setitem__(kind, record))(x, i)

    return element


_element = _elements()


class At:
    """Part of a tensor, to be changed in a new one."""

    __slots__ = ("_index", "_x")

    def __init__(self, x: Tensor, index: Any = None) -> None:
        self._x = x
        self._index = index

    def __getitem__(self, index: Any) -> At:
        return At(self._x, _dynamic(index, self._x.shape))

    def _changed(self, function: Any, value: Any) -> Any:
        return call(function, (self._x, self._index, value))

    def set(self, value: Any) -> Any:
        return self._changed(_set, value)

    def add(self, value: Any) -> Any:
        return self._changed(_add, value)

    def multiply(self, value: Any) -> Any:
        return self._changed(_multiply, value)

    def min(self, value: Any) -> Any:
        return self._changed(_min, value)

    def max(self, value: Any) -> Any:
        return self._changed(_max, value)


def _set(x: Any, index: Any, value: Any) -> Any:
    return x.at[index].set(value)


def _add(x: Any, index: Any, value: Any) -> Any:
    return x.at[index].add(value)


def _multiply(x: Any, index: Any, value: Any) -> Any:
    return x.at[index].multiply(value)


def _min(x: Any, index: Any, value: Any) -> Any:
    return x.at[index].min(value)


def _max(x: Any, index: Any, value: Any) -> Any:
    return x.at[index].max(value)


def _dynamic(index: Any, shape: tuple[int, ...]) -> Any:
    """An index whose whole numbers are operands, so that one rule serves all of them. What is out of bounds raises IndexError.

    Masks become the positions that they select. What else is wrong with an index is said when it is traced.
    """
    if type(index) is slice and _PLAIN.issuperset((type(index.start), type(index.stop), type(index.step))):
        return index
    parts = index if isinstance(index, tuple) else (index,)
    taken = sum(map(_axes, parts))
    if taken > len(shape):
        return index
    is_simple = all(type(p) is int or p is None or isinstance(p, _STATIC) for p in parts)
    made: list[Any] = []
    axis = 0
    for part in parts:
        if part is Ellipsis:
            made.append(part)
            axis += len(shape) - taken
        elif _is_mask(part):
            if part.shape != shape[axis : axis + part.ndim]:
                raise IndexError(f"a mask of shape {part.shape} is for axes of the sizes {shape[axis : axis + part.ndim]}")
            made += (part._data if isinstance(part, Tensor) else part).nonzero()
        elif isinstance(part, slice):
            made.append(slice(*map(_bound, (part.start, part.stop, part.step))))
        elif part is None:
            made.append(None)
        else:
            _require_bounds(part, shape[axis], axis)
            made.append(Position(part % shape[axis]) if is_simple else part)
        axis += _axes(part)
    return tuple(made)


def _axes(part: Any) -> int:
    """How many axes a part of an index is for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if _is_mask(part) else 1


def _require_bounds(places: Any, n: int, axis: int) -> None:
    """Raise IndexError unless places, or those in an array, are on an axis of size n."""
    if type(places) is int:
        low = high = places
    elif isinstance(places, Tensor | np.ndarray) and places.dtype.kind in "iu" and places.size:
        array = places._data if isinstance(places, Tensor) else places
        if array.size <= SMALL:  # where NumPy takes longer to begin than Python to look
            numbers = array.ravel().tolist()
            low, high = min(numbers), max(numbers)
        else:
            low, high = array.min(), array.max()
    else:
        return
    if low < -n or high >= n:
        raise IndexError(f"index {low if low < -n else high} is out of bounds for axis {axis} with size {n}")


def _require_taken(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> None:
    if mode == "raise":
        _require_bounds(indices, np.size(a) if axis is None else np.shape(a)[axis], axis or 0)


#: NumPy's functions that are given places, which are known here: what raises where they are out of bounds.
_OF_PLACES: dict[Any, Callable[..., None]] = {np.take: _require_taken, np.take_along_axis: partial(_require_taken, axis=-1)}


def _bound(x: Any) -> Any:
    """A bound of a slice, whose number decides on the shape."""
    return operator.index(x) if isinstance(x, Tensor) else x


def _is_mask(x: Any) -> bool:
    return isinstance(x, Tensor | np.ndarray) and x.dtype == bool and x.ndim > 0


_PLAIN = frozenset((int, type(None)))
_STATIC = (slice, type(Ellipsis))
