"""One tile of sums in registers: sums[i][j] += a[i, k] b[k, j] over a range of k.

for %k in 0..512 step 2 carry (%s00 = ..., %s01 = ..., ...) {
  %b0 = load %y, %k, %n {lanes = 16}        vectors of y
  %b1 = load ...
  %a0 = load %x, %m, %k                     one scalar of x at a time, in all lanes
  %t0 = splat %a0
  %s00' = fma %t0, %b0, %s00
  ...
}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rlxc.ir.core import Value
from rlxc.ir.emitter import Index
from rlxc.primitives.contraction.tiles import UNROLL

Sums = list[list[Value]]
Read = Callable[[int, Sequence[Index]], Value]
Meanwhile = Callable[[Index, int], None]


def add_products(e: Any, steps: Sequence[int], sums: Sums, scalar: Read, vector: Read, meanwhile: Meanwhile | None = None) -> Sums:
    """`sums` with a product added to each for every step along the summed axes; `scalar(i, k)` is of x and `vector(j, k)` of y.

    `meanwhile(k, unroll)` is done once in each iteration of the innermost loop, which has `unroll` steps from k on.
    """
    rows, vectors = len(sums), len(sums[0])

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
        return _in_rows(products([], _flat(sums)), vectors)
    *outer, depth = steps
    unroll = steps_together(depth, rows, vectors, busy=meanwhile is not None)
    whole = depth - depth % unroll

    def inner(before: list[Index], *acc: Value) -> tuple[Value, ...]:
        def step(k: Index, *acc: Value) -> tuple[Value, ...]:
            flat = list(acc)
            if meanwhile is not None:
                meanwhile(k, unroll)
            for u in range(unroll):
                flat = products([*before, e.index_add(k, u)], flat)
            return tuple(flat)

        flat = list(e.for_(0, whole, step, acc, step=unroll) if whole > unroll else step(0, *acc))
        for k in range(whole, depth):
            flat = products([*before, k], flat)
        return tuple(flat)

    return _in_rows(e.loop(outer, _flat(sums), inner), vectors)


def steps_together(depth: int, rows: int, vectors: int, *, busy: bool) -> int:
    """Steps in one iteration of the innermost loop, of `depth` steps in all: more where it is `busy` with something else in each."""
    return max(1, min(depth, UNROLL * (2 if busy else 1) // (rows * vectors)))


def _flat(sums: Sums) -> list[Value]:
    return [s for row in sums for s in row]


def _in_rows(flat: Sequence[Value], vectors: int) -> Sums:
    return [list(flat[i : i + vectors]) for i in range(0, len(flat), vectors)]


def multiply_add(e: Any, a: Value, b: Value, c: Value) -> Value:
    return e.fma(a, b, c) if c.type.dtype.is_float else e.add(c, e.mul(a, b))
