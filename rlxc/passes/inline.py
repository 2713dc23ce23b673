"""Inline: calls replaced by what they call."""

from __future__ import annotations

from collections.abc import Sequence

from rlxc.errors import PassError
from rlxc.ir.builder import Builder
from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func, Module, Value
from rlxc.passes.dims import match_dims, named_dims, substitute
from rlxc.passes.manager import module_pass

MAX_OPS = 1_000_000  # of one function; each level of calls may multiply it


@module_pass("inline")
def inline(module: Module) -> Module:
    """Put the body of the callee in place of each call.

    func @g(%x: f32[]) -> f32[] { ... }
    %y = call @g(%x) : f32[]                 =>     the ops of @g, with %x for its argument
    """
    return Module(tuple(inline_calls(f) if f.kind == "func" else f for f in module))


def inline_calls(func: Func) -> Func:
    """`func` without calls; callees come from its module. Callees are inlined first, iteratively; recursion is an error."""
    if not any(callee_of(op) is not None for op in func.ops):
        return func
    module = func.as_module()
    done: dict[str, Func] = {}
    stack = [func]
    while stack:
        current = stack[-1]
        waiting = [n for n in dict.fromkeys(filter(None, map(callee_of, current.ops))) if n not in done]
        if not waiting:
            done[current.name] = _splice(current, done)
            stack.pop()
            continue
        for name in waiting:
            if any(f.name == name for f in stack):
                raise PassError(f"@{name} calls itself", code="RLX0404", loc=module[name].loc, help="recursion is not supported")
        stack.append(module[waiting[0]])
    return done[func.name]


def _splice(func: Func, done: dict[str, Func]) -> Func:
    b = Builder()
    env: dict[Value, Value] = {}
    for op in func.ops:
        name = callee_of(op)
        if name is None:
            b.rebuild(op, env)
            continue
        if len(b.ops) + len(done[name].ops) > MAX_OPS:
            raise PassError(f"@{func.name} has more than {MAX_OPS} ops once its calls are inlined", code="RLX0407", loc=op.loc)
        operands = [env.get(v, v) for v in op.operands]
        body = _with_dims_of(done[name], operands)
        inner = dict(zip(body.args, operands, strict=True))
        for callee_op in body.ops:
            b.rebuild(callee_op, inner)
        env.update(zip(op.results, (inner.get(v, v) for v in body.results), strict=True))
    return func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))


def _with_dims_of(callee: Func, operands: Sequence[Value]) -> Func:
    """The callee with its named dimensions replaced by what they are in the caller."""
    if not named_dims(callee):
        return callee
    return substitute(callee, match_dims(callee, [v.type.shape for v in operands]))
