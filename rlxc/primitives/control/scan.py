"""Scan: a loop over the first axis of arrays that carries values from step to step."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.core import Func, Op
from rlxc.ir.interp import run_region
from rlxc.ir.liveness import needed
from rlxc.ir.primitive import register
from rlxc.ir.types import Dim
from rlxc.primitives.control import samples, scan_derivatives
from rlxc.primitives.control.base import Flow, element_type, first_element, prune, splice, stack_of_one, stacked_type, store_scalars
from rlxc.primitives.control.folds import Parts, fold_loop
from rlxc.primitives.control.scan_loops import ScanLoop


@register
class Scan(Flow):
    """For each element of `xs`, in order: (consts, carries, element of each xs) -> (new carries, ys).

        %last, %sums = scan %zero, %x {consts = 0, carries = 1, length = 8} do (%sum: f64[], %e: f64[]) {
          %next = add %sum, %e : f64[]
          yield %next, %next
        } : f64[], f64[8]

    Operands are `consts` values that all steps see, the first `carries`, and arrays whose first axis has the size `length`. Results are the last
    carries, then what the steps yield beside them, stacked along a new first axis. With `reverse` the last element comes first, and stacks are filled from
    their end. `checkpoint` is how many steps a derivative recomputes at a time instead of keeping what it needs of them (0: it keeps everything).
    """

    name = "scan"
    samples = samples.SCAN
    derivatives = scan_derivatives
    stacks = True

    def infer(self, *operands, consts: int, carries: int, length: int | Dim, reverse: bool = False, checkpoint: int = 0):
        return super().infer(*operands)

    def infer_regions(self, types: Any, regions: tuple[Func, ...], attrs: dict) -> tuple:
        self.require_regions(regions)
        (body,) = regions
        consts, carries, length = attrs["consts"], attrs["carries"], attrs["length"]
        if min(consts, carries) < 0 or consts + carries > len(types):
            raise AttrError(f"scan: {consts} consts and {carries} carries of {len(types)} operands")
        if not isinstance(length, Dim) and length < 0:
            raise AttrError(f"scan: the length is not negative, and is given as {length}")
        if attrs["checkpoint"] < 0:
            raise AttrError(f"scan: checkpoint is a number of steps, not {attrs['checkpoint']}")
        first = consts + carries
        for i, t in enumerate(types[first:], 1):
            if t.rank == 0 or t.shape[0] != length:
                raise ShapeError(f"scan: operand {first + i} is {t}: its first axis is to have the length, {length}", help="operands are consts, carries, xs")
        self.require_arguments(body, [*types[:first], *map(element_type, types[first:])])
        carried = tuple(types[consts:first])
        self.require_yields(body, carried, "body", "carries")
        return (*carried, *(stacked_type(v.type, length) for v in body.results[carries:]))

    def eval_regions(self, env: dict, op: Op) -> tuple:
        (body,) = op.regions
        parts = Parts.of(op)
        length = op.attrs["length"]
        consts, carried, xs = ([env[v] for v in group] for group in (parts.consts, parts.carries, parts.xs))
        stacks = [np.empty(v.type.shape, v.type.dtype.numpy) for v in op.results[len(carried) :]]
        for t in range(length - 1, -1, -1) if op.attrs["reverse"] else range(length):
            results = run_region(body, [*consts, *carried, *(x[t] for x in xs)], env)
            carried, ys = results[: len(carried)], results[len(carried) :]
            for stack, y in zip(stacks, ys, strict=True):
                stack[t] = y
        return (*carried, *stacks)

    def prune_regions(self, op: Op, wanted: set) -> Op:
        (body,) = op.regions
        parts = Parts.of(op)
        first = len(parts.carries)
        asked = [v for v, r in zip(body.results, op.results, strict=True) if r in wanted]
        used = needed(body, asked, dict(zip(parts.carried_args, body.results, strict=False)))
        dropped = {i for i, a in enumerate(body.args) if a not in used}
        # a carry whose last value is asked for stays, though no step may read it
        kept = [i for i, v in enumerate(op.results) if v in wanted or (i < first and parts.carried_args[i] in used)]
        dropped -= {len(parts.consts) + i for i in kept if i < first}
        attrs = dict(op.attrs) | {"carries": sum(i < first for i in kept), "consts": sum(i not in dropped for i in range(len(parts.consts)))}
        return prune(op, attrs, [body.with_(results=tuple(body.results[i] for i in kept))], kept, dropped)

    def fold_regions(self, b: Any, operands: Any, regions: Any, **attrs: Any) -> Any:
        (body,) = regions
        length = attrs["length"]
        parts = Parts(operands, body, attrs["consts"], attrs["carries"])
        if length == 0:
            return (*parts.carries, *(b.zeros(stacked_type(v.type, 0)) for v in parts.ys))
        if length == 1:
            results = splice(b, body, [*parts.consts, *parts.carries, *(first_element(b, x) for x in parts.xs)])
            return (*results[: len(parts.carries)], *(stack_of_one(b, y) for y in results[len(parts.carries) :]))
        return fold_loop(self, b, parts, **attrs)

    def donations(self, result: int, operand: int, **attrs: Any) -> Any:
        return [(0, result, operand)] if result < attrs["carries"] and operand == attrs["consts"] + result else None

    def times(self, **attrs: Any) -> int:
        return attrs["length"]

    def lower_regions(self, e: Any, bodies: Any, reads: Any, writes: Any, **attrs: Any) -> None:
        loop = ScanLoop(e, bodies[0], reads, writes, **attrs)
        if bodies[0].is_scalar:
            store_scalars(loop.on_scalars(), writes[: attrs["carries"]])
        else:
            loop.on_memory()

    def lower_scalars(self, e: Any, bodies: Any, reads: Any, **attrs: Any) -> Any:
        return ScanLoop(e, bodies[0], reads, (), **attrs).on_scalars()

    def argument_flags(self, op, flags, outcome):
        return [scan_derivatives.carry_flags(op, flags, outcome)]
