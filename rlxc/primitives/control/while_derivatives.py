"""Derivatives of while: forward mode always, and reverse mode where a bound on the steps is known.

With `bound = N` the loop is differentiated as a scan over blocks of steps, each a `cond` that does nothing once the condition has failed: what
the steps need backwards is stacked, for N steps. Blocks that nobody needs are skipped as a whole.

Without a bound, the linear part is a loop that carries primal values and tangents together. It has no transpose. In `jvp` it stands for the
loop itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rlxc.errors import DifferentiationError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.liveness import depends
from rlxc.ir.primitive import lookup
from rlxc.ir.types import DType, TensorType
from rlxc.primitives.control.base import splice
from rlxc.primitives.control.linear import RegionBuilder, fixpoint, linear_op

ONE_BLOCK = 64  # steps; a longer loop is cut into blocks of the square root of its length
COUNT = TensorType(DType("i64"))


def carry_flags(op: Op, flags: Sequence[bool], outcome: Any) -> list[bool]:
    _, body = op.regions
    consts = op.attrs["consts"]
    before = list(flags[:consts])
    return [*before, *fixpoint(flags[consts:], lambda now: outcome(body, [*before, *now]))]


def active(op: Op, flags: Sequence[bool], active_results: Any) -> list[bool]:
    whole = carry_flags(op, flags, active_results)
    if active_results(op.regions[0], whole)[0]:
        return [True] * len(op.results)
    return whole[op.attrs["consts"] :]


def linearize(d: Any, op: Op, tangents: Sequence[Value | None]) -> list[Value | None]:
    if op.attrs["bound"]:
        b = Builder()
        b.loc = op.loc
        return d.visit_instead(op, b.ops, as_scan(b, op))
    condition, body = op.regions
    consts = op.attrs["consts"]
    flags = carry_flags(op, [t is not None for t in tangents], d.active)
    halves = d.linearize(body, flags)
    d.b.insert(op)
    linear_consts = [i for i in range(consts) if flags[i]]
    linear_carries = [i for i in range(consts, len(flags)) if flags[i]]
    if not linear_carries:
        return [None] * len(op.results)
    tangent = dict(zip((i for i, flag in enumerate(flags) if flag), halves.tangents_in, strict=True))
    regions = []
    for region in (condition, body):
        r = RegionBuilder()
        r.take(region.args[:consts])
        r.take([tangent[i] for i in linear_consts], linear=True)
        r.take(region.args[consts:])
        r.take([tangent[i] for i in linear_carries], linear=True)
        if region is condition:
            r.copy(condition.ops)
            regions.append(r.region([r.env.get(v, v) for v in condition.results]))
        else:
            r.copy((*halves.primal_ops, *halves.linear_ops))
            outs = [r.result(halves.tangents_out[i - consts], op.results[i - consts]) for i in linear_carries]
            regions.append(r.region([*(r.env.get(v, v) for v in body.results), *outs]))
    b = d.b
    operands: list[Any] = [
        *op.operands[:consts],
        *(tangents[i] for i in linear_consts),
        *op.operands[consts:],
        *(b.zeros(op.operands[i].type) if tangents[i] is None else tangents[i] for i in linear_carries),
    ]
    attrs = dict(op.attrs) | {"consts": consts + len(linear_consts)}
    results = linear_op(b, op, operands, attrs, regions)
    d.again[op] = d.b.linear_ops[-1]
    found = dict(zip(linear_carries, results[len(op.results) :], strict=True))
    return [found.get(consts + j) for j in range(len(op.results))]


def transpose(b: Any, op: Op, cts: Sequence[Value | None], transpose_ops: Any) -> list[Value | None]:
    raise DifferentiationError(
        "while: reverse-mode derivatives need to know how many steps there are at most",
        code="RLX0308",
        loc=op.loc,
        help="write `bound = N` if there are never more than N steps; or use `scan`, if their number is known; forward mode (jvp) needs neither",
    )


def separate(b: Builder, op: Op, plan: Any) -> list[Value] | None:
    """A loop with a bound as a scan, which can be taken apart."""
    return as_scan(b, op) if op.attrs["bound"] else None


def as_scan(b: Builder, op: Op) -> list[Value]:
    """The loop as a scan over blocks of steps; the last carries."""
    consts, bound = op.attrs["consts"], op.attrs["bound"]
    block = bound if bound <= ONE_BLOCK else math.isqrt(bound - 1) + 1
    fixed, carried = op.operands[:consts], op.operands[consts:]
    start = [b.constant(0, type=COUNT), *carried]
    if block == bound:
        return _scan(b, op, fixed, start, bound, _step(op))[1:]
    return _scan(b, op, fixed, start, -(-bound // block), _guarded(op, _block(op, block)))[1:]


def _scan(b: Builder, op: Op, fixed: Sequence[Value], carried: Sequence[Value], length: int, body: Func) -> list[Value]:
    attrs = {"consts": len(fixed), "carries": len(carried), "length": length, "reverse": False, "checkpoint": 0}
    return list(b.with_regions(lookup("scan"), [*fixed, *carried], attrs, (body,)))


def _arguments(op: Op) -> tuple[list[Value], list[Value]]:
    """Fresh arguments: the consts; a count of steps and the carries."""
    consts = op.attrs["consts"]
    args = op.regions[1].args
    return [a.like() for a in args[:consts]], [Value(COUNT, "step"), *(a.like() for a in args[consts:])]


def _step(op: Op) -> Func:
    """One step, if the condition holds and the bound is not reached."""
    fixed, carried = _arguments(op)
    b = Builder()
    b.loc = op.loc
    values = splice(b, op.regions[1], [*fixed, *carried[1:]])
    count = b.add(carried[0], 1)
    return _guarded(op, Func("", (*fixed, *carried), tuple(b.ops), (count, *values), kind="region", loc=op.loc))


def _block(op: Op, length: int) -> Func:
    """Several steps."""
    fixed, carried = _arguments(op)
    b = Builder()
    b.loc = op.loc
    values = _scan(b, op, fixed, carried, length, _step(op))
    return Func("", (*fixed, *carried), tuple(b.ops), tuple(values), kind="region", loc=op.loc)


def _guarded(op: Op, region: Func) -> Func:
    """What `region` computes, if the loop goes on; else the carries as they are."""
    fixed, carried = _arguments(op)
    b = Builder()
    b.loc = op.loc
    (holds,) = splice(b, op.regions[0], [*fixed, *carried[1:]])
    goes_on = b.and_(holds, b.lt(carried[0], op.attrs["bound"]))
    args = [*(v.like() for v in fixed), *(v.like() for v in carried)]
    stays = Func("", tuple(args), (), tuple(args[len(fixed) :]), kind="region", loc=op.loc)
    results = b.with_regions(lookup("cond"), [goes_on, *fixed, *carried], {}, (region, stays))
    return Func("", (*fixed, *carried), tuple(b.ops), results, kind="region", loc=op.loc)


def states(op: Op, operands: Sequence[Any], follow: Any) -> tuple[list[Any], str | None]:
    condition, body = op.regions
    consts = op.attrs["consts"]
    carried = list(operands[consts:])
    while True:
        outs = follow(body, [*operands[:consts], *carried])
        joined = [follow.join(a, out) for a, out in zip(carried, outs, strict=True)]
        if None in joined:
            name = body.args[consts + joined.index(None)].name or "?"
            return outs, f"%{name} is carried as a constant at one time, and as a linear value at another"
        if joined == carried:
            break
        carried = joined
    if follow(condition, [*operands[:consts], *carried])[0] is follow.LINEAR:
        return carried, "its condition is no constant"
    return carried, None


def batch(b: Any, op: Op, operands: Sequence[Value], batched: Sequence[bool], bodies: Any) -> tuple[list[Value], list[bool]]:
    """All examples go on until the last is done; those that are done before keep what they have."""
    condition, body = op.regions
    consts = op.attrs["consts"]
    flags = carry_flags(op, batched, depends)
    if not depends(condition, flags)[0]:
        given = [bodies.repeat(x) if wanted and not has else x for x, has, wanted in zip(operands, batched, flags, strict=True)]
        regions = (bodies.batch(condition, flags, [False]), bodies.batch(body, flags, flags[consts:]))
        results = b.with_regions(op.prim, given, dict(op.attrs), regions)
        for v, old in zip(results, op.results, strict=True):
            v.linear = v.linear or old.linear
        return list(results), flags[consts:]
    flags = [*flags[:consts], *[True] * len(op.results)]
    given = [bodies.repeat(x) if wanted and not has else x for x, has, wanted in zip(operands, batched, flags, strict=True)]
    holds = bodies.batch(condition, flags, [True])
    step = bodies.batch(body, flags, flags[consts:])
    (going,) = bodies.splice(holds, given)
    regions = (_any_goes_on(op, holds), _masked(op, holds, step, bodies))
    results = b.with_regions(op.prim, [*given[:consts], going, *given[consts:]], dict(op.attrs), regions)[1:]
    for v, old in zip(results, op.results, strict=True):
        v.linear = v.linear or old.linear
    return list(results), [True] * len(op.results)


def _with_mask(op: Op, holds: Func) -> tuple[list[Value], Value, list[Value]]:
    consts = op.attrs["consts"]
    return [a.like() for a in holds.args[:consts]], holds.results[0].like(name="going", linear=False), [a.like() for a in holds.args[consts:]]


def _any_goes_on(op: Op, holds: Func) -> Func:
    fixed, going, carried = _with_mask(op, holds)
    b = Builder()
    b.loc = op.loc
    some = b.reduce_any(going, axes=(0,))
    return Func("", (*fixed, going, *carried), tuple(b.ops), (some,), kind="region", loc=op.loc)


def _masked(op: Op, holds: Func, step: Func, bodies: Any) -> Func:
    """A step of the examples that go on; which go on after it."""
    fixed, going, carried = _with_mask(op, holds)
    inner = bodies.inside(op)
    new = inner.splice(step, [*fixed, *carried])
    kept = [inner.select(going, x, y) for x, y in zip(new, carried, strict=True)]
    (more,) = inner.splice(holds, [*fixed, *kept])
    more = inner.b.and_(going, more)
    return Func("", (*fixed, going, *carried), tuple(inner.b.ops), (more, *kept), kind="region", loc=op.loc)
