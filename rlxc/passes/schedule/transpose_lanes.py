"""Rows of a transposed square, made in registers from parts of its columns.

A processor has its fastest shuffles within 128 bits. So columns are loaded by parts of that size, of which each fills its place in a vector
(an instruction that loads can do that), and parts are transposed where they stand:

    a0 a1 a2 a3 | e0 e1 ...         a0 b0 c0 d0 | e0 f0 ...
    b0 b1 b2 b3 | f0 f1 ...   =>    a1 b1 c1 d1 | e1 f1 ...
    c0 c1 c2 c3 | g0 g1 ...         a2 b2 c2 d2 | e2 f2 ...
    d0 d1 d2 d3 | h0 h1 ...         a3 b3 c3 d3 | e3 f3 ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.ir.core import Value

PART_BYTES = 16


def part_of(element_bytes: int, lanes: int) -> int:
    """Lanes of a part, in squares of `lanes`."""
    return max(1, min(lanes, PART_BYTES // element_bytes))


def transposed(e: Any, columns: Sequence[Value]) -> list[Value]:
    """`columns`, n vectors of as many lanes as a part has: lane i of result k is lane k of column i."""
    n, part = len(columns), columns[0].type.lanes  # type: ignore[union-attr]
    rows = [_side_by_side(e, columns[k::part]) for k in range(part)]
    return _parts_transposed(e, rows, n)


def _side_by_side(e: Any, parts: Sequence[Value]) -> Value:
    """Vectors, a power of two of them, as one."""
    parts = list(parts)
    while len(parts) > 1:
        lanes = tuple(range(2 * parts[0].type.lanes))  # type: ignore[union-attr]
        parts = [e.shuffle(x, y, lanes=lanes) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


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
