"""Loops of a transform: Stockham's passes, which leave the result in order.

A pass of butterflies of size r goes over n = r m places, each a run of s neighbours that are treated alike:

    x[j, p, q], j < r, p < m, q < s      =>      y[p, k, q] = w^(p k) sum over j of x[j, p, q] exp(sign 2 pi i j k / r),    w = exp(sign 2 pi i / n)

The next pass has n / r for n, and r s for s. Vectors go along q where s is large, else along p: then results are interleaved in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlxc.ir.attributes import Dense
from rlxc.ir.core import Value
from rlxc.ir.emitter import Index
from rlxc.ir.types import DType, MemType, TensorType
from rlxc.primitives.fft.butterflies import butterfly, mul
from rlxc.primitives.planes import Planes as Z


@dataclass(frozen=True, slots=True)
class Buffer:
    """Scratch memory for the parts of complex numbers."""

    re: Any
    im: Any

    def load(self, e: Any, at: Index, lanes: int) -> Z:
        return Z(*(load(e, memory.value, at, lanes=lanes) for memory in (self.re, self.im)))

    def store(self, e: Any, at: Index, z: Z) -> None:
        for memory, part in ((self.re, z.re), (self.im, z.im)):
            e.store(memory.value, part, e.as_index(at))


def buffer(e: Any, dtype: DType, size: int) -> Buffer:
    return Buffer(e.alloc(dtype, (size,)), e.alloc(dtype, (size,)))


def load(e: Any, memory: Value, *index: Index, lanes: int) -> Value:
    return e.load(memory, *map(e.as_index, index), lanes=lanes)


@dataclass(frozen=True, slots=True)
class Pass:
    r: int
    m: int
    s: int
    sign: int
    dtype: DType
    lanes: int

    def run(self, e: Any, source: Buffer, target: Buffer) -> None:
        if self.s == 1 and self.m > 1:
            self._along_places(e, source, target)
            return

        def place(p: Index) -> None:
            def some(q: Index, lanes: int) -> None:
                zs = self.results(e, source, p, q, lanes)
                for k, z in enumerate(zs):
                    first = e.index_add(e.index_mul(p, self.r * self.s), k * self.s)
                    target.store(e, e.index_add(first, q), self.turned(e, z, k, p, 1, lanes))

            along(e, self.s, self.lanes, some)

        e.for_each((self.m,), lambda index: place(index[0]))

    def results(self, e: Any, source: Buffer, p: Index, q: Index, lanes: int) -> list[Z]:
        """The butterfly at place p, before its results are turned."""
        first = e.index_add(e.index_mul(p, self.s), q)
        xs = [source.load(e, e.index_add(first, j * self.m * self.s), lanes) for j in range(self.r)]
        return butterfly(e, xs, self.sign)

    def turned(self, e: Any, z: Z, k: int, p: Index, run: int, lanes: int) -> Z:
        """A result times w^(p k), for one place, or for a run of as many as there are lanes."""
        if k == 0 or self.m == 1:
            return z
        re, im = (load(e, table, e.index_add(p, (k - 1) * self.m), lanes=run) for table in self.tables(e))
        if lanes > run:
            re, im = e.splat(re, lanes=lanes), e.splat(im, lanes=lanes)
        return mul(e, z, re, im)

    def tables(self, e: Any) -> tuple[Value, Value]:
        """Real and imaginary parts of w^(p k), for k from 1 on, row by row."""
        n = self.r * self.m
        w = roots(np.outer(np.arange(1, self.r), np.arange(self.m)).reshape(-1), n, self.sign)
        return constant_table(e, w.real, self.dtype), constant_table(e, w.imag, self.dtype)

    def _along_places(self, e: Any, source: Buffer, target: Buffer) -> None:
        """Runs of one: vectors take places that follow each other."""

        def some(p: Index, lanes: int) -> None:
            zs = [self.turned(e, z, k, p, lanes, lanes) for k, z in enumerate(self.results(e, source, p, 0, lanes))]
            first = e.index_mul(p, self.r)
            for memory, parts in ((target.re, [z.re for z in zs]), (target.im, [z.im for z in zs])):
                if self.r & (self.r - 1) == 0:
                    e.store(memory.value, interleaved(e, parts), e.as_index(first))
                elif lanes == 1:
                    for k, part in enumerate(parts):
                        e.store(memory.value, part, e.as_index(e.index_add(first, k)))
                else:
                    steps = e.mul(e.lane_index(type=e.as_index(first).type.with_lanes(lanes)), self.r)
                    for k, part in enumerate(parts):
                        e.scatter(memory.value, part, e.add(e.splat(e.as_index(e.index_add(first, k)), lanes=lanes), steps))

        along(e, self.m, self.lanes, some)


def along(e: Any, count: int, lanes: int, body: Callable[[Index, int], None]) -> None:
    """`body(i, lanes)` for vectors that cover 0 to count; the last one may go back and do some again."""
    while lanes > count:
        lanes //= 2
    whole = count - count % lanes

    def one(i: Index) -> tuple[()]:
        body(i, lanes)
        return ()

    if whole == lanes:
        body(0, lanes)
    else:
        e.for_(0, whole, one, step=lanes)
    if whole != count:
        body(count - lanes, lanes)


def interleaved(e: Any, vectors: Sequence[Value]) -> Value:
    """Lane 0 of each vector in turn, then lane 1 of each, ...; the number of vectors is a power of two."""
    vectors = list(vectors)
    while len(vectors) > 1:
        half, lanes = len(vectors) // 2, vectors[0].type.lanes  # type: ignore[union-attr]
        order = tuple(i for lane in range(lanes) for i in (lane, lanes + lane))
        vectors = [e.shuffle(x, y, lanes=order) for x, y in zip(vectors[:half], vectors[half:], strict=True)]
    return vectors[0]


def roots(exponents: np.ndarray, n: int, sign: int) -> np.ndarray:
    """exp(sign 2 pi i exponent / n), rounded as well as f64 allows."""
    turns = exponents % n
    turns = np.where(2 * turns > n, turns - n, turns).astype(np.longdouble) / n
    angle = 2 * np.pi * np.asarray(turns, np.float64)
    return np.cos(angle) + 1j * sign * np.sin(angle)


def constant_table(e: Any, numbers: np.ndarray, dtype: DType) -> Value:
    """A list of numbers in read-only memory."""
    value = Dense(numbers, TensorType(dtype, numbers.shape))
    memory = e.global_(value=value, type=MemType(dtype, numbers.shape))
    e.read_only.add(memory)
    return memory
