"""The loop nests of convolutions that have little to share between channels, first of all depthwise ones, where a channel is made of one.

    for each image and group:
      stage     its channels, padded, go to scratch memory; strided axes are dealt out by phase, so that steps of the stride become steps of
                one:  x[0 1 2 3 4 5]  ->  [0 2 4] [1 3 5]
      sum       one loop walks through memory evenly and carries several sums, read from there without asking for bounds

Mostly places are what is walked, several rows at once, which share what is read; where rows are short, on the whole staged grid. Where places
are few and the kernel is long, as in the cotangent of a kernel, places are written out, and the kernel's last axis is walked.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from rlxc.ir.emitter import Index, Memory
from rlxc.primitives.contraction.conv_shape import Shape, clear_around, walks_of
from rlxc.primitives.contraction.plan import PARALLEL_FLOPS

FEW = 8  # places along the last axis that are written out if the kernel is longer
MANY = 16  # sums under way at once, if all places are written out
BLOCK = 4  # output channels that share what is read of x
ROWS = 4  # and rows
MAX_WRITTEN_OUT = 50  # products of a sum that are written out


def lower_conv(e: Any, x: Any, w: Any, out: Any, axes: Sequence[Any], groups: int) -> None:
    """Emit `out = conv(x, w)`; `axes` are the `Window`s of the spatial axes, whose image is not dilated. Only channels of x may be none."""
    shape = Shape(x.type.shape[0], groups, w.type.shape[1], w.type.shape[0] // groups, axes)
    parallel = 2 * shape.products >= PARALLEL_FLOPS
    if not shape.inputs:
        e.for_each(out.type.shape, lambda index: out.store(index, 0))
        return

    def group(t: Index) -> None:
        image, g = e.unravel(t, [shape.images, groups])
        _Group(e, x, w, out, shape, image, g).run()

    e.for_(0, shape.images * groups, group, parallel=parallel)


class _Group:
    def __init__(self, e: Any, x: Any, w: Any, out: Any, shape: Shape, image: Index, group: Index) -> None:
        self.e, self.x, self.w, self.out, self.shape, self.image, self.group = e, x, w, out, shape, image, group
        self.axes, last = shape.axes, shape.axes[-1]
        self.few = last.result <= FEW and last.kernel > last.result  # places are written out
        self.terms = list(itertools.product(range(shape.inputs), *map(range, shape.kernel)))
        lanes = e.target.lanes(out.type.dtype.size)
        self.short = len(self.terms) <= MAX_WRITTEN_OUT
        self.flat = self.short and not self.few and len(self.axes) > 1 and last.result < 2 * lanes
        self.phases = [1] * (len(self.axes) - 1) + [last.dilation if self.few else last.stride]
        if self.flat:
            self.phases = [v.stride for v in self.axes]
        self.steps = [-(-v.padded // n) for v, n in zip(self.axes, self.phases, strict=True)]
        self.staged: Memory | None = None

    def run(self) -> None:
        """Stage the channels of the group, and sum up its outputs."""
        self.stage()
        if self.few:
            self.few_places()
        elif self.flat:
            self.grid()
        elif self.short:
            self.rows()
        else:
            self.long_sums()

    # staging

    def stage(self) -> None:
        e, shape = self.e, self.shape
        if not self.flat and max(self.phases) == 1 and all(v.lo == v.hi == 0 for v in self.axes):
            return
        self.staged = staged = e.alloc(self.x.type.dtype, (shape.inputs, *self.phases, *self.steps))
        walks = [walks_of(v, n) for v, n in zip(self.axes, self.phases, strict=True)]
        clear_around(e, staged, walks, self.phases, self.steps)
        for walk in itertools.product(*walks):

            def put(index: list[Index], walk=walk) -> None:
                c, *ts = index
                to = [w.to(e, t) for w, t in zip(walk, ts, strict=True)]
                pixel = self.x([self.image, self.channel(c), *(w.read(e, t) for w, t in zip(walk, ts, strict=True))])
                staged.store([c, *(w.phase for w in walk), *to], pixel)

            e.for_each((shape.inputs, *(w.count for w in walk)), put)

    def channel(self, c: Index) -> Index:
        return self.e.index_add(self.e.index_mul(self.group, self.shape.inputs), c)

    def output(self, o: Index) -> Index:
        return self.e.index_add(self.e.index_mul(self.group, self.shape.outputs), o)

    def read(self, c: Index, at: Sequence[tuple[Index, Index]]) -> Any:
        """The element at phases * whole + odd along each axis, where `at` has whole and odd."""
        e = self.e
        if self.staged is None:
            return self.x([self.image, self.channel(c), *(e.index_add(*pair) for pair in at)])
        phase = [e.index_rem(odd, n) for (_, odd), n in zip(at, self.phases, strict=True)]
        steps = [e.index_add(whole, e.index_div(odd, n)) for (whole, odd), n in zip(at, self.phases, strict=True)]
        return self.staged([c, *phase, *steps])

    def under(self, place: Sequence[Index], ks: Sequence[Index]) -> list[tuple[Index, Index]]:
        """Where kernel element `ks` at `place` lies, as `read` wants it."""
        e = self.e
        at: list[tuple[Index, Index]] = []
        for p, k, v, n in zip(place, ks, self.axes, self.phases, strict=True):
            walked, other = e.index_mul(p, v.stride), e.index_mul(k, v.dilation)
            if n == 1:
                at.append((e.index_add(walked, other), 0))
            else:
                at.append((k, walked) if self.few else (p, other))
        return at

    # short sums, written out

    def weights(self, o: Index) -> list[Any]:
        return [self.w([self.output(o), *term]) for term in self.terms]

    def rows(self) -> None:
        """A block of rows at a time, place by place; all but the first by way of scratch memory, as a loop stores to one place only."""
        e, shape = self.e, self.shape
        *outer, last = shape.places
        block = min(ROWS, outer[-1]) if outer and self.axes[-2].kernel > 1 else 1
        around = outer[:-1]
        others = [e.alloc(self.out.type.dtype, (last,)) for _ in range(block - 1)]

        def some(o: Index, before: Sequence[Index], first: Index, count: int) -> None:
            weights = self.weights(o)

            def store(r: int, p: list[Index], total: Any) -> None:
                self.out.store([self.image, self.output(o), *((*before, e.index_add(first, r)) if outer else ()), *p], total)

            def place(p: list[Index]) -> None:
                totals = self.sums(before, first, count, p, weights)
                store(0, p, totals[0])
                for memory, total in zip(others, totals[1:], strict=False):
                    memory.store(p, total)

            e.for_each((last,), place)
            for r in range(1, count):
                e.for_each((last,), lambda p, r=r: store(r, p, others[r - 1](p)))

        def output(index: list[Index]) -> None:
            o, *before = index
            rows = outer[-1] if outer else 1
            e.for_each((rows // block,), lambda b: some(o, before, e.index_mul(b[0], block), block))
            if rows % block:
                some(o, before, rows - rows % block, rows % block)

        e.for_each((shape.outputs, *around), output)

    def sums(self, before: Sequence[Index], first: Index, count: int, last: Sequence[Index], weights: Sequence[Any]) -> list[Any]:
        """The sums of `count` rows from row number `first` on; what several of them meet is read once."""
        e = self.e
        sums: list[Any] = [None] * count
        known: dict[Any, Any] = {}
        for (c, *ks), weight in zip(self.terms, weights, strict=True):
            for n in range(count):
                step = n * self.axes[-2].stride + ks[-2] * self.axes[-2].dilation if len(ks) > 1 else 0
                key = (c, *ks[:-2], step, ks[-1])
                if key not in known:
                    *at, end = self.under([*before, first, *last] if len(ks) > 1 else last, [*ks[:-2], 0, ks[-1]] if len(ks) > 1 else ks)
                    if at:
                        at[-1] = (e.index_add(at[-1][0], step), 0)
                    known[key] = self.read(c, [*at, end])
                sums[n] = e.mul(known[key], weight) if sums[n] is None else self.add(sums[n], known[key], weight)
        return sums

    def grid(self) -> None:
        """All of the staged grid from the first place to the last one; places are taken from there."""
        e, shape, staged = self.e, self.shape, self.staged
        columns = shape.grid_columns
        assert staged is not None
        size = math.prod(self.steps)
        view = Memory(e, e.view(staged.value, shape=(shape.inputs, *self.phases, size)))
        sums = e.alloc(self.out.type.dtype, (columns,))

        def output(index: list[Index]) -> None:
            (o,) = index
            weights = self.weights(o)

            def column(p: list[Index]) -> None:
                total = None
                for (c, *ks), weight in zip(self.terms, weights, strict=True):
                    reach = [k * v.dilation for k, v in zip(ks, self.axes, strict=True)]
                    moved = e.ravel([r // v.stride for r, v in zip(reach, self.axes, strict=True)], self.steps)
                    pixel = view([c, *(r % v.stride for r, v in zip(reach, self.axes, strict=True)), e.index_add(p[0], moved)])
                    total = e.mul(pixel, weight) if total is None else self.add(total, pixel, weight)
                sums.store(p, total)

            e.for_each((columns,), column)
            e.for_each(tuple(shape.places), lambda place: self.out.store([self.image, self.output(o), *place], sums([e.ravel(place, self.steps)])))

        e.for_each((shape.outputs,), output)

    # long sums

    def few_places(self) -> None:
        """The few places along the last axis at once, and those of the others too if they are not many."""
        *outer, last = self.shape.places
        written = [range(n) for n in outer] if math.prod(outer) * last <= MANY else []

        def some(index: list[Index]) -> None:
            o, *before = index
            places = [[*before, *p] for p in itertools.product(*written, range(last))]
            for place, total in zip(places, self.long_sum([o], places), strict=True):
                self.out.store([self.image, self.output(o), *place], total)

        self.e.for_each((self.shape.outputs, *([] if written else outer)), some)

    def long_sums(self) -> None:
        """Place by place; several output channels, each with its own row of scratch memory, share what is read."""
        e, shape = self.e, self.shape
        block = max(n for n in range(1, BLOCK + 1) if shape.outputs % n == 0)
        last = shape.places[-1]
        rows = [e.alloc(self.out.type.dtype, (last,)) for _ in range(block)] if block > 1 else []

        def row(index: list[Index]) -> None:
            b, *before = index
            outputs = [e.index_add(e.index_mul(b, block), k) for k in range(block)]

            def place(p: list[Index]) -> None:
                totals = self.long_sum(outputs, [[*before, *p]])
                if block == 1:
                    self.out.store([self.image, self.output(outputs[0]), *before, *p], totals[0])
                for memory, total in zip(rows, totals, strict=False):
                    memory.store(p, total)

            e.for_each((last,), place)
            for o, memory in zip(outputs, rows, strict=False):
                e.for_each((last,), lambda p, o=o, memory=memory: self.out.store([self.image, self.output(o), *before, *p], memory(p)))

        e.for_each((shape.outputs // block, *shape.places[:-1]), row)

    def long_sum(self, outputs: Sequence[Index], places: Sequence[Sequence[Index]]) -> tuple[Any, ...]:
        """Sums over channels and kernel by loops, for each output channel and place."""
        e = self.e
        zero = e.constant(0, dtype=self.x.type.dtype)

        def add_terms(counters: list[Index], *totals: Any) -> tuple[Any, ...]:
            c, *ks = counters
            weights = [self.w([self.output(o), c, *ks]) for o in outputs]
            pixels = [self.read(c, self.under(place, ks)) for place in places]
            terms = [(pixel, weight) for weight in weights for pixel in pixels]
            return tuple(self.add(total, *term) for total, term in zip(totals, terms, strict=True))

        return e.loop(self.w.type.shape[1:], (zero,) * (len(outputs) * len(places)), add_terms)

    def add(self, total: Any, pixel: Any, weight: Any) -> Any:
        e = self.e
        return e.fma(pixel, weight, total) if self.x.type.dtype.is_float else e.add(total, e.mul(pixel, weight))
