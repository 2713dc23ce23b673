"""Branches: one of several regions runs."""

from __future__ import annotations

from typing import Any

from rlxc.errors import DTypeError, ShapeError, VerifyError
from rlxc.ir.core import Func, Op
from rlxc.ir.interp import run_region
from rlxc.ir.primitive import register
from rlxc.ir.types import DType, TensorType
from rlxc.primitives.control import branch_derivatives, samples
from rlxc.primitives.control.base import Flow, prune, splice, store_scalars, unused
from rlxc.primitives.control.folds import Arguments


class Branch(Flow):
    """The first operand chooses a region; the others are what every region takes."""

    derivatives = branch_derivatives

    def require_choice(self, types: Any) -> None:
        raise NotImplementedError

    def chosen(self, choice: Any, regions: int) -> int:
        """Which region a value of the first operand chooses."""
        raise NotImplementedError

    def takes(self, b: Any, choice: Any, i: int) -> Any:
        """Where choices take region `i`, among those from `i` on."""
        raise NotImplementedError

    def infer_regions(self, types: Any, regions: tuple[Func, ...], attrs: dict) -> tuple:
        self.require_choice(types)
        results = [v.type for v in regions[0].results]
        for i, region in enumerate(regions):
            what = self.region_names[i] if self.region_names else f"branch {i}"
            self.require_arguments(region, types[1:], what)
            self.require_yields(region, results, what, f"the {self.region_names[0] if self.region_names else 'first branch'} yields")
            if len(region.results) != len(results):
                message = f"{self.name}: its {what} yields {len(region.results)} values, not {len(results)}"
                raise VerifyError(message, code="RLX0211", loc=region.loc)
        return tuple(results)

    def eval_regions(self, env: dict, op: Op) -> tuple:
        region = op.regions[self.chosen(env[op.operands[0]], len(op.regions))]
        return tuple(run_region(region, [env[v] for v in op.operands[1:]], env))

    def prune_regions(self, op: Op, wanted: set) -> Op:
        kept = [i for i, v in enumerate(op.results) if v in wanted]
        regions = [r.with_(results=tuple(r.results[i] for i in kept)) for r in op.regions]
        dropped = set.intersection(*map(unused, regions))
        return prune(op, dict(op.attrs), regions, kept, dropped, first=1)

    def fold_regions(self, b: Any, operands: Any, regions: Any, **attrs: Any) -> Any:
        choice = b.splat_of(operands[0])
        if choice is not None or len(regions) == 1:
            at = 0 if choice is None else self.chosen(choice, len(regions))
            return splice(b, regions[at], operands[1:])
        arguments = Arguments(operands[1:], regions)
        arguments.merge(range(len(operands) - 1))
        arguments.take_constants(b, range(len(operands) - 1))
        forwarded = self.forwarded(operands, regions)
        if not arguments.changed and not forwarded:
            return None
        order = arguments.kept(range(len(operands) - 1))
        kept = [i for i in range(len(regions[0].results)) if i not in forwarded]
        if kept:
            new = tuple(arguments.region(r, order, kept) for r in regions)
            made = b.with_regions(self, [operands[0], *(operands[1 + i] for i in order)], attrs, new)
            forwarded |= dict(zip(kept, made, strict=True))
        return tuple(forwarded[i] for i in range(len(regions[0].results)))

    def forwarded(self, operands: Any, regions: Any) -> dict[int, Any]:
        """Results that are the same operand whatever runs."""
        found = {}
        for i, values in enumerate(zip(*(r.results for r in regions), strict=True)):
            given = [dict(zip(r.args, operands[1:], strict=True)).get(v) for r, v in zip(regions, values, strict=True)]
            if given[0] is not None and all(v is given[0] for v in given):
                found[i] = given[0]
        return found

    def donations(self, result: int, operand: int, **attrs: Any) -> Any:
        return [(None, result, operand - 1)] if operand > 0 else None

    def lower_regions(self, e: Any, bodies: Any, reads: Any, writes: Any, **attrs: Any) -> None:
        if bodies[0].is_scalar:
            store_scalars(self.lower_scalars(e, bodies, reads, **attrs), writes)
        else:
            self.choose(e, reads[0]([]), len(bodies), lambda i: bodies[i].run(reads[1:], writes))

    def lower_scalars(self, e: Any, bodies: Any, reads: Any, **attrs: Any) -> Any:
        results = self.choose(e, reads[0]([]), len(bodies), lambda i: tuple(bodies[i].scalars(reads[1:])))
        return list(results) if isinstance(results, tuple | list) else [results]

    def choose(self, e: Any, choice: Any, regions: int, run: Any) -> Any:
        """Emit branches, in each of which `run` emits what a region computes."""
        raise NotImplementedError

    def argument_flags(self, op, flags, outcome):
        return [list(flags[1:]) for _ in op.regions]


@register
class Cond(Branch):
    """The first region's results where the predicate holds, else the second's; only that one runs.

        %y = cond %p, %x do (%x: f64[3]) {
          %a = sin %x : f64[3]
          yield %a
        } do (%x: f64[3]) {
          yield %x
        } : f64[3]

    The predicate is a `bool[]`; the other operands are the arguments of both regions.
    """

    name = "cond"
    samples = samples.COND
    region_names = ("then", "else")

    def infer(self, predicate, *operands):
        return super().infer(predicate, *operands)

    def infer_regions(self, types, regions, attrs):
        self.require_regions(regions)
        return super().infer_regions(types, regions, attrs)

    def require_choice(self, types):
        if types[0] != TensorType(DType("bool")):
            error = ShapeError if types[0].dtype == "bool" else DTypeError
            raise error(f"cond: the predicate is a bool[], not {types[0]}", help="compare, or reduce with reduce_any or reduce_all")

    def chosen(self, choice, regions):
        return 0 if choice else 1

    def choose(self, e, choice, regions, run):
        return e.cond(choice, lambda: run(0), lambda: run(1))

    def takes(self, b, choice, i):
        return choice


@register
class Switch(Branch):
    """The results of the region that the index names; only that one runs. An index out of range chooses the nearest region there is.

        %y = switch %i, %x do (%x: f64[]) { ... } do (%x: f64[]) { ... } do (%x: f64[]) { ... } : f64[]

    The index is an `i32[]` or `i64[]`; the other operands are the arguments of all regions.
    """

    name = "switch"
    samples = samples.SWITCH
    region_names = ()

    def infer(self, index, *operands):
        return super().infer(index, *operands)

    def require_choice(self, types):
        if types[0] not in (TensorType(DType("i32")), TensorType(DType("i64"))):
            raise DTypeError(f"switch: the index is an i32[] or i64[], not {types[0]}")

    def chosen(self, choice, regions):
        return min(max(int(choice), 0), regions - 1)

    def choose(self, e, choice, regions, run):
        def among(first: int, last: int) -> Any:
            if first == last:
                return run(first)
            middle = (first + last) // 2
            return e.cond(e.le(choice, middle), lambda: among(first, middle), lambda: among(middle + 1, last))

        return among(0, regions - 1)

    def takes(self, b, choice, i):
        return branch_derivatives.index_takes(b, choice, i)
