"""The loop nest of a convolution, arranged so that one loop walks through memory evenly and carries several sums.

    for each image:
      stage     x, padded and dilated, goes to scratch memory; a strided last axis is dealt out by phase, so that steps of the stride
                become steps of one:  x[0 1 2 3 4 5]  ->  [0 2 4] [1 3 5]
      sum       for blocks of output channels and places: sums over channels and kernel, read from there without asking for bounds

Mostly the places along the last axis are what is walked. Where they are few and the kernel is long, as in the cotangent of a kernel, they
are written out, each with a sum of its own, and the kernel's last axis is walked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FEW = 8  # places along the last axis that are written out if the kernel is longer
BLOCK = 4  # output channels that share what is read of x


def lower_conv(e: Any, x: Any, w: Any, out: Any, axes: Sequence[Any], groups: int) -> None:
    """Emit `out = conv(x, w)`; `axes` are the `Window`s of the spatial axes."""
    if 0 not in out.type.shape:
        nest = _Nest(e, x, w, out, axes, groups)
        e.for_each(out.type.shape[:1], nest.image)


class _Nest:
    def __init__(self, e, x, w, out, axes, groups):
        self.e, self.x, self.w, self.out, self.axes, self.groups = e, x, w, out, axes, groups
        last = axes[-1]
        self.each = w.type.shape[0] // groups  # output channels of a group
        self.written_out = last.result <= FEW and last.kernel > last.result
        self.phases = last.dilation if self.written_out else last.stride
        self.zero = e.constant(0, dtype=x.type.dtype)
        self.block = 1 if self.written_out else max(n for n in range(1, BLOCK + 1) if self.each % n == 0)
        self.staged = None
        if self.phases > 1 or any(v.lo > 0 or v.hi > 0 or v.lhs_dilation > 1 for v in axes):
            shape = (x.type.shape[1], *(v.padded for v in axes[:-1]), self.phases, -(-last.padded // self.phases))
            self.staged = e.alloc(x.type.dtype, shape)
        self.rows = [e.alloc(x.type.dtype, (last.result,)) for _ in range(self.block)] if self.block > 1 else []

    def image(self, i):
        """All of one image."""
        e, out = self.e, self.out
        if self.staged is not None:
            e.for_each(self.staged.type.shape, lambda at: self.staged.store(at, self.pixel(i, at)))
        blocks, places = out.type.shape[1] // self.block, out.type.shape[2:]
        if self.written_out:
            e.for_each((blocks, *places[:-1]), lambda at: self.few(i, at))
        elif self.block == 1:
            e.for_each((blocks, *places), lambda at: self.store(i, at[0], at[1:], self.sums(i, at[0], at[1:-1], at[-1:])))
        else:
            e.for_each((blocks, *places[:-1]), lambda at: self.row(i, at))

    def few(self, i, at):
        """The few places along the last axis at once."""
        places = range(self.axes[-1].result)
        for p, total in zip(places, self.sums(i, at[0], at[1:], places), strict=True):
            self.store(i, at[0], [*at[1:], p], [total])

    def row(self, i, at):
        """A row of places of several output channels: each has its own row of scratch memory, and is copied from there."""
        e, last = self.e, self.axes[-1].result

        def place(p):
            for row, total in zip(self.rows, self.sums(i, at[0], at[1:], p), strict=True):
                row.store(p, total)

        e.for_each((last,), place)
        for k, row in enumerate(self.rows):
            e.for_each((last,), lambda p, k=k, row=row: self.out.store([*i, self.channel(at[0], k), *at[1:], *p], row(p)))

    def store(self, i, block, place, totals):
        for k, total in enumerate(totals):
            self.out.store([*i, self.channel(block, k), *place], total)

    def channel(self, block, k):
        return self.e.index_add(self.e.index_mul(block, self.block), k)

    def sums(self, i, block, place, lasts):
        """Sums for the output channels of a block and the places `lasts` along the last axis."""
        e, lasts = self.e, list(lasts)
        group = e.index_div(self.channel(block, 0), self.each) if self.groups > 1 else 0
        first = e.index_mul(group, self.w.type.shape[1])

        def add_terms(counters, *totals):
            c, *ks = counters
            weights = [self.w([self.channel(block, k), c, *ks]) for k in range(self.block)]
            pixels = [self.read(i, e.index_add(first, c), [*place, p], ks) for p in lasts]
            terms = [(pixel, weight) for weight in weights for pixel in pixels]
            return tuple(self.add(total, *term) for total, term in zip(totals, terms, strict=True))

        return e.loop(self.w.type.shape[1:], (self.zero,) * (self.block * len(lasts)), add_terms)

    def add(self, total, pixel, weight):
        e = self.e
        return e.fma(pixel, weight, total) if self.x.type.dtype.is_float else e.add(total, e.mul(pixel, weight))

    def read(self, i, channel, place, ks):
        """What kernel element `ks` at `place` meets."""
        e = self.e
        steps = [(e.index_mul(p, v.stride), e.index_mul(k, v.dilation)) for p, k, v in zip(place, ks, self.axes, strict=True)]
        if self.staged is None:
            return self.x([*i, channel, *(e.index_sub(e.index_add(*step), v.lo) for step, v in zip(steps, self.axes, strict=True))])
        at = [e.index_add(*step) for step in steps[:-1]]
        even, odd = (ks[-1], steps[-1][0]) if self.written_out else (place[-1], steps[-1][1])  # phases * even + odd is the place in x
        phase, whole = e.index_rem(odd, self.phases), e.index_div(odd, self.phases)
        return self.staged([channel, *at, phase, e.index_add(even, whole)])

    def pixel(self, i, at):
        """The element of the padded and dilated x that belongs to a place in the staged image."""
        e = self.e
        channel, *place, phase, whole = at
        places, between = [], []
        for p, v in zip([*place, e.index_add(e.index_mul(whole, self.phases), phase)], self.axes, strict=True):
            p = e.index_sub(p, v.lo)
            if v.lhs_dilation > 1:
                between.append(e.index_rem(p, v.lhs_dilation))
                p = e.index_div(p, v.lhs_dilation)
            places.append(p)
        pixel = e.read_or(self.x, [*i, channel, *places], self.zero)
        for rest in between:  # negative only where x is not read, or not divisible
            pixel = (self.zero if rest else pixel) if isinstance(rest, int) else e.select(e.eq(rest, 0), pixel, self.zero)
        return pixel
