"""The axes of a contraction by the part they play.

    "bsd,dhk->bhsk"     rows m: s    columns n: k    sums k: d    around: b, h

The result's last axis is a column, so that vectors of it are stored at once; rows and columns are runs of neighbours in the result, and
what is not in such a run is a loop around. Axes that are neighbours wherever they occur are one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.emitter import Index, Memory
from rlxc.ir.types import TensorType


@dataclass(frozen=True)
class Operand:
    """Something with named axes: a reader or writer, called with an index in the order of `letters`."""

    letters: str
    access: Any

    stays = False  # True: it lies as tiles want it, and is never copied
    by_stretches = False  # True: rows of a tile lie side by side, but steps along the first summed axis far apart

    @property
    def memory(self) -> Memory | None:
        """What it is, where it lies in memory as it is."""
        return self.access if isinstance(self.access, Memory) else None

    @property
    def last(self) -> str:
        """The axis along which elements are neighbours; of a reader, most likely."""
        return self.letters[-1:]

    def index(self, where: Mapping[str, Index]) -> list[Index]:
        return [where[a] for a in self.letters]

    def __call__(self, where: Mapping[str, Index]) -> Any:
        return self.access(self.index(where))


@dataclass(frozen=True, slots=True)
class Roles:
    """A contraction `out[around, m, n] += x[around, m, k] y[around, k, n]`; each of the four is a list of axes, of these sizes.

    In `out` all of m is one axis, called by its first letter, and so is n.
    """

    x: Operand
    y: Operand
    out: Operand
    around: str
    m: str
    n: str
    k: str
    sizes: Mapping[str, int]

    def size(self, letters: str) -> int:
        return math.prod(self.sizes[a] for a in letters)

    def shape(self, letters: str) -> list[int]:
        return [self.sizes[a] for a in letters]

    def place(self, e: Any, letters: str, flat: Index) -> dict[str, Index]:
        """Indices along `letters` of what is at position `flat` in row-major order."""
        return dict(zip(letters, e.unravel(flat, self.shape(letters)), strict=True))


def find_roles(e: Any, x: Operand, y: Operand, out: Operand, sizes: Mapping[str, int]) -> Roles | None:
    """The parts that the axes play; None where the result's last axis is in both operands or in none."""
    x, y, out, sizes = _merge(e, [x, y, out], sizes)
    last = out.letters[-1:]
    if not last or (last in x.letters) == (last in y.letters):
        return None
    if last in x.letters:
        x, y = y, x
    own_y = [a for a in y.letters if a not in x.letters]
    own_x = [a for a in x.letters if a not in y.letters]
    n = _run(out.letters, len(out.letters), own_y)
    m = _longest_run(out.letters, own_x, sizes)
    k = "".join(a for a in y.letters if a not in out.letters)
    around = "".join(a for a in out.letters if a not in m + n)
    groups = {a: {m[:1]: m, n[:1]: n}.get(a, a) for a in out.letters if a not in m[1:] + n[1:]}
    out = _merged(e, out, groups, sizes)
    return Roles(x, y, out, around, m, n, k, sizes)


def _run(letters: str, end: int, allowed: Sequence[str]) -> str:
    """The longest run of allowed letters that ends before position `end`."""
    start = end
    while start > 0 and letters[start - 1] in allowed:
        start -= 1
    return letters[start:end]


def _longest_run(letters: str, allowed: Sequence[str], sizes: Mapping[str, int]) -> str:
    runs = [_run(letters, end, allowed) for end in range(1, len(letters) + 1)]
    return max(runs, key=lambda run: math.prod(sizes[a] for a in run) if run else 0, default="")


# neighbours


def _merge(e: Any, operands: list[Operand], sizes: Mapping[str, int]) -> tuple[Operand, Operand, Operand, dict[str, int]]:
    """The operands without axes of one element, and with those merged that stand side by side, in one order, wherever they occur."""
    letters = [a for a in dict.fromkeys("".join(o.letters for o in operands)) if sizes[a] != 1]
    order = ["".join(a for a in o.letters if a in letters) for o in operands]
    follower = {a: _follower(a, order) for a in letters}
    inside = {b for b in follower.values() if b}
    groups: dict[str, str] = {}  # first letter -> the letters it stands for
    for a in letters:
        if a not in inside:
            groups[a] = a
            while following := follower[groups[a][-1]]:
                groups[a] += following
    merged = {a: math.prod(sizes[b] for b in group) for a, group in groups.items()}
    x, y, out = (_merged(e, o, groups, sizes) for o in operands)
    return x, y, out, merged


def _follower(a: str, order: Sequence[str]) -> str | None:
    """The letter that stands right after `a` in every operand that has either of them."""
    found = {letters[letters.index(a) + 1 :][:1] for letters in order if a in letters}
    if len(found) != 1 or "" in found:
        return None
    (b,) = found
    return b if all(a in letters for letters in order if b in letters) else None


def _merged(e: Any, o: Operand, groups: Mapping[str, str], sizes: Mapping[str, int]) -> Operand:
    """The operand with one axis for each of the groups that it has; axes in none of them have one element."""
    letters = "".join(a for a in o.letters if a in groups)
    if letters == o.letters and all(len(groups[a]) == 1 for a in letters):
        return o
    shape = tuple(math.prod(sizes[b] for b in groups[a]) for a in letters)
    if o.memory is not None:
        return Operand(letters, Memory(e, e.view(o.memory.value, shape=shape)))
    parts = {a: [(b, sizes[b]) for b in groups[a]] for a in letters}
    return Operand(letters, _Split(e, o, parts, o.access.type.with_shape(shape)))


class _Split:
    """A reader or writer whose index has merged axes, in front of one whose index has not."""

    def __init__(self, e: Any, inner: Operand, parts: Mapping[str, list[tuple[str, int]]], type: TensorType) -> None:
        self.e = e
        self.inner = inner
        self.parts = parts
        self.type = type

    def split(self, index: Sequence[Index]) -> list[Index]:
        where: dict[str, Index] = dict.fromkeys(self.inner.letters, 0)
        for i, parts in zip(index, self.parts.values(), strict=True):
            where.update(zip((a for a, _ in parts), self.e.unravel(i, [n for _, n in parts]), strict=True))
        return self.inner.index(where)

    def __call__(self, index: Sequence[Index]) -> Any:
        return self.inner.access(self.split(index))

    def store(self, index: Sequence[Index], value: Any) -> None:
        self.inner.access.store(self.split(index), value)
