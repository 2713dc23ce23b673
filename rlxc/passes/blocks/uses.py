"""Who computes and who reads each value of a function, so that what grows out of an op is found without a look at all the others."""

from __future__ import annotations

from collections.abc import Iterator

from rlxc.ir.core import Func, Op, Value


class Uses:
    """The ops of a function by what they read and make; `results` are the function's."""

    def __init__(self, func: Func) -> None:
        self.ops = func.ops
        self.results = set(func.results)
        self.position = {op: i for i, op in enumerate(func.ops)}
        self.producer: dict[Value, Op] = {}
        self.readers: dict[Value, list[Op]] = {}  # in order; an op that reads a value twice is there twice
        for op in func.ops:
            for v in reads_of(op):
                self.readers.setdefault(v, []).append(op)
            for v in op.results:
                self.producer[v] = op

    def readers_of(self, v: Value) -> list[Op]:
        return self.readers.get(v, [])


def reads_of(op: Op) -> tuple[Value, ...]:
    """Operands, and whatever the regions of the op mention."""
    return (*op.operands, *_mentioned(op)) if op.regions else op.operands


def _mentioned(op: Op) -> Iterator[Value]:
    for region in op.regions:
        yield from region.results
        for inner in region.walk():
            yield from inner.operands
            for nested in inner.regions:
                yield from nested.results
