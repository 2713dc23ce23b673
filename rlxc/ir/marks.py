"""Marks of linear values: a function without them, for where tangents are values like any other; and one with them."""

from __future__ import annotations

from collections.abc import Sequence

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.liveness import depends


def unmarked(func: Func) -> Func:
    """`func` with no value marked linear: the same program, which can be differentiated again."""
    if not func.is_linear and not any(v.linear for op in func.walk() for v in op.results):
        return func
    return _unmarked_region(func, {}).with_(module=None)


def rebuild_unmarked(b: Builder, op: Op, env: dict[Value, Value]) -> None:
    """Emit `op` again with operands looked up in `env`, no result of it marked linear; its results are bound in `env`."""
    operands = tuple([env.get(v, v) for v in op.operands])
    regions = tuple([_unmarked_region(r, env) for r in op.regions])
    results = tuple([v.like(linear=False) for v in op.results])
    env.update(zip(op.results, results, strict=True))
    b.insert(Op(op.prim, operands, op.attrs, results, regions, op.loc))


def _unmarked_region(region: Func, env: dict[Value, Value]) -> Func:
    """Regions nest only as deep as loops do, so recursion is safe here."""
    args = tuple(a.like(linear=False) for a in region.args)
    env.update(zip(region.args, args, strict=True))
    inner = Builder()
    for op in region.ops:
        rebuild_unmarked(inner, op, env)
    return region.with_(args=args, ops=tuple(inner.ops), results=tuple(env.get(v, v) for v in region.results))


def marked(func: Func, chosen: Sequence[Value]) -> Func:
    """`func` with the arguments `chosen` marked linear, and with them all that depends on them; whether it is linear is not checked."""
    return _marked_region(func, [a in chosen for a in func.args], {})


def _marked_region(region: Func, flags: Sequence[bool], env: dict[Value, Value]) -> Func:
    args = tuple(a.like(linear=flag, param=a.param and not flag) for a, flag in zip(region.args, flags, strict=True))
    env.update(zip(region.args, args, strict=True))
    inner = Builder()
    for op in region.ops:
        _rebuild_marked(inner, op, env)
    return region.with_(args=args, ops=tuple(inner.ops), results=tuple(env.get(v, v) for v in region.results))


def _rebuild_marked(b: Builder, op: Op, env: dict[Value, Value]) -> None:
    if not op.prim.control:
        b.rebuild(op, env)
        return
    operands = tuple([env.get(v, v) for v in op.operands])
    flags = [v.linear for v in operands]
    each = op.prim.argument_flags(op, flags, depends) if any(flags) else [[False] * len(r.args) for r in op.regions]
    regions = tuple([_marked_region(r, f, env) for r, f in zip(op.regions, each, strict=True)])
    yields = [r.results for r in regions if len(r.results) == len(op.results)]
    results = tuple([v.like(linear=v.linear or any(values[i].linear for values in yields)) for i, v in enumerate(op.results)])
    env.update(zip(op.results, results, strict=True))
    b.insert(Op(op.prim, operands, op.attrs, results, regions, op.loc))
