"""Python functions with a word on their derivatives: `custom_jvp`, `custom_vjp`, and `checkpoint`, of which a backward pass keeps little."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlxc.errors import Error, TracingError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func
from rlxc.primitives.custom.base import floats
from rlxc.primitives.custom.checkpoint import POLICIES
from rlxc.primitives.custom.custom_jvp import UnknownOrder
from rlxc.tracing.arguments import Arguments, leaves_like
from rlxc.tracing.location import definition, parameters_of, user_location, with_source
from rlxc.tracing.promotion import stands_for
from rlxc.tracing.pytree import Tree, flatten, unflatten
from rlxc.tracing.regions import region_of
from rlxc.tracing.staging import Aval, Staged, aval_of, call, name_of, stage
from rlxc.tracing.trace import current, here, record
from rlxc.tracing.tracer import Tracer, convert, emit, full, tracer_of

Function = Callable[..., Any]
MAX_DEPTH = 4
_within = threading.local()  # `depth`: how many rules are being traced, one inside another. See Note [Rules that call their function]


def checkpoint(f: Function | None = None, /, *, policy: str = "recompute", names: Sequence[str] = ()) -> Any:
    """f, of which a backward pass keeps the arguments only and computes the rest again; as a decorator or by a call.

    `policy` says what else is kept: "contractions" keeps products of matrices, "named" what is marked by `checkpoint_name` with one of `names`,
    "save" all that is needed. The value and the derivatives are the same.
    """
    if policy not in POLICIES:
        raise with_source(TracingError(f"checkpoint has no policy {policy!r}", code="RLX0809", loc=user_location(), help=f"there are {', '.join(POLICIES)}"))
    if f is None:
        return functools.partial(checkpoint, policy=policy, names=names)

    @functools.wraps(f)
    def of(*args: Any, **kwargs: Any) -> Any:
        if current() is None:
            return f(*args, **kwargs)
        given = Arguments(f, args, kwargs)
        staged = given.staged()
        attrs = {"policy": policy, "names": tuple(names)}
        op = record("checkpoint", [*staged.captured, *given.leaves], attrs, (region_of(staged, len(given.leaves)),))
        return _tree_of(op, staged)

    return of


def checkpoint_name(x: Any, name: str) -> Any:
    """x under a name, by which `checkpoint(policy="named", names=[name])` keeps it."""
    return emit("named", x, name=name) if isinstance(x, Tracer) else x


class _Custom:
    """A function with a derivative rule. Arguments of `nondiff_argnums` are values that are known while tracing, such as functions.

    What the function takes from outside may be differentiated by, too: there the rule does not speak of it, and its derivative is that of the
    function as it is written.
    """

    rule_method = ""

    def __init__(self, f: Function, nondiff_argnums: int | Sequence[int] = ()) -> None:
        functools.update_wrapper(self, f, updated=())
        self._f = f
        numbers = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        self._nondiff = tuple([n if n >= 0 else n + len(parameters_of(f)) for n in numbers])
        if any(n < 0 for n in self._nondiff):
            raise _wrong(f"{name_of(f)} has no argument {min(numbers)} (nondiff_argnums)", f)

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        if owner is None:
            return self
        help = "a method's self would be an argument to differentiate by: define the function outside of the class"
        raise _wrong(f"{type(self).__name__} of the method {name_of(self._f)}", self._f, help)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outside = current() is None
        if outside and not _recorded_elsewhere(args):
            return self._f(*args, **kwargs)
        if not self._has_rule():
            raise _wrong(f"{name_of(self._f)} has no derivative rule yet", self._f, f"state it: @{name_of(self._f)}.{self.rule_method}")
        if kwargs:
            raise _wrong(f"{name_of(self._f)} takes its arguments by position, not {', '.join(kwargs)}", self._f)
        values = [args[i] for i in self._nondiff]
        rest = [x for i, x in enumerate(args) if i not in self._nondiff]
        inner = self if outside else self._f

        def whole(*xs: Any) -> Any:
            given = iter(xs)
            known = dict(zip(self._nondiff, values, strict=True))
            return inner(*[known[i] if i in known else next(given) for i in range(len(args))])

        given = Arguments(_named(whole, self._f), rest, {})
        staged = given.staged()
        if outside:
            return unflatten(staged.tree, call(staged.func, [*given.leaves, *staged.captured]))
        if getattr(_within, "depth", 0) >= MAX_DEPTH:
            return _without_rule(given, staged)
        try:
            return self._recorded(given, staged, values)
        except UnknownOrder:  # the rule itself takes a derivative that is not known any more
            return _without_rule(given, staged)

    def _stage_rule(self, rule: Function, like: Function, avals: Sequence[Aval]) -> Staged:
        depth = getattr(_within, "depth", 0)
        _within.depth = depth + 1
        try:
            return stage(_named(rule, like), avals, lambda xs: (xs, {}), [None] * len(avals), hoists=True)
        finally:
            _within.depth = depth

    def _has_rule(self) -> bool:
        raise NotImplementedError

    def _recorded(self, given: Arguments, staged: Staged, values: list[Any]) -> Any:
        raise NotImplementedError


class custom_jvp(_Custom):
    """A function whose tangents are what a rule says, in both modes; derivatives of the rule are those of higher orders, up to the fourth.

    @rlxc.custom_jvp
    def f(x, y): ...

    @f.defjvp
    def f_jvp(primals, tangents): ...          gives (f(*primals), its tangent), linear in the tangents

    With `nondiff_argnums` the rule takes these arguments first. The tangent of an integer is None.
    """

    rule_method = "defjvp"
    _rule: Function | None = None

    def defjvp(self, rule: Function) -> Function:
        self._rule = rule
        return rule

    def _has_rule(self) -> bool:
        return self._rule is not None

    def _recorded(self, given: Arguments, staged: Staged, values: list[Any]) -> Any:
        assert self._rule is not None
        f_rule = self._rule
        n = len(given.leaves)
        places = floats(given.avals)
        wanted = staged.func.results

        def rule(*leaves: Any) -> Any:
            tangents: list[Any] = [None] * n
            for p, t in zip(places, leaves[n:], strict=True):
                tangents[p] = t
            returned = f_rule(*values, _by_argument(given, leaves[:n]), _by_argument(given, tangents))
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise _wrong(f"{name_of(f_rule)} returns a pair, the result and its tangent", f_rule)
            return tuple([t for t in _fitting(returned[1], staged.tree, wanted, "the tangent", f_rule) if t is not None])

        avals = [*given.avals, *[given.avals[p] for p in places]]
        ruled = self._stage_rule(rule, f_rule, avals)
        captured = [*staged.captured, *ruled.captured]
        function = region_of(staged, n, behind=[ruled])
        region = region_of(ruled, len(avals), before=[staged])
        op = record("custom_jvp", [*captured, *given.leaves], {"consts": len(captured)}, (function, region))
        return _tree_of(op, staged)


class custom_vjp(_Custom):
    """A function whose cotangents are led back by a rule; reverse mode only.

    @rlxc.custom_vjp
    def f(x, y): ...

    f.defvjp(forward, backward)      forward(x, y) gives (f(x, y), residuals), backward(residuals, ct) a tuple, a cotangent for each argument (None: zero)

    With `nondiff_argnums`, `backward` takes these arguments first.
    """

    rule_method = "defvjp"
    _rules: tuple[Function, Function] | None = None

    def defvjp(self, forward: Function, backward: Function) -> None:
        self._rules = forward, backward

    def _has_rule(self) -> bool:
        return self._rules is not None

    def _recorded(self, given: Arguments, staged: Staged, values: list[Any]) -> Any:
        assert self._rules is not None
        f_forward, f_backward = self._rules
        n, wanted = len(given.leaves), staged.func.results
        residual_tree: list[Tree] = []

        def forward(*leaves: Any) -> Any:
            args = iter(_by_argument(given, leaves))
            known = dict(zip(self._nondiff, values, strict=True))
            returned = f_forward(*[known[i] if i in known else next(args) for i in range(given.count + len(values))])
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise _wrong(f"{name_of(f_forward)} returns a pair, the result and residuals", f_forward)
            out, residuals = returned
            outs, tree = flatten(out)
            if tree != staged.tree:
                raise _wrong(f"{name_of(f_forward)} gives a result of the form {tree}, and {name_of(self._f)} {staged.tree}", f_forward)
            outs = [_cast(x, v.type, "the result", f_forward) for x, v in zip(outs, wanted, strict=True)]
            kept, tree = flatten(residuals)
            residual_tree[:] = [tree]
            return tuple(outs), tuple([tracer_of(x) for x in kept])

        ahead = self._stage_rule(forward, f_forward, given.avals)
        residuals = [Aval(v.type, w) for v, w in zip(ahead.func.results[len(wanted) :], ahead.weak[len(wanted) :], strict=True)]
        seeds = [Aval(v.type) for v in wanted if v.type.dtype.differentiable]

        def backward(*leaves: Any) -> Any:
            cts = iter(leaves[len(residuals) :])
            ct = unflatten(staged.tree, [next(cts) if v.type.dtype.differentiable else None for v in wanted])
            returned = f_backward(*values, unflatten(residual_tree[0], leaves[: len(residuals)]), ct)
            return _cotangents(returned, given, f_backward)

        avals = [*residuals, *seeds]
        behind = self._stage_rule(backward, f_backward, avals)
        captured = [*staged.captured, *ahead.captured, *behind.captured]
        function = region_of(staged, n, behind=[ahead, behind])
        region = region_of(ahead, n, before=[staged], behind=[behind])
        c = len(captured)
        region = region.with_(results=(*region.results, *region.args[c - len(behind.captured) : c]))  # what backward takes from outside is a residual
        op = record("custom_vjp", [*captured, *given.leaves], {"consts": c}, (function, region, _backward(behind, len(residuals))))
        return _tree_of(op, staged)


def _backward(staged: Staged, residuals: int) -> Func:
    """The region of a backward rule: residuals, what it captured, cotangents."""
    func = staged.func
    own = len(func.args) - len(staged.captured)
    args = (*func.args[:residuals], *func.args[own:], *func.args[residuals:own])
    return Func("", args, func.ops, func.results, kind="region", loc=func.loc)


def _cotangents(returned: Any, given: Arguments, rule: Function) -> Any:
    """A cotangent for each float leaf of the arguments; None stands for zeros."""
    if not isinstance(returned, tuple | list) or len(returned) != given.count:
        raise _wrong(f"{name_of(rule)} returns a tuple, a cotangent for each of {given.count} arguments", rule)
    outs = []
    for i, ct in enumerate(returned):
        avals = [given.avals[p] for p in given.leaves_of(i)]
        leaves = [None] * len(avals) if ct is None else _leaves_like(ct, given.tree_of(i), [a.type for a in avals], "the cotangent", rule)
        for x, a in zip(leaves, avals, strict=True):
            if a.type.dtype.differentiable:
                outs.append(full(0, a.type.dtype, a.type.shape) if x is None else _cast(x, a.type, "a cotangent", rule))
    return tuple(outs)


def _fitting(returned: Any, tree: Tree, wanted: Sequence[Any], what: str, rule: Function) -> list[Any]:
    """A tangent for each result, None for integers."""
    leaves = _leaves_like(returned, tree, [v.type for v in wanted], what, rule)
    return [_cast(x, v.type, what, rule) if v.type.dtype.differentiable else None for x, v in zip(leaves, wanted, strict=True)]


def _leaves_like(given: Any, tree: Tree, types: Sequence[Any], what: str, rule: Function) -> list[Any]:
    """The leaves of something of the form `tree`, in which None may stand for integers."""
    leaves = leaves_like(given, tree, [t.dtype for t in types])
    if leaves is None:
        raise _wrong(f"{name_of(rule)}: {what} has the form {flatten(given)[1]}, not {tree}", rule)
    return leaves


def _cast(x: Any, type: Any, what: str, rule: Function) -> Any:
    """Something of the type that is asked for; a number fits a scalar."""
    try:
        aval = aval_of(x, what)
    except Error:
        raise _wrong(f"{name_of(rule)}: {what} is {x!r}, and {type} is asked for", rule) from None
    if aval.type.shape != type.shape or not stands_for((aval.type.dtype, aval.weak), type.dtype):
        raise _wrong(f"{name_of(rule)}: {what} is {aval.type}, and {type} is asked for", rule)
    return tracer_of(convert(x, type.dtype) if isinstance(x, Tracer) else np.asarray(x, type.dtype.numpy))


def _without_rule(given: Arguments, staged: Staged) -> Any:
    """The function as an op that has no derivative. See Note [Rules that call their function]"""
    n, c = len(given.leaves), len(staged.captured)
    function = region_of(staged, n)
    tangents = [a.like() for i, a in enumerate(function.args) if i >= c and a.type.dtype.differentiable]
    b = Builder()
    zeros = [b.zeros(v.type) for v in function.results if v.type.dtype.differentiable]
    rule = Func("", (*[a.like() for a in function.args], *tangents), tuple(b.ops), tuple(zeros), kind="region", loc=function.loc)
    return _tree_of(record("custom_jvp", [*staged.captured, *given.leaves], {"consts": c, "known": False}, (function, rule)), staged)


def _recorded_elsewhere(args: Any) -> bool:
    """Whether an argument is no array, but of a class that records what is done to it, as the eager tape does."""
    return any(hasattr(x, "__rlxc_call__") for x in flatten(args)[0])


def _by_argument(given: Arguments, leaves: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([unflatten(given.tree_of(i), [leaves[p] for p in given.leaves_of(i)]) for i in range(given.count)])


def _tree_of(op: Any, staged: Staged) -> Any:
    trace = here()
    return unflatten(staged.tree, [Tracer(trace, v, w) for v, w in zip(op.results, staged.weak, strict=True)])


def _named(f: Function, like: Function) -> Function:
    return functools.wraps(like, updated=())(f) if hasattr(like, "__name__") else f


def _wrong(message: str, at: Function, help: str | None = None) -> TracingError:
    error = with_source(TracingError(message, code="RLX0809", loc=definition(at), help=help))
    assert isinstance(error, TracingError)
    return error


# Note [Rules that call their function]
# --------------------------------------
# A rule mostly calls the function itself: `return f(x), f(x) * dx`. Rules are traced where the function is called, so that would have no end. Inside of
# a rule the function, and any other that has a rule, is one with a rule again, so that second derivatives are those of the rule, and so on for MAX_DEPTH
# levels in all; below that it is one whose derivative is an error. So derivatives of an order above MAX_DEPTH are those of rules that compute what they
# need. Levels are counted across functions: a derivative of order n goes through n rules at most, whosever they are, and rules that call functions
# with rules, which call others, do not multiply.
