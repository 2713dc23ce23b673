"""How threads share parallel loops: which are worth it, and how many iterations one takes at a time.

Nothing here asks how many threads there are, and none of it changes what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.types import VectorType
from rlxc.passes.manager import module_pass
from rlxc.passes.schedule.parallelize import FEW, only_loop
from rlxc.passes.schedule.rewrite import Rewriter, is_for, rules

CHUNKS = 128  # in a long loop
CYCLES = 3.0 * 2  # in a nanosecond, two at a time


@module_pass("chunk-loops")
def chunk_loops(module: Module, *, bytes: int = 64, least: float = 6000.0, few: int = FEW) -> Module:
    """Say how many iterations of a parallel loop make a piece of work; a loop of less than `least` nanoseconds becomes serial.

    for %i in 0..4096 {parallel = true}     =>     for %i in 0..4096 {parallel = true, chunk = 32, work = 90000}

    Of two loops, one around the other, that are both parallel, there remains one: both together where the outer one has few iterations
    and the inner one much to do in each, else the inner one where that is long, else the outer one.
    """
    return Module(tuple(_Chunk(f, bytes, least, few).run() if _has_parallel_loops(f) else f for f in module.funcs))


def _has_parallel_loops(func: Func) -> bool:
    return func.kind == "kernel" and any(is_for(op) and op.attrs["parallel"] for op in func.walk())


class _Chunk(Rewriter):
    def __init__(self, func: Func, bytes: int, least: float, few: int) -> None:
        super().__init__(func)
        self.bytes = bytes
        self.least = least
        self.few = few
        self.shared = False  # inside a loop that threads share

    def changes(self, op: Op) -> bool:
        return is_for(op) and bool(op.attrs["parallel"])

    def loop(self, op: Op) -> None:
        if not op.attrs["parallel"] or self.shared:
            super().loop(op if not op.attrs["parallel"] else _serial(op))
            return
        work = nanoseconds([op], self.bytes)
        if work < self.least:
            super().loop(_serial(op))
            return
        inner = only_loop(op.regions[0])
        if trips(op) < self.few and inner is not None and inner.attrs["parallel"]:
            each = nanoseconds([inner], self.bytes)
            if any(is_for(o) for o in inner.regions[0].ops):
                self.share_both(op, inner, work)
                return
            if each > 8 * self.least:
                super().loop(_serial(op))
                return
        self.share(op, work)

    def share(self, op: Op, work: float) -> None:
        self.shared = True
        self.loop_with(op, **self.hints(trips(op), work))
        self.shared = False

    def share_both(self, op: Op, inner: Op, work: float) -> None:
        """The two loops as one."""
        e = self.e
        count, each = trips(op), trips(inner)

        def run(c: Value) -> tuple[Value, ...]:
            for loop, i in ((op, e.index_div(c, each)), (inner, e.index_rem(c, each))):
                at = e.index_add(e.index_mul(i, loop.attrs["step"]), loop.attrs["start"])
                self.env[loop.regions[0].args[0]] = e.as_index(at)
                if loop is op:
                    self.ops([o for o in op.regions[0].ops if o is not inner])
            self.inside(inner.regions[0])
            return ()

        e.for_(0, count * each, run, **self.hints(count * each, work))

    def inside(self, body: Func) -> None:
        self.shared = True
        self.ops(body.ops)
        self.shared = False

    def hints(self, count: int, work: float) -> dict:
        """Attributes of a parallel loop: pieces that are neither so short that sharing them costs more, nor so long that one is waited for."""
        each = work / count
        chunk = max(self.least / 3, work / CHUNKS) / each if each else count
        return {"parallel": True, "chunk": max(1, min(int(chunk), count)), "work": int(work)}


def _serial(op: Op) -> Op:
    return Op(op.prim, op.operands, {**op.attrs, "parallel": False, "chunk": 0, "work": 0}, op.results, op.regions, op.loc)


def trips(op: Op) -> int:
    """How often a loop runs."""
    return max(0, -(-(op.attrs["stop"] - op.attrs["start"]) // op.attrs["step"]))


def nanoseconds(ops: Sequence[Op], bytes: int) -> float:
    """About how long `ops` take if all that they touch is near."""
    total = 0.0
    for op in ops:
        if is_for(op):
            total += trips(op) * (nanoseconds(op.regions[0].ops, bytes) + 1 / CYCLES)
        elif op.regions:
            total += max(nanoseconds(r.ops, bytes) for r in op.regions)
        else:
            total += rules(op).cycles * _registers(op, bytes) / CYCLES
    return total


def _registers(op: Op, bytes: int) -> int:
    """Vector registers that the largest operand or result takes."""
    sizes = [v.type.lanes * v.type.dtype.size for v in (*op.operands, *op.results) if isinstance(v.type, VectorType) and v.type.lanes > 1]
    return max([1, *(-(-size // bytes) for size in sizes)])
