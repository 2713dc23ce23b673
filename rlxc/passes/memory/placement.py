"""Placement: offsets for buffers with sizes and lifetimes, such that no two that live at once overlap, in little memory.

To place them optimally is hard (it is dynamic storage allocation), but two simple ways come close to the lower bound, the most bytes that live at once:

    by size     the largest first, each into the smallest gap between the buffers that live with it; the time grows with the square
    in order    as an allocator would, by best fit among the free blocks; n log n
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

LARGE = 1500  # so many of the largest buffers are placed by size

Placed = tuple[list[int], int]


def place(sizes: Sequence[int], firsts: Sequence[int], lasts: Sequence[int]) -> Placed:
    """An offset for each buffer, and the size of the whole; buffer i lives from `firsts[i]` up to and including `lasts[i]`."""
    best = in_order(sizes, firsts, lasts)
    if best[1] > most_at_once(sizes, firsts, lasts):
        other = _by_size_then_in_order(sizes, firsts, lasts)
        best = min(best, other, key=lambda placed: placed[1])
    return best


def most_at_once(sizes: Sequence[int], firsts: Sequence[int], lasts: Sequence[int]) -> int:
    """The most bytes that live at one time."""
    change: dict[int, int] = {}
    for size, first, last in zip(sizes, firsts, lasts, strict=True):
        change[first] = change.get(first, 0) + size
        change[last + 1] = change.get(last + 1, 0) - size
    now = most = 0
    for time in sorted(change):
        now += change[time]
        most = max(most, now)
    return most


def _by_size_then_in_order(sizes: Sequence[int], firsts: Sequence[int], lasts: Sequence[int]) -> Placed:
    """The large ones by size, and behind them the small ones in order."""
    ranked = sorted(range(len(sizes)), key=lambda i: (-sizes[i], firsts[i]))
    large, small = ranked[:LARGE], sorted(ranked[LARGE:])
    offsets = [0] * len(sizes)
    base = 0
    for chosen, way in ((large, by_size), (small, in_order)):
        placed, total = way(*([column[i] for i in chosen] for column in (sizes, firsts, lasts)))
        for i, offset in zip(chosen, placed, strict=True):
            offsets[i] = base + offset
        base += total
    return offsets, base


def by_size(sizes: Sequence[int], firsts: Sequence[int], lasts: Sequence[int]) -> Placed:
    """The largest first, each into the smallest gap that holds it."""
    n = len(sizes)
    size, first, last = (np.array(column, np.int64) for column in (sizes, firsts, lasts))
    start, end, begins, ends = (np.zeros(n, np.int64) for _ in range(4))  # of what is placed, in the order in which it is
    offsets = [0] * n
    for count, i in enumerate(sorted(range(n), key=lambda i: (-sizes[i], firsts[i]))):
        together = np.flatnonzero((begins[:count] <= last[i]) & (ends[:count] >= first[i]))
        together = together[np.argsort(start[together], kind="stable")]
        reached = np.concatenate([[0], np.maximum.accumulate(end[together])])  # below, all is taken by what starts there
        gaps = start[together] - reached[:-1]
        fits = np.flatnonzero(gaps >= size[i])
        at = int(reached[fits[np.argmin(gaps[fits])]] if len(fits) else reached[-1])
        offsets[i] = at
        start[count], end[count], begins[count], ends[count] = at, at + size[i], first[i], last[i]
    return offsets, int(end.max(initial=0))


def in_order(sizes: Sequence[int], firsts: Sequence[int], lasts: Sequence[int]) -> Placed:
    """Each when its life begins, into the smallest free block that holds it; free blocks that touch become one."""
    order = sorted(range(len(sizes)), key=lambda i: (firsts[i], -sizes[i]))
    dying = sorted(range(len(sizes)), key=lambda i: lasts[i])
    free = _FreeBlocks()
    offsets = [0] * len(sizes)
    dead = 0
    for i in order:
        while lasts[dying[dead]] < firsts[i]:
            free.give(offsets[dying[dead]], sizes[dying[dead]])
            dead += 1
        offsets[i] = free.take(sizes[i])
    return offsets, free.total


class _FreeBlocks:
    """Free blocks below `total`, by size, start and end."""

    def __init__(self) -> None:
        self.total = 0
        self.by_size: list[tuple[int, int]] = []  # (size, start), sorted
        self.size_at: dict[int, int] = {}  # start -> size
        self.start_of: dict[int, int] = {}  # end -> start

    def take(self, size: int) -> int:
        at = bisect_left(self.by_size, (size, -1))
        if at < len(self.by_size):
            found, start = self.by_size[at]
            self._remove(start, found)
            if found > size:
                self._add(start + size, found - size)
            return start
        start = self.start_of.get(self.total, self.total)  # a free block at the end grows
        if start < self.total:
            self._remove(start, self.total - start)
        self.total = start + size
        return start

    def give(self, start: int, size: int) -> None:
        if start + size in self.size_at:
            after = self.size_at[start + size]
            self._remove(start + size, after)
            size += after
        if start in self.start_of:
            before = self.start_of[start]
            self._remove(before, start - before)
            start, size = before, size + start - before
        self._add(start, size)

    def _add(self, start: int, size: int) -> None:
        insort(self.by_size, (size, start))
        self.size_at[start] = size
        self.start_of[start + size] = start

    def _remove(self, start: int, size: int) -> None:
        del self.by_size[bisect_left(self.by_size, (size, start))]
        del self.size_at[start]
        del self.start_of[start + size]
