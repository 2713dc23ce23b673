"""The loops around the tiles of a contraction.

    for what is around                                  batches, say
      for blocks of the summed axes                     a panel of y fits a part of the second cache
        ...                                             panels and tiles: `panels`

Blocks of the summed axes are added up in the order in which they come. The axis that is cut into blocks is the first one inside which all
products of the others fit; those before it are loops of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rlxc.ir.emitter import Index, Memory
from rlxc.primitives.contraction.letters import Roles
from rlxc.primitives.contraction.packing import Depth
from rlxc.primitives.contraction.panels import lower_block, pack_all
from rlxc.primitives.contraction.plan import Plan, make_plan
from rlxc.primitives.contraction.tile import Place, Step, TileWriter, plain_result
from rlxc.primitives.contraction.tiles import Parts, cut


def lower_contraction(e: Any, roles: Roles, *, add: bool = False, parallel: bool = True, packed: Sequence[Memory] | None = None) -> None:
    """Emit the loops of a contraction; none of its sizes is 0.

    With `add`, the sums are added to what is in the result, which is plain memory. Loops are `parallel` where that pays.
    `packed` is what `pack_ahead` returned for the same roles.
    """
    plan = make_plan(roles, e.target, parallel=parallel, is_packed=packed is not None)
    sizes = roles.shape(roles.around)

    def nest(at: int, place: dict[str, Index]) -> None:
        if at == len(sizes):
            _Sums(e, plan, place, add, packed).run()
        elif sizes[at] == 1:
            nest(at + 1, {**place, roles.around[at]: 0})
        else:
            is_shared = plan.split_around and all(n == 1 for n in sizes[:at])
            e.for_(0, sizes[at], lambda i: nest(at + 1, {**place, roles.around[at]: i}), parallel=is_shared)

    nest(0, {})


def pack_ahead(e: Any, roles: Roles) -> list[Memory] | None:
    """All of y in panels, for contractions of it with one x after another; None where y is not packed, or not all at once."""
    plan = make_plan(roles, e.target, parallel=False)
    if not plan.packs_y or plan.k > plan.depth or roles.size(roles.around) > 1:
        return None
    return pack_all(e, plan, dict.fromkeys(roles.around, 0), _whole(plan, add=False))


def _whole(plan: Plan, *, add: bool) -> Step:
    """All of the summed axes at once."""
    letters = plan.roles.k
    block = Depth(dict.fromkeys(letters, 0), {a: plan.roles.sizes[a] for a in letters})
    return Step(block, plan.k, first=not add, last=True)


class _Sums:
    """All sums at one place of the loops around."""

    def __init__(self, e: Any, plan: Plan, place: Place, add: bool, packed: Sequence[Memory] | None) -> None:
        self.e = e
        self.plan = plan
        self.place = place
        self.add = add
        self.packed = packed
        self.letters = plan.roles.k
        self.shape = plan.roles.shape(self.letters)

    def run(self) -> None:
        e, plan = self.e, self.plan
        axis, inner = self.cut_axis()
        if axis < 0:
            self.tiles = TileWriter(e, plan, self.place, None)
            self.block(_whole(plan, add=self.add))
            return
        is_plain = plain_result(plan) is not None
        partial_sums = None if is_plain else e.alloc(plan.dtype, (plan.m, plan.n))
        self.tiles = TileWriter(e, plan, self.place, partial_sums)
        pieces = cut(self.shape[axis], max(1, plan.depth // inner))
        loops = self.shape[:axis]
        if math.prod(loops) == 1:
            self.blocks(axis, inner, pieces, [0] * len(loops), begins=not self.add, ends=not is_plain)
            return
        if not self.add:
            self.tiles.clear()
        e.for_each(loops, lambda outer: self.blocks(axis, inner, pieces, outer, begins=False, ends=False))
        if partial_sums is not None:
            self.tiles.finish()

    def cut_axis(self) -> tuple[int, int]:
        """The summed axis that is cut into blocks, -1 if none is, and how many products there are inside of it."""
        axis, inner = len(self.shape) - 1, 1
        while axis >= 0 and inner * self.shape[axis] <= self.plan.depth:
            inner *= self.shape[axis]
            axis -= 1
        return axis, inner

    def block(self, step: Step) -> None:
        lower_block(self.e, self.plan, self.place, step, self.tiles, self.packed)

    def blocks(self, axis: int, inner: int, pieces: Sequence[Parts], outer: Sequence[Index], *, begins: bool, ends: bool) -> None:
        """The blocks of one axis, where `outer` is the index along those before it.

        If it `begins`, there is nothing to add the first block to; if it `ends`, elements go to the result from the last one, not from memory.
        """
        e, lanes = self.e, self.plan.lanes
        base: Mapping[str, Index] = dict(zip(self.letters, outer, strict=False))
        whole = {**dict.fromkeys(self.letters[:axis], 1), **dict(zip(self.letters[axis:], self.shape[axis:], strict=True))}

        def one(parts: Parts, start: Index, **what: Any) -> None:
            starts = {**dict.fromkeys(self.letters, 0), **base, self.letters[axis]: start}
            depth = Depth(starts, {**whole, self.letters[axis]: parts.size})
            self.block(Step(depth, parts.size * inner, **what))

        def some(parts: Parts, is_masked: bool, b: Index) -> None:
            before = e.splat(e.gt(e.as_index(b), 0), lanes=lanes) if is_masked else None
            one(parts, e.index_add(e.index_mul(b, parts.size), parts.start), first=False, last=False, before=before)

        total = sum(p.count for p in pieces)
        for number, parts in enumerate(pieces):
            is_first, at_end = begins and number == 0, ends and number == len(pieces) - 1
            at, stop = 0, parts.count - at_end
            is_masked = is_first and stop > 1 and lanes > 1 and e.target.has_masks  # the first block is in the loop with the others
            if is_first and not is_masked:
                one(parts, parts.start, first=True, last=total == 1)
                at = 1
            if at < stop:
                e.for_(at, stop, partial(some, parts, is_masked))
            if at_end and at < parts.count:
                one(parts, parts.start + (parts.count - 1) * parts.size, first=False, last=True)
