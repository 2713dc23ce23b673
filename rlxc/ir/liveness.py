"""What a result depends on: through ops, and inside the bodies of control flow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rlxc.ir.core import Func, Op, Value


def live_ops(ops: Sequence[Op], results: Iterable[Value]) -> list[Op]:
    """The ops that `results` depend on, or that have an effect, in their order; control flow without what nobody asks of it."""
    wanted = set(results)
    kept = []
    for op in reversed(ops):
        if not op.prim.has_effect and wanted.isdisjoint(op.results):
            continue
        if op.prim.control:
            op = op.prim.prune_regions(op, wanted)
        kept.append(op)
        wanted.update(op.operands)
        if op.prim.control:
            continue  # its regions take nothing else from here
        for region in op.regions:
            wanted.update(region.results)
            for inner in region.walk():
                wanted.update(inner.operands)
                for r in inner.regions:
                    wanted.update(r.results)
    kept.reverse()
    return kept


def live_region(region: Func) -> Func:
    """A region that takes nothing from outside, without the ops that its results do not depend on."""
    ops = live_ops(region.ops, region.results)
    same = len(ops) == len(region.ops) and all(x is y for x, y in zip(ops, region.ops, strict=True))
    return region if same else region.with_(ops=tuple(ops))


def needed(region: Func, wanted: Iterable[Value], follows: Mapping[Value, Value] | None = None) -> set[Value]:
    """All values that the `wanted` ones depend on; an argument in `follows` depends on what comes in its place the next time."""
    follows = follows or {}
    maker = {v: op for op in region.ops for v in op.results}
    found: set[Value] = set()
    stack = list(wanted)
    while stack:
        v = stack.pop()
        if v in found:
            continue
        found.add(v)
        if v in follows:
            stack.append(follows[v])
        op = maker.get(v)
        if op is not None:
            stack += op.operands
    return found


def depends(region: Func, flags: Sequence[bool]) -> list[bool]:
    """Which results depend on the arguments with a flag, or may. Regions nest only as deep as loops do."""
    found = {a for a, flag in zip(region.args, flags, strict=True) if flag}
    for op in region.ops:
        if found.isdisjoint(op.operands):
            continue
        if op.prim.control and not op.prim.wraps:
            outs = op.prim.active_regions(op, [v in found for v in op.operands], depends)
            found.update(v for v, out in zip(op.results, outs, strict=True) if out)
        else:
            found.update(op.results)
    return [v in found for v in region.results]
