"""Threefry2x32 with 20 rounds, the one source of random bits.

A counter is enciphered under a key: 64 bits for every pair of them, without a state. (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy
as 1, 2, 3", SC 2011.) Words, their order in keys and counters, and what is made of them are those of JAX's default generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import DType
from rlxc.primitives.families import Elementwise, NonDifferentiable

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA  # of the key schedule
ROUNDS = 20

U32, U64 = DType("u32"), DType("u64")


@register
class Threefry2x32(NonDifferentiable, Elementwise):
    """64 random bits: the counter enciphered under the key by Threefry2x32-20. Both, and the result, are two words of 32 bits, the first one high."""

    name = "threefry2x32"
    dtypes = ("u64",)
    cost = Cost(flops=100, recompute=False)
    samples = (
        Sample(np.array([0, 2**64 - 1, 0x13198A2E03707344], np.uint64), np.array([0, 2**64 - 1, 0x243F6A8885A308D3], np.uint64)),
        "u64[], u64[2, 3]",
        "u64[0], u64[]",
    )

    def eval(self, key, counter):
        words = threefry2x32(_NumPy, key.astype(U64.numpy), counter.astype(U64.numpy))
        return np.asarray(words)

    def scalar(self, e, key, counter):
        return threefry2x32(e, key, counter)


def threefry2x32(e: Any, key: Any, counter: Any) -> Any:
    """The cipher in the vocabulary `e`: that of the loop level, or NumPy's."""
    k0, k1 = _words(e, key)
    schedule = (k0, k1, e.xor(e.xor(k0, k1), PARITY))
    x, y = (e.add(c, k) for c, k in zip(_words(e, counter), schedule, strict=False))
    for four in range(ROUNDS // 4):
        for distance in ROTATIONS[four % 2]:
            x = e.add(x, y)
            y = e.xor(_rotate_left(e, y, distance), x)
        x = e.add(x, schedule[(four + 1) % 3])
        y = e.add(e.add(y, schedule[(four + 2) % 3]), four + 1)
    return e.or_(e.shift_left(e.convert(x, dtype=U64), 32), e.convert(y, dtype=U64))


def _words(e: Any, pair: Any) -> Sequence[Any]:
    return e.convert(e.shift_right(pair, 32), dtype=U32), e.convert(pair, dtype=U32)


def _rotate_left(e: Any, x: Any, distance: int) -> Any:
    return e.or_(e.shift_left(x, distance), e.shift_right(x, 32 - distance))


class _NumPy:
    """The few operations of the cipher, on arrays."""

    @staticmethod
    def add(x: Any, y: Any) -> Any:
        return np.add(x, np.asarray(y, x.dtype))

    @staticmethod
    def xor(x: Any, y: Any) -> Any:
        return np.bitwise_xor(x, np.asarray(y, x.dtype))

    or_ = staticmethod(np.bitwise_or)

    @staticmethod
    def shift_left(x: Any, n: int) -> Any:
        return np.left_shift(x, np.asarray(n, x.dtype))

    @staticmethod
    def shift_right(x: Any, n: int) -> Any:
        return np.right_shift(x, np.asarray(n, x.dtype))

    @staticmethod
    def convert(x: Any, *, dtype: DType) -> Any:
        return x.astype(dtype.numpy)
