"""One tile of sums in registers: sums[i][j] += a[i, k] b[k, j] over a range of k.

for %k in 0..512 step 2 carry (%s00 = ..., %s01 = ..., ...) {
  %b0 = load %y, %k, %n {lanes = 16}        vectors of y
  %b1 = load ...
  %a0 = load %x, %m, %k                     one scalar of x at a time, in all lanes
  %t0 = splat %a0
  %s00' = fma %t0, %b0, %s00
  ...
}

Rounding errors of a sum grow with the number of terms that are added one after another. So long sums are sums of sums: every `CHAIN` products
the sums start from zero again, and are then added to those before, which wait in memory meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rlxc.ir.core import Value
from rlxc.ir.emitter import Index
from rlxc.ir.target import Target
from rlxc.primitives.contraction.tiles import UNROLL

CHAIN = 384  # products that are added one after another

Sums = list[list[Value]]
Read = Callable[[int, Sequence[Index]], Value]
Meanwhile = Callable[[Index, int], None]


def sum_products(e: Any, steps: Sequence[int], zeros: Sums, scalar: Read, vector: Read, meanwhile: Meanwhile | None = None) -> Sums:
    """Sums, one for each of `zeros`, of a product for every step along the summed axes; `scalar(i, k)` is of x and `vector(j, k)` of y.

    `meanwhile(k, unroll)` is done once in each iteration of the innermost loop, which has `unroll` steps from k on.
    """
    vectors = len(zeros[0])
    none = [z for row in zeros for z in row]
    chain = _Chain(e, steps, len(zeros), vectors, scalar, vector, meanwhile)
    flat: Sequence[Value]
    if not steps:  # no axes: one product
        flat = chain.add_product([], none)
    elif not none[0].type.dtype.is_float or math.prod(steps) <= CHAIN:
        flat = chain.run([], 0, steps[0], steps[1:], none)
    else:
        flat = _sum_of_chains(e, steps, none, chain)
    return _in_rows(flat, vectors)


class _Chain:
    """Products added one after another; sums are a list, row by row."""

    def __init__(self, e: Any, steps: Sequence[int], rows: int, vectors: int, scalar: Read, vector: Read, meanwhile: Meanwhile | None) -> None:
        self.e = e
        self.rows = rows
        self.vectors = vectors
        self.scalar = scalar
        self.vector = vector
        self.meanwhile = meanwhile
        self.unroll = steps_together(e.target, steps[-1], rows, vectors, busy=meanwhile is not None) if steps else 1

    def run(self, before: list[Index], start: Index, count: int, inside: Sequence[int], sums: Sequence[Value]) -> Sequence[Value]:
        """`count` steps of one axis from `start` on, and all of those `inside` of it; `before` is the index along the axes before."""
        e = self.e
        if not inside:
            return self.along(before, start, count, sums)

        def inner(i: Index, *acc: Value) -> Sequence[Value]:
            k = e.index_add(start, i)
            result: Sequence[Value] = e.loop(inside[:-1], acc, lambda index, *acc: self.along([*before, k, *index], 0, inside[-1], acc))
            return result

        total: Sequence[Value] = e.for_(0, count, inner, sums)
        return total

    def along(self, before: list[Index], start: Index, count: int, sums: Sequence[Value]) -> tuple[Value, ...]:
        """`count` steps of the last axis."""
        e, unroll = self.e, self.unroll
        whole = count - count % unroll

        def step(i: Index, *acc: Value) -> tuple[Value, ...]:
            flat, k = list(acc), e.index_add(start, i)
            if self.meanwhile is not None:
                self.meanwhile(k, unroll)
            for u in range(unroll):
                flat = self.add_product([*before, e.index_add(k, u)], flat)
            return tuple(flat)

        flat = list(e.for_(0, whole, step, sums, step=unroll) if whole > unroll else step(0, *sums) if whole else sums)
        for i in range(whole, count):
            flat = self.add_product([*before, e.index_add(start, i)], flat)
        return tuple(flat)

    def add_product(self, ks: Sequence[Index], sums: Sequence[Value]) -> list[Value]:
        """One step: each vector of y times each scalar of x."""
        e, acc = self.e, list(sums)
        b = [self.vector(j, ks) for j in range(self.vectors)]
        for i in range(self.rows):
            a = self.scalar(i, ks)
            if b[0].type.lanes > 1:
                a = e.splat(a, lanes=b[0].type.lanes)
            for j in range(self.vectors):
                acc[i * self.vectors + j] = multiply_add(e, a, b[j], acc[i * self.vectors + j])
        return acc


def _sum_of_chains(e: Any, steps: Sequence[int], none: Sequence[Value], chain: _Chain) -> Sequence[Value]:
    """Sums of chains that start from zero: pieces of one axis, in loops over those before it."""
    axis = next(a for a in range(len(steps)) if math.prod(steps[a + 1 :]) <= CHAIN)
    outer, inside = steps[:axis], steps[axis + 1 :]
    size = chain_length(steps[axis], CHAIN // math.prod(inside), 1 if inside else chain.unroll)
    count, rest = divmod(steps[axis], size)
    waiting = _Waiting(e, none)

    def one_of(c: Value, *_: Value) -> list[Value]:
        """Chain `c` and those before it; what is known already of the last one need not wait in memory."""
        alone = chain.run([], e.index_mul(c, size), size, inside, none)
        added = e.cond(e.gt(c, 0), lambda: waiting.add(alone), lambda: alone)
        sums = [added] if isinstance(added, Value) else added
        e.cond(e.lt(c, count - 1), lambda: waiting.keep(sums), lambda: None)
        return list(sums)

    if not outer and not rest:
        total: Sequence[Value] = e.for_(0, count, one_of, none)
        return total

    def chains(before: list[Index]) -> None:
        e.for_(0, count, lambda c: waiting.keep(waiting.add(chain.run(before, e.index_mul(c, size), size, inside, none))))
        if rest:
            waiting.keep(waiting.add(chain.run(before, count * size, rest, inside, none)))

    waiting.keep(none)
    e.for_each(outer, chains)
    return waiting.all()


class _Waiting:
    """Sums that wait in memory while a chain is added up."""

    def __init__(self, e: Any, like: Sequence[Value]) -> None:
        self.e = e
        self.count = len(like)
        self.lanes = like[0].type.lanes  # type: ignore[union-attr]
        self.memory = e.alloc(like[0].type.dtype, (self.count, self.lanes))  # type: ignore[union-attr]

    def keep(self, sums: Sequence[Value]) -> None:
        for t, value in enumerate(sums):
            self.e.store(self.memory.value, value, *self.place(t))

    def add(self, sums: Sequence[Value]) -> list[Value]:
        """What waits, and `sums`."""
        return [self.e.add(self.kept(t), value) for t, value in enumerate(sums)]

    def all(self) -> list[Value]:
        return [self.kept(t) for t in range(self.count)]

    def kept(self, t: int) -> Value:
        value: Value = self.e.load(self.memory.value, *self.place(t), lanes=self.lanes)
        return value

    def place(self, t: int) -> list[Value]:
        return [self.e.as_index(t), self.e.as_index(0)]


def chain_length(steps: int, most: int, unit: int) -> int:
    """How many steps make a chain: at most `most`, and, if that can be, so that no shorter one remains."""
    sizes = range(max(1, most // unit) * unit, max(1, most // (2 * unit)) * unit - 1, -unit)
    return next((size for size in sizes if steps % size == 0), sizes[0])


def steps_together(target: Target, depth: int, rows: int, vectors: int, *, busy: bool) -> int:
    """Steps in one iteration of the innermost loop, of `depth` steps in all: more where it is `busy` with something else in each.

    Where registers are few, a large tile leaves none for the vectors of a second step.
    """
    if target.registers <= 16 and rows * vectors + 2 * vectors > target.registers - 1:
        return 1
    return max(1, min(depth, UNROLL * (2 if busy else 1) // (rows * vectors)))


def _in_rows(flat: Sequence[Value], vectors: int) -> Sums:
    return [list(flat[i : i + vectors]) for i in range(0, len(flat), vectors)]


def multiply_add(e: Any, a: Value, b: Value, c: Value) -> Value:
    return e.fma(a, b, c) if c.type.dtype.is_float else e.add(c, e.mul(a, b))
