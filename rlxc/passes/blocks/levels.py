"""Levels of all spaces at once, in one walk over the function.

    %o = contract %e, %v       in the space of %e: level 0
    %y = ... %o ...            outside: what depends on %y is on level 1
    %d = mul %e, ... %y ...    in the space: level 1, and computed again from level 0 is what it needs of that

For each value there is a set of pairs (space, level) that it comes after, a bit for each; what comes after a level comes after those below it too, so
the number of a space's pairs is a level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rlxc.ir.core import Op, Value
from rlxc.passes.blocks.uses import Uses, reads_of

if TYPE_CHECKING:
    from rlxc.passes.blocks.spaces import Space


class Levels:
    """Gives every op of each space its level. `owner` is the space of an op."""

    def __init__(self, uses: Uses, owner: Mapping[Op, Space]) -> None:
        self.after: dict[Value, int] = {}
        self.bits: dict[int, list[int]] = {}  # of a space: the bit of level 1, of level 2, ...
        self.count = 0
        leaving: dict[Value, tuple[Space, int]] = {}  # what reads this from outside comes after it
        for op in uses.ops:
            space = owner.get(op)
            after = 0
            for v in reads_of(op):
                after |= self.after.get(v, 0)
                left = leaving.get(v)
                if left is not None and left[0] is not space:
                    after |= left[1]
            if space is not None:
                space.level[op] = level = self._level(after, space)
                leaving.update(dict.fromkeys(op.results, (space, self._bit(space, level))))
            if after:
                self.after.update(dict.fromkeys(op.results, after))

    def outside(self, v: Value, space: Space) -> int:
        """The level of a space at which a value exists that is computed outside of it."""
        return self._level(self.after.get(v, 0), space)

    def _level(self, after: int, space: Space) -> int:
        return sum(after & bit != 0 for bit in self.bits.get(id(space), ()))

    def _bit(self, space: Space, level: int) -> int:
        """The bit of what comes after this level."""
        bits = self.bits.setdefault(id(space), [])
        while len(bits) <= level:
            bits.append(1 << self.count)
            self.count += 1
        return bits[level]
