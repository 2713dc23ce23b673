"""Map: a function of each element of arrays, along their first axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.core import Func, Op
from rlxc.ir.interp import run_region
from rlxc.ir.primitive import lookup, register
from rlxc.primitives.control import samples
from rlxc.primitives.control.base import Control, element_type, prune, stacked_type, unused


@register
class Map(Control):
    """For each element of `xs`: (consts, element of each xs) -> ys, which are stacked along a new first axis.

        %y = map %w, %x {consts = 1} do (%w: f64[], %e: f64[3]) {
          %p = mul %w, %e : f64[3]
          yield %p
        } : f64[8, 3]

    Operands are `consts` values that all elements see, then at least one array. It is a `scan` that carries nothing.
    """

    name = "map"
    samples = samples.MAP

    def infer(self, *operands, consts: int):
        return super().infer(*operands)

    def infer_regions(self, types: Any, regions: tuple[Func, ...], attrs: dict) -> tuple:
        self.require_regions(regions)
        (body,) = regions
        consts = attrs["consts"]
        if not 0 <= consts < len(types):
            raise AttrError(f"map: {consts} consts of {len(types)} operands: at least one is mapped over")
        xs = types[consts:]
        for i, t in enumerate(xs, 1):
            if t.rank == 0 or t.shape[0] != (xs[0].shape or (None,))[0]:
                raise ShapeError(f"map: operand {consts + i} is {t}: the first axes of what is mapped over have one size")
        self.require_arguments(body, [*types[:consts], *map(element_type, xs)])
        return tuple(stacked_type(v.type, xs[0].shape[0]) for v in body.results)

    def eval_regions(self, env: dict, op: Op) -> tuple:
        (body,) = op.regions
        values = [env[v] for v in op.operands]
        consts, xs = values[: op.attrs["consts"]], values[op.attrs["consts"] :]
        stacks = [np.empty(v.type.shape, v.type.dtype.numpy) for v in op.results]
        for t in range(len(xs[0])):
            for stack, y in zip(stacks, run_region(body, [*consts, *(x[t] for x in xs)], env), strict=True):
                stack[t] = y
        return tuple(stacks)

    def prune_regions(self, op: Op, wanted: set) -> Op:
        (body,) = op.regions
        kept = [i for i, v in enumerate(op.results) if v in wanted]
        body = body.with_(results=tuple(body.results[i] for i in kept))
        consts = op.attrs["consts"]
        dropped = unused(body)
        if len(op.operands) - 1 in dropped and dropped.issuperset(range(consts, len(op.operands))):
            dropped.discard(len(op.operands) - 1)  # it says how many elements there are
        attrs = dict(op.attrs) | {"consts": sum(i not in dropped for i in range(consts))}
        return prune(op, attrs, [body], kept, dropped)

    def legalize_regions(self, b: Any, operands: Any, regions: Any, **attrs: Any) -> Any:
        consts = attrs["consts"]
        length = operands[consts].type.shape[0]
        return b.with_regions(lookup("scan"), operands, {"consts": consts, "carries": 0, "length": length}, regions)
