"""Arrays that every step reads in another order than they lie are put into that order once, before the loop."""

from __future__ import annotations

from rlxc.ir.builder import Builder
from rlxc.ir.core import Op, Value
from rlxc.primitives.control.folds import Parts

FEW = 4  # steps for which it is not worth it


def put_in_order(b: Builder, op: Op) -> Op:
    """`op` with consts that are transposed before it (emitted to `b`), for what its body asks for by `read_order`."""
    parts, (body,) = Parts.of(op), op.regions
    if op.attrs["length"] < FEW:
        return op
    consts = dict(zip(parts.const_args, parts.consts, strict=True))
    inner = Builder()
    turned: dict[tuple[Value, tuple[int, ...]], Value] = {}  # arguments, by what they are a transposition of
    env: dict[Value, Value] = {a: a.like() for a in body.args}
    for o in body.ops:
        orders = {i: order for i, v in enumerate(o.operands) if v in consts and (order := _order(o, i)) is not None}
        if not orders:
            inner.rebuild(o, env)
            continue
        operands, attrs = [env.get(v, v) for v in o.operands], dict(o.attrs)
        for i, order in orders.items():
            key = (o.operands[i], order)
            if key not in turned:
                shape = o.operands[i].type.shape
                turned[key] = Value(o.operands[i].type.with_shape(shape[a] for a in order), o.operands[i].name, loc=o.loc)
            operands[i] = turned[key]
            attrs = o.prim.with_order(i, order, **attrs)
        made = inner.emit(o.prim, operands, attrs, names=[v.name for v in o.results], loc=o.loc)
        env.update(zip(o.results, made.results, strict=True))
    if not turned:
        return op
    b.loc = op.loc
    given = [b.transpose(consts[v], perm=order) for v, order in turned]
    args = (*(env[a] for a in parts.const_args), *turned.values(), *(env[a] for a in body.args[len(parts.consts) :]))
    region = body.with_(args=args, ops=tuple(inner.ops), results=tuple(env.get(v, v) for v in body.results))
    operands = [*parts.consts, *given, *op.operands[len(parts.consts) :]]
    return Op(op.prim, tuple(operands), dict(op.attrs) | {"consts": len(parts.consts) + len(given)}, op.results, (region,), op.loc)


def _order(op: Op, position: int) -> tuple[int, ...] | None:
    return None if op.regions else op.prim.read_order(position, [v.type for v in op.operands], **op.attrs)
