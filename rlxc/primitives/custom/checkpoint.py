"""Checkpoint: a function of which a backward pass keeps little, and computes it again.

    %y = checkpoint %x do (%a) { %h = sin %a  %o = exp %h  yield %o }

Its linear part is a checkpoint too: it takes what is kept (the arguments, unless the policy keeps more), runs again what it needs, and then
the linear ops. So does its transpose. Nothing merges what is computed again with what was computed before: it has regions of its own, and
where those are put in place (before native code is made), what is kept goes through a `barrier`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from rlxc.errors import AttrError
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.liveness import depends, live_ops, live_region, needed
from rlxc.ir.primitive import register
from rlxc.primitives.control.base import prune, splice, unused
from rlxc.primitives.control.linear import RegionBuilder, linear_op, reached, transposed
from rlxc.primitives.custom import samples
from rlxc.primitives.custom.base import Wrapper

Policy = Literal["recompute", "save", "contractions", "named"]
POLICIES: tuple[str, ...] = get_args(Policy)


@register
class Checkpoint(Wrapper):
    """The results of the region. `policy` says what of it a backward pass keeps: nothing but the operands (`recompute`), the results of contractions
    and convolutions, those of `named` ops (whose name is among `names`, if there are any), or all that it needs (`save`).

        %y = checkpoint %x {policy = "contractions"} do (%a: f64[3]) {
          %h = sin %a : f64[3]
          yield %h
        } : f64[3]

    `again` is set by differentiation: so many of the first operands are what was kept, from which the region computes again.
    """

    name = "checkpoint"
    samples = samples.CHECKPOINT

    def infer(self, *operands, policy: Policy = "recompute", names: tuple[str, ...] = (), again: int = 0):
        return super().infer(*operands)

    def infer_regions(self, types, regions, attrs):
        if not 0 <= attrs["again"] <= len(types):
            raise AttrError(f"checkpoint: again = {attrs['again']} of {len(types)} operands")
        return super().infer_regions(types, regions, attrs)

    def unwrap(self, b, op, operands):
        again = op.attrs["again"]
        return splice(b, op.regions[0], [*(b.barrier(v) for v in operands[:again]), *operands[again:]])

    def prune_regions(self, op: Op, wanted: set) -> Op:
        (body,) = op.regions
        kept = [i for i, v in enumerate(op.results) if v in wanted]
        body = body.with_(results=tuple(body.results[i] for i in kept))
        dropped = unused(body)
        again = op.attrs["again"]
        attrs = dict(op.attrs) | {"again": again - sum(i < again for i in dropped)}
        return prune(op, attrs, [body], kept, dropped)

    def fold_regions(self, b, operands, regions, **attrs):
        """Results that are operands, or other results."""
        (body,) = regions
        given = dict(zip(body.args, operands, strict=True))
        new = [v for v in dict.fromkeys(body.results) if v not in given]
        if len(new) == len(body.results):
            return None
        if new:
            given |= dict(zip(new, b.with_regions(self, operands, attrs, (body.with_(results=tuple(new)),)), strict=True))
        return tuple(given[v] for v in body.results)

    def linearize_regions(self, d, op, tangents):
        return linearize(d, op, op.regions[0], tangents)

    def transpose_regions(self, b, op, cts, transpose_ops):
        return transpose(b, op, cts, transpose_ops)

    def linear_states(self, op, states, follow):
        return follow(op.regions[0], states), None

    def batch_regions(self, b, op, operands, batched, bodies):
        (body,) = op.regions
        outs = depends(body, batched)
        results = b.with_regions(self, operands, dict(op.attrs), (bodies.batch(body, batched, outs),))
        for v, old in zip(results, op.results, strict=True):
            v.linear = v.linear or old.linear
        return results, outs


def linearize(d: Any, op: Op, body: Func, tangents: Sequence[Value | None]) -> list[Value | None]:
    """Emit a checkpoint that also gives what the policy keeps, and a linear one that computes the rest again."""
    prim, b = op.prim, d.b
    flags = [t is not None for t in tangents]
    halves = d.linearize(body, flags)
    residuals = halves.residuals()
    if op.attrs["policy"] == "save":
        plan = d.plan(halves.primal_ops, residuals, {*body.args, *body.results})
        read, kept, again = plan.read, plan.kept, plan.again
    else:
        read, kept, again = _replay(halves.primal_ops, residuals, body, _kept(op, halves.primal_ops))
    stores = [v.like(loc=op.loc) for v in kept]
    primal = live_region(body.with_(ops=halves.primal_ops, results=(*body.results, *kept)))
    b.insert(Op(prim, op.operands, op.attrs, (*op.results, *stores), (primal,), op.loc))
    outs = [j for j, t in enumerate(halves.tangents_out) if t is not None]
    if not outs:
        return [None] * len(op.results)
    outer = dict(zip((*body.results, *kept), (*op.results, *stores), strict=True)) | dict(zip(body.args, op.operands, strict=True))
    r = RegionBuilder()
    r.take([*read, *kept])
    r.take(halves.tangents_in, linear=True)
    r.copy((*again, *halves.linear_ops))
    region = r.region([r.env[halves.tangents_out[j]] for j in outs])
    operands = [*(outer[v] for v in (*read, *kept)), *(t for t in tangents if t is not None)]
    attrs = dict(op.attrs) | {"again": len(operands) - sum(flags)}
    found = dict(zip(outs, linear_op(b, op, operands, attrs, [region]), strict=True))
    return [found.get(j) for j in range(len(op.results))]


def _kept(op: Op, ops: Sequence[Op]) -> set[Value]:
    """What the policy allows to keep."""
    policy, names = op.attrs["policy"], op.attrs["names"]
    if policy == "contractions":
        return {v for o in ops if o.prim.contraction for v in o.results}
    if policy == "named":
        return {v for o in ops if o.prim.name == "named" and (not names or o.attrs["name"] in names) for v in o.results}
    return set()


def _replay(ops: Sequence[Op], wanted: Sequence[Value], body: Func, may_keep: set[Value]) -> tuple[list[Value], list[Value], list[Op]]:
    """The arguments and the kept values from which the `wanted` ones are computed again, and the ops that do it."""
    later = [o for o in ops if may_keep.isdisjoint(o.results)]
    again = live_ops(later, wanted)
    used = needed(body.with_(ops=tuple(again)), wanted)
    return [a for a in body.args if a in used], [v for o in ops for v in o.results if v in may_keep and v in used], again


def transpose(b: Any, op: Op, cts: Sequence[Value | None], transpose_ops: Any) -> list[Value | None]:
    """The region backwards: what it computes again, and then the cotangents of its linear arguments."""
    (body,) = op.regions
    asked = [j for j, ct in enumerate(cts) if ct is not None]
    is_linear = any(ct.linear for ct in cts if ct is not None)
    reach = reached(body, [body.results[j] for j in asked])
    wanted = [i for i, a in enumerate(body.args) if a in reach]
    if not wanted:
        return [None] * len(op.operands)
    fixed = [i for i, a in enumerate(body.args) if not a.linear]
    region = transposed(body, wanted, asked, is_linear, transpose_ops)
    operands: list[Any] = [*(op.operands[i] for i in fixed), *(cts[j] for j in asked)]
    found = dict(zip(wanted, linear_op(b, op, operands, dict(op.attrs) | {"again": len(fixed)}, [region], is_linear), strict=True))
    return [found.get(i) for i in range(len(op.operands))]
