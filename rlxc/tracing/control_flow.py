"""Loops and branches on Python bodies: `rlxc.scan`, `cond`, `switch`, `while_loop`, `fori_loop`, `map`. Natively each is a loop or a branch.

A body is traced once. What it uses from outside becomes an operand of the op, so bodies are closed, and derivatives go through closures.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlxc.errors import TracingError
from rlxc.ir.types import DType, TensorType
from rlxc.tracing.location import definition, user_location, with_source
from rlxc.tracing.promotion import promote
from rlxc.tracing.pytree import Tree, flatten, leaf_names, unflatten
from rlxc.tracing.regions import region_of
from rlxc.tracing.staging import Aval, Staged, aval_of, call, name_of, require_function, stage
from rlxc.tracing.trace import current, here, record
from rlxc.tracing.tracer import Tracer, convert, emit, tracer_of

Function = Callable[..., Any]
_INDEX = DType("i64")


def _inside_a_trace(f: Function) -> Function:
    """Outside of traces, what `f` does is traced, compiled and run."""

    @functools.wraps(f)
    def of(*args: Any, **kwargs: Any) -> Any:
        if current() is not None:
            return f(*args, **kwargs)
        split = [(flatten(x)) if _is_data(x) else ([], x) for x in args]
        leaves = [leaf for xs, _ in split for leaf in xs]

        def rebuild(tracers: list[Any]) -> tuple[Any, Any]:
            rest = iter(tracers)
            return [unflatten(t, [next(rest) for _ in range(t.leaves)]) if isinstance(t, Tree) else t for _, t in split], kwargs

        staged = stage(f, [aval_of(x) for x in leaves], rebuild, [None] * len(leaves), hoists=True)
        return unflatten(staged.tree, call(staged.func, [*leaves, *staged.captured]))

    return of


def _is_data(x: Any) -> bool:
    """Whether an argument is a tree of arrays, not a function, a list of functions or a number of steps."""
    leaves = flatten(x)[0]
    return not any(callable(leaf) or type(leaf) is int for leaf in leaves)


@_inside_a_trace
def scan(f: Function, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, *, checkpoint: int = 0) -> Any:
    """`carry, y = f(carry, x)` for each x along the first axis of `xs` in order: gives the last carry, and the ys stacked.

    The carry keeps its form, shapes and dtypes; carry, x and y may be trees, `xs` may be None where `length` is given. With `reverse` the last x comes
    first. `checkpoint` is how many steps a derivative computes again at a time, rather than keeping what it needs of each (0: it keeps that).
    """
    rows, xs_tree = flatten(xs)
    rows = [tracer_of(x) for x in rows]
    n = _length(rows, leaf_names(xs_tree, "xs"), length, f"scan of {name_of(f)}")
    avals = [Aval(x.aval.with_shape(x.shape[1:]), x._weak) for x in rows]
    carried, staged = _stage_body(f, init, avals, xs_tree)
    count = len(carried)
    operands = [*staged.captured, *carried, *rows]
    attrs = {"consts": len(staged.captured), "carries": count, "length": n, "reverse": reverse, "checkpoint": checkpoint}
    outs = _tracers(record("scan", operands, attrs, (region_of(staged, len(avals) + count),)), staged.weak)
    carry_tree, y_tree = staged.tree.children
    return unflatten(carry_tree, outs[:count]), unflatten(y_tree, outs[count:])


def _length(rows: Sequence[Any], names: Sequence[str], length: int | None, what: str) -> int:
    sizes = {}
    for x, name in zip(rows, names, strict=True):
        if not x.shape:
            raise _wrong(f"{what}: {name} is {x.aval}, which has no axis to go along")
        sizes[name] = x.shape[0]
    if length is not None:
        if not _is_known(length):
            raise _wrong(f"{what}: length is a number of steps, not {length!r}")
        sizes["length"] = int(length)
    if not sizes:
        raise _wrong(f"{what}: neither xs nor length says how many steps there are")
    if len(set(sizes.values())) > 1:
        raise _wrong(f"{what}: the number of steps differs: {', '.join(f'{k} {n}' for k, n in sizes.items())}")
    n: int = next(iter(sizes.values()))
    return n


def _stage_body(f: Function, init: Any, avals: Sequence[Aval], xs_tree: Tree) -> tuple[list[Any], Staged]:
    """The first carries, and the body of a scan traced on them and on one of the xs."""
    leaves, tree = flatten(init)
    what = f"scan of {name_of(f)}"

    def attempt(wanted: Sequence[Aval], found: list[Aval]) -> Staged:
        n = len(wanted)

        def body(carry: Any, x: Any) -> Any:
            returned = f(carry, x)
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise _wrong(f"{what}: it returns a pair, the next carry and a y (None will do)", f)
            return _carried(returned[0], tree, wanted, found, what, f), returned[1]

        def rebuild(xs: list[Any]) -> tuple[Any, Any]:
            return (unflatten(tree, xs[:n]), unflatten(xs_tree, xs[n:])), {}

        return stage(_like(f, body), [*wanted, *avals], rebuild, [None] * (n + len(avals)), hoists=True)

    carried, staged, _ = _settled([tracer_of(x) for x in leaves], attempt)
    return carried, staged


def _settled(carried: list[Any], attempt: Callable[[list[Aval], list[Aval]], Staged]) -> tuple[list[Any], Staged, list[Aval]]:
    """First carries for which the body gives the types that it takes: a Python number to begin with takes the dtype that the body makes of it."""
    for _ in range(len(carried) + 1):
        wanted, found = [Aval(x.aval, x._weak) for x in carried], list[Aval]()
        staged = attempt(wanted, found)
        if all(w.type == g.type for w, g in zip(wanted, found, strict=True)):
            return carried, staged, found
        carried = [convert(x, a.type.dtype, weak=a.weak) for x, a in zip(carried, found, strict=True)]
    raise AssertionError("every round makes one number strong")


def _carried(carry: Any, tree: Tree, wanted: Sequence[Aval], found: list[Aval], what: str, f: Function) -> Any:
    """The carry that a body gives, in the types that it takes; `found` is filled with the types that the carry is to have."""
    leaves, form = flatten(carry)
    if form != tree:
        raise _wrong(f"{what}: the carry goes in as {tree} and comes out as {form}", f)
    outs = []
    for x, want, name in zip(leaves, wanted, leaf_names(tree, "carry"), strict=True):
        x = tracer_of(x)
        dtype, _ = promote(((want.type.dtype, want.weak), (x.aval.dtype, x._weak)))
        fits = x.aval.shape == want.type.shape and (dtype == want.type.dtype or want.weak)
        if not fits or (dtype != x.aval.dtype and not x._weak):
            raise _wrong(f"{what}: {name} goes in as {want.type} and comes out as {x.aval}; it is to keep its type", f)
        found.append(Aval(want.type.with_dtype(dtype), want.weak and x._weak))
        outs.append(convert(x, want.type.dtype if dtype == want.type.dtype else dtype, weak=want.weak and x._weak))
    return unflatten(tree, outs)


@_inside_a_trace
def while_loop(cond_fun: Function, body_fun: Function, init_val: Any, *, bound: int = 0) -> Any:
    """`val = body_fun(val)` as long as `cond_fun(val)` holds. `bound` is how many steps there are at most, after which it ends in any case.

    Forward-mode derivatives go through any such loop, reverse-mode ones through those that have a bound.
    """
    leaves, tree = flatten(init_val)
    what = f"while_loop of {name_of(body_fun)}"

    def rebuild(xs: list[Any]) -> tuple[Any, Any]:
        return (unflatten(tree, xs),), {}

    def attempt(wanted: Sequence[Aval], found: list[Aval]) -> Staged:
        body = _like(body_fun, lambda val: _carried(body_fun(val), tree, wanted, found, what, body_fun))
        return stage(body, wanted, rebuild, [None] * len(wanted), hoists=True)

    carried, step, found = _settled([tracer_of(x) for x in leaves], attempt)

    def condition(val: Any) -> Any:
        return _predicate(cond_fun(val), f"the condition {name_of(cond_fun)}", cond_fun)

    test = stage(_like(cond_fun, condition), [Aval(x.aval, x._weak) for x in carried], rebuild, [None] * len(carried), hoists=True)
    count = len(carried)
    regions = (region_of(test, count, behind=[step]), region_of(step, count, before=[test]))
    captured = (*test.captured, *step.captured)
    op = record("while", [*captured, *carried], {"consts": len(captured), "bound": bound}, regions)
    return unflatten(tree, _tracers(op, [a.weak for a in found]))


@_inside_a_trace
def fori_loop(lower: Any, upper: Any, body_fun: Function, init_val: Any, *, bound: int = 0) -> Any:
    """`val = body_fun(i, val)` for i from `lower` up to, and without, `upper`. Ends that are known while tracing make it a scan; others a while_loop.

    Then `bound` is how many steps there are at most, for reverse-mode derivatives.
    """
    if _is_known(lower) and _is_known(upper):
        first, steps = int(lower), max(int(upper) - int(lower), 0)
        counts = emit("iota", axis=0, type=TensorType(_INDEX, (steps,)))
        counts = counts if first == 0 else emit("add", counts, tracer_of(np.full(steps, first)))
        return _scan_inside(_like(body_fun, lambda val, i: (body_fun(i, val), None)), init_val, counts)[0]

    def body(state: Any) -> Any:
        i, val = state
        return i + 1, body_fun(i, val)

    low, high = tracer_of(lower), tracer_of(upper)
    for end in (low, high):
        if end.shape != () or not end.aval.dtype.is_integer:
            raise _wrong(f"fori_loop of {name_of(body_fun)}: its ends are integers, not {end.aval}")
    dtype, _ = promote(((low.aval.dtype, low._weak), (high.aval.dtype, high._weak)))
    low, high = convert(low, dtype), convert(high, dtype)
    return _while_inside(lambda state: state[0] < high, _like(body_fun, body), (low, init_val), bound=bound)[1]


_scan_inside: Function = scan.__wrapped__  # type: ignore[attr-defined]
_while_inside: Function = while_loop.__wrapped__  # type: ignore[attr-defined]


def _is_known(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool)


@_inside_a_trace
def map(f: Function, xs: Any) -> Any:
    """`f(x)` for each x along the first axis of `xs`, stacked: a loop, where vmap is one wide computation."""
    rows, tree = flatten(xs)
    rows = [tracer_of(x) for x in rows]
    _length(rows, leaf_names(tree, "xs"), None, f"map of {name_of(f)}")
    avals = [Aval(x.aval.with_shape(x.shape[1:]), x._weak) for x in rows]
    staged = stage(f, avals, lambda leaves: ((unflatten(tree, leaves),), {}), [None] * len(avals), hoists=True)
    op = record("map", [*staged.captured, *rows], {"consts": len(staged.captured)}, (region_of(staged, len(avals)),))
    return unflatten(staged.tree, _tracers(op, staged.weak))


@_inside_a_trace
def cond(pred: Any, true_fun: Function, false_fun: Function, *operands: Any) -> Any:
    """`true_fun(*operands)` where the scalar `pred` holds, else `false_fun(*operands)`; only one of them runs. Their results have one form and type."""
    return _branch("cond", _predicate(pred, "the predicate of cond"), [true_fun, false_fun], operands)


@_inside_a_trace
def switch(index: Any, branches: Sequence[Function], *operands: Any) -> Any:
    """`branches[index](*operands)`; an index outside of them is moved to the nearest. Only one of them runs."""
    index = tracer_of(index)
    if index.shape != () or not index.aval.dtype.is_integer:
        raise _wrong(f"the index of switch is an integer, not {index.aval}")
    if not branches:
        raise _wrong("switch has no branches")
    if index.aval.dtype not in ("i32", "i64"):
        index = convert(index, _INDEX)
    return _branch("switch", index, list(branches), operands)


def _predicate(pred: Any, what: str, at: Any = None) -> Any:
    pred = tracer_of(pred)
    if pred.shape != ():
        raise _wrong(f"{what} is a scalar, not {pred.aval}", at, "rlxc.where chooses element by element")
    return convert(pred, DType("bool"))


def _branch(prim: str, choice: Any, branches: Sequence[Function], operands: Sequence[Any]) -> Any:
    leaves, tree = flatten(tuple(operands))
    given = [tracer_of(x) for x in leaves]
    avals = [Aval(x.aval, x._weak) for x in given]

    def staged(f: Function, wanted: Sequence[Aval] | None = None) -> Staged:
        body = f if wanted is None else _like(f, lambda *xs: _in_types(f(*xs), wanted))
        return stage(body, avals, lambda xs: (unflatten(tree, xs), {}), [None] * len(avals), hoists=True)

    made = [staged(f) for f in branches]
    for f, branch in zip(branches, made, strict=True):
        if branch.tree != made[0].tree:
            raise _wrong(f"{prim}: {name_of(branches[0])} returns {made[0].tree}, and {name_of(f)} {branch.tree}", f)
    wanted = [_common(prim, branches, made, i) for i in range(len(made[0].weak))]
    for k, branch in enumerate(made):
        if any(v.type != w.type for v, w in zip(branch.func.results, wanted, strict=True)):
            made[k] = staged(branches[k], wanted)
    captured = [x for branch in made for x in branch.captured]
    regions = tuple([region_of(branch, len(avals), before=made[:k], behind=made[k + 1 :]) for k, branch in enumerate(made)])
    op = record(prim, [choice, *captured, *given], {}, regions)
    return unflatten(made[0].tree, _tracers(op, [w.weak for w in wanted]))


def _common(prim: str, branches: Sequence[Function], made: Sequence[Staged], i: int) -> Aval:
    """The type of result i of all branches; a Python number takes that of the others."""
    values = [(branch.func.results[i].type, branch.weak[i]) for branch in made]
    dtype, weak = promote(tuple([(type_.dtype, w) for type_, w in values]))
    for f, (type_, w) in zip(branches, values, strict=True):
        if type_.shape != values[0][0].shape or (type_.dtype != dtype and not w):
            name = leaf_names(made[0].tree, "the result")[i]
            raise _wrong(f"{prim}: {name} of {name_of(branches[0])} is {values[0][0]}, and that of {name_of(f)} is {type_}", f)
    return Aval(values[0][0].with_dtype(dtype), weak)


def _in_types(returned: Any, wanted: Sequence[Aval]) -> Any:
    leaves, tree = flatten(returned)
    return unflatten(tree, [convert(tracer_of(x), w.type.dtype, weak=w.weak) for x, w in zip(leaves, wanted, strict=True)])


# ------------------------------------------------------------------------------------------------------------------------- helpers


def _tracers(op: Any, weak: Sequence[bool]) -> list[Tracer]:
    trace = here()
    return [Tracer(trace, v, w) for v, w in zip(op.results, weak, strict=True)]


def _like(f: Function, body: Function) -> Function:
    """`body` under the name of `f`, which it calls."""
    require_function(f)
    named = functools.wraps(f, updated=())(body) if hasattr(f, "__name__") else body
    return named


def _wrong(message: str, at: Any = None, help: str | None = None) -> TracingError:
    loc = user_location() if at is None else definition(at)
    error = with_source(TracingError(message, code="RLX0808", loc=loc, help=help))
    assert isinstance(error, TracingError)
    return error
