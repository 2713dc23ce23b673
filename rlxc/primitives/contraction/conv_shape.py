"""What a convolution is to its schedules: sizes, how images are staged, and a staged image as an operand of a contraction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.emitter import Index, Memory
from rlxc.primitives.contraction.letters import Operand

SPATIAL = "uvw"  # letters of places
KERNEL = "ijk"  # and of kernel elements


@dataclass(frozen=True)
class Shape:
    """Sizes of a convolution: images, groups, channels of a group that go in and come out, and the windows of the spatial axes."""

    images: int
    groups: int
    inputs: int
    outputs: int
    axes: Sequence[Any]

    @property
    def places(self) -> list[int]:
        return [v.result for v in self.axes]

    @property
    def kernel(self) -> list[int]:
        return [v.kernel for v in self.axes]

    @property
    def products(self) -> int:
        return self.images * self.groups * self.inputs * self.outputs * math.prod(self.places) * math.prod(self.kernel)

    @property
    def grid_columns(self) -> int:
        """Steps from the first place to the last one on the grid of a padded image."""
        last = 0
        for v in self.axes:
            last = last * -(-v.padded // v.stride) + v.result - 1
        return last + 1

    @property
    def has_few_places(self) -> bool:
        """Whether columns are better taken from elsewhere than from places."""
        return math.prod(self.places) < math.prod(self.kernel) and self.places[-1] < self.kernel[-1]


class SwappedResult:
    """Stores a result [N, O, spatial...] as [O, N, spatial...]."""

    def __init__(self, out: Any) -> None:
        self.out = out
        o, n, *places = out.type.shape
        self.type = out.type.with_shape((n, o, *places))

    def store(self, index: Sequence[Index], value: Any) -> None:
        n, o, *place = index
        self.out.store([o, n, *place], value)


class TurnedKernel:
    """Reads a kernel [C, O / groups, kernel...] as [O, C / groups, kernel...], its spatial axes reversed."""

    def __init__(self, e: Any, kernel: Any, groups: int) -> None:
        self.e, self.kernel = e, kernel
        c, o, *ks = kernel.type.shape
        self.inputs, self.outputs = c // groups, o
        self.type = kernel.type.with_shape((o * groups, self.inputs, *ks))

    def __call__(self, index: Sequence[Index]) -> Any:
        e = self.e
        o, c, *ks = index
        back = [e.index_sub(n - 1, k) for n, k in zip(self.type.shape[2:], ks, strict=True)]
        first = e.index_mul(e.index_div(o, self.outputs), self.inputs)
        return self.kernel([e.index_add(first, c), e.index_rem(o, self.outputs), *back])


@dataclass(frozen=True, slots=True)
class Walk:
    """Elements of an axis that go to one phase of the staged axis: number t is element first + t step, and goes to start + t stretch."""

    phase: int
    count: int
    first: int
    step: int
    start: int
    stretch: int

    def read(self, e: Any, t: Index) -> Index:
        return e.index_add(e.index_mul(t, self.step), self.first)

    def to(self, e: Any, t: Index) -> Index:
        return e.index_add(e.index_mul(t, self.stretch), self.start)


def reach_of(e: Any, v: Any, k: Index, *, turned: bool) -> Index:
    """How far element k of the kernel is from its place; `turned`: counted from the last one."""
    return e.index_mul(e.index_sub(v.kernel - 1, k) if turned else k, v.dilation)


def walks_of(v: Any, stride: int) -> list[Walk]:
    """The walks that stage one axis in phases of `stride`; what they leave out are zeros. Element i is at i lhs_dilation + lo when padded."""
    walks = []
    for phase in range(min(stride, v.padded)):
        inside = [i for i in range(v.size) if 0 <= (at := i * v.lhs_dilation + v.lo) < v.padded and at % stride == phase]
        if inside:
            step = inside[1] - inside[0] if len(inside) > 1 else 1
            start = (inside[0] * v.lhs_dilation + v.lo) // stride
            walks.append(Walk(phase, len(inside), inside[0], step, start, step * v.lhs_dilation // stride))
    return walks


@dataclass(frozen=True)
class StagedImage(Operand):
    """A staged image as the operand y: `at` says where an element lies, whose neighbours are those along one axis."""

    along: str
    at: Callable[[Mapping[str, Index]], list[Index]]

    stays = True

    @property
    def last(self) -> str:
        return self.along

    def index(self, where: Mapping[str, Index]) -> list[Index]:
        return self.at(where)


def clear_around(e: Any, memory: Any, walks: Sequence[Sequence[Walk]], phases: Sequence[int], steps: Sequence[int]) -> None:
    """Zeros where no walk goes, in memory [channels, phases..., steps...]; `walks` are those of each axis. Small memory is cleared as a whole."""
    rank, size = len(steps), math.prod(memory.type.shape)
    ends = size // phases[-1] // steps[-1] * (phases[-1] * steps[-1] - sum(w.count for w in walks[-1]))  # stored one by one
    if size <= e.target.lanes(memory.type.dtype.size) * ends:
        flat = Memory(e, e.view(memory.value, shape=(size,)))
        e.for_each((size,), lambda i: flat.store(i, 0))
        return
    for axis, (own, count, size) in enumerate(zip(walks, phases, steps, strict=True)):
        for phase in range(count):
            taken = {w.start + t * w.stretch for w in own if w.phase == phase for t in range(w.count)}
            for start, stop in gaps(size, taken):
                sizes = [*memory.type.shape]
                sizes[1 + axis], sizes[1 + rank + axis] = 1, stop - start

                def zero(i: list[Index], axis=axis, phase=phase, start=start) -> None:
                    i[1 + axis], i[1 + rank + axis] = phase, e.index_add(i[1 + rank + axis], start)
                    memory.store(i, 0)

                e.for_each(sizes, zero)


def gaps(size: int, taken: Collection[int]) -> list[tuple[int, int]]:
    """Ranges of 0..size that hold nothing of `taken`."""
    free = [i for i in range(size) if i not in taken]
    runs = [[i for _, i in run] for _, run in itertools.groupby(enumerate(free), lambda p: p[1] - p[0])]
    return [(run[0], run[-1] + 1) for run in runs]
