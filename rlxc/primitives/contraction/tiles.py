"""Sizes of tiles and blocks, from what the target has.

A tile of sums stays in registers while the products of a block of the summed axis are added to it. With `rows` x `vectors` sums, a step
along the axis takes as many fused multiply-adds, `rows` scalars of x and `vectors` vectors of y. See Note [The cost of a tile].
"""

from __future__ import annotations

from dataclasses import dataclass

from rlxc.ir.target import Target

UNROLL = 24  # multiply-adds of one iteration of the loop over the summed axis


@dataclass(frozen=True, slots=True)
class Parts:
    """A size cut into `count` parts of `size`, from `start` on."""

    start: int
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Tiling:
    """How rows and vectors of columns are cut into tiles; `lanes` is the size of a vector."""

    lanes: int
    rows: tuple[Parts, ...]
    panels: tuple[Parts, ...]  # in vectors

    @property
    def tile_rows(self) -> int:
        return max(p.size for p in self.rows)

    @property
    def panel_count(self) -> int:
        return sum(p.count for p in self.panels)

    @property
    def tile_count(self) -> int:
        return sum(p.count for p in self.rows)


def cut(size: int, most: int) -> tuple[Parts, ...]:
    """`size` cut into as few parts as can be of at most `most`, all of one size or one less."""
    count = -(-size // most)
    small, larger = divmod(size, count)
    parts = (Parts(0, larger, small + 1), Parts(larger * (small + 1), count - larger, small))
    return tuple(p for p in parts if p.count)


def choose_tiling(m: int, n: int, k: int, element_bytes: int, target: Target) -> Tiling:
    """The cheapest tiling of m rows and n columns with sums over k products."""
    lanes = target.lanes(element_bytes)
    nvec = -(-n // lanes)
    shapes = [(rows, vectors) for rows in range(1, 13) for vectors in range(1, 7) if _fits(rows, vectors, target)]
    best = min(shapes, key=lambda s: (_cost(m, nvec, k, *s), -s[0] * s[1], s))
    return Tiling(lanes, cut(m, best[0]), cut(nvec, best[1]))


def _fits(rows: int, vectors: int, target: Target) -> bool:
    """Whether sums, a row of vectors and one scalar have room, with some to spare for the compiler."""
    return rows * vectors + vectors + 1 <= target.registers - (3 if target.registers > 16 else 1)


def _cost(m: int, nvec: int, k: int, rows: int, vectors: int) -> float:
    total = 0.0
    for r in cut(m, rows):
        for v in cut(nvec, vectors):
            sums = r.size * v.size
            step = max(sums, 0.9 * (r.size + v.size), 6)
            total += r.count * v.count * (k * step + 2 * sums + 20)
    return total


def choose_depth(k: int, tiling: Tiling, element_bytes: int, target: Target) -> int:
    """Products that are added up in registers at a time: a panel of y should take no more than a quarter of the second cache."""
    panel = max(p.size for p in tiling.panels) * tiling.lanes * element_bytes
    most = max(64, min(target.l2 // 4 // panel, 1024))
    return -(-k // -(-k // most))


def choose_rows(depth: int, tiling: Tiling, element_bytes: int, target: Target) -> int:
    """Tiles of rows whose part of x stays in the second cache while panels of y pass by."""
    return max(1, target.l2 // 2 // (depth * element_bytes) // tiling.tile_rows)


# Note [The cost of a tile]
# -------------------------
# A multiply-add unit takes a new operation every cycle and is done with it after four or five, so that at least six sums must be under way
# (eight or more with two units). Loads cost nothing while there are no more of them than multiply-adds. A tile starts and ends with the cost
# of its sums, twice, and of its addresses. Sizes one less than the best are as good as the best if all tiles are of nearly that size: 128
# rows are 18 tiles of 6 and 4 of 5, and never 21 of 6 and one of 2.
