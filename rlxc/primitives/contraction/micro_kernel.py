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
    rows, vectors = len(zeros), len(zeros[0])
    none = [z for row in zeros for z in row]

    def products(ks: Sequence[Index], flat: Sequence[Value]) -> list[Value]:
        acc = list(flat)
        b = [vector(j, ks) for j in range(vectors)]
        for i in range(rows):
            a = scalar(i, ks)
            if b[0].type.lanes > 1:
                a = e.splat(a, lanes=b[0].type.lanes)
            for j in range(vectors):
                acc[i * vectors + j] = multiply_add(e, a, b[j], acc[i * vectors + j])
        return acc

    if not steps:  # no axes: one product
        return _in_rows(products([], none), vectors)
    unroll = steps_together(e.target, steps[-1], rows, vectors, busy=meanwhile is not None)

    def along(before: list[Index], start: Index, count: int, acc: Sequence[Value]) -> tuple[Value, ...]:
        """`count` steps of the last axis."""
        whole = count - count % unroll

        def step(i: Index, *acc: Value) -> tuple[Value, ...]:
            flat, k = list(acc), e.index_add(start, i)
            if meanwhile is not None:
                meanwhile(k, unroll)
            for u in range(unroll):
                flat = products([*before, e.index_add(k, u)], flat)
            return tuple(flat)

        flat = list(e.for_(0, whole, step, acc, step=unroll) if whole > unroll else step(0, *acc) if whole else acc)
        for i in range(whole, count):
            flat = products([*before, e.index_add(start, i)], flat)
        return tuple(flat)

    def chain(before: list[Index], start: Index, count: int, inside: Sequence[int]) -> tuple[Value, ...]:
        """Products added one after another: `count` steps of one axis, and all of those inside."""
        if not inside:
            return along(before, start, count, none)

        def inner(i: Index, *acc: Value) -> tuple[Value, ...]:
            k = e.index_add(start, i)
            return e.loop(inside[:-1], acc, lambda index, *acc: along([*before, k, *index], 0, inside[-1], acc))

        return e.for_(0, count, inner, none)

    if not none[0].type.dtype.is_float or math.prod(steps) <= CHAIN:
        return _in_rows(chain([], 0, steps[0], steps[1:]), vectors)
    axis = next(a for a in range(len(steps)) if math.prod(steps[a + 1 :]) <= CHAIN)
    outer, inside = steps[:axis], steps[axis + 1 :]
    size = chain_length(steps[axis], CHAIN // math.prod(inside), 1 if inside else unroll)
    lanes = none[0].type.lanes
    memory = e.alloc(none[0].type.dtype, (len(none), lanes))

    def place(t: int) -> list[Value]:
        return [e.as_index(t), e.as_index(0)]

    def keep(sums: Sequence[Value]) -> None:
        for t, value in enumerate(sums):
            e.store(memory.value, value, *place(t))

    def kept(t: int) -> Value:
        value: Value = e.load(memory.value, *place(t), lanes=lanes)
        return value

    def add(sums: Sequence[Value]) -> list[Value]:
        return [e.add(kept(t), value) for t, value in enumerate(sums)]

    count, rest = divmod(steps[axis], size)

    def one_of(c: Value, *_: Value) -> list[Value]:
        """Chain `c` and those before it; what is known already of the last one need not wait in memory."""
        alone = chain([], e.index_mul(c, size), size, inside)
        added = e.cond(e.gt(c, 0), lambda: add(alone), lambda: alone)
        sums = [added] if isinstance(added, Value) else added
        e.cond(e.lt(c, count - 1), lambda: keep(sums), lambda: None)
        return list(sums)

    if not outer and not rest:
        return _in_rows(e.for_(0, count, one_of, none), vectors)

    def chains(before: list[Index]) -> None:
        e.for_(0, count, lambda c: keep(add(chain(before, e.index_mul(c, size), size, inside))))
        if rest:
            keep(add(chain(before, count * size, rest, inside)))

    keep(none)
    e.for_each(outer, chains)
    return _in_rows([kept(t) for t in range(len(none))], vectors)


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
