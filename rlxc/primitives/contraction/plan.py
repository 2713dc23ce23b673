"""What is decided of a contraction before its loops are written: tiles and blocks, what is packed, what threads share."""

from __future__ import annotations

from dataclasses import dataclass

from rlxc.ir.target import Target
from rlxc.ir.types import DType
from rlxc.primitives.contraction.letters import Roles
from rlxc.primitives.contraction.packing import Panels
from rlxc.primitives.contraction.tiles import Tiling, choose_depth, choose_rows, choose_tiling

PARALLEL_FLOPS = 200_000  # a contraction of fewer operations is not worth several threads
SMALL = 64 << 10  # bytes of y that are read in place although their rows are not neighbours
SEVERAL = 8  # tiles of rows from which on packing y pays


@dataclass(frozen=True, slots=True)
class Plan:
    """Decisions for one contraction; `panels` are by width, and the one with a vector that is not full stands alone."""

    roles: Roles
    target: Target
    dtype: DType
    tiling: Tiling
    panels: tuple[Panels, ...]
    depth: int  # of a block of the summed axes, at most
    packs_x: bool
    packs_y: bool
    split_around: bool  # whether threads share the loops around,
    split_inside: bool  # or those inside

    @property
    def lanes(self) -> int:
        return self.tiling.lanes

    @property
    def m(self) -> int:
        return self.roles.size(self.roles.m)

    @property
    def n(self) -> int:
        return self.roles.size(self.roles.n)

    @property
    def k(self) -> int:
        return self.roles.size(self.roles.k)

    def rows_of_block(self, depth: int) -> int:
        """Tiles of rows whose part of x, `depth` long, stays near."""
        return choose_rows(depth, self.tiling, self.dtype.size, self.target)


def make_plan(roles: Roles, target: Target, *, parallel: bool = True, is_packed: bool = False) -> Plan:
    """The plan of a contraction; `is_packed` says that y comes in panels already."""
    dtype: DType = roles.x.access.type.dtype
    m, n, k, around = (roles.size(letters) for letters in (roles.m, roles.n, roles.k, roles.around))
    tiling = choose_tiling(m, n, k, dtype.size, target)
    depth = choose_depth(k, tiling, dtype.size, target)
    work = 2 * around * m * n * k * parallel
    split_around = work >= PARALLEL_FLOPS and around >= 4
    split_inside = work >= PARALLEL_FLOPS and not split_around
    packs_y = is_packed or _must_pack_y(roles, n, tiling, target) or _should_pack_y(roles, n, depth, tiling, dtype)
    return Plan(roles, target, dtype, tiling, _split_tail(tiling, n), depth, _packs_x(roles, tiling, dtype, target), packs_y, split_around, split_inside)


def _split_tail(tiling: Tiling, n: int) -> tuple[Panels, ...]:
    tail = n % tiling.lanes
    panels = [Panels(p.start, p.count, p.size) for p in tiling.panels]
    if tail:
        last = panels.pop()
        if last.count > 1:
            panels.append(Panels(last.start, last.count - 1, last.size))
        panels.append(Panels(last.start + (last.count - 1) * last.size, 1, last.size, tail))
    return tuple(panels)


def _must_pack_y(roles: Roles, n: int, tiling: Tiling, target: Target) -> bool:
    """Whether vectors of y cannot be loaded as they lie."""
    y = roles.y
    if y.stays:
        return False
    in_place = y.memory is not None and len(roles.n) == 1 and y.last == roles.n
    return not in_place or (bool(n % tiling.lanes) and not target.has_masks)


def _should_pack_y(roles: Roles, n: int, depth: int, tiling: Tiling, dtype: DType) -> bool:
    """Whether packing pays: y is read often, it is large, and its rows are no panels as they are."""
    if roles.y.stays:
        return False
    if tiling.tile_count < SEVERAL or depth * n * dtype.size <= SMALL:
        return False
    return tiling.panel_count > 1 or n * dtype.size % 64 != 0


def _packs_x(roles: Roles, tiling: Tiling, dtype: DType, target: Target) -> bool:
    """Whether scalars of x are not read in place: there they should be neighbours along the summed axis, and few of them far apart."""
    x, m = roles.x, roles.size(roles.m)
    if x.memory is None or len(roles.m) > 1:
        return True
    if x.by_stretches:
        return m * roles.size(roles.k) * dtype.size > target.l2
    if tiling.panel_count == 1:
        return False
    if roles.m and x.last == roles.m:
        return m > 64 and tiling.tile_count > 1
    row_bytes = roles.size(roles.k) * dtype.size
    return row_bytes >= 8192 and row_bytes % 1024 == 0 and m > 256
