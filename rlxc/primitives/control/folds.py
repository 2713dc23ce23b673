"""What simplifies in control flow: operands that are the same or constant, carries that never change or are always the same.

%a, %b = scan %zero, %zero, %x {consts = 0, carries = 2, ...} do (%s, %t, %e) {     %a = scan %zero, %x {...} do (%s, %e) {
  %u = add %s, %e                                                                     %u = add %s, %e
  %v = add %t, %e                                                             =>      yield %u
  yield %u, %v                                                                      }
}                                                                                   %a for %b
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.attributes import Dense, attrs_key
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value

MOST_ELEMENTS = 16  # of a constant that is written into a region, unless all its elements are the same


@dataclass(frozen=True, slots=True)
class Parts:
    """Operands, arguments and results of a loop by what they are for; `body` may be any of its regions."""

    operands: Sequence[Value]
    body: Func
    number_of_consts: int
    number_of_carries: int

    @staticmethod
    def of(op: Op) -> Parts:
        return Parts(op.operands, op.regions[-1], op.attrs["consts"], op.attrs.get("carries", len(op.operands) - op.attrs["consts"]))

    @property
    def first_xs(self) -> int:
        return self.number_of_consts + self.number_of_carries

    @property
    def consts(self) -> Sequence[Value]:
        return self.operands[: self.number_of_consts]

    @property
    def carries(self) -> Sequence[Value]:
        return self.operands[self.number_of_consts : self.first_xs]

    @property
    def xs(self) -> Sequence[Value]:
        return self.operands[self.first_xs :]

    @property
    def const_args(self) -> Sequence[Value]:
        return self.body.args[: self.number_of_consts]

    @property
    def carried_args(self) -> Sequence[Value]:
        return self.body.args[self.number_of_consts : self.first_xs]

    @property
    def x_args(self) -> Sequence[Value]:
        return self.body.args[self.first_xs :]

    @property
    def new_carries(self) -> Sequence[Value]:
        return self.body.results[: self.number_of_carries]

    @property
    def ys(self) -> Sequence[Value]:
        return self.body.results[self.number_of_carries :]


class Arguments:
    """The operands of an op whose regions take the same arguments, while some are dropped and some turn into others."""

    def __init__(self, operands: Sequence[Value], regions: Sequence[Func]) -> None:
        self.operands = operands
        self.regions = regions
        self.same: dict[int, int] = {}  # position -> an earlier one that has the same value
        self.constants: dict[int, Dense] = {}

    def merge(self, positions: Sequence[int]) -> None:
        """Drop what is at an earlier one of these positions too."""
        first: dict[Value, int] = {}
        for i in positions:
            if self.operands[i] in first:
                self.same[i] = first[self.operands[i]]
            else:
                first[self.operands[i]] = i

    def take_constants(self, b: Any, positions: Sequence[int], type_of: Any = None) -> None:
        """Write constants into the regions: at positions of what is not carried."""
        for i in positions:
            dense = b.constant_of(self.operands[i])
            if dense is None or i in self.same:
                continue
            arg = self.regions[0].args[i]
            if dense.type == arg.type and (dense.is_splat or dense.array.size <= MOST_ELEMENTS):
                self.constants[i] = dense
            elif dense.is_splat:
                self.constants[i] = Dense(dense.array, arg.type)

    @property
    def changed(self) -> bool:
        return bool(self.same or self.constants)

    def kept(self, positions: Sequence[int]) -> list[int]:
        return [i for i in positions if i not in self.same and i not in self.constants]

    def region(self, region: Func, order: Sequence[int], results: Sequence[int] | None = None) -> Func:
        """The region with its arguments in this order, the rest replaced, and those of its results."""
        b = Builder()
        b.loc = region.loc
        env: dict[Value, Value] = {}
        for i in order:
            env[region.args[i]] = region.args[i].like()
        args = tuple(env[region.args[i]] for i in order)
        for i, dense in self.constants.items():
            env[region.args[i]] = b.constant(dense, type=region.args[i].type)
        for i, j in self.same.items():
            env[region.args[i]] = env[region.args[j]]
        for op in region.ops:
            b.rebuild(op, env)
        chosen = region.results if results is None else [region.results[i] for i in results]
        return region.with_(args=args, ops=tuple(b.ops), results=tuple(env.get(v, v) for v in chosen))


def fold_loop(prim: Any, b: Any, parts: Parts, regions: Sequence[Func] | None = None, **attrs: Any) -> Any:
    """A loop with fewer operands and results, and what its results are then; None where nothing simplifies. The last region is the body."""
    regions = regions or (parts.body,)
    consts, carries, first_xs = parts.number_of_consts, parts.number_of_carries, parts.first_xs
    arguments = Arguments(parts.operands, regions)
    invariant = [consts + i for i, (a, new) in enumerate(zip(parts.carried_args, parts.new_carries, strict=True)) if new is a]
    fixed = [*range(consts), *invariant]
    carried = [i for i in range(consts, first_xs) if i not in invariant]
    arguments.merge(fixed)
    arguments.merge(range(first_xs, len(parts.operands)))
    arguments.take_constants(b, [*fixed, *range(first_xs, len(parts.operands))])
    arguments.same.update(same_carries(parts, carried))
    forwarded = {carries + j: v for j, y in enumerate(parts.ys) if (v := _forwarded(b, parts, y, attrs)) is not None}
    if not (arguments.changed or invariant or forwarded):
        return None
    fixed, carried = arguments.kept(fixed), arguments.kept(carried)
    order = [*fixed, *carried, *arguments.kept(range(first_xs, len(parts.operands)))]
    kept_ys = [i for i in range(carries, len(parts.body.results)) if i not in forwarded]
    results = [*(i - consts for i in carried), *kept_ys]
    new = [arguments.region(r, order) for r in regions[:-1]] + [arguments.region(parts.body, order, results)]
    attrs["consts"] = len(fixed)
    if "carries" in attrs:
        attrs["carries"] = len(carried)
    if results:
        made = dict(zip(results, b.with_regions(prim, [parts.operands[i] for i in order], attrs, tuple(new)), strict=True))
    else:
        made = {}
    for i in range(carries):
        if consts + i in invariant:
            made[i] = parts.carries[i]
        elif consts + i in arguments.same:
            made[i] = made[arguments.same[consts + i] - consts]
    return tuple((made | forwarded)[i] for i in range(len(parts.body.results)))


def _forwarded(b: Any, parts: Parts, y: Value, attrs: dict[str, Any]) -> Value | None:
    """What is stacked, if it is there before the loop: an array of xs, or the same in every step."""
    if y in parts.x_args:
        return parts.xs[parts.x_args.index(y)]
    if y in parts.const_args:
        x = parts.consts[parts.const_args.index(y)]
        return b.broadcast(x, shape=(attrs["length"], *x.type.shape), axes=(0,))
    maker = next((op for op in parts.body.ops if y in op.results), None)
    value = maker.attrs.get("value") if maker is not None and not maker.operands else None
    if isinstance(value, Dense) and value.is_splat:
        return b.constant(value.array, type=y.type.with_shape((attrs["length"], *y.type.shape)))
    return None


def same_carries(parts: Parts, carried: Sequence[int]) -> dict[int, int]:
    """Carries, by position, that have the value of an earlier one in every step: an optimistic guess, which is refined until it holds."""
    group = dict(zip(carried, _numbers([parts.operands[i] for i in carried]), strict=True))
    while len(set(group.values())) < len(group):
        at = {parts.body.args[i]: ("carry", number) for i, number in group.items()}
        numbers = number_values(parts.body, at)
        refined = _numbers([(group[i], numbers[parts.new_carries[i - parts.number_of_consts]]) for i in carried])
        if len(set(refined)) == len(set(group.values())):
            break
        group = dict(zip(carried, refined, strict=True))
    first: dict[int, int] = {}
    return {i: first[g] for i, g in group.items() if first.setdefault(g, i) != i}


def _numbers(keys: Sequence[Hashable]) -> list[int]:
    seen: dict[Hashable, int] = {}
    return [seen.setdefault(k, len(seen)) for k in keys]


def number_values(region: Func, known: Mapping[Value, Hashable]) -> dict[Value, Hashable]:
    """A number for every value of a region: the same for two that are computed in the same way; `known` are those of some arguments."""
    seen: dict[Hashable, int] = {}
    numbers: dict[Value, Hashable] = {a: known.get(a, a) for a in region.args}
    for op in region.ops:
        key: Hashable = op if op.regions else (op.prim, *(numbers[v] for v in op.operands), attrs_key(op.attrs))
        at = seen.setdefault(key, len(seen))
        numbers.update((v, (at, i)) for i, v in enumerate(op.results))
    return numbers
