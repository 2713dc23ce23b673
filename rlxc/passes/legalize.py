"""Legalize: ask each op for its legal form."""

from __future__ import annotations

from rlxc.errors import Error, RuleError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.passes.bodies import with_bodies
from rlxc.passes.expand import expand, keep_names
from rlxc.passes.manager import func_pass


@func_pass("legalize")
def legalize(func: Func) -> Func:
    """Put each op into the form that later passes accept: broadcasts explicit, composites taken apart, arithmetic of narrow floats in f32.

    %y = add %x, %bias : f32[2, 3]        %0 = broadcast %bias {shape = [2, 3], axes = [0]} : f32[2, 3]
                                     =>   %y = add %x, %0 : f32[2, 3]

    It runs before differentiation, so that no derivative rule knows of broadcasting.
    """
    out = Builder()
    env: dict[Value, Value] = {}

    def visit(op: Op, b: Builder) -> tuple[Value, ...] | None:
        op = with_bodies(op, legalize.on_func)  # type: ignore[attr-defined]
        operands = tuple(env.get(v, v) for v in op.operands)
        if op.regions:
            legal = op.prim.legalize_regions(b, operands, op.regions, **op.attrs)
        else:
            try:
                legal = op.prim.ask("legalize", b, *operands, **op.attrs)
            except Error as error:
                raise error.at(op.loc) from error.__cause__
        if legal is None:
            out.rebuild(op, env) if operands != op.operands else out.insert(op)
            return None
        results = legal if isinstance(legal, tuple) else (legal,)
        _check(op, results)
        keep_names(op, results, b.ops)
        return results

    for op in func.ops:
        expand(op, env, visit, "legalize")
    return func.with_(ops=tuple(out.ops), results=tuple(env.get(v, v) for v in func.results))


def _check(op: Op, results: tuple[Value, ...]) -> None:
    if [getattr(v, "type", v) for v in results] != [v.type for v in op.results]:
        want, got = (", ".join(str(getattr(v, "type", v)) for v in vs) for vs in (op.results, results))
        raise RuleError(f"{op.prim.name}: its legalize rule gave {got}, not {want}", loc=op.loc)
