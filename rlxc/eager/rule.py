"""Rule: what is known of an operation on operands of certain kinds. `rule.record(x, ...)` computes and records; `rule.pull` takes cotangents back.

Both are short functions made for the rule, so that the second use of an operation costs little more than its native code. For `sin` they read

    def record(x0):
        if recording.blocks and recording.is_off: return unrecorded(x0)
        a0 = x0._data                                              def pull(residuals, c0):
        y0 = forward(a0)                                                s0, = residuals
        node = Node()                                                   g0 = backward(s0, c0)
        node.order = next_order()                                       return g0,
        node.rule = rule
        node.residuals = a0,
        node.parents = x0._edge,
        node.hooks = None
        z0 = new(Tensor); z0._data = y0; z0._kind = kind0; z0._edge = node
        return z0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlxc.eager.kinds import SCALARS, Kind, LeafRule, Scalar, kind_of
from rlxc.eager.modes import RECORDING
from rlxc.eager.plan import Plan, Pullback
from rlxc.eager.tape import Node, Output, next_order
from rlxc.errors import ArgumentError, Error, Loc
from rlxc.ir.collection import without_collection
from rlxc.ir.core import Func, Value
from rlxc.ir.locks import lock
from rlxc.tracing.location import user_location

if TYPE_CHECKING:
    from rlxc.eager.function import Function

COMPILING = lock()


class Rule:
    """An operation, `func`, on operands of these kinds. Results are of class `cls`."""

    def __init__(
        self, func: Func, kinds: Sequence[Kind | Scalar], cls: type, unrecorded: Callable[..., Any], loc: Loc, fixed: Callable[[Func], Function]
    ) -> None:
        self.name = func.name
        self.loc = loc
        self.kinds = tuple(kinds)
        self.executor = cls.executor  # type: ignore[attr-defined]
        self.plan = Plan(func, [i for i, k in enumerate(kinds) if k.active])
        self._fixed = fixed
        self._pulls: dict[tuple[int, ...], tuple[Callable[..., tuple[Any, ...]], Pullback]] = {}
        self._functions: dict[tuple[int, ...], tuple[Function, Pullback]] = {}
        plan = self.plan
        outputs = (*plan.func.results, *plan.extras)
        self.output_kinds = tuple(kind_of(cls, v.type, flag) for v, flag in zip(outputs, plan.active_outputs, strict=True))
        self.output_rules = tuple(map(LeafRule, self.output_kinds))
        #: Operands that a node keeps, or that are results, so that nobody may write to them.
        kept = {*plan.residuals, *plan.func.results}
        self.keeps = frozenset(i for i, v in enumerate(plan.func.args) if v in kept)
        #: Whether a node has but one edge into it: then the edge is the node itself.
        self.is_single = len(outputs) == 1
        self.kind = self.output_kinds[0] if outputs else None
        self.record = self._make_record(unrecorded)
        self.pull = self._first_pull

    # forward

    def _make_record(self, unrecorded: Callable[..., Any]) -> Callable[..., Any]:
        plan = self.plan
        args, results = plan.func.args, plan.func.results
        names = {v: f"a{i}" for i, v in enumerate(args)}
        names |= {v: f"y{i}" for i, v in enumerate(plan.primal.results)}
        is_recorded = any(plan.active_outputs[: len(results)])
        lines = []
        if is_recorded:
            lines.append(f"if recording.blocks and recording.is_off: return unrecorded({_list(f'x{i}' for i in range(len(args)))})")
        for i, kind in enumerate(self.kinds):
            lines.append(f"a{i} = x{i}._data" if isinstance(kind, Kind) else f"a{i} = number{i}(x{i})")
        if plan.primal.results:
            lines.append(f"{', '.join(names[v] for v in plan.primal.results)} = forward({_list(names[a] for a in args)})")
        if is_recorded:
            lines += ["node = Node()", "node.order = next_order()", "node.rule = rule"]
            lines.append(f"node.residuals = {_tuple(names[v] for v in plan.residuals)}")
            lines.append(f"node.parents = {_tuple(f'x{i}._edge' for i in plan.active)}")
            lines.append("node.hooks = None")
            if not self.is_single:
                lines += ["next_order()"] * len(self.output_kinds)
        for i, v in enumerate(results):
            edge = "None" if not self.output_kinds[i].active else "node" if self.is_single else f"Output(node, {i})"
            lines.append(f"z{i} = new(Result); z{i}._data = {names[v]}; z{i}._kind = kind{i}; z{i}._edge = {edge}")
        lines.append(f"return {'z0' if len(results) == 1 else _tuple(f'z{i}' for i in range(len(results)))}")
        kinds = {f"kind{i}": kind for i, kind in enumerate(self.output_kinds)}
        numbers = {f"number{i}": _taker(args[i], kind, self.kinds) for i, kind in enumerate(self.kinds) if isinstance(kind, Scalar)}
        forward = self._compile(plan.primal) if plan.primal.results else None
        space: dict[str, Any] = {"recording": RECORDING, "unrecorded": unrecorded, "forward": forward, "rule": self, "Result": self._cls(), **kinds, **numbers}
        space |= {"Node": Node, "Output": Output, "next_order": next_order, "new": object.__new__}
        return _function(f"def record({_list(f'x{i}' for i in range(len(args)))}):", lines, space)

    def _cls(self) -> type | None:
        return self.kind.cls if self.kind else None

    @without_collection()
    def _compile(self, func: Func) -> Callable[..., Any]:
        run: Callable[..., Any] = self.executor.compile(func)
        return run

    # backward

    def pullback(self, seeded: tuple[int, ...]) -> tuple[Callable[..., tuple[Any, ...]], Pullback]:
        """A function of residuals and cotangents of the outputs `seeded`, to those of the active operands; `None` is zero. And what it is made of."""
        made = self._pulls.get(seeded)
        if made is None:
            with COMPILING:
                made = self._pulls.get(seeded) or self._pulls.setdefault(seeded, self._make_pull(seeded))
        return made

    def pull_function(self, seeded: tuple[int, ...]) -> tuple[Function, Pullback]:
        """The same as something that can be recorded, and what it is made of."""
        made = self._functions.get(seeded)
        if made is None:
            back = self._planned(seeded, recorded=True)
            made = self._functions.setdefault(seeded, (self._fixed(back.func), back))
        return made

    def _first_pull(self, residuals: tuple[Any, ...], ct: Any) -> tuple[Any, ...]:
        self.pull, _ = self.pullback((0,))  # type: ignore[method-assign]
        return self.pull(residuals, ct)

    def _make_pull(self, seeded: tuple[int, ...]) -> tuple[Callable[..., tuple[Any, ...]], Pullback]:
        back = self._planned(seeded)
        func = back.func
        names = {v: f"s{i}" for v, i in zip(func.args, back.reads, strict=False)}
        names |= {v: f"c{i}" for i, v in enumerate(func.args[len(back.reads) :])}
        computed = tuple(dict.fromkeys(v for v in func.results if v not in names))
        lines = [f"{', '.join(f's{i}' for i in range(len(self.plan.residuals)))}, = residuals"] if back.reads else []
        run = None
        if computed:
            run = self._compile(func.with_(results=computed))
            given = _list(names[a] for a in func.args)
            names |= {v: f"g{i}" for i, v in enumerate(computed)}
            lines.append(f"{', '.join(names[v] for v in computed)} = backward({given})")
        given_by = dict(zip(back.gives, func.results, strict=True))
        lines.append(f"return {_tuple(names[given_by[i]] if i in given_by else 'None' for i in range(len(self.plan.active)))}")
        head = f"def pull({_list(['residuals', *(f'c{i}' for i in range(len(seeded)))])}):"
        return _function(head, lines, {"backward": run}), back

    def _planned(self, seeded: tuple[int, ...], *, recorded: bool = False) -> Pullback:
        try:
            return self.plan.pullback(seeded, recorded=recorded)
        except Error as error:
            raise error.at(self.loc) from None

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.kinds))})"


def _taker(arg: Value, scalar: Scalar, kinds: Sequence[Kind | Scalar]) -> Callable[[Any], Any]:
    """What makes of a Python number the kind of number that native code takes quickest for an argument."""
    dtype: Any = arg.type.dtype
    if dtype in ("f32", "f64"):
        return float
    number: Callable[[Any], Any] = dtype.numpy.type
    others = [kind.type.dtype for kind in kinds if isinstance(kind, Kind)]
    if scalar is not SCALARS[int] or not others or not all(other.is_integer for other in others):
        return number
    bounds = [np.iinfo(other.numpy) for other in others]
    low, high = min(b.min for b in bounds), max(b.max for b in bounds)

    def taken(x: Any) -> Any:
        if low <= x <= high:
            return number(x)
        raise ArgumentError(f"{' and '.join(dict.fromkeys(map(str, others)))} does not hold {x}", code="RLX0506", loc=user_location())

    return number if low <= -(2**63) and high >= 2**63 - 1 else taken


def _function(head: str, lines: Sequence[str], space: dict[str, Any]) -> Callable[..., Any]:
    made: dict[str, Any] = {}
    exec("\n    ".join([head, *lines]), space, made)
    (function,) = made.values()
    return function  # type: ignore[no-any-return]


def _list(parts: Any) -> str:
    return ", ".join(parts)


def _tuple(parts: Any) -> str:
    inner = list(parts)
    return f"({', '.join(inner)}{',' * (len(inner) == 1)})"
