"""A square of vectors transposed in registers.

First every 128-bit part for itself, for which processors have their fastest shuffles, then these parts as wholes:

    a0 a1 a2 a3 | a4 a5 ...         a0 b0 c0 d0 | a4 b4 ...          a0 b0 c0 d0 | e0 f0 ...
    b0 b1 b2 b3 | b4 b5 ...   =>    a1 b1 c1 d1 | a5 b5 ...    =>    a1 b1 c1 d1 | e1 f1 ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.ir.core import Value

PART_BYTES = 16


def transposed(e: Any, rows: Sequence[Value]) -> list[Value]:
    """`rows`, n vectors of n lanes, n a power of two: lane i of result k is lane k of row i."""
    n = len(rows)
    part = max(1, min(n, PART_BYTES // rows[0].type.dtype.size))  # type: ignore[union-attr]
    rows = list(rows)
    for start in range(0, n, part):
        rows[start : start + part] = _parts_transposed(e, rows[start : start + part], n)
    apart = part
    while apart < n:
        rows = _exchanged(e, rows, apart)
        apart *= 2
    return rows


def _parts_transposed(e: Any, rows: list[Value], n: int) -> list[Value]:
    """As many rows as a part has lanes, each part of them transposed: row i and row i + half are interleaved, until they are in order."""
    part = len(rows)
    half = part // 2
    low = [at + i for at in range(0, n, part) for k in range(half) for i in (k, n + k)]
    high = [lane + half for lane in low]
    step = 1
    while step < part:
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [e.shuffle(x, y, lanes=tuple(lanes)) for x, y in pairs for lanes in (low, high)]
        step *= 2
    return rows


def _exchanged(e: Any, rows: list[Value], size: int) -> list[Value]:
    """Rows whose numbers differ by `size` exchange blocks of `size` lanes: the first keeps the even blocks, the other the odd ones."""
    n = len(rows)
    even = [lane for at in range(0, n, 2 * size) for lane in (*range(at, at + size), *range(n + at, n + at + size))]
    odd = [lane + size for lane in even]
    new = list(rows)
    for i in range(n):
        if not i & size:
            x, y = rows[i], rows[i + size]
            new[i], new[i + size] = e.shuffle(x, y, lanes=tuple(even)), e.shuffle(x, y, lanes=tuple(odd))
    return new
