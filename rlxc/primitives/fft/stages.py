"""dft_pairs: a transform of a smooth length in one kernel, which compilation makes of `dft`."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Cost, Sample, register
from rlxc.primitives.complex import every_second
from rlxc.primitives.families import LinearMap, batch_size, require_dtype, with_batch_axis
from rlxc.primitives.fft.lengths import is_smooth, radices
from rlxc.primitives.fft.passes import Buffer, Pass, along, buffer, interleaved


@register
class DftPairs(LinearMap):
    """The discrete Fourier transform along the middle axis of x + i y, arrays [b, n, s]; results [b, n, 2 s], real and imaginary parts in turn.

    n is a product of primes up to 13. Compilation makes it of `dft`. Its loops transform a row, or a block of columns, in scratch memory.
    """

    name = "dft_pairs"
    dtypes = ("f32", "f64")
    linear_in = ((0, 1),)
    cost = Cost(flops=40, recompute=False)
    samples = (
        "f64[2, 16, 1], f64[2, 16, 1]",
        Sample("f64[1, 30, 3], f64[1, 30, 3]", inverse=True),
        "f64[1, 7, 2], f64[1, 7, 2]",
        "f64[1, 72, 1], f64[1, 72, 1]",
        "f64[1, 1, 2], f64[1, 1, 2]",
        "f64[0, 4, 1], f64[0, 4, 1]",
    )

    def infer(self, x, y, *, inverse: bool = False):
        for t in (x, y):
            require_dtype(self.name, t, self.dtypes)
        if x != y or x.rank != 3:
            raise ShapeError(f"dft_pairs takes two arrays [b, n, s] of one type, not {x} and {y}")
        n = x.shape[1]
        if not isinstance(n, int) or n < 1 or not is_smooth(n):
            raise ShapeError(f"dft_pairs: {n} is no product of primes up to 13")
        return x.with_shape((*x.shape[:2], 2 * x.shape[2]))

    def eval(self, x, y, *, inverse=False):
        z = np.empty(x.shape, np.complex128)
        z.real, z.imag = x, y  # x + 1j y would spread a nan of y to x
        z = (np.fft.ifft(z, axis=1, norm="forward") if inverse else np.fft.fft(z, axis=1)) if z.size else z
        return np.stack([z.real, z.imag], -1).reshape(*x.shape[:2], -1 if x.size else 2 * x.shape[2]).astype(x.dtype)

    def transpose(self, b, cts, operands, *, inverse):
        ct = cts[0]
        back = b.dft_pairs(every_second(b, ct, 0), every_second(b, ct, 1), inverse=not inverse)
        return every_second(b, back, 0), every_second(b, back, 1)

    def batch(self, b, x, y, *, batched, inverse):
        n = batch_size((x, y), batched)
        x, y = (v if flag else with_batch_axis(b, v, n) for v, flag in zip((x, y), batched, strict=True))
        shape = x.type.shape
        flat = [b.reshape(v, shape=(shape[0] * shape[1], *shape[2:])) for v in (x, y)]
        return b.reshape(b.dft_pairs(*flat, inverse=inverse), shape=(*shape[:-1], 2 * shape[-1]))

    def reuses(self, operand):
        return False

    def flops(self, operands, results, *, inverse):
        n = operands[0].shape[1]
        return 5.0 * operands[0].size * max(np.log2(n), 1.0)

    def lower(self, e, reads, writes, *, inverse):
        (out,) = writes
        count, n, s = reads[0].type.shape
        if not out.type.size:
            return
        dtype = out.type.dtype
        lanes = max(1, e.target.vector_bytes // dtype.size)
        width = _block_width(e, n, s, dtype.size, lanes)
        sign = 1 if inverse else -1

        def block(at: Any, column: Any) -> None:
            spaces = [buffer(e, dtype, n * width) for _ in range(2)]
            _copy_in(e, reads, spaces[0], n, width, at, column)
            m, run = n, width
            sizes = radices(n)
            for r in sizes[:-1]:
                m //= r
                Pass(r, m, run, sign, dtype, lanes).run(e, *spaces)
                spaces.reverse()
                run *= r
            last = Pass(sizes[-1], 1, run, sign, dtype, lanes) if sizes else Pass(1, 1, run, sign, dtype, lanes)
            _copy_out(e, last, spaces[0], out, width, at, column)

        blocks = -(-s // width)

        def body(i: Any) -> tuple[()]:
            at, k = e.index_div(i, blocks), e.index_rem(i, blocks)
            column = e.index_mul(k, width)
            if s % width:
                column = e.min(e.as_index(column), s - width)
            block(at, column)
            return ()

        if count * blocks == 1:
            block(0, 0)
        else:
            e.for_(0, count * blocks, body, parallel=True)


def _block_width(e: Any, n: int, s: int, size: int, lanes: int) -> int:
    """Columns that are transformed together: as many as half of the second cache holds, whole vectors of them."""
    room = max(1, (e.target.l2 or 1 << 18) // 2 // (4 * n * size))
    width = max(lanes, room - room % lanes)
    return min(s, width)


def _copy_in(e: Any, reads: Any, space: Buffer, n: int, width: int, at: Any, column: Any) -> None:
    def one(index: Any) -> None:
        i, q = index
        place = [e.index_add(e.index_mul(i, width), q)]
        for memory, x in zip((space.re, space.im), reads, strict=True):
            memory.store(place, x([at, i, e.index_add(column, q)]))

    e.for_each((n, width), one)


def _copy_out(e: Any, last: Pass, space: Buffer, out: Any, width: int, at: Any, column: Any) -> None:
    """The last pass, whose results go to their places: neighbours are `width` columns of one frequency each."""
    rows = last.s // width

    def some(i: Any, q: Any, lanes: int) -> None:
        for k, z in enumerate(last.results(e, space, 0, e.index_add(e.index_mul(i, width), q), lanes)):
            row = e.index_add(i, k * rows)
            if width == 1:  # then vectors go along the rows
                row, first = e.index_add(row, q), 0
            else:
                first = e.index_mul(e.index_add(column, q), 2)
            if lanes == 1:
                out.store([at, row, first], z.re)
                out.store([at, row, e.index_add(first, 1)], z.im)
            else:
                e.store(out.value, interleaved(e, [z.re, z.im]), *map(e.as_index, (at, row, first)))

    if width == 1:
        along(e, rows, last.lanes, lambda q, lanes: some(0, q, lanes))
    else:
        e.for_each((rows,), lambda index: along(e, width, last.lanes, lambda q, lanes: some(index[0], q, lanes)))
