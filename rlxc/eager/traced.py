"""From what a Python function does to tracers to something that can be recorded: `np.linalg.norm(x, axis=0)` is one node.

A function is traced once for what is known before it runs: the kinds of its operands, and all other arguments (axes, options, slices).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from rlxc.eager.function import MAX_RULES, Function
from rlxc.eager.kinds import SCALARS, Kind, Position, Scalar
from rlxc.eager.modes import RECORDING
from rlxc.eager.variable import Variable
from rlxc.errors import ArgumentError, Loc
from rlxc.ir.core import Func
from rlxc.ir.types import TensorType
from rlxc.tracing.promotion import DEFAULTS
from rlxc.tracing.protocols import mentions_tracer
from rlxc.tracing.pytree import Tree, flatten, unflatten
from rlxc.tracing.staging import Aval, Staged, stage
from rlxc.tracing.static_values import distinction
from rlxc.tracing.trace import outside_of_traces
from rlxc.tracing.tracer import tracer_of

MAX_FUNCTIONS = 1024  # that are kept


def traced(function: Callable[..., Any], name: str | None = None) -> Function:
    """A function of tracers as one that can be recorded, all of its arguments being operands."""
    name = name or _name(function)

    def make(kinds: Sequence[Kind | Scalar], loc: Loc) -> Func:
        avals = _avals(kinds)
        return _stage(function, avals, lambda leaves: (leaves, {})).func.with_(name=name)

    return Function(name, make)


def staged(name: str, trace: Callable[[list[Aval]], Staged]) -> Callable[[Sequence[Any]], Any]:
    """What is traced by `trace`, for what is known of operands, as a function of operands that is recorded; it gives the tree that was returned."""
    trees: dict[tuple[Kind | Scalar, ...], Tree] = {}
    ready: dict[tuple[Kind | Scalar, ...], tuple[Callable[..., Any], Tree]] = {}  # what records operands that are variables

    def make(kinds: Sequence[Kind | Scalar], loc: Loc) -> Func:
        made = trace(_avals(kinds))
        trees[tuple(kinds)] = made.tree
        return made.func

    function = Function(name, make)

    def run(operands: Sequence[Any]) -> Any:
        try:
            record, tree = ready[tuple([x._kind for x in operands])]
        except AttributeError:
            return with_constants(operands)
        except KeyError:
            return first(operands)
        results = record(*operands)
        return results if tree.is_leaf else unflatten(tree, results if isinstance(results, tuple) else (results,))

    def with_constants(operands: Sequence[Any]) -> Any:
        """The same where some operands are arrays; those that a node keeps are copied."""
        cls = next(type(x) for x in operands if isinstance(x, Variable))
        xs = [x if hasattr(x, "_kind") or type(x) in SCALARS else cls.constant(x) for x in operands]
        rule = None if RECORDING.is_off else function.rules.get(tuple([SCALARS.get(type(x)) or x._kind for x in xs]))
        if rule is None:
            return first(operands)
        for i in rule.keeps:
            if xs[i] is not operands[i]:
                xs[i] = xs[i].kept()
        results, tree = rule.record(*xs), trees[rule.kinds]
        return results if tree.is_leaf else unflatten(tree, results if isinstance(results, tuple) else (results,))

    def first(operands: Sequence[Any]) -> Any:
        cls = next(type(x) for x in operands if isinstance(x, Variable))
        results, kinds = function.of_kinds(cls, operands)
        tree = trees[kinds]
        if all(hasattr(x, "_kind") for x in operands):
            given = tuple([x._kind for x in operands])
            if len(ready) >= MAX_RULES:
                ready.clear()
            function.record(given, cls, lambda record: ready.__setitem__(given, (record, tree)))
        return results if tree.is_leaf else unflatten(tree, results if isinstance(results, tuple) else (results,))

    return run


_CALLS: dict[Any, Callable[[Sequence[Any]], Any]] = {}
_ALONE: dict[Any, Callable[[Sequence[Any]], Any]] = {}  # of one variable, and nothing else


def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> Any:
    """`function` on arguments some of which are tensors or arrays, recorded as one node. What it returns may be any tree of arrays."""
    is_alone = not kwargs and len(args) == 1 and isinstance(args[0], Variable)
    if is_alone and function in _ALONE:
        return _ALONE[function](args)
    operands: list[Any] = []
    form = _form(args, operands), _form(kwargs, operands) if kwargs else _NO_OPTIONS
    try:
        key = (function, form)
        known = _CALLS.get(key)
    except TypeError as error:
        if mentions_tracer((args, tuple((kwargs or {}).values()))):  # inside of a trace, to which it then belongs
            rest = iter([tracer_of(x) if isinstance(x, Variable) else x for x in operands])
            return function(*_filled(form[0], rest), **_filled(form[1], rest))
        raise ArgumentError(f"{_name(function)}: an argument is neither an array nor hashable: {error}", code="RLX0501") from None
    if known is None:
        if not any(isinstance(x, Variable) for x in operands):
            help = "eager.tensor makes one of an array; without, call the function itself"
            raise ArgumentError(f"{_name(function)} is given no tensor, so that there is nothing to record", code="RLX0501", help=help)
        found = _with_numbers(function, form, operands)
        if found is not None:
            return found[0]
        if len(_CALLS) >= MAX_FUNCTIONS:
            _CALLS.pop(next(iter(_CALLS)), None)
        known = _CALLS.setdefault(key, staged(_name(function), partial(_stage_call, function, *form)))
    if is_alone:
        if len(_ALONE) >= MAX_FUNCTIONS:
            _ALONE.clear()
        _ALONE[function] = known
    return known(operands)


_NUMBERS: dict[Any, int | Callable[[Sequence[Any]], Any] | None] = {}
ENOUGH = 4


def _with_numbers(function: Callable[..., Any], form: tuple[Any, Any], operands: list[Any]) -> tuple[Any] | None:
    """What the function gives if the floats among its arguments are operands too, in a tuple; None if they are not to be.

    A float may be an axis of a table or a choice, so calls are traced for each one at first. Where ENOUGH calls have differed in nothing else, the
    function is traced for any: it may be a rate that changes from step to step. A function that needs to know the number keeps to that.
    """
    whole: list[Any] = []
    rest = iter(operands)
    free = _freed(form[0], rest, whole), _freed(form[1], rest, whole)
    if len(whole) == len(operands):
        return None
    key = (function, free)
    known = _NUMBERS.get(key, 0)
    if isinstance(known, int):
        if known < ENOUGH:
            if len(_NUMBERS) >= MAX_FUNCTIONS:
                _NUMBERS.clear()
            _NUMBERS[key] = known + 1
            return None
        known = staged(_name(function), partial(_stage_call, function, *free))
        try:
            result = known(whole)
        except Exception:  # of any kind: the function was not given what it is written for, and is asked again with numbers
            _NUMBERS[key] = None
            return None
        _NUMBERS[key] = known
        return (result,)
    return None if known is None else (known(whole),)


def _freed(form: Any, operands: Any, whole: list[Any]) -> Any:
    """The form with a hole in place of each float; `whole` is filled with operands and floats, in order."""
    if form is _HOLE:
        whole.append(next(operands))
        return _HOLE
    if form[0] is None:
        if type(form[2]) is not float:
            return form
        whole.append(form[2])
        return _HOLE
    if form[0] is dict:
        return (dict, tuple([(k, _freed(v, operands, whole)) for k, v in form[1]]))
    return (*form[:-1], tuple([_freed(v, operands, whole) for v in form[-1]]))


def _stage_call(function: Callable[..., Any], args: Any, kwargs: Any, avals: list[Aval]) -> Staged:
    def rebuild(leaves: list[Any]) -> tuple[Any, Any]:
        rest = iter(leaves)
        return _filled(args, rest), _filled(kwargs, rest)

    return _stage(function, avals, rebuild)


def _stage(function: Callable[..., Any], avals: list[Aval], rebuild: Callable[[list[Any]], tuple[Any, Any]]) -> Staged:
    with outside_of_traces():
        return stage(function, avals, rebuild, [f"x{i}" for i in range(len(avals))], hoists=False)


def _avals(kinds: Sequence[Kind | Scalar]) -> list[Aval]:
    """What is known of operands while tracing."""
    return [Aval(k.type) if isinstance(k, Kind) else Aval(TensorType(DEFAULTS[k.python]), weak=k.python is not bool) for k in kinds]


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


# The form of arguments: the same nesting, hashable, with a hole for each operand. Values are held with what tells them from equal ones, as 1 from True.

_HOLE = object()
_NO_OPTIONS = (dict, ())
_PLAIN = frozenset((int, float, bool, str, type(None), type))


_OPERANDS = (Variable, np.ndarray, np.floating, np.complexfloating, Position)


def _form(value: Any, operands: list[Any]) -> Any:
    cls = type(value)
    if cls in _PLAIN:
        return (None, distinction(value), value)
    if isinstance(value, _OPERANDS):
        operands.append(value)
        return _HOLE
    if cls in (tuple, list):
        return (cls, tuple([_form(v, operands) for v in value]))
    if cls is dict:
        return (dict, tuple([(k, _form(v, operands)) for k, v in value.items()]))
    if cls is slice:
        return (slice, (_form(value.start, operands), _form(value.stop, operands), _form(value.step, operands)))
    leaves, tree = flatten(value)
    if not tree.is_leaf:
        return (Tree, tree, tuple([_form(v, operands) for v in leaves]))
    return (None, distinction(value), value)


def _filled(form: Any, leaves: Any) -> Any:
    if form is _HOLE:
        return next(leaves)
    match form[0]:
        case None:
            return form[2]
        case cls if cls is dict:
            return {k: _filled(v, leaves) for k, v in form[1]}
        case cls if cls is Tree:
            return unflatten(form[1], [_filled(v, leaves) for v in form[2]])
        case cls if cls is slice:
            return slice(*[_filled(v, leaves) for v in form[1]])
        case cls:
            return cls([_filled(v, leaves) for v in form[1]])
