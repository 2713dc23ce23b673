"""Tracer: what a function gets in place of an array while it is traced. It has an array's shape, dtype, operators and methods, and no numbers."""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NoReturn

import numpy as np

from rlxc.errors import ArgumentError, TracingError
from rlxc.ir.core import Func, Value
from rlxc.ir.types import DType, TensorType
from rlxc.passes.bind import bind
from rlxc.passes.dims import match_dims
from rlxc.runtime.arguments import Arguments
from rlxc.tracing.at import At
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.promotion import as_dtype
from rlxc.tracing.protocols import NumPyProtocols, apply
from rlxc.tracing.trace import Trace, here, record, spliced

_STORE = opcode.opmap["STORE_SUBSCR"]
_ASSIGN = "put a list together and make it an array at the end (np.array(parts)), or begin with rlxc.numpy.zeros(n), and array = array.at[i].set(x)"
_WHERE = "use rlxc.where(condition, x, y) for arrays, rlxc.cond(condition, f, g, *operands) where only one branch is to run"


def _binary(function: Any) -> Callable[[Any, Any], Any]:
    """An operator: tracer first."""
    return lambda x, y: apply(function, x, y) if _is_operand(y) else NotImplemented


def _reflected(function: Any) -> Callable[[Any, Any], Any]:
    """An operator: tracer last."""
    return lambda y, x: apply(function, x, y) if _is_operand(x) else NotImplemented


def _method(function: Any) -> Callable[..., Any]:
    """A method that is a function of NumPy's."""
    return lambda self, *args, **options: apply(function, self, *args, **options)


def _in_place(name: str, instead: str) -> Callable[..., Any]:
    """A method of arrays that writes into them."""

    def refused(self: Any, *args: Any, **options: Any) -> NoReturn:
        help = f"{instead} gives a new array"
        raise with_source(TracingError(f"x.{name}() would write into a traced array", code="RLX0805", loc=user_location(), help=help))

    return refused


def _is_operand(x: Any) -> bool:
    return isinstance(x, Tracer | np.ndarray | np.generic | int | float | complex | list | tuple) or hasattr(x, "__array__")


def _is_assignment(frame: Any) -> bool:
    """Whether a frame is about to execute `array[i] = x`."""
    return frame is not None and bool(frame.f_code.co_code[frame.f_lasti] == _STORE)


