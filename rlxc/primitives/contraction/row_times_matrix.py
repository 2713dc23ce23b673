"""Products with a single row: out[n] = sum over k of x[k] y[k, n]. Each element of y is used once, so the aim is to read it as fast as memory allows.

neighbours in y along n     several rows of y at a time, from end to end; sums lie in the first cache
neighbours in y along k     columns' sums in registers, in vectors whose lanes are added at the end; one column at a time,
                            so that y is read from end to end, or several where it is so near that only arithmetic counts

What is not in the second cache is asked for some time before: rows that are read side by side are more streams than the processor foresees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlxc.ir.core import Value
from rlxc.ir.emitter import Index, Memory
from rlxc.ir.types import DType, VectorType
from rlxc.primitives.contraction.letters import Roles
from rlxc.primitives.contraction.micro_kernel import multiply_add
from rlxc.primitives.contraction.tiles import cut

ROWS = 8  # of y, read side by side
VECTORS = 8  # of each row, before the next one
CHUNK = 4096  # columns whose sums are kept at a time
SPLIT_BYTES = 512 << 10  # of y, from which on there are two chunks or more, so that threads can share them,
LEAST = 1024  # unless they would be of fewer columns
COLUMNS = 4  # sums along k at a time, where y is near
AT_ONCE = 64  # columns whose sums wait for what is computed from them
SUMS = 8  # vectors of sums along k
ROWS_AHEAD = 2 * ROWS  # of y, that are asked for
BYTES_AHEAD = 4096  # along k

Store = Callable[[Index, Value], None]


def is_row_times_matrix(roles: Roles) -> bool:
    """Whether this schedule applies: x is one row, and y lies in memory."""
    one_row = not roles.m and len(roles.n) == 1 and len(roles.k) == 1
    return one_row and roles.y.memory is not None and roles.y.last in (roles.n, roles.k)


def lower_row_times_matrix(e: Any, roles: Roles) -> None:
    """Emit the loops; none of the sizes is 0."""
    work = roles.size(roles.around) * roles.size(roles.n) * roles.size(roles.k)
    _Row(e, roles, work * roles.y.access.type.dtype.size >= SPLIT_BYTES).run()


class _Row:
    def __init__(self, e: Any, roles: Roles, split: bool) -> None:
        self.e = e
        self.roles = roles
        self.dtype: DType = roles.y.access.type.dtype
        self.lanes = e.target.lanes(self.dtype.size)
        self.vector = VectorType(self.dtype, self.lanes)
        self.n, self.k = roles.size(roles.n), roles.size(roles.k)
        self.is_far = self.n * self.k * self.dtype.size > e.target.l2
        self.split_around = split and math.prod(roles.shape(roles.around)) >= 4
        self.split = split and not self.split_around
        self.y = roles.y.memory

    def run(self) -> None:
        e, shape = self.e, self.roles.shape(self.roles.around)
        along_n = self.roles.y.last == self.roles.n

        def one(flat: Index) -> None:
            place = self.roles.place(e, self.roles.around, flat)
            (self.rows if along_n else self.columns)(place)

        if math.prod(shape) == 1:
            one(0)
        else:
            e.for_(0, math.prod(shape), one, parallel=self.split_around)

    def scalar(self, place: Mapping[str, Index], k: Index) -> Value:
        return self.roles.x({**place, self.roles.k: k})

    def load(self, place: Mapping[str, Index], k: Index, n: Index, mask: Value | None) -> Value:
        return self.load_vector(self.y, self.roles.y.index({**place, self.roles.k: k, self.roles.n: n}), mask)

    def ask_for(self, place: Mapping[str, Index], k: Index, n: Index) -> None:
        """Have a vector of y, which may lie outside of it, brought near."""
        if self.is_far and self.y is not None:
            self.e.prefetch(self.y.value, *map(self.e.as_index, self.roles.y.index({**place, self.roles.k: k, self.roles.n: n})))

    def load_vector(self, memory: Memory | None, index: list[Index], mask: Value | None) -> Value:
        e = self.e
        assert memory is not None
        at = [e.as_index(i) for i in index]
        return e.load(memory.value, *at, lanes=self.lanes) if mask is None else e.masked_load(memory.value, mask, *at)

    def mask(self, size: int) -> Value | None:
        """The lanes of the last vector along an axis of this size; None: all."""
        e = self.e
        if size % self.lanes == 0:
            return None
        lane = e.lane_index(type=VectorType(DType("i32"), self.lanes))
        return e.lt(lane, e.constant(size % self.lanes, like=lane))

    # rows of y

    def rows(self, place: Mapping[str, Index]) -> None:
        """Chunk by chunk of columns: sums in memory of the chunk's size, to which rows of y are added."""
        e = self.e
        vectors = -(-self.n // self.lanes)
        most = max(VECTORS, CHUNK // self.lanes)
        if self.split:
            most = min(most, max(LEAST // self.lanes, -(-vectors // 2)))
        chunks = cut(vectors, most)
        for number, parts in enumerate(chunks):
            is_last = number == len(chunks) - 1

            def chunk(i: Index, parts=parts, full=not is_last or not self.n % self.lanes) -> None:
                first = e.index_mul(e.index_add(e.index_mul(i, parts.size), parts.start), self.lanes)
                self.chunk(place, first, parts.size, None if full else self.mask(self.n))

            count = parts.count
            if is_last and self.n % self.lanes:
                count -= 1
            if count == 1:
                chunk(0, full=True)
            elif count:
                e.for_(0, count, lambda i, chunk=chunk: chunk(i, full=True), parallel=self.split)
            if count < parts.count:
                chunk(count)

    def chunk(self, place: Mapping[str, Index], first: Index, vectors: int, tail: Value | None) -> None:
        e, out = self.e, self.roles.out
        sums = e.alloc(self.dtype, (vectors * self.lanes,))
        begin = True
        for rows in cut(self.k, ROWS):
            at = 0
            if begin:
                self.add_rows(place, rows.start, rows.size, first, vectors, tail, sums, begin=True)
                at, begin = 1, False
            if at < rows.count:

                def block(b: Index, rows=rows) -> None:
                    start = e.index_add(e.index_mul(b, rows.size), rows.start)
                    self.add_rows(place, start, rows.size, first, vectors, tail, sums, begin=False)

                e.for_(at, rows.count, block)
        columns = vectors * self.lanes - (self.lanes - self.n % self.lanes if tail is not None else 0)
        target = self.roles.n

        def store(i: list[Index]) -> None:
            out.access.store(out.index({**place, target: e.index_add(first, i[0])}), sums(i))

        e.for_each((columns,), store)

    def add_rows(self, place: Mapping[str, Index], k: Index, count: int, first: Index, vectors: int, tail: Value | None, sums: Memory, *, begin: bool) -> None:
        """Rows k .. k + count of y times elements of x, added to the sums of a chunk."""
        e = self.e
        x = [self.scalar(place, e.index_add(k, r)) for r in range(count)]
        x = [e.splat(a, lanes=self.lanes) if self.lanes > 1 else a for a in x]

        def add(column: Index, mask: Value | None) -> None:
            total = e.constant(0, type=self.vector)
            for r in range(count):
                self.ask_for(place, e.index_add(k, r + ROWS_AHEAD), e.index_add(first, column))
                total = multiply_add(e, x[r], self.load(place, e.index_add(k, r), e.index_add(first, column), mask), total)
            if not begin:  # sums of sums: fewer roundings one after another
                total = e.add(self.load_vector(sums, [column], None), total)
            e.store(sums.value, total, e.as_index(column))

        whole = vectors - (tail is not None)
        for parts in cut(whole, VECTORS) if whole else ():

            def several(i: Index, parts=parts) -> None:
                first = e.index_mul(i, parts.size * self.lanes)
                for v in range(parts.start, parts.start + parts.size):
                    add(e.index_add(first, v * self.lanes), None)

            if parts.count == 1:
                several(0)
            else:
                e.for_(0, parts.count, several)
        if tail is not None:
            add(whole * self.lanes, tail)

    # columns of y

    def columns(self, place: Mapping[str, Index]) -> None:
        """Groups of columns, whose elements are neighbours along k."""
        e = self.e
        row = e.alloc(self.dtype, (self.k,))
        e.for_each((self.k,), lambda k: row.store(k, self.scalar(place, k[0])))
        if self.roles.out.memory is not None:
            self.groups(row, place, 0, self.n, lambda column, total: self.store(place, column, total), parallel=self.split)
            return
        for parts in cut(self.n, AT_ONCE):  # what is fused to the product is computed on vectors of sums

            def chunk(i: Index, parts=parts) -> None:
                first = e.index_add(e.index_mul(i, parts.size), parts.start)
                sums = e.alloc(self.dtype, (parts.size,))
                self.groups(row, place, first, parts.size, lambda column, total: sums.store([column], total))
                e.for_each((parts.size,), lambda c: self.store(place, e.index_add(first, c[0]), sums(c)))

            if parts.count == 1:
                chunk(0)
            else:
                e.for_(0, parts.count, chunk, parallel=self.split)

    def store(self, place: Mapping[str, Index], column: Index, total: Value) -> None:
        out = self.roles.out
        out.access.store(out.index({**place, self.roles.n: column}), total)

    def groups(self, row: Memory, place: Mapping[str, Index], first: Index, columns: int, store: Store, *, parallel: bool = False) -> None:
        """Sums of `columns` columns from the first on; `store` takes each, with its number counted from there."""
        e = self.e
        for parts in cut(columns, 1 if self.is_far else COLUMNS):

            def group(i: Index, parts=parts) -> None:
                begin = e.index_add(e.index_mul(i, parts.size), parts.start)
                for c, total in enumerate(self.dots(place, row, e.index_add(first, begin), parts.size)):
                    store(e.index_add(begin, c), total)

            if parts.count == 1:
                group(0)
            else:
                e.for_(0, parts.count, group, parallel=parallel)

    def dots(self, place: Mapping[str, Index], row: Memory, first: Index, count: int) -> list[Value]:
        """The sums of `count` columns with a copy of x."""
        e = self.e
        vectors = SUMS // count  # of a column at a time
        step = vectors * self.lanes
        whole = self.k - self.k % step

        def add(k: Index, mask: Value | None, sums: Sequence[Value]) -> list[Value]:
            x = self.load_vector(row, [k], mask)
            columns = [self.load(place, k, e.index_add(first, c), mask) for c in range(count)]
            return [multiply_add(e, x, y, s) for y, s in zip(columns, sums, strict=True)]

        def several(k: Value, *sums: Value) -> list[Value]:
            result: list[Value] = []
            for v in range(vectors):
                at = e.index_add(k, v * self.lanes)
                self.ask_for(place, e.index_add(at, BYTES_AHEAD // self.dtype.size), first)
                result += add(at, None, sums[v * count : (v + 1) * count])
            return result

        flat = list(e.for_(0, whole, several, [e.constant(0, type=self.vector)] * (vectors * count), step=step))
        for v, k in enumerate(range(whole, self.k, self.lanes)):
            mask = self.mask(self.k) if k + self.lanes > self.k else None
            flat[v * count : (v + 1) * count] = add(k, mask, flat[v * count : (v + 1) * count])
        return [self.total(flat[c::count]) for c in range(count)]

    def total(self, sums: Sequence[Value]) -> Value:
        """All lanes of all vectors, added by pairs."""
        e = self.e
        while len(sums) > 1:
            half = len(sums) // 2
            sums = [*(e.add(a, b) for a, b in zip(sums[:half], sums[half : 2 * half], strict=True)), *sums[2 * half :]]
        return e.fold_lanes(sums[0], kind="add") if self.lanes > 1 else sums[0]
