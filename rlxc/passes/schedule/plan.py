"""Which loop of a nest to widen: what it would mean, from how accesses move with the counter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from rlxc.ir.core import Func, Op, Value
from rlxc.ir.types import INDEX, VectorType
from rlxc.passes.schedule.rewrite import rules

TINY = 4  # steps of a loop that is too short to be worth a vector


@dataclass(frozen=True, slots=True)
class Fold:
    """How a carried value of a loop accumulates: acc = kind(acc, ...)."""

    kind: str
    op: Op


@dataclass(slots=True)
class Plan:
    """What vectorizing a loop would mean: how many accesses are consecutive, and how many are scattered."""

    legal: bool = True
    consecutive: int = 0
    scattered: int = 0
    in_place: bool = False  # an element is read and then replaced, so that no step may run twice
    repeats: bool = False  # places that are stored to may repeat: later steps win
    element_bytes: int = 1
    has_loops: bool = False
    folds: tuple[Fold, ...] = ()
    pairs: dict[Op, tuple[Op, bool]] = field(default_factory=dict)  # loads of every second element: those of the others, and whether these come after
    store_pairs: dict[Op, Op] = field(default_factory=dict)  # stores to every second element, and those that fill the gaps


def loops_to_widen(func: Func) -> dict[Op, Plan]:
    """One loop of each nest, and what vectorizing it means."""
    chosen: dict[Op, Plan] = {}
    numbers = {op.result: int(op.attrs["value"].array) for op in func.ops if is_index_constant(op)}
    plan_of = cache(lambda op: plan_loop(op, numbers))
    stack = list(func.ops)
    while stack:
        op = stack.pop()
        if op.prim.syntax == "for":
            plan = plan_of(op)
            if worthwhile(op, plan) and walks_better(op, plan, plan_of):
                chosen[op] = plan
                continue
        for region in op.regions:
            stack += region.ops
    return chosen


def walks_better(op: Op, own: Plan, plan_of: Callable[[Op], Plan]) -> bool:
    """Whether `op` is the loop of its nest to widen, rather than those inside it."""
    inner = [o for o in op.regions[0].ops if o.prim.syntax == "for"]
    if not inner:
        return True
    leaves = [plan_of(o) for o in inner]
    nested = any(plan.has_loops for plan in leaves)
    if not nested and max(map(trips, inner)) <= TINY <= trips(op) // 16 and not any(plan.folds for plan in leaves):
        return True
    if all(plan.legal and not plan.scattered and worthwhile(o, plan) for o, plan in zip(inner, leaves, strict=True)):
        return False
    in_order = own.consecutive > 0 and not own.scattered
    return in_order or (not nested and own.scattered < sum(plan.scattered for plan in leaves))


def trips(op: Op) -> int:
    """How often a loop of step 1 runs."""
    return op.attrs["stop"] - op.attrs["start"]


def worthwhile(op: Op, plan: Plan) -> bool:
    return plan.legal and op.attrs["step"] == 1 and trips(op) >= 2 and plan.element_bytes > 0


def plan_loop(op: Op, numbers: Mapping[Value, int] = MappingProxyType({})) -> Plan:
    """What vectorizing `op` would mean, from how its accesses move with its counter; `numbers` are constants from outside."""
    plan = Plan()
    (body,) = op.regions
    plan.folds = folds_of(body)
    if len(plan.folds) != len(body.args) - 1:
        plan.legal = False
        return plan
    steps: dict[Value, int | None] = {body.args[0]: 1}  # how a value grows with the counter: None unevenly, absent not at all
    known: dict[Value, int] = dict(numbers)
    loaded: dict[Value, list] = {}
    stored: dict[Value, list] = {}
    _survey(body, plan, steps, known, loaded, stored)
    follows = _Followers(_makers(body), steps, known)
    plan.pairs = _load_pairs(body, follows, stored)
    for memory, indices in stored.items():
        pair = None if memory in loaded else _store_pair(body, memory, indices, follows)
        if pair is not None:
            plan.store_pairs |= pair
            plan.scattered -= 2
            plan.consecutive += 1
        elif len(indices) > 1 or (memory in loaded and any(i != indices[0] for i in loaded[memory])):
            plan.legal = False
        if memory in loaded:
            plan.in_place = True
            if any(steps.get(i) is None and i in steps for i in indices[0]):
                plan.legal = False
        elif any(steps.get(i) is None and i in steps for i in indices[0]):
            plan.repeats = True
    return plan


def _survey(body: Func, plan: Plan, steps: dict, known: dict, loaded: dict, stored: dict) -> None:
    for op in body.ops:
        if op.prim.syntax == "for":
            plan.has_loops = True
            (inner,) = op.regions
            steps.update(dict.fromkeys(inner.args[1:], None))
            steps.update(dict.fromkeys(op.results, None))
            _survey(inner, plan, steps, known, loaded, stored)
            continue
        if op.regions or not rules(op).widens or any(_is_wide(v) for v in (*op.operands, *op.results)):
            plan.legal = False
            return
        step = advance(op, steps, known)
        if rules(op).hint:
            continue
        if rules(op).access:
            memory, value, index = rules(op).parts(op.operands)
            (loaded if value is None else stored).setdefault(memory, []).append(tuple(index))
            plan.element_bytes = max(plan.element_bytes, memory.type.dtype.size)
            if step == 0:
                plan.legal = plan.legal and value is None
            elif step == 1:
                plan.consecutive += 1
            else:
                plan.scattered += 1
            continue
        for v in op.results:
            if isinstance(v.type, VectorType) and v.type.dtype != "index":
                plan.element_bytes = max(plan.element_bytes, v.type.dtype.size)


@dataclass(frozen=True, slots=True)
class _Followers:
    """Which accesses to every second element are to those between the elements of another one, as the parts of complex numbers are."""

    makers: dict[Value, Op]
    steps: dict[Value, int | None]
    known: dict[Value, int]

    def between(self, memory: Value, first: tuple[Value, ...], second: tuple[Value, ...]) -> bool:
        """Whether the second index is the first one moved by one element, and both move by two."""
        strides = strides_of(memory.type)
        moves = [self.steps.get(i, 0) for i in first]
        if not first or first[:-1] != second[:-1] or None in moves or sum(m * s for m, s in zip(moves, strides, strict=True)) != 2:  # type: ignore[operator, misc]
            return False
        return self.before(second[-1]) is first[-1]

    def before(self, index: Value) -> Value | None:
        """What the index is one more than."""
        op = self.makers.get(index)
        if op is None or len(op.operands) != 2 or op.operands[1] not in self.known:
            return None
        number = self.known[op.operands[1]]
        adds = rules(op).affine([1, 0], [None, number]) == 1 and op.prim.eval(0, number, **op.attrs) == 1
        return op.operands[0] if adds else None


def _load_pairs(body: Func, follows: _Followers, stored: dict) -> dict[Op, tuple[Op, bool]]:
    loads: dict[tuple, Op] = {}
    for op in body.ops:
        if not op.regions and rules(op).access and not rules(op).hint:
            memory, value, index = rules(op).parts(op.operands)
            if value is None and memory not in stored:
                loads[memory, *index] = op
    pairs: dict[Op, tuple[Op, bool]] = {}
    for (memory, *index), op in loads.items():
        before = follows.before(index[-1]) if index else None
        first = None if before is None else loads.get((memory, *index[:-1], before))
        if before is not None and first is not None and follows.between(memory, (*index[:-1], before), tuple(index)):
            pairs |= {first: (op, True), op: (first, False)}
    return pairs


def _store_pair(body: Func, memory: Value, indices: Sequence[tuple[Value, ...]], follows: _Followers) -> dict[Op, Op] | None:
    """The only two stores to a memory, the second of which fills the gaps that the first leaves."""
    stores = [op for op in body.ops if not op.regions and rules(op).access and rules(op).parts(op.operands)[:1] == (memory,)]
    if len(stores) == len(indices) == 2 and follows.between(memory, *indices):
        return {stores[0]: stores[1]}
    return None


def _is_wide(v: Value) -> bool:
    """Whether the value is a vector already."""
    return isinstance(v.type, VectorType) and v.type.lanes > 1


def is_index_constant(op: Op) -> bool:
    return not op.operands and "value" in op.attrs and op.result.type == INDEX


def advance(op: Op, steps: dict[Value, int | None], known: dict[Value, int]) -> int | None:
    """Record in `steps` how the results of `op` grow with a counter (None: unevenly), and say how far it moves in memory, if it is an access."""
    if rules(op).access:
        memory, value, index = rules(op).parts(op.operands)
        moves = [steps.get(i, 0) for i in index]
        step = None if None in moves else sum(m * s for m, s in zip(moves, strides_of(memory.type), strict=True))  # type: ignore[operator, misc]
        if value is None and step != 0:
            steps.update(dict.fromkeys(op.results))
        return step
    if is_index_constant(op):
        known[op.result] = int(op.attrs["value"].array)
    if any(v in steps for v in op.operands):
        moves = [steps.get(v, 0) for v in op.operands]
        even = op.results and op.result.type == INDEX and None not in moves
        steps.update(dict.fromkeys(op.results, rules(op).affine(moves, [known.get(v) for v in op.operands]) if even else None))
    return None


def folds_of(body: Func) -> tuple[Fold, ...]:
    """How each carried value accumulates; shorter than what is carried where one does so in no known way."""
    folds: list[Fold] = []
    if body.results:
        makers, uses = _makers(body), _uses(body)
        for acc, out in zip(body.args[1:], body.results, strict=True):
            fold = _fold(acc, out, makers, uses)
            if fold is None:
                break
            folds.append(fold)
    return tuple(folds)


def fold_of(body: Func, position: int) -> Fold | None:
    """How one carried value accumulates, if it does so in a known way: through one op, and nothing else sees it on the way."""
    return _fold(body.args[1 + position], body.results[position], _makers(body), _uses(body))


def _fold(acc: Value, out: Value, makers: dict[Value, Op], uses: Counter[Value]) -> Fold | None:
    op = makers.get(out)
    if op is None or acc not in op.operands or op.regions or uses[acc] != 1 or uses[out]:
        return None
    kind = rules(op).fold_kind(op.operands.index(acc))
    return None if kind is None else Fold(kind, op)


def _makers(body: Func) -> dict[Value, Op]:
    return {v: op for op in body.ops for v in op.results}


def _uses(body: Func) -> Counter[Value]:
    return Counter(v for op in body.walk() for v in op.operands)


def sees_once(body: Func, v: Value) -> bool:
    """Whether `v` is an operand of one op, once."""
    return sum(o.operands.count(v) for o in body.walk()) == 1


def strides_of(memory: Any) -> list[int]:
    """Elements from one index to the next, by axis."""
    strides, size = [], 1
    for n in reversed(memory.shape):
        strides.append(size)
        size *= n
    return strides[::-1]
