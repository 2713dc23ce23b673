"""Derivatives of cond and switch: branches that yield what their linear parts need, the linear branches, and those turned around.

    %y = cond %p, %x                     %y, %r = cond %p, %x                 each branch yields its residuals; slots of one type are shared
                          linearize      %dy = cond %p, %x, %r, %dx           (linear in %dx)
                          transpose      %ctx = cond %p, %x, %r, %cty

A slot that the branch which ran has no use for holds zeros, and nobody reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.ir.builder import remap_region
from rlxc.ir.core import Op, Value
from rlxc.ir.liveness import depends, live_region
from rlxc.ir.types import DType, TensorType
from rlxc.primitives.control.linear import RegionBuilder, linear_op, reached, transposed


def active(op: Op, flags: Sequence[bool], active_results: Any) -> list[bool]:
    if flags[0]:
        return [True] * len(op.results)
    outs = [active_results(region, flags[1:]) for region in op.regions]
    return [any(column) for column in zip(*outs, strict=True)]


def linearize(d: Any, op: Op, tangents: Sequence[Value | None]) -> list[Value | None]:
    flags = [t is not None for t in tangents[1:]]
    halves = [d.linearize(region, flags) for region in op.regions]
    outs = [j for j in range(len(op.results)) if any(h.tangents_out[j] is not None for h in halves)]
    plans = []
    for region, half in zip(op.regions, halves, strict=True):
        plans.append(d.plan(half.primal_ops, half.residuals(), {*region.args, *region.results}))
    kept, types = _slots(op, plans)
    stores = _primal(d.b, op, halves, kept, types)
    if not outs:
        return [None] * len(op.results)
    read = sorted({region.args.index(v) for region, p in zip(op.regions, plans, strict=True) for v in p.read if v in region.args})
    results = sorted({region.results.index(v) for region, p in zip(op.regions, plans, strict=True) for v in p.read if v not in region.args})
    places = [i for i, flag in enumerate(flags) if flag]
    regions = []
    for region, half, plan, own in zip(op.regions, halves, plans, kept, strict=True):
        r = RegionBuilder()
        r.take([region.args[i] for i in read])
        r.take([region.results[j] for j in results])
        for slot, type in enumerate(types):
            arg = r.argument(Value(type, "r"))
            if slot in own:
                r.env[own[slot]] = arg
        r.take(half.tangents_in, linear=True)
        r.copy((*plan.again, *half.linear_ops))
        regions.append(r.region([r.result(half.tangents_out[j], op.results[j]) for j in outs]))
    operands: list[Any] = [op.operands[0], *(op.operands[1 + i] for i in read), *(op.results[j] for j in results), *stores, *(tangents[1 + i] for i in places)]
    found = dict(zip(outs, linear_op(d.b, op, operands, dict(op.attrs), regions), strict=True))
    return [found.get(j) for j in range(len(op.results))]


def _slots(op: Op, plans: Sequence[Any]) -> tuple[list[dict[int, Value]], list[TensorType]]:
    """A slot for each value that a branch keeps, shared by branches where types agree; and the types of all slots."""
    types: list[TensorType] = []
    kept: list[dict[int, Value]] = []
    for plan in plans:
        free = list(range(len(types)))
        own: dict[int, Value] = {}
        for v in plan.kept:
            slot = next((k for k in free if types[k] == v.type), None)
            if slot is None:
                slot = len(types)
                types.append(v.type)
            else:
                free.remove(slot)
            own[slot] = v
        kept.append(own)
    return kept, types


def _primal(b: Any, op: Op, halves: Sequence[Any], kept: Sequence[dict[int, Value]], types: Sequence[TensorType]) -> list[Value]:
    """Emit the op with the results that it has, and the slots; what those hold."""
    regions = []
    for region, half, own in zip(op.regions, halves, kept, strict=True):
        r = RegionBuilder()
        r.ops = list(half.primal_ops)
        slots = [own[k] if k in own else r.zeros(t) for k, t in enumerate(types)]
        regions.append(live_region(region.with_(ops=tuple(r.ops), results=(*region.results, *slots))))
    stores = [Value(t, "r", loc=op.loc) for t in types]
    b.insert(Op(op.prim, op.operands, op.attrs, (*op.results, *stores), tuple(regions), op.loc))
    return stores


def transpose(b: Any, op: Op, cts: Sequence[Value | None], transpose_ops: Any) -> list[Value | None]:
    asked = [j for j, ct in enumerate(cts) if ct is not None]
    is_linear = any(ct.linear for ct in cts if ct is not None)
    places = [i for i, a in enumerate(op.regions[0].args) if a.linear]
    reach = [reached(region, [region.results[j] for j in asked]) for region in op.regions]
    wanted = [i for i in places if any(region.args[i] in found for region, found in zip(op.regions, reach, strict=True))]
    if not wanted:
        return [None] * len(op.operands)
    fixed = [i for i, a in enumerate(op.regions[0].args) if not a.linear]
    regions = [transposed(region, wanted, asked, is_linear, transpose_ops) for region in op.regions]
    operands: list[Any] = [op.operands[0], *(op.operands[1 + i] for i in fixed), *(cts[j] for j in asked)]
    found = dict(zip(wanted, linear_op(b, op, operands, dict(op.attrs), regions, is_linear), strict=True))
    return [None, *(found.get(i) for i in range(len(op.operands) - 1))]


def separate(b: Any, op: Op, plan: Any) -> list[Value]:
    """Branches that give linear and other results, as two ops; the linear one computes again what it needs."""
    first = op.prim.prune_regions(op, {v for v in op.results if not v.linear})
    second = op.prim.prune_regions(op, {v for v in op.results if v.linear})
    b.insert(first)
    regions = tuple(remap_region(r, {}) for r in second.regions)
    b.insert(Op(second.prim, second.operands, second.attrs, second.results, regions, op.loc))
    return list(op.results)


def states(op: Op, operands: Sequence[Any], follow: Any) -> tuple[list[Any], str | None]:
    """States of the results, which every branch has in common."""
    outs = [follow(region, operands[1:]) for region in op.regions]
    if operands[0] is follow.LINEAR:
        return outs[0], "what it chooses by is no constant"
    joined = list(outs[0])
    for other in outs[1:]:
        joined = [a and follow.join(a, out) for a, out in zip(joined, other, strict=True)]
    if None in joined:
        return outs[0], f"result {joined.index(None)} is a constant from one branch, and linear from another"
    return joined, None


def batch(b: Any, op: Op, operands: Sequence[Value], batched: Sequence[bool], bodies: Any) -> tuple[list[Value], list[bool]]:
    """The branch that all examples take; where each chooses for itself, the results of all branches, and a selection."""
    flags = list(batched[1:])
    if not batched[0]:
        outs = [any(column) for column in zip(*(depends(region, flags) for region in op.regions), strict=True)]
        regions = tuple(bodies.batch(region, flags, outs) for region in op.regions)
        results = b.with_regions(op.prim, operands, dict(op.attrs), regions)
        for v, old in zip(results, op.results, strict=True):
            v.linear = v.linear or old.linear
        return list(results), outs
    outs = [True] * len(op.results)
    each = [bodies.splice(bodies.batch(region, flags, outs), operands[1:]) for region in op.regions]
    chosen = list(each[-1])
    for i in range(len(op.regions) - 2, -1, -1):
        takes = op.prim.takes(b, operands[0], i)  # type: ignore[attr-defined]
        chosen = [bodies.select(takes, x, y) for x, y in zip(each[i], chosen, strict=True)]
    return chosen, outs


def index_takes(b: Any, index: Value, i: int) -> Value:
    """Whether an index, clamped into range, chooses region `i` or, as is known of all before, none with a lower number."""
    return b.le(index, b.constant(i, type=TensorType(DType(index.type.dtype), index.type.shape)))
