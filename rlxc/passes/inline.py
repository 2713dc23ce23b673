"""Inline: calls replaced by what they call."""

from __future__ import annotations

from collections.abc import Sequence

from rlxc.errors import PassError
from rlxc.ir.builder import Builder
from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func, Module, Value
from rlxc.passes.bodies import with_bodies
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
    if not any(callee_of(op) is not None for op in func.walk()):
        return func
    done: dict[str, Func] = {}
    for callee in _callees_first(func):
        done[callee.name] = _splice(callee, done)
    return done[func.name]


def _callees_first(func: Func) -> list[Func]:
    """`func` and all it calls, each after what it calls itself; raises PassError for recursion, or if inlining would grow too large."""
    module = func.as_module()
    order: list[Func] = []
    size: dict[str, int] = {}  # in ops, once inlined
    stack = [func]
    while stack:
        current = stack[-1]
        calls = list(filter(None, map(callee_of, current.walk())))
        waiting = [n for n in dict.fromkeys(calls) if n not in size]
        if waiting:
            for name in waiting:
                if any(f.name == name for f in stack):
                    raise PassError(f"@{name} calls itself", code="RLX0404", loc=module[name].loc, help="recursion is not supported")
            stack.append(module[waiting[0]])
            continue
        size[current.name] = sum(1 for _ in current.walk()) - len(calls) + sum(size[n] for n in calls)
        if size[current.name] > MAX_OPS:
            raise PassError(f"@{current.name} has {size[current.name]} ops once its calls are inlined", code="RLX0407", loc=current.loc)
        order.append(current)
        stack.pop()
    return order


def _splice(func: Func, done: dict[str, Func]) -> Func:
    """`func`, or a region, with each call replaced by the body of what it calls."""
    if not any(callee_of(op) is not None for op in func.walk()):
        return func
    b = Builder()
    env: dict[Value, Value] = {}
    for op in func.ops:
        name = callee_of(op)
        if name is None:
            b.rebuild(with_bodies(op, lambda body: _splice(body, done)), env)
            continue
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
