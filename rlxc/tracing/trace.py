"""A trace: one function on its way to a Func. Traces nest, and what an inner one uses of an outer one becomes an argument.

    def f(x):                              the trace of f has %x
        return rlxc.grad(lambda y: y * x)(1.0)      that of the lambda has %y, and gets %x as one more argument when it first meets it

So derivatives need no tags to tell which variable a tangent belongs to: every function that is differentiated is closed, and what it took from
outside is an argument that is not differentiated by. Arrays are captured like this too, so that they are written down once, by the outermost trace.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from rlxc.errors import DTypeError, Error, Loc, TracingError
from rlxc.ir.attributes import Dense
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.marks import unmarked
from rlxc.ir.names import OwnNames
from rlxc.ir.primitive import lookup
from rlxc.ir.types import TensorType, dtype_of
from rlxc.passes.dce import live_ops
from rlxc.tracing import array_makers
from rlxc.tracing.location import user_location, with_source


class _Stack(threading.local):
    """The traces of a thread, the innermost last."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []


_stack = _Stack()


class Snapshot(np.ndarray):
    """A copy of an array that nobody writes to."""

    @property
    def aval(self) -> TensorType:
        return TensorType(dtype_of(self.dtype), self.shape)


class Trace:
    """Ops as they are recorded, and what they use from outside. With `hoists`, arrays are arguments rather than constants."""

    def __init__(self, name: str, *, hoists: bool) -> None:
        self.name = name
        self.hoists = hoists
        self.alive = True
        self.builder = Builder()
        self.args: list[Value] = []
        self.captured: list[Any] = []  # tracers of outer traces, arrays, and tensors that record
        self._captures: list[Value] = []
        self._known: dict[Value, Value] = {}  # captures by the outer value
        self._arrays: dict[int, list[tuple[np.ndarray, Value]]] = {}  # by id
        self._kept: list[np.ndarray] = []  # whose ids these are
        self._tensors: list[tuple[Any, Value]] = []

    def argument(self, type: TensorType, name: str | None, loc: Loc) -> Value:
        value = Value(type, name, loc=loc)
        self.args.append(value)
        return value

    def value_of(self, x: Any) -> Value:
        """What stands for `x` in this trace: a tracer of this one or an outer one, an array, a number."""
        trace = getattr(x, "_trace", None)
        if trace is self:
            value: Value = x._value
            return value
        if trace is not None:
            known = self._known.get(x._value)
            if known is None:
                check_alive(x)
                known = self._known[x._value] = self._capture(x, x._value.type)
            return known
        if self.hoists and hasattr(x, "__rlxc_call__"):
            return self._tensor(x)
        array = as_array(x)
        return self.constant(array) if array.ndim == 0 else self._array(array)

    def _tensor(self, x: Any) -> Value:
        """What calls compiled functions in a way of its own, such as a tensor that records: it is captured as it is."""
        for known, value in self._tensors:
            if known is x:
                return value
        value = self._capture(x, TensorType(dtype_of(x.dtype), x.shape))
        self._tensors.append((x, value))
        return value

    def _array(self, array: np.ndarray) -> Value:
        """An array as it is now: a function may go on writing to it."""
        for known, value in self._arrays.get(id(array), ()):
            if known is array or same_bits(known, array):
                return value
        snapshot: Any = array if type(array) is Snapshot else array.copy().view(Snapshot)
        if self.hoists:
            value = self._capture(snapshot, snapshot.aval)
        else:
            value = self.constant(snapshot)
        self._arrays.setdefault(id(array), []).append((snapshot, value))
        self._kept.append(array)
        return value

    def constant(self, array: np.ndarray) -> Value:
        type_ = TensorType(dtype_of(array.dtype), array.shape)
        value: Value = self.builder.apply(lookup("constant"), value=Dense(array, type_), type=type_)
        return value

    def _capture(self, x: Any, type: TensorType) -> Value:
        value = Value(type, None, loc=user_location())
        self._captures.append(value)
        self.captured.append(x)
        return value

    def func(self, results: Sequence[Value], loc: Loc) -> Func:
        """What was recorded: the arguments, then what was captured."""
        names = OwnNames()
        args = [*self.args, *self._captures]
        for i, a in enumerate(args):
            a.name = names.give(a.name or (f"c{i - len(self.args)}" if i >= len(self.args) else f"x{i}"))
        return Func(self.name, tuple(args), tuple(live_ops(self.builder.ops, results)), tuple(results), loc=loc)


