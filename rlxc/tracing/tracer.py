"""Tracer: what a function gets in place of an array while it is traced. It has an array's shape, dtype, operators and methods, and no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

_WHERE = "use rlxc.where(condition, x, y) for arrays, rlxc.cond(condition, f, g, *operands) where only one branch is to run"


def _binary(function: Any) -> Callable[[Any, Any], Any]:
    """An operator: tracer first."""
    return lambda x, y: apply(function, x, y) if _is_operand(y) else NotImplemented


def _reflected(function: Any) -> Callable[[Any, Any], Any]:
    """An operator: tracer last."""
    return lambda y, x: apply(function, x, y) if _is_operand(x) else NotImplemented


def _is_operand(x: Any) -> bool:
    return isinstance(x, Tracer | np.ndarray | np.generic | int | float | complex | list | tuple) or hasattr(x, "__array__")


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
        help = "NumPy's and rlxc.numpy's functions take it where math's do not; for array[i] = x write np.stack, or rlxc.numpy.zeros(n).at[i].set(x)"
        self._refuse("float() needs", help)

    def __int__(self) -> NoReturn:
        self._refuse("int() needs", "x.astype(int) converts arrays; what must be a number while tracing is a static argument (static_argnums)")

    def __index__(self) -> NoReturn:
        self._refuse("range(), a size or a position in a list needs", "rlxc.fori_loop(0, n, body, x) loops; sizes are static arguments (static_argnums)")

    def __complex__(self) -> NoReturn:
        self._refuse("complex() needs", "x.astype(complex) converts arrays")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse(
            "np.asarray(), np.array() and what calls them need", "use rlxc.numpy's functions (rlxc.numpy.array, np.stack, np.concatenate), which take it"
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

    def item(self, *args: Any) -> NoReturn:
        self._refuse("item() needs", "leave it an array")

    def tolist(self) -> NoReturn:
        self._refuse("tolist() needs", "leave it an array")

    def _refuse(self, who: str, help: str) -> NoReturn:
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

    def astype(self, dtype: Any, *, copy: bool = True) -> Any:
        """The same numbers in another dtype, converted as NumPy does."""
        return convert(self, dtype)

    def copy(self) -> Any:
        return self

    def reshape(self, *shape: Any) -> Any:
        return apply(np.reshape, self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        if not axes or axes == (None,):
            return apply(np.transpose, self)
        return apply(np.transpose, self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)

    def ravel(self) -> Any:
        return self.reshape(-1)

    flatten = ravel

    def squeeze(self, axis: Any = None) -> Any:
        return apply(np.squeeze, self, axis)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return apply(np.swapaxes, self, axis1, axis2)

    def repeat(self, repeats: Any, axis: int | None = None) -> Any:
        return apply(np.repeat, self, repeats, axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return apply(np.diagonal, self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return apply(np.trace, self, offset, axis1, axis2)

    def take(self, indices: Any, axis: int | None = None) -> Any:
        return apply(np.take, self, indices, axis)

    def dot(self, y: Any) -> Any:
        return apply(np.dot, self, y)

    def sum(self, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
        return apply(np.sum, self, axis, dtype=dtype, keepdims=keepdims)

    def prod(self, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
        return apply(np.prod, self, axis, dtype=dtype, keepdims=keepdims)

    def mean(self, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
        return apply(np.mean, self, axis, dtype=dtype, keepdims=keepdims)

    def var(self, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Any:
        return apply(np.var, self, axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Any:
        return apply(np.std, self, axis, ddof=ddof, keepdims=keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        return apply(np.max, self, axis, keepdims=keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        return apply(np.min, self, axis, keepdims=keepdims)

    def any(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        return apply(np.any, self, axis, keepdims=keepdims)

    def all(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        return apply(np.all, self, axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        return apply(np.argmax, self, axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        return apply(np.argmin, self, axis, keepdims=keepdims)

    def cumsum(self, axis: int | None = None) -> Any:
        return apply(np.cumsum, self, axis)

    def cumprod(self, axis: int | None = None) -> Any:
        return apply(np.cumprod, self, axis)

    def argsort(self, axis: int = -1) -> Any:
        return apply(np.argsort, self, axis)

    def clip(self, min: Any = None, max: Any = None) -> Any:
        return apply(np.clip, self, min, max)

    def round(self, decimals: int = 0) -> Any:
        return apply(np.round, self, decimals)


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
