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

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from rlxc.ir.core import Value
from rlxc.ir.emitter import Index
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
    unroll = steps_together(steps[-1], rows, vectors, busy=meanwhile is not None)

    def along(before: list[Index], start: int, stop: int, acc: Sequence[Value]) -> tuple[Value, ...]:
        """A part of the last axis."""
        whole = stop - (stop - start) % unroll

        def step(k: Index, *acc: Value) -> tuple[Value, ...]:
            flat = list(acc)
            if meanwhile is not None:
                meanwhile(k, unroll)
            for u in range(unroll):
                flat = products([*before, e.index_add(k, u)], flat)
            return tuple(flat)

        flat = list(e.for_(start, whole, step, acc, step=unroll) if whole - start > unroll else step(start, *acc) if whole > start else acc)
        for k in range(whole, stop):
            flat = products([*before, k], flat)
        return tuple(flat)

    def chain(before: list[Index], start: int, stop: int, inside: Sequence[int]) -> tuple[Value, ...]:
        """Products added one after another: a part of one axis, and all of those inside."""
        if not inside:
            return along(before, start, stop, none)

        def inner(i: Index, *acc: Value) -> tuple[Value, ...]:
            return e.loop(inside[:-1], acc, lambda index, *acc: along([*before, i, *index], 0, inside[-1], acc))

        return e.for_(start, stop, inner, none)

    if not none[0].type.dtype.is_float or math.prod(steps) <= CHAIN:
        return _in_rows(chain([], 0, steps[0], steps[1:]), vectors)
    axis = next(a for a in range(len(steps)) if math.prod(steps[a + 1 :]) <= CHAIN)
    outer, inside = steps[:axis], steps[axis + 1 :]
    bounds = _cuts(steps[axis], CHAIN // math.prod(inside), 1 if inside else unroll)
    lanes = none[0].type.lanes
    memory = e.alloc(none[0].type.dtype, (len(none), lanes))

    def place(t: int) -> list[Value]:
        return [e.as_index(t), e.as_index(0)]

    def keep(sums: Sequence[Value]) -> None:
        for t, value in enumerate(sums):
            e.store(memory.value, value, *place(t))

    def add(sums: Sequence[Value]) -> list[Value]:
        return [e.add(e.load(memory.value, *place(t), lanes=lanes), value) for t, value in enumerate(sums)]

    if not outer:
        first, *more, last = bounds
        keep(chain([], *first, inside))
        for bound in more:
            keep(add(chain([], *bound, inside)))
        return _in_rows(add(chain([], *last, inside)), vectors)

    def pieces(before: list[Index]) -> None:
        for bound in bounds:
            keep(add(chain(before, *bound, inside)))

    keep(none)
    e.for_each(outer, pieces)
    return _in_rows(add(none), vectors)


def _cuts(steps: int, most: int, unit: int) -> list[tuple[int, int]]:
    """Steps in as few ranges as can be of at most `most`, of nearly one size: multiples of `unit`, but for the last one."""
    units = -(-steps // unit)
    count = -(-units // max(1, most // unit))
    ends = [min(units * (i + 1) // count * unit, steps) for i in range(count)]
    return list(itertools.pairwise([0, *ends]))


def steps_together(depth: int, rows: int, vectors: int, *, busy: bool) -> int:
    """Steps in one iteration of the innermost loop, of `depth` steps in all: more where it is `busy` with something else in each."""
    return max(1, min(depth, UNROLL * (2 if busy else 1) // (rows * vectors)))


def _in_rows(flat: Sequence[Value], vectors: int) -> Sums:
    return [list(flat[i : i + vectors]) for i in range(0, len(flat), vectors)]


def multiply_add(e: Any, a: Value, b: Value, c: Value) -> Value:
    return e.fma(a, b, c) if c.type.dtype.is_float else e.add(c, e.mul(a, b))