class Tracer(NumPyProtocols):
    """An array that is not there yet. Whatever is done to it becomes an op of the function that is being traced."""

    __slots__ = ("_trace", "_value", "_weak")

    def __init__(self, trace: Trace, value: Value, weak: bool = False) -> None:
        self._trace = trace
        self._value = value
        self._weak = weak  # a Python number: it takes the dtype of the arrays around it

    # ---------------------------------------------------------------------------------------------------- what is known of it

    @property
    def shape(self) -> tuple[Any, ...]:
        shape: tuple[Any, ...] = self._value.type.shape
        return shape

    @property
    def dtype(self) -> np.dtype:
        dtype: np.dtype = self._value.type.dtype.numpy
        return dtype

    @property
    def ndim(self) -> int:
        return len(self._value.type.shape)

    @property
    def size(self) -> int:
        size: int = self._value.type.size
        return size

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def device(self) -> str:
        return "cpu"

    def to_device(self, device: str, /, *, stream: Any = None) -> Any:
        return self

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return import_module("rlxc.numpy")

    @property
    def aval(self) -> Any:
        """The type, as rlx writes it."""
        return self._value.type

    def __len__(self) -> int:
        if not self.shape:
            raise with_source(TracingError("a traced scalar has no len()", code="RLX0801", loc=user_location()))
        size: int = self.shape[0]
        return size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __repr__(self) -> str:
        return f"Tracer<{self._value.type}>"

    __hash__ = None  # type: ignore[assignment]

    # -------------------------------------------------------------------------------------------------- what needs its numbers

    def __bool__(self) -> NoReturn:
        self._refuse("if, while, and, or, not, bool() need", _WHERE + ", or compare shapes, which are known")

    def __float__(self) -> NoReturn:
        self._refuse("float() needs", "NumPy's and rlxc.numpy's functions take it where math's do not")

    def __int__(self) -> NoReturn:
        self._refuse("int() needs", "x.astype(int) converts arrays; what must be a number while tracing is a static argument (static_argnums)")

    def __index__(self) -> NoReturn:
        self._refuse("range(), a size or a position in a list needs", "rlxc.fori_loop(0, n, body, x) loops; sizes are static arguments (static_argnums)")

    def __complex__(self) -> NoReturn:
        self._refuse("complex() needs", "x.astype(complex) converts arrays")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse(
            "what makes arrays of anything needs",
            "of a list make an array first: np.log(np.array(xs)); array(x), imported from numpy, takes no tracers, rlxc.numpy.array does",
        )

    def __rlxc_call__(self, func: Func, args: Any, named: Any) -> Any:
        """What a compiled function does that is called with tracers: its ops become part of the function that is being traced."""
        xs = [tracer_of(x) for x in Arguments(func).in_order(args, named)]
        xs = [convert(x, a.type.dtype) if x._weak else x for x, a in zip(xs, func.args, strict=True)]
        func = bind(func, match_dims(func, [x.shape for x in xs]))
        for x, a, name in zip(xs, func.args, func.arg_names, strict=True):
            if x.aval != a.type:
                raise with_source(ArgumentError(f"@{func.name}: %{name} is {a.type}, not {x.aval}", code="RLX0505", loc=user_location()))
        results = tuple([Tracer(here(), v) for v in spliced(func, xs)])
        return results[0] if len(results) == 1 else results

    def __format__(self, spec: str) -> str:
        if spec:
            self._refuse(f"the format {spec!r} needs", "print what the function returns; print(x) while it is traced shows dtype and shape")
        return repr(self)

    def item(self, *args: Any) -> NoReturn:
        self._refuse("item() needs", "leave it an array")

    def tolist(self) -> NoReturn:
        self._refuse("tolist() needs", "leave it an array")

    def _refuse(self, who: str, help: str) -> NoReturn:
        if _is_assignment(sys._getframe(2)):
            who, help = "array[i] = x, where the array is one of NumPy's, needs", _ASSIGN
        message = f"{who} numbers, and {self!r} has none: it stands for an array while {self._trace.name} is traced"
        raise with_source(TracingError(message, code="RLX0801", loc=user_location(), help=help))

    # ---------------------------------------------------------------------------------------------------------------- elements

    def __getitem__(self, index: Any) -> Any:
        return At(self)[index].get()

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        help = "x = x.at[index].set(y) gives a new array (and .add, .multiply, .min, .max); natively it is written in place where nobody sees the difference"
        raise with_source(TracingError("elements of a traced array cannot be assigned", code="RLX0805", loc=user_location(), help=help))

    @property
    def at(self) -> At:
        """`x.at[index].set(y)`: x with other elements."""
        return At(self)

    # --------------------------------------------------------------------------------------------------------------- operators

    __add__, __radd__ = _binary(np.add), _reflected(np.add)
    __sub__, __rsub__ = _binary(np.subtract), _reflected(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply), _reflected(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.divide), _reflected(np.divide)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide), _reflected(np.floor_divide)
    __mod__, __rmod__ = _binary(np.remainder), _reflected(np.remainder)
    __pow__, __rpow__ = _binary(np.power), _reflected(np.power)
    __matmul__, __rmatmul__ = _binary(np.matmul), _reflected(np.matmul)
    __and__, __rand__ = _binary(np.bitwise_and), _reflected(np.bitwise_and)
    __or__, __ror__ = _binary(np.bitwise_or), _reflected(np.bitwise_or)
    __xor__, __rxor__ = _binary(np.bitwise_xor), _reflected(np.bitwise_xor)
    __lshift__, __rlshift__ = _binary(np.left_shift), _reflected(np.left_shift)
    __rshift__, __rrshift__ = _binary(np.right_shift), _reflected(np.right_shift)
    __lt__, __le__ = _binary(np.less), _binary(np.less_equal)
    __gt__, __ge__ = _binary(np.greater), _binary(np.greater_equal)
    __eq__, __ne__ = _binary(np.equal), _binary(np.not_equal)

    def __divmod__(self, y: Any) -> Any:
        return self // y, self % y

    def __rdivmod__(self, y: Any) -> Any:
        return y // self, y % self

    def __neg__(self) -> Any:
        return apply(np.negative, self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return apply(np.abs, self)

    def __invert__(self) -> Any:
        return apply(np.invert, self)

    def __round__(self, digits: int = 0) -> Any:
        return apply(np.round, self, digits)

    # ----------------------------------------------------------------------------------------------------------------- methods

    @property
    def T(self) -> Any:
        return apply(np.transpose, self)

    @property
    def mT(self) -> Any:
        return apply(np.swapaxes, self, -1, -2)

    @property
    def real(self) -> Any:
        return apply(np.real, self)

    @property
    def imag(self) -> Any:
        return apply(np.imag, self)

    def conj(self) -> Any:
        return apply(np.conj, self)

    conjugate = conj

    def astype(self, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True) -> Any:
        """The same numbers in another dtype, converted as NumPy does."""
        return convert(self if casting == "unsafe" else apply(np.concatenate, [self.ravel()], dtype=dtype, casting=casting).reshape(self.shape), dtype)

    def copy(self, order: str = "C") -> Any:
        return self

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def reshape(self, *shape: Any, order: Any = "C", copy: Any = None) -> Any:
        return apply(np.reshape, self, shape[0] if len(shape) == 1 else shape, order)

    def transpose(self, *axes: Any) -> Any:
        if not axes or axes == (None,):
            return apply(np.transpose, self)
        return apply(np.transpose, self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)

    ravel = flatten = _method(np.ravel)
    squeeze, swapaxes, repeat, diagonal, trace, take = map(_method, (np.squeeze, np.swapaxes, np.repeat, np.diagonal, np.trace, np.take))
    dot, clip, round, choose, searchsorted = map(_method, (np.dot, np.clip, np.round, np.choose, np.searchsorted))
    sum, prod, mean, var, std, max, min = map(_method, (np.sum, np.prod, np.mean, np.var, np.std, np.max, np.min))
    any, all, argmax, argmin, cumsum, cumprod = map(_method, (np.any, np.all, np.argmax, np.argmin, np.cumsum, np.cumprod))
    argsort, argpartition, nonzero, compress = map(_method, (np.argsort, np.argpartition, np.nonzero, np.compress))

    sort = _in_place("sort", "np.sort(x)")
    partition = _in_place("partition", "np.partition(x, k)")
    fill = _in_place("fill", "np.full_like(x, value)")
    put = _in_place("put", "x.at[places].set(values)")
    resize = _in_place("resize", "np.resize(x, shape)")


def emit(prim_name: str, *operands: Any, weak: bool = False, **attrs: Any) -> Any:
    """One op of the innermost trace on tracers, arrays and numbers (taken as they are: nothing is promoted). A tuple, if it has several results."""
    op = record(prim_name, operands, attrs)
    trace = here()
    if len(op.results) == 1:
        return Tracer(trace, op.results[0], weak)
    return tuple([Tracer(trace, v, weak) for v in op.results])


def convert(x: Any, dtype: Any, *, weak: bool = False) -> Any:
    """A tracer, array or number in another dtype; itself, if it has it."""
    wanted = as_dtype(dtype)
    if not isinstance(x, Tracer):
        return np.asarray(x).astype(wanted.numpy)
    if x._value.type.dtype != wanted:
        return emit("convert", x, dtype=wanted, weak=weak)
    return x if x._weak == weak else Tracer(x._trace, x._value, weak)


def tracer_of(x: Any) -> Tracer:
    """`x` as a tracer of the innermost trace: arrays become constants of it, Python numbers weak ones."""
    trace = here(x)
    if isinstance(x, Tracer) and x._trace is trace:
        return x
    weak = x._weak if isinstance(x, Tracer) else type(x) in (int, float, complex)
    trace.builder.loc = user_location()
    return Tracer(trace, trace.value_of(x), weak)


def full(number: Any, dtype: DType, shape: Any) -> Tracer:
    """A number repeated to a shape, as a constant of the innermost trace."""
    trace = here()
    trace.builder.loc = user_location()
    return Tracer(trace, trace.builder.constant(number, type=TensorType(dtype, tuple(shape))))
