"""What grows out of a contraction and goes along its batch axes and its rows.

From the seed, `z[b, m, n] = sum of x[b, m, k] y[b, n, k]`, axes are followed through the ops that read it: each value gets a label for each
axis, the number of a batch axis or of the rows, or -1. What is as large as the seed must not leave: it ends in contractions and reductions.

Ops have levels. What depends on the space by way of ops outside of it comes one level later: the derivative of an attention needs the
attention's result first. Each level becomes one op. Levels are found for all spaces at once (`levels`), then the spaces are completed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from rlxc.ir.core import Op, Value
from rlxc.passes.blocks.levels import Levels
from rlxc.passes.blocks.uses import Uses, reads_of

SHORT = 256  # products in a sum: the operands are small against the result
MOST = 512  # ops of a space: what grows further is a network, and no attention

Labels = tuple[int, ...]


@dataclass(frozen=True)
class Space:
    """Ops that go along a grid of batch axes and rows, whose sizes are `sizes`, in order; labels of their operands and results; and levels.

    There may be several axes of rows, as where several heads share their keys.
    """

    sizes: tuple[int, ...]
    first_row: int  # axes from this one on are rows, those before are batch axes; blocks are cut from the last one
    large: int  # elements
    element_bytes: int
    ops: list[Op] = field(default_factory=list)
    reads: dict[Op, list[Labels]] = field(default_factory=dict)
    labels: dict[Value, Labels] = field(default_factory=dict)
    level: dict[Op, int] = field(default_factory=dict)
    shared: set[Op] = field(default_factory=set)  # ops that are wanted outside as well, and are computed there once more

    @property
    def rows(self) -> int:
        """The label of the rows of which blocks are made."""
        return len(self.sizes) - 1

    def is_large(self, v: Value) -> bool:
        return v.type.size >= self.large


def is_seed(op: Op) -> bool:
    """Whether the op is a product of short sums over a batch of matrices, larger than what it is made of."""
    return _axes_of(op) is not None


def _axes_of(op: Op) -> tuple[list[int], list[int]] | None:
    """Axes of the result that are batch axes, and those of the rows."""
    if len(op.operands) != 2 or not op.prim.linear_in or op.prim.elementwise or len(op.results) != 1:
        return None
    (result,), (x, y) = op.results, op.operands
    rank = result.type.rank
    if rank < 2 or result.type.dtype not in ("f32", "f64") or 2 * result.type.size < x.type.size + y.type.size:
        return None
    numbered = tuple(range(rank))
    traced = op.prim.trace_axes([None, None], numbered, [x.type.rank, y.type.rank], **op.attrs)
    if traced is None:
        return None
    in_x, in_y = ({a for a in labels if a >= 0} for labels in traced[0])
    batch = sorted(in_x & in_y)
    rows, columns = sorted(in_x - in_y), sorted(in_y - in_x)
    if len(rows) > 1 and len(columns) == 1 and columns[0] != rank - 1:
        return None
    if len(columns) > 1:
        rows, columns = columns, rows
        x, y = y, x
    if not rows or len(columns) != 1:
        return None
    if len(rows) == 1 and columns[0] < rows[0]:
        rows, columns = columns, rows
        x, y = y, x
    if columns != [rank - 1]:
        return None
    summed = x.type.size // max(1, _size(result, [*batch, *rows]))
    if result.type.size == 0 or not 1 <= summed <= SHORT:
        return None
    return batch, rows


def _size(v: Value, axes: Sequence[int]) -> int:
    size = 1
    for a in axes:
        size *= v.type.shape[a]
    return size


def find_space(uses: Uses, seed: Op, taken: Container[Op]) -> tuple[Space, bool]:
    """What grows out of a seed, without levels; and whether it is a space: nothing large leaves it, and something is gained.

    Ops that are `taken` stay outside.
    """
    axes = _axes_of(seed)
    assert axes is not None
    batch, rows = axes
    type_ = seed.result.type
    shape = type_.shape
    space = Space(tuple(shape[a] for a in (*batch, *rows)), len(batch), type_.size, type_.dtype.size)
    order = {a: i for i, a in enumerate((*batch, *rows))}
    labels = tuple(order.get(a, -1) for a in range(len(shape)))
    if not _follow(uses, seed, labels, space, taken) or not any(op is not seed and not space.is_large(op.results[0]) for op in space.ops):
        return space, False
    if not batch and not any(op.prim.reduction and space.is_large(op.operands[0]) for op in space.ops):
        return space, False  # two layers: their products are large enough to be worth threads and caches of their own
    return space, True


def _follow(uses: Uses, seed: Op, labels: Labels, space: Space, taken: Container[Op]) -> bool:
    """Fill the space with what grows out of the seed, in order; False where something large leaves, or where there is no end to it."""
    waiting, met = [uses.position[seed]], {seed}
    while waiting:
        op = uses.ops[heappop(waiting)]
        if op is seed:
            inner = op.prim.trace_axes([None] * 2, labels, [v.type.rank for v in op.operands], **op.attrs)
        else:
            inner = None if op in taken else _trace(op, space)
        if inner is None:
            if any(v in space.labels and space.is_large(v) for v in reads_of(op)):
                return False
            continue
        (result,) = op.results
        if len(space.ops) == MOST or (space.is_large(result) and result in uses.results):
            return False
        space.ops.append(op)
        space.reads[op], space.labels[result] = inner
        for reader in uses.readers_of(result):
            if reader not in met:
                met.add(reader)
                heappush(waiting, uses.position[reader])
    return True


def _trace(op: Op, space: Space) -> tuple[list[Labels], Labels] | None:
    """Labels of operands and result, if the op goes along the grid."""
    if len(op.results) != 1 or op.regions or op.prim.has_effect:
        return None
    known = [space.labels.get(v) for v in op.operands]
    traced = op.prim.trace_axes(known, None, [v.type.rank for v in op.operands], **op.attrs)
    if traced is None:
        return None
    reads, result = traced
    (out,) = op.results
    for v, labels, had in zip(op.operands, reads, known, strict=True):
        if (had is not None and had != labels) or not _fits(v, labels, space):
            return None
    if not _fits(out, result, space):
        return None
    kept = {a for a in result if a >= 0}
    every = {a for labels in reads for a in labels if a >= 0}
    rows = set(range(space.first_row, len(space.sizes)))
    if not set(range(space.first_row)) <= kept or any(a not in rows for a in every - kept):
        return None  # a sum over a batch axis
    if rows <= kept:
        return reads, result
    is_sum = rows <= every and rows.isdisjoint(kept) and op.prim.linear_in and not op.prim.elementwise
    return (reads, result) if is_sum else None


def _fits(v: Value, labels: Labels, space: Space) -> bool:
    used = [a for a in labels if a >= 0]
    return len(set(used)) == len(used) and all(a < 0 or n == space.sizes[a] for n, a in zip(v.type.shape, labels, strict=True))


def complete(uses: Uses, space: Space, levels: Levels, owner: dict[Op, Space]) -> None:
    """Take out of a space with levels what gains nothing there, and draw in what is made for it alone. `owner` is the space of an op."""
    _leave_out(space, owner)
    _draw_in_producers(uses, space, levels, owner)


def _leave_out(space: Space, owner: dict[Op, Space]) -> None:
    """Take out the ops of levels in which nothing is large: they gain nothing."""
    large = {space.level[op] for op in space.ops if any(v in space.labels and space.is_large(v) for v in (*op.operands, *op.results))}
    for op in [op for op in space.ops if space.level[op] not in large]:
        space.ops.remove(op)
        del space.reads[op], owner[op]
    kept = {v for op in space.ops for v in op.results}
    for v in [v for v in space.labels if v not in kept]:
        del space.labels[v]


def _draw_in_producers(uses: Uses, space: Space, levels: Levels, owner: dict[Op, Space]) -> None:
    """Elementwise ops and index maps that nothing else reads, or that repeat something smaller, belong to the space as well."""
    inside = set(space.ops)
    wanted: dict[Value, Labels] = {}
    clash: set[Value] = set()
    waiting: list[int] = []  # producers to look at, the last first

    def want(ops: Iterable[Op]) -> None:
        for op in ops:
            for v, labels in zip(op.operands, space.reads[op], strict=True):
                if v not in wanted:
                    wanted[v] = labels
                    if v in uses.producer:
                        heappush(waiting, -uses.position[uses.producer[v]])
                elif wanted[v] != labels:
                    clash.add(v)

    want(space.ops)
    while waiting:
        op = uses.ops[-heappop(waiting)]
        if op in inside or op in owner or len(op.results) != 1:
            continue
        (v,) = op.results
        if v in clash or v in uses.results:
            continue
        readers = uses.readers_of(v)
        alone = all(r in inside and r not in space.shared for r in readers)
        repeats = op.prim.index_map and all(2 * x.type.size <= v.type.size for x in op.operands)
        if not (repeats or (alone and (op.prim.elementwise or op.prim.index_map))):
            continue
        if any(x in space.labels for x in op.operands):
            continue
        traced = op.prim.trace_axes([None] * len(op.operands), wanted[v], [x.type.rank for x in op.operands], **op.attrs)
        if traced is None or traced[1] != wanted[v] or not all(_fits(x, labels, space) for x, labels in zip(op.operands, traced[0], strict=True)):
            continue
        inside.add(op)
        if alone:
            space.level[op] = min(space.level[r] for r in readers)
            owner[op] = space
        else:
            space.level[op] = levels.outside(v, space)
            space.shared.add(op)
        space.ops.append(op)
        space.reads[op] = list(traced[0])
        space.labels[v] = wanted[v]
        want([op])
    space.ops.sort(key=uses.position.__getitem__)
