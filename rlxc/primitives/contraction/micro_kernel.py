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


def add_products(e: Any, depth: int, sums: Sums, scalar: Callable[[int, Index], Value], vector: Callable[[int, Index], Value]) -> Sums:
    """`sums` with `depth` products added to each; `scalar(i, k)` is of x and `vector(j, k)` of y."""
    rows, vectors = len(sums), len(sums[0])
    unroll = max(1, min(depth, UNROLL // (rows * vectors)))

    def products(k: Index, flat: Sequence[Value]) -> list[Value]:
        acc = list(flat)
        b = [vector(j, k) for j in range(vectors)]
        for i in range(rows):
            a = scalar(i, k)
            if b[0].type.lanes > 1:
                a = e.splat(a, lanes=b[0].type.lanes)
            for j in range(vectors):
                acc[i * vectors + j] = multiply_add(e, a, b[j], acc[i * vectors + j])
        return acc

    def step(k: Value, *acc: Value) -> tuple[Value, ...]:
        flat = list(acc)
        for u in range(unroll):
            flat = products(e.index_add(k, u), flat)
        return tuple(flat)

    flat = [s for row in sums for s in row]
    whole = depth - depth % unroll
    flat = list(e.for_(0, whole, step, flat, step=unroll))
    for k in range(whole, depth):
        flat = products(k, flat)
    return [flat[i * vectors : (i + 1) * vectors] for i in range(rows)]


def multiply_add(e: Any, a: Value, b: Value, c: Value) -> Value:
    return e.fma(a, b, c) if c.type.dtype.is_float else e.add(c, e.mul(a, b))