@contextmanager
def tracing(name: str, *, hoists: bool) -> Iterator[Trace]:
    """A trace that ops are recorded in while the block runs."""
    outermost = not _stack.traces
    trace = Trace(name, hoists=hoists or not outermost)
    try:  # an interrupt may come between any two calls
        if outermost:
            array_makers.begin()
        _stack.traces.append(trace)
        yield trace
    finally:
        trace.alive = False
        if trace in _stack.traces:
            _stack.traces.remove(trace)
        if outermost:
            array_makers.end()


@contextmanager
def outside_of_traces() -> Iterator[None]:
    """For what is computed at once, and traced on its own, though a trace is going on."""
    traces, _stack.traces = _stack.traces, []
    try:
        yield
    finally:
        _stack.traces = traces


def current() -> Trace | None:
    """The innermost trace of this thread."""
    traces = _stack.traces
    return traces[-1] if traces else None


def here(x: Any = None) -> Trace:
    """The trace that an op on `x` goes to; raises TracingError outside of traces."""
    traces = _stack.traces
    if not traces:
        check_alive(x)
        message = "what stood for an array while a function was traced is used, and the trace is over"
        raise with_source(TracingError(message, code="RLX0802", loc=user_location()))
    return traces[-1]


def check_alive(x: Any) -> None:
    """Raise TracingError for a tracer whose trace is over, or belongs to another thread."""
    trace = getattr(x, "_trace", None)
    if trace is None or trace in _stack.traces:
        return
    if trace.alive:
        message = f"{x!r} is traced in another thread, as part of {trace.name}"
    else:
        message = f"{x!r} stood for an array while {trace.name} was traced, which is over"
    help = "return it from the function as a result: what a traced function stores elsewhere (a global, an attribute, a list) is no array"
    raise with_source(TracingError(message, code="RLX0802", loc=user_location(), help=help))


def record(prim_name: str, operands: Sequence[Any], attrs: dict[str, Any], regions: tuple[Func, ...] = ()) -> Op:
    """One op on tracers, arrays and numbers, put into the innermost trace at the user's line; wrong operands raise an Error there."""
    trace = here(next((x for x in operands if hasattr(x, "_trace")), None))
    b = trace.builder
    b.loc = user_location()
    try:
        return b.emit(lookup(prim_name), [trace.value_of(x) for x in operands], attrs, regions=regions)
    except Error as error:
        raise with_source(error) from None


def spliced(func: Func, operands: Sequence[Any]) -> list[Value]:
    """Results of `func` on tracers, arrays and numbers, its ops put into the innermost trace."""
    trace = here()
    func = unmarked(func)  # tangents are values like any other, which may be differentiated again
    env = dict(zip(func.args, [trace.value_of(x) for x in operands], strict=True))
    for op in func.ops:
        trace.builder.rebuild(op, env)
    return [env.get(v, v) for v in func.results]


def as_array(x: Any) -> np.ndarray:
    """An array or number, of a dtype that rlxc has."""
    array = x if isinstance(x, np.ndarray) else np.asarray(x)
    try:
        dtype_of(array.dtype)
    except DTypeError:
        raise with_source(
            TracingError(
                f"a value of type {type(x).__name__} is no array of numbers", code="RLX0804", loc=user_location(), help="pass NumPy arrays and numbers"
            )
        ) from None
    return array


def same_bits(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether two arrays are the same to the bit."""
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    if not (x.flags.c_contiguous and y.flags.c_contiguous and x.size):
        return x.tobytes() == y.tobytes()
    bits = f"u{min(x.dtype.itemsize, 8)}"
    return np.array_equal(x.reshape(-1).view(np.ndarray).view(bits), y.reshape(-1).view(np.ndarray).view(bits))
