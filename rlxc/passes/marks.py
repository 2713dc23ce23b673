"""Marks of linear values: a function without them, for where tangents are values like any other."""

from __future__ import annotations

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value


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
