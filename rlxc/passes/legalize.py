"""Legalize: ask each op for its legal form."""

from __future__ import annotations

from rlxc.errors import Error, RuleError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.passes.bodies import with_bodies
from rlxc.passes.manager import func_pass

MAX_DEPTH = 64


@func_pass("legalize")
def legalize(func: Func) -> Func:
    """Put each op into the form that later passes accept: broadcasts explicit, composites taken apart, arithmetic of narrow floats in f32.

    %y = add %x, %bias : f32[2, 3]        %0 = broadcast %bias {shape = [2, 3], axes = [0]} : f32[2, 3]
                                     =>   %y = add %x, %0 : f32[2, 3]

    It runs before differentiation, so that no derivative rule knows of broadcasting.
    """
    out = Builder()
    env: dict[Value, Value] = {}
    for op in func.ops:
        _legalize_op(op, out, env)
    return func.with_(ops=tuple(out.ops), results=tuple(env.get(v, v) for v in func.results))


def _legalize_op(op: Op, out: Builder, env: dict[Value, Value]) -> None:
    """Emit the legal form of `op`; what a rule emits is made legal in its turn, iteratively, innermost first."""
    pending = [iter([op])]
    while pending:
        current = next(pending[-1], None)
        if current is None:
            pending.pop()
            continue
        if len(pending) > MAX_DEPTH:
            raise RuleError(f"{op.prim.name}: its legalize rule never comes to an end", loc=op.loc)
        current = with_bodies(current, legalize.on_func)  # type: ignore[attr-defined]
        operands = tuple(env.get(v, v) for v in current.operands)
        scratch = Builder()
        scratch.loc = op.loc
        try:
            if current.regions:
                legal = current.prim.legalize_regions(scratch, operands, current.regions, **current.attrs)
            else:
                legal = current.prim.legalize(scratch, *operands, **current.attrs)
        except Error as error:
            raise error.at(op.loc) from None
        if legal is None:
            out.rebuild(current, env) if operands != current.operands else out.insert(current)
            continue
        results = legal if isinstance(legal, tuple) else (legal,)
        _check(current, results)
        made = {v for o in scratch.ops for v in o.results}
        for old, new in zip(current.results, results, strict=True):
            if new in made and new.name is None:
                new.name = old.name
        # The rule's results are known only once its ops are legal themselves: bind them through the environment.
        pending.append(_then_bind(scratch.ops, current, results, env))


def _then_bind(ops, op, results, env):
    """The ops a rule emitted; when they are used up, the results of `op` become the rule's results."""
    yield from ops
    for old, new in zip(op.results, results, strict=True):
        env[old] = env.get(new, new)


def _check(op: Op, results: tuple[Value, ...]) -> None:
    if [v.type for v in results] != [v.type for v in op.results]:
        want, got = (", ".join(str(v.type) for v in vs) for vs in (op.results, results))
        raise RuleError(f"{op.prim.name}: its legalize rule gave {got}, not {want}", loc=op.loc)
