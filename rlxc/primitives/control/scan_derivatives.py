"""Derivatives of scan: a loop that keeps what its linear part needs, the linear loop, and that loop backwards.

    %last, %ys = scan %w, %c, %x                      %last, %ys, %r = scan ...            also stacks the residuals %r
                                         linearize    %dlast, %dys = scan %w, %dw, %dc, %x, %r, %dx          (linear in %dw, %dc, %dx)
                                         transpose    %ctw, %ctc, %ctx = scan {reverse} %w, (0, %ctlast), %x, %r, %ctys

What the linear part needs is passed to it as it is where it is a const or an element of some xs or ys; computed once, before the loop, where
it depends on consts alone; computed again where that is cheap; stacked otherwise. Cotangents of consts are summed in a carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.errors import Unsupported
from rlxc.ir.builder import Builder
from rlxc.ir.core import Op, Value
from rlxc.ir.liveness import depends, live_ops, live_region
from rlxc.primitives.control.base import stacked_type
from rlxc.primitives.control.linear import RegionBuilder, fixpoint, is_linear_op, linear_op, reached
from rlxc.primitives.control.segments import in_segments


def carry_flags(op: Op, flags: Sequence[bool], outcome: Any) -> list[bool]:
    """Flags of all operands, once those of the carries are as `outcome(body, flags)` has them after any number of steps."""
    (body,) = op.regions
    consts, carries = op.attrs["consts"], op.attrs["carries"]
    before, carried, after = flags[:consts], flags[consts : consts + carries], flags[consts + carries :]
    carried = fixpoint(carried, lambda now: outcome(body, [*before, *now, *after])[:carries])
    return [*before, *carried, *after]


def active(op: Op, flags: Sequence[bool], active_results: Any) -> list[bool]:
    whole = carry_flags(op, flags, active_results)
    consts, carries = op.attrs["consts"], op.attrs["carries"]
    outs = active_results(op.regions[0], whole)
    return [*whole[consts : consts + carries], *outs[carries:]]


def linearize(d: Any, op: Op, tangents: Sequence[Value | None]) -> list[Value | None]:
    (body,) = op.regions
    if op.attrs["checkpoint"] and op.attrs["length"] != 0:
        b = Builder()
        b.loc = op.loc
        return d.visit_instead(op, b.ops, in_segments(b, op))
    flags = carry_flags(op, [t is not None for t in tangents], d.active)
    return _loops(d.b, d.plan, op, flags, tangents, d.linearize(body, flags))


def separate(b: Any, op: Op, plan: Any) -> list[Value]:
    """A loop over linear and other values as two loops."""
    (body,) = op.regions
    linear_ops = tuple(o for o in body.ops if is_linear_op(o))
    own = {v for o in linear_ops for v in o.results} | {a for a in body.args if a.linear}
    halves = Halves(
        tuple(o for o in body.ops if not is_linear_op(o)),
        linear_ops,
        tuple(a for a in body.args if a.linear),
        tuple(v if v.linear else None for v in body.results),
        tuple(dict.fromkeys(v for o in linear_ops for v in o.operands if v not in own)),
    )
    flags = [a.linear for a in body.args]
    given = [v if flag else None for v, flag in zip(op.operands, flags, strict=True)]
    outs = _loops(b, plan, op, flags, given, halves)
    return [v if not v.linear else b.zeros(v.type) if out is None else out for v, out in zip(op.results, outs, strict=True)]


@dataclass(frozen=True, slots=True)
class Halves:
    """A body in two, as linearize gives it."""

    primal_ops: tuple[Op, ...]
    linear_ops: tuple[Op, ...]
    tangents_in: tuple[Value, ...]
    tangents_out: tuple[Value | None, ...]
    needs: tuple[Value, ...]

    def residuals(self) -> tuple[Value, ...]:
        return self.needs


def _loops(b: Any, planner: Any, op: Op, flags: Sequence[bool], tangents: Sequence[Value | None], halves: Any) -> list[Value | None]:
    """Emit the loop with what its linear part needs, and the linear one; tangents of the results."""
    (body,) = op.regions
    consts, carries = op.attrs["consts"], op.attrs["carries"]
    first = consts + carries
    invariant = _invariant(halves.primal_ops, body.args[:consts])
    ys = body.results[carries:]
    exists = {*body.args[:consts], *body.args[first:], *(v for v, o in invariant.items() if o.operands), *(v for v in ys if not v.linear)}
    plan = planner(halves.primal_ops, halves.residuals(), exists)
    outer = dict(zip((*body.args[:consts], *body.args[first:]), (*op.operands[:consts], *op.operands[first:]), strict=True))
    hoisted = _hoist(b, plan.read, invariant, outer)
    for y, stack in zip(ys, op.results[carries:], strict=True):
        outer.setdefault(y, stack)
    outer |= _primal(b, op, halves.primal_ops, hoisted, outer, plan.kept)
    same = [v for v in plan.read if v in body.args[:consts] or v in hoisted]
    stacked = [v for v in plan.read if v not in same] + plan.kept
    return _linear(b, op, flags, tangents, halves, plan.again, [(v, outer[v]) for v in same], [(v, outer[v]) for v in stacked])


def _invariant(ops: Sequence[Op], consts: Sequence[Value]) -> dict[Value, Op]:
    """Values that are the same in each step, and the ops that make them."""
    same = set(consts)
    found: dict[Value, Op] = {}
    for op in ops:
        if all(v in same for v in op.operands) and not op.prim.has_effect:
            same.update(op.results)
            found.update(dict.fromkeys(op.results, op))
    return found


def _hoist(b: Any, read: Sequence[Value], invariant: dict[Value, Op], outer: dict[Value, Value]) -> list[Value]:
    """Compute before the loop what of `read` is the same in each step; `outer` is told what stands for it."""
    hoisted = list(dict.fromkeys(v for w in read if w in invariant for v in invariant[w].results))
    env = dict(outer)
    for op in live_ops(list(dict.fromkeys(invariant.values())), hoisted):
        b.rebuild(op, env)
    outer |= {v: env[v] for v in hoisted}
    return hoisted


def _primal(b: Any, op: Op, ops: Sequence[Op], hoisted: list[Value], outer: dict[Value, Value], kept: list[Value]) -> dict[Value, Value]:
    """Emit the loop with the results that it has, and stacks of what is kept; those stacks."""
    (body,) = op.regions
    consts, length = op.attrs["consts"], op.attrs["length"]
    args = (*body.args[:consts], *hoisted, *body.args[consts:])
    rest = tuple(o for o in ops if not any(v in hoisted for v in o.results))
    stacks = [Value(stacked_type(v.type, length), v.name, loc=op.loc) for v in kept]
    linear = tuple(o for o in body.ops if is_linear_op(o))  # if it is a loop that is taken apart
    region = live_region(body.with_(args=args, ops=(*rest, *linear), results=(*body.results, *kept)))
    operands = (*op.operands[:consts], *(outer[v] for v in hoisted), *op.operands[consts:])
    attrs = dict(op.attrs) | {"consts": consts + len(hoisted)}
    whole = Op(op.prim, operands, attrs, (*op.results, *stacks), (region,), op.loc)
    b.insert(op.prim.prune_regions(whole, {v for v in whole.results if not v.linear}) if linear else whole)
    return dict(zip(kept, stacks, strict=True))


def _linear(b: Any, op: Op, flags: Sequence[bool], tangents: Any, halves: Any, again: Any, same: Any, stacked: Any) -> list[Value | None]:
    """Emit the linear loop; `same` and `stacked` are values of the body with what stands for them outside."""
    (body,) = op.regions
    consts, carries = op.attrs["consts"], op.attrs["carries"]
    first = consts + carries
    tangent = dict(zip((i for i, flag in enumerate(flags) if flag), halves.tangents_in, strict=True))
    linear_consts, linear_carries, linear_xs = ([i for i in tangent if lo <= i < hi] for lo, hi in ((0, consts), (consts, first), (first, len(flags))))
    r = RegionBuilder()
    r.take([v for v, _ in same])
    r.take([tangent[i] for i in (*linear_consts, *linear_carries)], linear=True)
    r.take([v for v, _ in stacked])
    r.take([tangent[i] for i in linear_xs], linear=True)
    r.copy((*again, *halves.linear_ops))
    ys = [j for j in range(carries, len(body.results)) if halves.tangents_out[j] is not None]
    outs = [i - consts for i in linear_carries] + ys
    if not outs:
        return [None] * len(op.results)
    region = r.region([r.result(halves.tangents_out[j], body.results[j]) for j in outs])
    carried = [tangents[i] if tangents[i] is not None else b.zeros(op.operands[i].type) for i in linear_carries]
    operands = [*(v for _, v in same), *(tangents[i] for i in linear_consts), *carried, *(v for _, v in stacked), *(tangents[i] for i in linear_xs)]
    attrs = dict(op.attrs) | {"consts": len(same) + len(linear_consts), "carries": len(carried)}
    found = dict(zip(outs, linear_op(b, op, operands, attrs, [region]), strict=True))
    return [found.get(j) for j in range(len(op.results))]


def transpose(b: Any, op: Op, cts: Sequence[Value | None], transpose_ops: Any) -> list[Value | None]:
    (body,) = op.regions
    consts, carries = op.attrs["consts"], op.attrs["carries"]
    first = consts + carries
    if not all(a.linear for a in body.args[consts:first]):
        raise Unsupported("scan: a loop that carries linear and other values at once has no transpose", code="RLX0702", loc=op.loc)
    asked, reach = _reach(op, cts)
    linear_consts = [a for a in body.args[:consts] if a.linear and a in reach]
    linear_xs = [a for a in body.args[first:] if a.linear and a in reach]
    fixed = [i for i, a in enumerate(body.args) if not a.linear]
    ct_carries = [j for j in range(carries) if asked[j]]
    ct_ys = [j for j in range(carries, len(cts)) if asked[j]]
    is_linear = any(ct is not None and ct.linear for ct in cts)
    r = RegionBuilder()
    r.take([body.args[i] for i in fixed if i < consts])
    sums = [r.argument(a, linear=is_linear) for a in linear_consts]
    carried = [r.argument(body.args[consts + j], linear=is_linear) for j in ct_carries]
    r.take([body.args[i] for i in fixed if i >= first])
    inner = dict(zip(ct_carries, carried, strict=True)) | {j: r.argument(body.results[j], linear=is_linear) for j in ct_ys}
    r.copy([o for o in body.ops if not is_linear_op(o)])
    inputs = [*linear_consts, *(body.args[consts + j] for j in ct_carries), *linear_xs]
    outs = transpose_ops(r, r.linear_ops(body), inputs, body.results, [inner.get(j) for j in range(len(cts))], "", dict(zip(linear_consts, sums, strict=True)))
    region = r.region([r.zeros(v.type) if ct is None else ct for v, ct in zip(inputs, outs, strict=True)])
    operands = [
        *(op.operands[i] for i in fixed if i < consts),
        *(b.zeros(a.type) for a in linear_consts),
        *(b.zeros(op.results[j].type) if cts[j] is None else cts[j] for j in ct_carries),
        *(op.operands[i] for i in fixed if i >= first),
        *(cts[j] for j in ct_ys),
    ]
    attrs = dict(op.attrs) | {
        "consts": sum(i < consts for i in fixed),
        "carries": len(sums) + len(carried),
        "reverse": not op.attrs["reverse"],
    }
    found = linear_op(b, op, operands, attrs, [region], is_linear)
    places = [*(body.args.index(a) for a in linear_consts), *(consts + j for j in ct_carries), *(body.args.index(a) for a in linear_xs)]
    whole = dict(zip(places, found, strict=True))
    return [whole.get(i) for i in range(len(op.operands))]


def _reach(op: Op, cts: Sequence[Value | None]) -> tuple[list[bool], set[Value]]:
    """The results that have cotangents once carries have brought them round, and the values of the body from which those come."""
    (body,) = op.regions
    consts, carries = op.attrs["consts"], op.attrs["carries"]
    asked = [ct is not None for ct in cts]

    def step(now: list[bool]) -> list[bool]:
        back = reached(body, [v for v, flag in zip(body.results, now, strict=True) if flag])
        return [a in back for a in body.args[consts : consts + carries]] + [False] * (len(now) - carries)

    asked = fixpoint(asked, step)
    return asked, reached(body, [v for v, flag in zip(body.results, asked, strict=True) if flag])


def states(op: Op, operands: Sequence[Any], follow: Any) -> tuple[list[Any], str | None]:
    """States of the results: those of the carries after any number of steps."""
    (body,) = op.regions
    consts, carries = op.attrs["consts"], op.attrs["carries"]
    first = consts + carries
    carried = list(operands[consts:first])
    while True:
        outs = follow(body, [*operands[:consts], *carried, *operands[first:]])
        joined = [follow.join(a, out) for a, out in zip(carried, outs[:carries], strict=True)]
        if None in joined:
            i = joined.index(None)
            name = body.args[consts + i].name or "?"
            return outs, f"%{name} is carried as a constant at one time, and as a linear value at another"
        if joined == carried:
            return [*carried, *outs[carries:]], None
        carried = joined


def batch(b: Any, op: Op, operands: Sequence[Value], batched: Sequence[bool], bodies: Any) -> tuple[list[Value], list[bool]]:
    (body,) = op.regions
    consts, carries = op.attrs["consts"], op.attrs["carries"]
    first = consts + carries
    flags = carry_flags(op, batched, depends)
    outs = depends(body, flags)
    outs[:carries] = flags[consts:first]
    region = bodies.batch(body, flags, outs)
    given = []
    for i, (x, has, wanted) in enumerate(zip(operands, batched, flags, strict=True)):
        if has and i >= first:
            x = bodies.move(x, 0, 1)
        given.append(bodies.repeat(x) if wanted and not has else x)
    results = list(b.with_regions(op.prim, given, dict(op.attrs), (region,)))
    for v, old in zip(results, op.results, strict=True):
        v.linear = v.linear or old.linear
    return [bodies.move(v, 1, 0) if flag and j >= carries else v for j, (v, flag) in enumerate(zip(results, outs, strict=True))], outs
