"""Parallel loops: the body becomes a function of its own, which the pool of threads calls for pieces of the iterations.

    for %i in 0..64 {parallel = true} {        define void @"rlxc.k.$p0"(ptr %context, i64 %begin, i64 %end, i64 %slot)     unpacks
      ...                                 =>   define void @"rlxc.k.$p0.body"(ptr noalias %m0, ..., i64 %begin, i64 %end)   the loop
    }                                          and in the kernel: pool->run(pool, @"rlxc.k.$p0", context, 64, chunk, slots, work)

The context holds what the body uses from outside. Memory is passed on in arguments that are `noalias`, so that the code is as good as
that of a serial loop. Without a pool the same function is called once, for all iterations. Where code is made for one thread, the loop is
still a function of its own, which is called at once: LLVM might order the operands of an addition another way in another function, of which
two nans would tell. So is a loop that stands `apart`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlxc.codegen.text import Ref, llvm_type
from rlxc.codegen.workspace import is_parallel, private_room, slots_of, trips
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.types import MemType

if TYPE_CHECKING:
    from rlxc.codegen.llvm import FuncWriter

__all__ = ["is_parallel", "write_apart", "write_parallel"]

UNKNOWN_WORK = 1 << 40  # nanoseconds: of a loop of which nothing is said, that it is worth waking threads for


def write_parallel(w: FuncWriter, op: Op) -> None:
    """Write the loop as functions, and hand them to the pool."""
    memory, values = _captured(w, op)
    stride, slots = private_room(op), slots_of(op, w.shared.threads)
    private = w.reserve(stride * slots) if stride else "null"
    symbol = w.outlined_symbol()
    context = _write_context(w, memory, values, private)
    _write_body(w, op, symbol, memory, values)
    if slots < 2:
        _call_body(w, op, symbol, memory, context, private)
        return
    _write_unpacking(w, symbol, len(memory), stride)
    _call_pool(w, op, symbol, context, slots)


def write_apart(w: FuncWriter, op: Op) -> None:
    """Write a loop that carries nothing as a function, and call it."""
    memory, values = _captured(w, op)
    symbol = w.outlined_symbol()
    context = _write_context(w, memory, values, "null")
    _write_body(w, op, symbol, memory, values)
    _call_body(w, op, symbol, memory, context, "null")


def _call_body(w: FuncWriter, op: Op, symbol: str, memory: list[str], context: str, private: str) -> None:
    """All iterations, here and now."""
    passed = [*(f"ptr {text}" for text in memory), f"ptr {context}, i64 0, i64 {trips(op)}, ptr {private}"]
    w.lines.append(f'  call void @"{symbol}.body"({", ".join(passed)})')


def _captured(w: FuncWriter, op: Op) -> tuple[list[str], list[Ref]]:
    """What the body uses from outside: memory by its address, and numbers; literals and global data need not be passed."""
    memory: dict[str, None] = {}
    values: dict[str, Ref] = {}
    for v in _used(op.regions[0]):
        ref = w.refs.get(v)
        if ref is None or not ref.text.startswith("%"):
            continue
        if isinstance(ref.type, MemType):
            memory[ref.text] = None
        else:
            values[ref.text] = ref
    return list(memory), list(values.values())


def _used(body: Func) -> dict[Value, None]:
    """The values that ops and regions inside ask for."""
    used: dict[Value, None] = {}
    for op in body.walk():
        used.update(dict.fromkeys(op.operands))
        for region in op.regions:
            used.update(dict.fromkeys(region.results))
    return used


def _offsets(memory: list[str], values: list[Ref]) -> list[int]:
    """Where each value is in the context: after the private memory and the addresses."""
    offsets, at = [], 8 * (1 + len(memory))
    for v in values:
        offsets.append(at)
        at += 8 * v.type.lanes
    return [*offsets, at]


def _write_context(w: FuncWriter, memory: list[str], values: list[Ref], private: str) -> str:
    offsets = _offsets(memory, values)
    context = w.stack(offsets[-1])
    for i, text in enumerate([private, *memory]):
        w.lines.append(f"  store ptr {text}, ptr {_at(w, context, 8 * i)}, align 8")
    for v, offset in zip(values, offsets, strict=False):
        w.lines.append(f"  store {llvm_type(v.type)} {v.text}, ptr {_at(w, context, offset)}, align 8")
    return context


def _at(w: Any, address: str, offset: int) -> str:
    return w.inst(f"getelementptr inbounds i8, ptr {address}, i64 {offset}") if offset else address


def _write_body(w: FuncWriter, op: Op, symbol: str, memory: list[str], values: list[Ref]) -> None:
    """The loop over iterations `begin` to `end`."""
    inner = w.inside(symbol)
    (body,) = op.regions
    inner.start_block("entry")
    renamed = {text: f"%m{i}" for i, text in enumerate(memory)}
    for v, offset in zip(values, _offsets(memory, values), strict=False):
        renamed[v.text] = inner.inst(f"load {llvm_type(v.type)}, ptr {_at(inner, '%context', offset)}, align 8")
    for value, ref in w.refs.items():
        inner.refs[value] = Ref(renamed.get(ref.text, ref.text), ref.type)
    start, step = op.attrs["start"], op.attrs["step"]
    first, stop = (inner.inst(f"add nsw i64 {inner.inst(f'mul nsw i64 {n}, {step}')}, {start}") for n in ("%begin", "%end"))
    inner.counted(body, (), first, stop, step)
    args = ", ".join([*(f"ptr noalias %m{i}" for i in range(len(memory))), "ptr %context, i64 %begin, i64 %end, ptr noalias %workspace"])
    w.shared.outlined.append(inner.definition(f"{symbol}.body", args))


def _write_unpacking(w: FuncWriter, symbol: str, memories: int, stride: int) -> None:
    """What the pool calls: it takes the context apart, and finds the thread's own memory."""
    inner = w.inside(symbol)
    inner.start_block("entry")
    loaded = [inner.inst(f"load ptr, ptr {_at(inner, '%context', 8 * i)}, align 8") for i in range(memories + 1)]
    own = inner.inst(f"getelementptr inbounds i8, ptr {loaded[0]}, i64 {inner.inst(f'mul nsw i64 %slot, {stride}')}") if stride else "null"
    passed = [*(f"ptr {text}" for text in loaded[1:]), "ptr %context, i64 %begin, i64 %end", f"ptr {own}"]
    inner.lines.append(f'  call void @"{symbol}.body"({", ".join(passed)})')
    w.shared.outlined.append(inner.definition(symbol, "ptr %context, i64 %begin, i64 %end, i64 %slot"))


def _call_pool(w: FuncWriter, op: Op, symbol: str, context: str, slots: int) -> None:
    count = trips(op)
    alone, together, after = w.label("alone"), w.label("together"), w.label("after")
    w.end_block(f"br i1 {w.inst('icmp eq ptr %pool, null')}, label %{alone}, label %{together}")
    w.start_block(alone)
    w.lines.append(f'  call void @"{symbol}"(ptr {context}, i64 0, i64 {count}, i64 0)')
    w.end_block(f"br label %{after}")
    w.start_block(together)
    run = w.inst("load ptr, ptr %pool, align 8")
    numbers = [count, op.attrs["chunk"] or 1, slots, op.attrs["work"] or UNKNOWN_WORK]
    w.lines.append(f'  call void {run}(ptr %pool, ptr @"{symbol}", ptr {context}, {", ".join(f"i64 {n}" for n in numbers)})')
    w.end_block(f"br label %{after}")
    w.start_block(after)
