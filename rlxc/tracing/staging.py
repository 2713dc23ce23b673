"""From a Python function to a Func, and from a Func back to something that tracers and arrays go through.

staged = stage(f, leaves, rebuild)       f has run once, on tracers; staged.func is what it did, staged.captured what it took from outside
call(func, operands)                     inside a trace the ops of `func` are put into it; outside of traces `func` is compiled and run
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlxc.errors import DTypeError, Error, Loc, TracingError
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Func
from rlxc.ir.locks import lock
from rlxc.ir.types import TensorType, dtype_of, parse_type
from rlxc.runtime.compiled import Compiled
from rlxc.tracing.location import definition, parameters_of, user_location, with_source
from rlxc.tracing.promotion import kind_of
from rlxc.tracing.pytree import Tree, flatten, leaf_names, unflatten
from rlxc.tracing.trace import Snapshot, Trace, current, here, spliced, tracing
from rlxc.tracing.tracer import Tracer, tracer_of


@dataclass(frozen=True, slots=True)
class Aval:
    """What is known of an argument while tracing: its type, and whether it is a Python number, which takes the dtype of arrays around it."""

    type: TensorType
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Staged:
    """A traced function. `func` has an argument for each leaf, then one for each thing in `captured`; a result for each leaf of what was returned."""

    func: Func
    captured: tuple[Any, ...]
    tree: Tree
    weak: tuple[bool, ...]  # which results are Python numbers
    avals: tuple[Aval, ...]  # of the leaves of the arguments


def aval_of(x: Any, name: str = "a leaf") -> Aval:
    """Type and weakness of an array, a number or a tracer; raises TracingError, which opens with `name`, for anything else."""
    cls = type(x)
    if cls is Tracer:
        return Aval(x._value.type, x._weak)
    if isinstance(x, np.ma.MaskedArray | np.matrix):
        help = "fill it first: .filled(0)" if isinstance(x, np.ma.MaskedArray) else "its operators mean other things: take np.asarray of it"
        raise with_source(TracingError(f"{name} is a {cls.__name__}, not an ndarray", code="RLX0804", loc=user_location(), help=help))
    if cls is np.ndarray:
        try:
            return Aval(TensorType(dtype_of(x.dtype), x.shape))
        except DTypeError as error:
            raise with_source(DTypeError(f"{name} has a dtype that rlxc does not: {x.dtype}", code=error.code, loc=user_location())) from None
    if cls in (bool, int, float, complex) or isinstance(x, np.generic | np.ndarray) or hasattr(x, "__array__") or hasattr(x, "__array_interface__"):
        dtype, weak = kind_of(x)
        return Aval(TensorType(dtype, np.shape(x)), weak)
    static = "mark it static, so that the function is traced for each value of it (static_argnums, static_argnames; field(metadata={'static': True}))"
    help = f"{static}, or register its class: rlxc.register_pytree"
    raise with_source(TracingError(f"{name} is {_text(x)}, which is no array", code="RLX0804", loc=user_location(), help=help))


def aval_like(x: Any) -> Aval:
    """The type that stands for `x`: text such as "f32[3]", a TensorType, or that of an array."""
    if isinstance(x, str):
        type_ = parse_type(x)
        if not isinstance(type_, TensorType):
            raise TracingError(f"{x!r} is not the type of an array", code="RLX0804", help='write "f32[]" for a scalar')
        return Aval(type_)
    return Aval(x) if isinstance(x, TensorType) else aval_of(x)


@without_collection()
def stage(f: Callable[..., Any], avals: Sequence[Aval], rebuild: Callable[[list[Any]], tuple[Any, Any]], names: Sequence[str | None], hoists: bool) -> Staged:
    """Run `f` once on tracers; `rebuild` makes its arguments, positional and by name, of the leaves."""
    require_function(f)
    name, loc = name_of(f), definition(f)
    with tracing(name, hoists=hoists) as made:
        leaves = [Tracer(made, made.argument(a.type, n, loc), a.weak) for a, n in zip(avals, names, strict=True)]
        args, kwargs = rebuild(leaves)
        try:
            returned = f(*args, **kwargs)
        except Error as error:
            raise with_source(error) from None
        except ValueError as error:
            if isinstance(error.__cause__, TracingError):  # NumPy asked a tracer for a number: array[i] = x
                raise error.__cause__ from None
            raise
        outs, tree = flatten(returned)
        results = [_result(made, x, n, name, loc) for x, n in zip(outs, leaf_names(tree, "the result"), strict=True)]
        func = made.func([r._value for r in results], loc)
    return Staged(func, tuple(made.captured), tree, tuple(r._weak for r in results), tuple(avals))


def require_function(f: Any) -> None:
    """Raise TracingError unless `f` can be called."""
    if not callable(f):
        raise with_source(TracingError(f"a function is asked for, not {_text(f)}", code="RLX0804", loc=user_location()))


def _result(trace: Trace, x: Any, what: str, name: str, loc: Loc) -> Tracer:
    try:
        aval_of(x, what)
    except TracingError as error:
        raise with_source(TracingError(f"{name}: {error.message}", code=error.code, loc=loc)) from None
    return tracer_of(x)


def trace(f: Callable[..., Any], /, *types: Any, **named: Any) -> Func:
    """What `f` does to arrays of these types, as a Func: `rlxc.trace(lambda x, y: x @ y, "f32[2, 3]", "f32[3]")`.

    Types are text, TensorTypes, arrays or numbers, in trees if the arguments are trees. Arrays that `f` uses from outside become constants.
    """
    leaves, tree = flatten((types, named))
    names = argument_names(f, tree)
    return stage(f, [aval_like(x) for x in leaves], lambda xs: unflatten(tree, xs), names, hoists=False).func


def argument_names(f: Callable[..., Any], tree: Tree, skip: int = 0) -> list[str]:
    """A name for each leaf of `(args, kwargs)`: that of the parameter, with what leads to the leaf. The first `skip` parameters are bound."""
    known = parameters_of(f, skip)
    args, kwargs = tree.children
    names = []
    for i, child in enumerate(args.children):
        names += leaf_names(child, known[i] if i < len(known) else f"x{i}")
    for key, child in zip(kwargs.rest, kwargs.children, strict=True):  # type: ignore[call-overload]
        names += leaf_names(child, key)
    return [_identifier(n) for n in names]


def _identifier(name: str) -> str:
    """`params['w'][0]` as a name in the IR: params.w.0"""
    return "".join(c if c.isalnum() or c == "_" else "." if c in "[." else "" for c in name) if not name.isidentifier() else name


def name_of(f: Any) -> str:
    """A name for a function in the IR."""
    name = getattr(f, "__name__", None) or getattr(getattr(f, "func", None), "__name__", None) or type(f).__name__
    clean = "".join(c for c in name if c.isascii() and (c.isalnum() or c == "_"))
    return clean if clean and not clean[0].isdigit() else f"f_{clean}" if name != "<lambda>" else "lambda_"


def call(func: Func, operands: Sequence[Any], weak: Sequence[bool] = ()) -> list[Any]:
    """Results of `func` on tracers, arrays and numbers: tracers inside a trace, arrays outside."""
    if current() is None:
        return run(func, operands)
    values = spliced(func, operands)
    return [Tracer(here(), v, flag) for v, flag in zip(values, weak or (False,) * len(values), strict=True)]


_MAX_COMPILED = 256
_compiled: dict[Func, Compiled] = {}
_lock = lock()


def run(func: Func, operands: Sequence[Any]) -> list[Any]:
    """Results of `func` on arrays, by native code that is kept for functions that are the same program."""
    given = [as_native(x, a.type) for x, a in zip(operands, func.args, strict=True)]
    taker = next((x for x in given if type(x) is not np.ndarray and hasattr(x, "__rlxc_call__")), None)
    results = compiled(func)(*given) if taker is None else taker.__rlxc_call__(func, given, {})
    return list(results) if len(func.results) > 1 else [results] if func.results else []


def as_native(x: Any, type: TensorType) -> np.ndarray:
    """An array or a Python number as an array of this type."""
    if isinstance(x, Tracer):
        from_trace = user_location()
        raise with_source(TracingError(f"{x!r} is used outside of the trace it belongs to", code="RLX0802", loc=from_trace))
    if isinstance(x, np.ndarray):
        return in_native_order(x.view(np.ndarray) if isinstance(x, Snapshot) else x)
    return x if hasattr(x, "__rlxc_call__") else np.asarray(x, dtype=type.dtype.numpy)


def in_native_order(x: np.ndarray) -> np.ndarray:
    """The same numbers in bytes as this machine has them."""
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def compiled(func: Func) -> Compiled:
    """Native code for `func`, or for one that is the same program."""
    with _lock:
        made = _compiled.pop(func, None)
        if made is not None:
            _compiled[func] = made  # at the end: the first is the one used longest ago
            return made
    made = compile_native(func)
    with _lock:
        _compiled[func] = made
        while len(_compiled) > _MAX_COMPILED:
            _compiled.pop(next(iter(_compiled)))
    return made


def compile_native(func: Func, **options: Any) -> Compiled:
    """Native code for a traced function; errors show the user's line."""
    from rlxc.runtime.compile import native  # LLVM is loaded when something is compiled
    from rlxc.runtime.quick import compiled as quick

    try:
        return quick(func, lambda bound: native(bound, **options))
    except Error as error:
        raise with_source(error) from None


def _text(x: Any) -> str:
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) <= 40 else text[:40] + '...'}"
