"""The loop nests of windows that overlap: reductions read a copy without borders in the way; sums of windows go phase by phase.

y[m] = max over k of x[2 m + k]          x, with all that is fused to it, is computed once for each element, not for each window
x[2 q] = y[q, 0] + y[q - 1, 2]           overlap_add of windows of 3 at a stride of 2: even elements are in two windows,
x[2 q + 1] = y[q, 1]                     odd ones in one, and no element asks whether it is even
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.emitter import Index

PARALLEL = 100_000  # elements read, from which on threads pay


def reduce_copies(e: Any, x: Any, out: Any, first: int, reads: int, element: Callable[[Any, list[Index]], Any]) -> None:
    """Store `element(x, index)` for each index of `out`, where x is copied: what is at one index along the axes before `first` at a time."""
    around = math.prod(out.type.shape[:first])

    def plane(t: Index) -> None:
        before = e.unravel(t, out.type.shape[:first])
        copy = e.alloc(x.type.dtype, x.type.shape[first:])
        e.for_each(copy.type.shape, lambda i: copy.store(i, x([*before, *i])))
        there = _Plane(copy, x.type, first)
        e.for_each(out.type.shape[first:], lambda i: out.store([*before, *i], element(there, [*before, *i])))

    e.for_(0, around, plane, parallel=around > 1 and out.type.size * reads >= PARALLEL)


class _Plane:
    """Reads an array of which only one plane is there."""

    def __init__(self, memory: Any, type: Any, first: int) -> None:
        self.memory, self.type, self.first = memory, type, first

    def __call__(self, index: Sequence[Index]) -> Any:
        return self.memory(list(index[self.first :]))


@dataclass(frozen=True, slots=True)
class Slide:
    """How windows slide along an axis of `size` elements: `count` windows."""

    axis: int
    size: int
    count: int
    window: int
    stride: int
    dilation: int

    def terms(self, phase: int) -> list[tuple[int, int]]:
        """What adds up to element phase + q stride: element k of window q + offset."""
        return [(k, (phase - k * self.dilation) // self.stride) for k in range(self.window) if (phase - k * self.dilation) % self.stride == 0]

    def segments(self, phase: int) -> list[tuple[int, int, bool]]:
        """Ranges of q, and whether some of its windows may not be there."""
        stop = len(range(phase, self.size, self.stride))
        offsets = [offset for _, offset in self.terms(phase)]
        lo = min(stop, max(0, -min(offsets, default=0)))
        hi = max(lo, min(stop, self.count - max(offsets, default=0)))
        return [s for s in ((0, lo, True), (lo, hi, False), (hi, stop, True)) if s[0] < s[1]]


def add_by_phases(e: Any, x: Any, out: Any, slides: Sequence[Slide]) -> None:
    """Emit overlap_add of windows x. The last axis is split where windows begin to be missing."""
    for phases in itertools.product(*(range(min(s.stride, s.size)) for s in slides)):
        parts = [s.segments(phase) for s, phase in zip(slides, phases, strict=True)]
        outer = [(0, own[-1][1], any(checked for *_, checked in own)) for own in parts[:-1]]
        for last in parts[-1]:
            _segment(e, x, out, slides, phases, [*outer, last])


def _segment(e: Any, x: Any, out: Any, slides: Sequence[Slide], phases: Sequence[int], ranges: Sequence[tuple[int, int, bool]]) -> None:
    rank = out.type.rank
    sizes = list(out.type.shape)
    for s, (start, stop, _) in zip(slides, ranges, strict=True):
        sizes[s.axis] = stop - start
    terms = list(itertools.product(*(s.terms(phase) for s, phase in zip(slides, phases, strict=True))))

    def store(index: list[Index]) -> None:
        to, steps = list(index), []
        for s, phase, (start, _, _) in zip(slides, phases, ranges, strict=True):
            q = e.index_add(index[s.axis], start)
            steps.append(q)
            to[s.axis] = e.index_add(e.index_mul(q, s.stride), phase)

        def read(term: Sequence[tuple[int, int]]) -> Any:
            at, within = list(index), None
            for s, q, (_, offset), (_, _, checked) in zip(slides, steps, term, ranges, strict=True):
                window = e.index_add(q, offset)
                if checked and isinstance(window, int):
                    if not 0 <= window < s.count:
                        return e.constant(0, dtype=x.type.dtype)
                elif checked:
                    inside = e.inside(window, s.count)
                    within = inside if within is None else e.and_(within, inside)
                    window = e.min(e.max(window, 0), s.count - 1)
                at[s.axis] = window
            found = x([*at[:rank], *(k for k, _ in term)])
            return found if within is None else e.select(within, found, e.constant(0, dtype=x.type.dtype))

        zero = e.constant(0, dtype=x.type.dtype)
        out.store(to, functools.reduce(e.add, map(read, terms)) if terms else zero)

    e.for_each(sizes, store)
