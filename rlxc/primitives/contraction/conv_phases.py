"""Convolutions of a dilated image as some of an image that is not: no product with a zero between its elements is ever made.

    z[p] = sum over k of x[(p s + k d - lo) / e] w[k]           places p = phase + count q meet every g-th element of the kernel, from k0 on

The cotangent of a strided convolution's image is such a convolution: with a stride of 2 along two axes, four with a quarter of the kernel each.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.emitter import Index


@dataclass(frozen=True, slots=True)
class Phase:
    """Every `step`-th place of an axis from `place` on; `window` is its walk under every `pace`-th element of the kernel from `first` on, None: none."""

    place: int
    step: int
    count: int
    first: int
    pace: int
    window: Any


def phases_of(v: Any) -> list[Phase]:
    """The phases of an axis; one, if it is not dilated."""
    e = v.lhs_dilation
    step, pace = e // math.gcd(v.stride, e), e // math.gcd(v.dilation, e)
    phases = []
    for place in range(min(step, v.result)):
        count = len(range(place, v.result, step))
        firsts = [k for k in range(min(pace, v.kernel)) if (place * v.stride + k * v.dilation - v.lo) % e == 0]
        if not firsts:
            phases.append(Phase(place, step, count, 0, pace, None))
            continue
        (first,) = firsts
        kernel, stride, dilation = len(range(first, v.kernel, pace)), v.stride * step // e, v.dilation * pace // e
        lo = -((place * v.stride + first * v.dilation - v.lo) // e)
        hi = (count - 1) * stride + (kernel - 1) * dilation + 1 - lo - v.size
        window = dataclasses.replace(v, kernel=kernel, stride=stride, lo=lo, hi=hi, dilation=dilation, lhs_dilation=1)
        phases.append(Phase(place, step, count, first, pace, window))
    return phases


def lower_phases(e: Any, w: Any, out: Any, axes: Sequence[Any], lower: Callable[[Any, Any, list[Any]], None]) -> None:
    """Emit `out = conv(x, w)` by `lower(w, out, axes)` of parts of w and of out, whose axes are not dilated."""
    if all(v.lhs_dilation == 1 for v in axes):
        lower(w, out, list(axes))
        return
    for phases in itertools.product(*map(phases_of, axes)):
        places = _Places(e, out, phases)
        if any(p.window is None for p in phases):
            e.for_each(places.type.shape, lambda index, places=places: places.store(index, 0))
        else:
            lower(_Kernel(e, w, phases), places, [p.window for p in phases])


class _Places:
    """Writes a phase of the result."""

    def __init__(self, e: Any, out: Any, phases: Sequence[Phase]) -> None:
        self.e, self.out, self.phases = e, out, phases
        self.type = out.type.with_shape((*out.type.shape[:2], *(p.count for p in phases)))

    def store(self, index: Sequence[Index], value: Any) -> None:
        n, o, *place = index
        to = [self.e.index_add(self.e.index_mul(q, p.step), p.place) for p, q in zip(self.phases, place, strict=True)]
        self.out.store([n, o, *to], value)


class _Kernel:
    """Reads a phase of the kernel."""

    def __init__(self, e: Any, w: Any, phases: Sequence[Phase]) -> None:
        self.e, self.w, self.phases = e, w, phases
        self.type = w.type.with_shape((*w.type.shape[:2], *(p.window.kernel for p in phases)))

    def __call__(self, index: Sequence[Index]) -> Any:
        o, c, *ks = index
        return self.w([o, c, *(self.e.index_add(self.e.index_mul(k, p.pace), p.first) for p, k in zip(self.phases, ks, strict=True))])
