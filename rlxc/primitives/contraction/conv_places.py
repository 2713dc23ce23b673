"""Convolutions whose columns are the places of several images, with nothing between them.

    out[o, (u, n, v)] = sum of w[o, c, i, j] staged[c, j, u + i, n, v]          staged[c, j, u, n, v] = image[n, c, u, v + j]

Along the first axis a kernel element is a displacement; for each one along the others images are staged once, moved by as much. So there are
neither columns that are no place, as at the end of each row of a padded image, nor vectors that are not full, as at the end of each image.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rlxc.ir.emitter import Index, Memory
from rlxc.ir.target import Target
from rlxc.primitives.contraction.conv_shape import KERNEL, Shape, StagedImage, gaps, reach_of, walks_of
from rlxc.primitives.contraction.letters import Operand, Roles
from rlxc.primitives.contraction.nest import lower_contraction
from rlxc.primitives.contraction.plan import PARALLEL_FLOPS

STAGE = 5  # cycles it takes to stage a vector
FAR = 5  # and more, if staged images do not stay in the second cache
TAKE = 4  # cycles it takes to take a vector of sums to where it belongs
DRAWN = 2  # cycles it takes to pack an element of a kernel that is no plain memory
MOST_COPIES = 32  # of an image


def images_together(shape: Shape, element_bytes: int, plain_kernel: bool, target: Target) -> int:
    """How many images are best staged side by side; 0: columns are better taken from the padded grid of each image. See Note [Grid or places]."""
    first, *rest = shape.axes
    lanes = target.lanes(element_bytes)
    copies = math.prod(v.kernel for v in rest)
    if copies > MOST_COPIES:
        return 0
    inputs = shape.groups * shape.inputs
    products = shape.inputs * shape.outputs * math.prod(shape.kernel)
    drawn = 0 if plain_kernel else shape.groups * products * DRAWN  # of packing the kernel
    image = inputs * copies * first.padded * math.prod(v.result for v in rest)  # elements, staged

    def cost(together: int) -> float:
        times = shape.images // together
        take = TAKE * shape.outputs if together > 1 else 0
        sums = shape.groups * times * -(-together * math.prod(shape.places) // lanes) * (products + take)
        far = together * image * element_bytes > target.l2
        return sums + shape.images * image / lanes * (STAGE + FAR * far) + times * drawn

    fit = [n for n in range(1, shape.images + 1) if shape.images % n == 0 and (n == 1 or n * image * element_bytes <= target.l3 // 4)]
    best = min(fit, key=cost)
    grid = shape.groups * -(-shape.grid_columns // lanes) * (products + TAKE * shape.outputs)
    grid += inputs * math.prod(v.padded for v in shape.axes) / lanes * STAGE + drawn
    return best if cost(best) < shape.images * grid else 0


def lower_places(e: Any, x: Any, weights: Operand, out: Any, shape: Shape, together: int, *, turned: bool) -> None:
    """Emit the loops of a convolution, `together` images at a time; its image is not dilated. `turned`: weights are from their last element on."""
    schedule = _Places(e, x, weights, out, shape, together, turned)
    times = shape.images // together
    if times == 1:
        schedule.images(0, parallel=True)
        return
    parallel = times >= 4 and 2 * shape.products >= PARALLEL_FLOPS
    e.for_(0, times, lambda t: schedule.images(e.index_mul(t, together), parallel=not parallel), parallel=parallel)


class _Places:
    def __init__(self, e: Any, x: Any, weights: Operand, out: Any, shape: Shape, together: int, turned: bool) -> None:
        self.e, self.x, self.weights, self.out, self.shape, self.together, self.turned = e, x, weights, out, shape, together, turned
        self.first, *self.rest = shape.axes
        self.phases, self.steps = min(self.first.stride, self.first.padded), -(-self.first.padded // self.first.stride)
        self.across = [v.result for v in self.rest]  # places of the axes but the first
        self.row = together * math.prod(self.across)  # columns of one place of the first axis
        self.columns = self.first.result * self.row

    def images(self, first: Index, *, parallel: bool) -> None:
        """Images from the first on: stage them, add up the products, and take the sums to where they belong."""
        e, shape, kernel = self.e, self.shape, KERNEL[: len(self.shape.axes)]
        staged = self.staged(first)
        copies = [v.kernel for v in self.rest]
        view = Memory(e, e.view(staged.value, shape=(shape.groups, shape.inputs, *copies, self.phases, self.steps * self.row)))

        def at(where: Mapping[str, Index]) -> list[Index]:
            reach = reach_of(e, self.first, where[kernel[0]], turned=self.turned)
            offset = e.index_mul(e.index_div(reach, self.first.stride), self.row)
            moved = [e.index_sub(v.kernel - 1, where[a]) if self.turned else where[a] for a, v in zip(kernel[1:], self.rest, strict=True)]
            return [where["g"], where["c"], *moved, e.index_rem(reach, self.first.stride), e.index_add(offset, where["p"])]

        y = StagedImage("gc" + kernel + "p", view, "p", at)
        direct = self.together == 1 and isinstance(self.out, Memory)
        if direct:
            whole = Memory(e, e.view(self.out.value, shape=(shape.images, shape.groups, shape.outputs, self.columns)))
            result: Operand = _Image("gop", whole, first)
        else:
            result = Operand("gop", e.alloc(self.out.type.dtype, (shape.groups, shape.outputs, self.columns)))
        sizes = {"g": shape.groups, "c": shape.inputs, "o": shape.outputs, "p": self.columns, **dict(zip(kernel, shape.kernel, strict=True))}
        lower_contraction(e, Roles(self.weights, y, result, "g", "o", "p", "c" + kernel, sizes), parallel=parallel)
        if not direct:
            self.take(first, result)

    def take(self, first: Index, sums: Operand) -> None:
        e, shape = self.e, self.shape

        def one(index: list[Index]) -> None:
            n, g, o, u, *place = index
            column = e.ravel([u, n, *place], [self.first.result, self.together, *self.across])
            channel = e.index_add(e.index_mul(g, shape.outputs), o)
            self.out.store([e.index_add(first, n), channel, u, *place], sums.access([g, o, column]))

        e.for_each((self.together, shape.groups, shape.outputs, *shape.places), one)

    # staging

    def staged(self, first: Index) -> Memory:
        """[channels, kernel of the axes but the first, phases and steps of the first one, images, places of the others]."""
        e, shape = self.e, self.shape
        channels = shape.groups * shape.inputs
        memory = e.alloc(self.x.type.dtype, (channels, *(v.kernel for v in self.rest), self.phases, self.steps, self.together, *self.across))
        walks = walks_of(self.first, self.first.stride)
        moves = list(itertools.product(*(range(v.kernel) for v in self.rest)))

        def channel(c: list[Index]) -> None:
            for ks in moves:
                inside = [_inside(v, k) for v, k in zip(self.rest, ks, strict=True)]
                self.clear(memory, [*c, *ks], walks, inside)
                for walk in walks:
                    self.copy(memory, first, c, ks, walk, inside)

        e.for_each((channels,), channel)
        return memory

    def copy(self, memory: Memory, first: Index, c: list[Index], ks: Sequence[int], walk: Any, inside: Sequence[range]) -> None:
        """Rows of one walk of the first axis, moved by `ks` along the others."""
        e = self.e

        def put(index: list[Index]) -> None:
            t, n, *place = index
            place = [e.index_add(i, r.start) for i, r in zip(place, inside, strict=True)]
            at = [e.index_add(e.index_mul(i, v.stride), k * v.dilation - v.lo) for i, k, v in zip(place, ks, self.rest, strict=True)]
            memory.store([*c, *ks, walk.phase, walk.to(e, t), n, *place], self.x([e.index_add(first, n), *c, walk.read(e, t), *at]))

        e.for_each((walk.count, self.together, *map(len, inside)), put)

    def clear(self, memory: Memory, at: list[Index], walks: Sequence[Any], inside: Sequence[range]) -> None:
        """Zeros where nothing is copied to: steps that no walk visits, and what lies before and behind the others' places."""
        e = self.e
        visited = {(w.phase, w.start + t * w.stretch) for w in walks for t in range(w.count)}
        for phase in range(self.phases):
            for start, stop in gaps(self.steps, {s for p, s in visited if p == phase}):
                e.for_each(
                    (stop - start, self.together, *self.across),
                    lambda i, phase=phase, start=start: memory.store([*at, phase, e.index_add(i[0], start), *i[1:]], 0),
                )
        for axis, (r, n) in enumerate(zip(inside, self.across, strict=True)):
            for start, stop in gaps(n, r):
                sizes = [self.phases, self.steps, self.together, *self.across]
                sizes[3 + axis] = stop - start

                def zero(i: list[Index], axis=axis, start=start) -> None:
                    i[3 + axis] = e.index_add(i[3 + axis], start)
                    memory.store([*at, *i], 0)

                e.for_each(sizes, zero)


class _Image(Operand):
    """The sums of one image, which are its places."""

    def __init__(self, letters: str, access: Any, image: Index) -> None:
        super().__init__(letters, access)
        object.__setattr__(self, "image", image)

    def index(self, where: Mapping[str, Index]) -> list[Index]:
        return [self.image, *super().index(where)]  # type: ignore[attr-defined]


def _inside(v: Any, k: int) -> range:
    """The places at which kernel element k meets an element of the image, not its padding."""
    start = max(0, -(-(v.lo - k * v.dilation) // v.stride))
    stop = min(v.result, (v.size - 1 + v.lo - k * v.dilation) // v.stride + 1)
    return range(start, max(start, stop)) if start < v.result else range(0)


# Note [Grid or places]
# ---------------------
# On a padded grid an image is staged once, and products are added up at the ends of its rows where there is no place: 2 of 58 columns for a kernel
# of 3 and rows of 56, but 2 of 9 for rows of 7. Places without gaps cost as many copies of the image as the kernel has elements along the axes but
# the first: an element more is written once, a column more takes as many products as there are channels of the result. Several images fill
# vectors better than one, and share the packing of the kernel; they should not be more than a part of the third cache.
