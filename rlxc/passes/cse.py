"""Common subexpressions: what was computed before is not computed again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from rlxc.ir.attributes import attrs_key
from rlxc.ir.builder import Builder
from rlxc.ir.canonical import canonical_text
from rlxc.ir.core import Func, Op, Value
from rlxc.passes.bodies import with_bodies
from rlxc.passes.manager import func_pass


@func_pass("cse")
def eliminate_common_subexpressions(func: Func) -> Func:
    """Keep the first of ops that compute the same thing from the same values.

    %0 = add %x, %y : f32[3]
    %1 = add %y, %x : f32[3]             %0 = add %x, %y : f32[3]
    %2 = mul %0, %1 : f32[3]        =>   %2 = mul %0, %0 : f32[3]

    Attributes are compared bit by bit, so 0.0 and -0.0 differ. Ops with effects stay as they are. Control flow is compared with its bodies, in which
    the same is done.
    """
    b = Builder()
    env: dict[Value, Value] = {}
    numbers: dict[Value, int] = {}
    seen: dict[Hashable, Sequence[Value]] = {}
    inside = False  # whether the body of an op changes
    for op in func.ops:
        if op.prim.control:
            old, op = op, with_bodies(op, eliminate_common_subexpressions.on_func)  # type: ignore[attr-defined]
            inside |= op is not old
        operands = tuple([env.get(v, v) for v in op.operands])
        if op.prim.has_effect or (op.regions and not op.prim.control):
            b.rebuild(op, env)
            continue
        key = _key(op, operands, numbers)
        earlier = seen.get(key)
        if earlier is None:
            b.insert(op if operands == op.operands else op.with_operands(operands))
            seen[key] = op.results
        else:
            env.update(zip(op.results, earlier, strict=True))
    if not env and not inside:
        return func
    return func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))


def _key(op: Op, operands: Sequence[Value], numbers: dict[Value, int]) -> Hashable:
    """Equal for ops that compute the same. Values are numbered as they are met, to give operands that may be exchanged an order."""
    at = [numbers.setdefault(v, len(numbers)) for v in operands]
    if op.prim.commutative:
        at.sort()
    linear = bool(op.results) and op.results[0].linear
    bodies = tuple([canonical_text(r) for r in op.regions])
    return (op.prim, *at, attrs_key(op.attrs), linear, bodies)
