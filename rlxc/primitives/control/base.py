"""What control flow shares: regions are functions of their arguments, which take nothing from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.errors import DTypeError, Label, Loc, ShapeError, VerifyError
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.liveness import live_region, needed
from rlxc.ir.primitive import Primitive
from rlxc.ir.types import Dim, TensorType
from rlxc.primitives.control.loops import elements


class Control(Primitive):
    """An op that runs its regions as often as it says. Operands are passed as arguments, by position.

    Beside `infer_regions` and `eval_regions` it states `prune_regions(op, wanted)`, the op that gives no more than the wanted results,
    and perhaps `fold_regions` and `legalize_regions`, which are `fold` and `legalize` with the regions at hand.
    """

    control = True
    region_names: tuple[str, ...] = ("body",)

    def infer(self, *operands, **attrs):
        raise VerifyError(f"{self.name} needs a region: `do (...) {{ ... }}`", code="RLX0220")

    def flops(self, operands, results, **attrs):
        return 0.0  # its regions know

    # guards

    def require_regions(self, regions: Sequence[Func]) -> None:
        names = self.region_names
        if len(regions) != len(names):
            has = "one region" if len(names) == 1 else f"{len(names)} regions ({', '.join(names)})"
            raise VerifyError(f"{self.name} has {has}, not {len(regions)}", code="RLX0211")

    def require_arguments(self, region: Func, types: Sequence[Any], what: str = "body") -> None:
        """Raise at the argument that does not fit unless the region takes values of these types."""
        if len(region.args) != len(types):
            wants = ", ".join(str(a.type) for a in region.args)
            gets = ", ".join(map(str, types))
            raise VerifyError(f"{self.name}: its {what} takes ({wants}), and is given ({gets})", code="RLX0211")
        for a, t in zip(region.args, types, strict=True):
            if a.type != t:
                error = DTypeError if a.type.dtype != t.dtype else ShapeError
                raise error(f"{self.name}: %{a.name or '?'} of its {what} is {a.type}, and is given {t}", loc=a.loc)

        self.require_nothing_else(region, what)

    def require_nothing_else(self, region: Func, what: str) -> None:
        """Raise where the region uses a value from outside."""
        inside = set(region.args)
        for op in region.walk():
            inside.update(op.results)
            inside.update(a for r in op.regions for a in r.args)
        for op in region.walk():
            for v in (*op.operands, *(v for r in op.regions for v in r.results)):
                if v not in inside:
                    raise self.from_outside(v, what, op.loc)
        for v in region.results:
            if v not in inside:
                raise self.from_outside(v, what, region.loc)

    def from_outside(self, v: Value, what: str, loc: Loc) -> VerifyError:
        labels = (Label(v.loc, "it comes from here"),) if v.loc.line else ()
        message = f"{self.name}: its {what} uses %{v.name or '?'}, which is not one of its arguments"
        return VerifyError(message, code="RLX0225", loc=loc, labels=labels, help="pass it as one more operand, and take it as an argument")

    def require_yields(self, region: Func, types: Sequence[Any], what: str, why: str) -> None:
        """Raise at the value that does not fit unless the region yields first values of these types."""
        if len(region.results) < len(types):
            gives = ", ".join(str(v.type) for v in region.results) or "nothing"
            raise VerifyError(f"{self.name}: its {what} yields {gives}, and {why} ({', '.join(map(str, types))})", code="RLX0211", loc=region.loc)
        for v, t in zip(region.results, types, strict=False):
            if v.type != t:
                error = DTypeError if v.type.dtype != t.dtype else ShapeError
                labels = (Label(region.loc, f"the {what} ends here"),) if region.loc.line else ()
                raise error(f"{self.name}: its {what} yields %{v.name or '?'}, which is {v.type}, and {why} {t}", loc=v.loc, labels=labels)


class Flow(Control):
    """Control flow that has derivatives: its rules for them, and for vmap, are the functions of the module `derivatives`."""

    derivatives: Any  # the module

    def active_regions(self, op, flags, active):
        return self.derivatives.active(op, flags, active)

    def linearize_regions(self, d, op, tangents):
        return self.derivatives.linearize(d, op, tangents)

    def transpose_regions(self, b, op, cts, transpose_ops):
        return self.derivatives.transpose(b, op, cts, transpose_ops)

    def separate_regions(self, b, op, plan):
        return self.derivatives.separate(b, op, plan)

    def linear_states(self, op, states, follow):
        return self.derivatives.states(op, states, follow)

    def batch_regions(self, b, op, operands, batched, bodies):
        return self.derivatives.batch(b, op, operands, batched, bodies)


def prune(op: Op, attrs: dict[str, Any], regions: Sequence[Func], results: Sequence[int], dropped: set[int], *, first: int = 0) -> Op:
    """`op` with these regions, with those results only, and without the arguments at the positions `dropped`; operand `first` is argument 0."""
    regions = tuple(live_region(r.with_(args=without(r.args, dropped))) for r in regions)
    if len(results) == len(op.results) and not dropped and all(_same_ops(r, s) for r, s in zip(regions, op.regions, strict=True)):
        return op
    operands = (*op.operands[:first], *without(op.operands[first:], dropped))
    return Op(op.prim, operands, attrs, tuple(op.results[i] for i in results), regions, op.loc)


def _same_ops(r: Func, s: Func) -> bool:
    return len(r.ops) == len(s.ops) and all(x is y for x, y in zip(r.ops, s.ops, strict=True))


def without(values: Sequence[Any], dropped: set[int]) -> tuple:
    return tuple(v for i, v in enumerate(values) if i not in dropped)


def unused(region: Func) -> set[int]:
    """Positions of the arguments that no result depends on."""
    used = needed(region, region.results)
    return {i for i, a in enumerate(region.args) if a not in used}


def element_type(t: TensorType) -> TensorType:
    """One of what is stacked along the first axis."""
    return t.with_shape(t.shape[1:])


def stacked_type(t: TensorType, length: int | Dim) -> TensorType:
    return t.with_shape((length, *t.shape))


def first_element(b: Any, x: Value) -> Value:
    """The element of what stacks only one."""
    return b.reshape(x, shape=x.type.shape[1:])


def stack_of_one(b: Any, x: Value) -> Value:
    return b.reshape(x, shape=(1, *x.type.shape))


def splice(b: Any, region: Func, operands: Sequence[Value]) -> tuple[Value, ...]:
    """Emit what the region computes from these operands; its results."""
    env = dict(zip(region.args, operands, strict=True))
    for op in region.ops:
        b.rebuild(op, env)
    return tuple(env.get(v, v) for v in region.results)


def store_scalars(values: Sequence[Any], writes: Sequence[Any]) -> None:
    """At the loop level: numbers to the memory of small arrays, whose elements follow each other."""
    places = [(out, index) for out in writes for index in elements(out.type)]
    for (out, index), v in zip(places, values, strict=True):
        out.store(index, v)
