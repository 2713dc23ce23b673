"""Convolutions as contractions whose operand y is the image itself, read where the kernel lies: patches are never written down.

    many places     out[o, p] = sum of w[o, c, k] image[c, k + p]         columns are places p
    few places      out[o, c] = sum of w[o, k] image[k + place, c]        columns are what each image is a channel of: the cotangent of a kernel

The image is staged once: padded, dilated, and so arranged that neighbours along a column are neighbours in memory. Places are counted on the
staged grid, so that a kernel element is a displacement. Along a strided axis the staged image is dealt out by phase, x[0 1 2 3 4 5] becoming
[0 2 4] [1 3 5], and a step of the stride is a step of one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.emitter import Index, Memory
from rlxc.primitives.contraction.conv_columns import lower_few_places
from rlxc.primitives.contraction.conv_places import images_together, lower_places
from rlxc.primitives.contraction.conv_shape import KERNEL, SPATIAL, Shape, StagedImage, TurnedKernel, clear_around, reach_of, walks_of
from rlxc.primitives.contraction.letters import Operand, Roles
from rlxc.primitives.contraction.nest import lower_contraction
from rlxc.primitives.contraction.plan import PARALLEL_FLOPS


@dataclass(frozen=True)
class _Drawn(Operand):
    """A kernel that something is fused to, most likely what turns it around: then channels of the result are what lies closest together."""

    @property
    def last(self) -> str:
        return "o"


@dataclass(frozen=True)
class _Turned(Operand):
    """A kernel whose elements for one channel of the result are near those for the next one."""

    by_stretches = True


def lower_convolution(e: Any, x: Any, w: Any, out: Any, shape: Shape) -> None:
    """Emit the loops of a convolution, none of whose sizes is 0."""
    conv = _Convolution(e, x, w, out, shape)
    if shape.has_few_places:
        lower_few_places(e, x, conv.weights(), out, shape)
        return
    parallel = shape.images >= 4 and 2 * shape.products >= PARALLEL_FLOPS
    if together := images_together(shape, out.type.dtype.size, isinstance(w, Memory) or conv.turned, e.target):
        lower_places(e, conv.x, conv.weights_as_they_lie(), out, shape, together, turned=conv.turned)
        return
    if shape.images == 1:
        conv.many_places(0, parallel=True)
    else:
        e.for_(0, shape.images, lambda i: conv.many_places(i, parallel=not parallel), parallel=parallel)


class _Convolution:
    def __init__(self, e: Any, x: Any, w: Any, out: Any, shape: Shape) -> None:
        self.e, self.x, self.w, self.out, self.shape = e, x, w, out, shape
        self.rank = len(shape.axes)
        self.u, self.i = SPATIAL[: self.rank], KERNEL[: self.rank]
        self.sizes = {"g": shape.groups, "c": shape.inputs, "o": shape.outputs, "n": shape.images}
        self.sizes |= dict(zip(self.u, shape.places, strict=True)) | dict(zip(self.i, shape.kernel, strict=True))
        self.turned = isinstance(w, TurnedKernel) and isinstance(w.kernel, Memory)

    def weights(self) -> Operand:
        """w [groups, outputs, inputs, kernel...]."""
        letters = "goc" + self.i
        if isinstance(self.w, Memory):
            return Operand(letters, Memory(self.e, self.e.view(self.w.value, shape=self.shaped(letters))))
        return _Drawn(letters, _Grouped(self.e, self.w, self.shaped(letters)))

    def weights_as_they_lie(self) -> Operand:
        """w; if it is `turned`, as [groups, inputs, outputs, kernel...], whose elements are counted from the last one."""
        if not self.turned:
            return self.weights()
        letters = "gco" + self.i
        return _Turned(letters, Memory(self.e, self.e.view(self.w.kernel.value, shape=self.shaped(letters))))

    def shaped(self, letters: str) -> tuple[int, ...]:
        return tuple(self.sizes[a] for a in letters)

    def channel(self, g: Index, c: Index) -> Index:
        return self.e.index_add(self.e.index_mul(g, self.shape.inputs), c)

    # many places

    def many_places(self, image: Index, *, parallel: bool) -> None:
        """One image: stage it, add up the products on the staged grid, and take from there what is a place."""
        e, shape = self.e, self.shape
        steps = [-(-v.padded // v.stride) for v in shape.axes]
        phases = [min(v.stride, v.padded) for v in shape.axes]
        grid = math.prod(steps)
        staged = self.staged(image, phases, steps)
        columns = shape.grid_columns
        sums = e.alloc(self.out.type.dtype, (shape.groups, shape.outputs, columns))
        view = Memory(e, e.view(staged.value, shape=(shape.groups, shape.inputs, *phases, grid)))

        def at(where: Mapping[str, Index]) -> list[Index]:
            phase, offset = [], []
            for a, v in zip(self.i, shape.axes, strict=True):
                reach = reach_of(e, v, where[a], turned=self.turned)
                phase.append(e.index_rem(reach, v.stride))
                offset.append(e.index_div(reach, v.stride))
            return [where["g"], where["c"], *phase, e.index_add(e.ravel(offset, steps), where["p"])]

        y = StagedImage("gc" + self.i + "p", view, "p", at)
        roles = Roles(self.weights_as_they_lie(), y, Operand("gop", sums), "g", "o", "p", "c" + self.i, {**self.sizes, "p": columns})
        lower_contraction(e, roles, parallel=parallel)

        def take(index: list[Index]) -> None:
            g, o, *place = index
            channel = e.index_add(e.index_mul(g, shape.outputs), o)
            self.out.store([image, channel, *place], sums([g, o, e.ravel(place, steps)]))

        e.for_each((shape.groups, shape.outputs, *shape.places), take)

    def staged(self, image: Index, phases: list[int], steps: list[int]) -> Memory:
        """[channels, phases..., steps...] of an image; the image itself where that is the same."""
        e, shape = self.e, self.shape
        channels = shape.groups * shape.inputs
        plain = all((v.stride, v.lo, v.hi, v.lhs_dilation) == (1, 0, 0, 1) for v in shape.axes)
        if plain and shape.images == 1 and isinstance(self.x, Memory):
            return self.x
        memory = e.alloc(self.x.type.dtype, (channels, *phases, *steps))
        walks = [walks_of(v, v.stride) for v in shape.axes]
        clear_around(e, memory, walks, phases, steps)
        for walk in itertools.product(*walks):

            def put(index: list[Index], walk=walk) -> None:
                channel, *steps = index
                to = [w.to(e, t) for w, t in zip(walk, steps, strict=True)]
                pixel = self.x([image, channel, *(w.read(e, t) for w, t in zip(walk, steps, strict=True))])
                memory.store([channel, *(w.phase for w in walk), *to], pixel)

            e.for_each((channels, *(w.count for w in walk)), put)
        return memory


class _Grouped:
    """A kernel [outputs, inputs, ...] read as [groups, outputs of a group, inputs, ...]."""

    def __init__(self, e: Any, w: Any, shape: Sequence[int]) -> None:
        self.e, self.w = e, w
        self.type = w.type.with_shape(shape)

    def __call__(self, index: Sequence[Index]) -> Any:
        g, o, *rest = index
        return self.w([self.e.index_add(self.e.index_mul(g, self.type.shape[1]), o), *rest])
