"""What the functions share beyond operands: options that were not given, what must be known while tracing, errors at the user's line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from rlxc.errors import ShapeError, Unsupported
from rlxc.ir.types import DType
from rlxc.numpy import operands
from rlxc.numpy.operands import Tracer, cast, convert, default_float, emit, normalize_axes, normalize_axis, tracer_of
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.promotion import kind_of, promote
from rlxc.tracing.protocols import mentions_tracer, refuse_options

#: what NumPy's functions have in place of an option that is not given
NO: Any = np._NoValue

F64, I64, U8, U64, BOOL = DType("f64"), DType("i64"), DType("u8"), DType("u64"), DType("bool")


def given(option: Any) -> bool:
    """Whether an option was stated."""
    return option is not None and option is not NO


def unsupported(message: str, help: str | None = None) -> NoReturn:
    """Raise Unsupported at the user's line."""
    raise with_source(Unsupported(message, code="RLX0803", loc=user_location(), help=help))


def wrong(message: str, help: str | None = None) -> NoReturn:
    """Raise ShapeError, which is a ValueError, at the user's line."""
    raise with_source(ShapeError(message, loc=user_location(), help=help))


def refuse(name: str, **options: Any) -> None:
    """Raise Unsupported for the first of these options that is given."""
    for option, value in options.items():
        if given(value) and not (option == "where" and value is True):
            refuse_options(f"np.{name}", {option: value}, **{option: None})


def is_traced(x: Any) -> bool:
    return isinstance(x, Tracer)


def known(name: str, option: str, value: Any) -> Any:
    """`value`, which must be known while tracing: a size, an axis, an order."""
    if is_traced(value) or (isinstance(value, list | tuple) and mentions_tracer(value)):
        unsupported(f"np.{name}: {option} must be known while tracing, and {value!r} is not", "make it a static argument (static_argnums)")
    return value


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """Axes counted from the front, all of them for None."""
    return normalize_axes(axis if given(axis) else None, rank)


def axis_of(axis: Any, rank: int) -> int:
    """An axis counted from the front."""
    return normalize_axis(axis, rank)


def as_operand(x: Any) -> Any:
    """A tracer, array or number; lists are made arrays, of tracers if there are some inside."""
    if isinstance(x, list | tuple):
        return np.stack([tracer_of(as_operand(v)) for v in x]) if mentions_tracer(x) else np.asarray(x)
    return x


def promoted(*xs: Any, at_least: str = "") -> list[Any]:
    """Tracers of one dtype, that of NumPy's promotion; `at_least="float"`: integers become f64."""
    xs = tuple([as_operand(x) for x in xs])
    common, _ = promote(tuple([kind_of(x) for x in xs]))
    return operands.promoted(*xs, dtype=F64 if at_least == "float" and not common.differentiable else None)


def traced(x: Any) -> Any:
    """An operand as a tracer."""
    return tracer_of(as_operand(x))


def inexact(x: Any) -> Any:
    """A tracer of floats: integers and bools become f64."""
    y: Any = default_float(as_operand(x))
    return y


def constant(number: Any, x: Any) -> Any:
    """A number in the dtype of `x`."""
    return np.asarray(number).astype(x.dtype)


def reshape(x: Any, shape: Sequence[int]) -> Any:
    """x in another shape, which has as many elements."""
    shape = tuple(shape)
    y: Any = x if x.shape == shape else emit("reshape", x, shape=shape, weak=x._weak)
    return y


def flat(x: Any) -> Any:
    """x with one axis."""
    return reshape(x, (x.size,))


def size_along(x: Any, axes: Sequence[int]) -> int:
    """The number of elements along axes."""
    return math.prod(x.shape[a] for a in axes)


def part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    """Elements from `start` to before `stop` of an axis."""
    y: Any = x[(*(slice(None),) * axis, slice(start, stop))]
    return y


__all__ = [
    "BOOL", "F64", "I64", "NO", "U8", "U64", "Tracer", "as_operand", "axes_of", "axis_of", "cast", "constant", "convert", "emit", "flat", "given", "inexact",
    "is_traced", "known", "part", "promoted", "refuse", "reshape", "size_along", "traced", "tracer_of", "unsupported", "wrong",
]  # fmt: skip
