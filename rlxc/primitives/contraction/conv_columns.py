"""Convolutions of few places under a long kernel: columns are places and images. The cotangent of a kernel is one, its images are channels.

    out[o, (u, v, n)] = sum of w[o, c, i, j] staged[c, i + u, j + v, n]

Images are staged with the last axis first, so that a run of columns (v, n) is a run of neighbours in memory; it is copied with its vectors as they
lie to where tiles read it. Where such a run is no whole number of vectors, patches are written down, a few rows of the kernel at a time, with
runs side by side; or runs are taken one by one, with vectors that are not full. See Note [Columns].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rlxc.ir.emitter import Index, Memory
from rlxc.primitives.contraction.conv_shape import KERNEL, SPATIAL, Shape, StagedImage, SwappedResult, walks_of
from rlxc.primitives.contraction.letters import Operand, Roles
from rlxc.primitives.contraction.nest import lower_contraction
from rlxc.primitives.contraction.plan import PARALLEL_FLOPS
from rlxc.primitives.contraction.tiles import cut

RUN = 1  # cycles it takes to write down an element of a patch

MAX_WRITTEN_OUT = 50  # places of which one is stored after the other


def lower_few_places(e: Any, x: Any, weights: Operand, out: Any, shape: Shape) -> None:
    """Emit the loops of a convolution whose image is not dilated; `weights` is [groups, outputs, inputs, kernel...]."""
    e.for_(0, shape.groups, lambda g: _Columns(e, x, weights, out, shape, g).run())


def channels_together(shape: Shape, element_bytes: int, l3: int) -> int:
    """How many channels of a group are staged at a time: all, if that is a small part of the third cache."""
    staged = shape.inputs * math.prod(v.padded for v in shape.axes) * shape.images * element_bytes
    return shape.inputs if staged <= l3 // 4 else 1


class _Columns:
    """One group."""

    def __init__(self, e: Any, x: Any, weights: Operand, out: Any, shape: Shape, group: Index) -> None:
        self.e, self.x, self.weights, self.out, self.shape, self.group = e, x, weights, out, shape, group
        rank = len(shape.axes)
        self.u, self.i = SPATIAL[: rank - 1], KERNEL[:rank]  # letters of rows of places, and of the kernel
        self.extents = [v.padded for v in shape.axes]
        last = shape.axes[-1]
        self.runs = last.result if last.stride == 1 else 1  # places whose images are one run
        if self.runs == 1 and last.result > 1:
            self.u = SPATIAL[:rank]
        self.run_size = self.runs * shape.images
        self.around = [v.result for v in shape.axes[: len(self.u)]]
        self.columns = math.prod(self.around) * self.run_size
        self.parallel = 2 * shape.products >= PARALLEL_FLOPS
        self.bytes = out.type.dtype.size
        self.lanes = e.target.lanes(self.bytes)

    def run(self) -> None:
        """Stage, add up the products, and take the sums to where they belong."""
        e, shape = self.e, self.shape
        sums = e.alloc(self.out.type.dtype, (shape.outputs, self.columns))
        together = channels_together(shape, self.bytes, e.target.l3)
        rows = self.patch_rows()
        add = bool(rows) or together < shape.inputs
        if add:
            e.for_each(sums.type.shape, lambda i: sums.store(i, 0))

        def channels(c: Index) -> None:
            first = e.index_mul(c, together)
            staged = self.staged(first, together)
            if rows:
                self.add_patches(first, together, staged, sums, rows)
            else:
                self.add_runs(first, together, staged, sums, add=add)

        e.for_(0, shape.inputs // together, channels)
        self.take(sums)

    def staged(self, first: Index, count: int) -> Memory:
        """`count` channels from the first on: [channels, extents..., images]."""
        e, shape = self.e, self.shape
        staged = e.alloc(self.x.type.dtype, (count, *self.extents, shape.images))
        walks = [walk for v in shape.axes for walk in walks_of(v, 1)]
        if math.prod(w.count for w in walks) < math.prod(self.extents):
            e.for_each(staged.type.shape, lambda i: staged.store(i, 0))

        def put(index: list[Index]) -> None:
            c, *steps, n = index
            channel = e.index_add(e.index_mul(self.group, shape.inputs), e.index_add(first, c))
            pixel = self.x([n, channel, *(w.read(e, t) for w, t in zip(walks, steps, strict=True))])
            staged.store([c, *(w.to(e, t) for w, t in zip(walks, steps, strict=True)), n], pixel)

        if len(walks) == len(shape.axes):
            e.for_each((count, *(w.count for w in walks), shape.images), put)
        return staged

    def take(self, sums: Memory) -> None:
        """The sums to the result, in its order."""
        e, shape = self.e, self.shape
        swapped = isinstance(self.out, SwappedResult)

        def places(index: list[Index]) -> None:
            o, n = index if swapped else index[::-1]
            channel = e.index_add(e.index_mul(self.group, shape.outputs), o)

            def one(place: Sequence[Index]) -> None:
                column = e.index_add(e.index_mul(e.ravel(place, shape.places), shape.images), n)
                self.out.store([n, channel, *place], sums([o, column]))

            if math.prod(shape.places) > MAX_WRITTEN_OUT:
                e.for_each(shape.places, one)
            else:
                for place in itertools.product(*map(range, shape.places)):
                    one(place)

        e.for_each((shape.outputs, shape.images) if swapped else (shape.images, shape.outputs), places)

    def kernel(self, c: Index, starts: Sequence[Index] = ()) -> Operand:
        """The kernel from channel `c` and these elements on."""
        e = self.e

        def read(index: Sequence[Index]) -> Any:
            o, k, *ks = index
            moved = [e.index_add(i, s) for i, s in zip(ks, [*starts, *[0] * (len(ks) - len(starts))], strict=True)]
            return self.weights.access([self.group, o, e.index_add(c, k), *moved])

        return Operand("oc" + self.i, _Reader(self.weights.access.type, read))

    # runs

    def add_runs(self, c: Index, count: int, staged: Memory, sums: Memory, *, add: bool) -> None:
        """The products of `count` channels, from runs as they lie."""
        e, shape = self.e, self.shape
        flat = Memory(e, e.view(staged.value, shape=(count, *self.extents[:-1], self.extents[-1] * shape.images)))
        whole = self.run_size % self.lanes == 0

        def at(where: Mapping[str, Index]) -> list[Index]:
            *outer, last = [e.index_mul(where[i], v.dilation) for i, v in zip(self.i, shape.axes, strict=True)]
            moves = [e.index_mul(where[u], v.stride) for u, v in zip(self.u, shape.axes, strict=False)]
            if len(moves) == len(shape.axes):
                last = e.index_add(last, moves.pop())
            outer = [e.index_add(i, u) for i, u in zip(outer, moves, strict=True)]
            return [where["c"], *outer, e.index_add(e.index_mul(last, shape.images), where["a"])]

        sizes = {"c": count, "o": shape.outputs, "a": self.run_size}
        sizes |= dict(zip(self.u, self.around, strict=True)) | dict(zip(self.i, shape.kernel, strict=True))
        y = _Runs("c" + self.u + self.i + "a", flat, "a", at)
        if whole and self.columns > self.run_size:
            out, around, n = Operand("o" + self.u[0], sums), "", self.u + "a"
        else:
            view = Memory(e, e.view(sums.value, shape=(shape.outputs, *self.around, self.run_size)))
            out, around, n = Operand("o" + self.u + "a", view), self.u, "a"
        lower_contraction(e, Roles(self.kernel(c), y, out, around, "o", n, "c" + self.i, sizes), add=add, parallel=self.parallel)

    # patches

    def patch_rows(self) -> int:
        """Rows of the kernel whose patches are written down at a time; 0: patches are not written down."""
        depth = math.prod(self.shape.kernel[1:])
        rows = self.e.target.l2 // 4 // (depth * self.columns * self.bytes)
        separate = math.prod(self.around) * -(-self.run_size // self.lanes)
        saved = (separate - -(-self.columns // self.lanes)) * self.shape.outputs
        return min(rows, self.shape.kernel[0]) if saved > RUN * self.columns else 0

    def add_patches(self, first: Index, count: int, staged: Memory, sums: Memory, rows: int) -> None:
        """The products of `count` channels, a few rows of the kernel at a time."""
        e, shape = self.e, self.shape
        others = shape.kernel[1:]

        def some(c: Index, size: int, start: int, b: Index) -> None:
            begin = e.index_add(e.index_mul(b, size), start)
            patches = e.alloc(self.x.type.dtype, (size, *others, self.columns))

            def put(index: list[Index]) -> None:
                *at, t = index
                ks, us = at[: len(shape.axes)], at[len(shape.axes) :]
                ks[0] = e.index_add(ks[0], begin)
                *outer, last = self.under(us, ks)
                pixel = flat([c, *outer, e.index_add(e.index_mul(last, shape.images), t)])
                patches.store([*at[: len(shape.axes)], e.index_add(e.index_mul(e.ravel(us, self.around), self.run_size), t)], pixel)

            e.for_each((size, *others, *self.around, self.run_size), put)
            sizes = {"c": 1, "o": shape.outputs, "a": self.columns} | dict(zip(self.i, (size, *others), strict=True))
            y = _Patches("c" + self.i + "a", Memory(e, e.view(patches.value, shape=(1, *patches.type.shape))))
            roles = Roles(self.kernel(e.index_add(first, c), [begin]), y, Operand("oa", sums), "", "o", "a", "c" + self.i, sizes)
            lower_contraction(e, roles, add=True, parallel=self.parallel)

        flat = Memory(e, e.view(staged.value, shape=(count, *self.extents[:-1], self.extents[-1] * shape.images)))

        def channel(c: Index) -> None:
            for part in cut(shape.kernel[0], rows):
                e.for_(0, part.count, partial(some, c, part.size, part.start))

        e.for_(0, count, channel)

    def under(self, us: Sequence[Index], ks: Sequence[Index]) -> list[Index]:
        """Where the run at row of places `us` begins under kernel element `ks`."""
        e = self.e
        at = [e.index_mul(k, v.dilation) for k, v in zip(ks, self.shape.axes, strict=True)]
        for axis, (u, v) in enumerate(zip(us, self.shape.axes, strict=False)):
            at[axis] = e.index_add(at[axis], e.index_mul(u, v.stride))
        return at


@dataclass(frozen=True)
class _Runs(StagedImage):
    """Staged images whose columns are runs of neighbours; copied to panels where that pays."""

    stays = False


class _Patches(Operand):
    """Patches that were written down as tiles read them."""

    stays = True


class _Reader:
    def __init__(self, type: Any, read: Any) -> None:
        self.type, self.read = type, read

    def __call__(self, index: Sequence[Index]) -> Any:
        return self.read(index)
