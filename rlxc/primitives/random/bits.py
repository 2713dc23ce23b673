"""Keys and bits: what distributions are made of.

u32[2] key  ->  u64: one word high, the other low  ->  threefry2x32 with the counters 0, 1, 2, ... of the elements  ->  random_bits, random_split
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlxc.errors import AttrError, DTypeError, ShapeError
from rlxc.ir.core import Value
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import INTEGERS, Dim, DType, TensorType
from rlxc.primitives import numerics
from rlxc.primitives.families import Composite, NonDifferentiable, require_dtype
from rlxc.primitives.random.threefry import U32, U64, Threefry2x32

UNSIGNED = ("u8", "u16", "u32", "u64")
A_KEY = np.array([0, 42], np.uint32)

_eval_threefry: Callable[..., Any] = Threefry2x32().eval


def require_key(name: str, key: Any) -> None:
    """Raise unless the operand is a key, u32[2]."""
    require_dtype(name, key, ("u32",))
    if key.shape != (2,):
        raise ShapeError(f"{name}: a key is u32[2], not {key}", help="more keys at a time: `vmap`")


def require_sizes(name: str, shape: Sequence[Any]) -> None:
    """Raise AttrError if one of the sizes is negative."""
    if any(not isinstance(n, Dim) and n < 0 for n in shape):
        raise AttrError(f"{name}: shape is {list(shape)}", help="sizes are 0 or more")


class Random(NonDifferentiable, Composite):
    """A function of a key, without a derivative."""


@register
class RandomBits(Random):
    """Random bits as unsigned integers of `shape`, from a key u32[2]; the bits of an element depend on the key and on the element's place alone."""

    name = "random_bits"
    dtypes = ("u32",)
    samples = (Sample(A_KEY, shape=(2, 3)), Sample(A_KEY, shape=(), dtype=U64), Sample("u32[2]", shape=(0, 2)), Sample(A_KEY, shape=(5,), dtype=DType("u8")))

    def infer(self, key, *, shape: tuple[int | Dim, ...], dtype: DType = U32):
        require_key(self.name, key)
        require_sizes(self.name, shape)
        if dtype not in UNSIGNED:
            raise DTypeError(f"random_bits: dtype is {dtype}", help=f"it is one of {', '.join(UNSIGNED)}")
        return TensorType(dtype, shape)

    def eval(self, key, *, shape, dtype=U32):
        return bits_of_words(words_in_numpy(key, shape), dtype)

    def decompose(self, b, key, *, shape, dtype):
        words = b.threefry2x32(broadcast_scalar(b, packed(b, key), shape), counters(b, shape))
        if dtype == U64:
            return words
        return b.convert(b.xor(high_word(b, words), low_word(b, words)), dtype=dtype)


@register
class RandomSplit(Random):
    """`count` new keys from one, [count, 2]: key i is 64 bits of the old one at counter i."""

    name = "random_split"
    dtypes = ("u32",)
    samples = (Sample(A_KEY, count=3), Sample("u32[2]", count=1), Sample(A_KEY, count=0))

    def infer(self, key, *, count: int = 2):
        require_key(self.name, key)
        require_sizes(self.name, (count,))
        return TensorType(U32, (count, 2))

    def eval(self, key, *, count=2):
        return key_of_words(words_in_numpy(key, (count,)))

    def decompose(self, b, key, *, count):
        words = b.random_bits(key, shape=(count,), dtype=U64)
        return b.stack(high_word(b, words), low_word(b, words), axis=1)


@register
class RandomFoldIn(Random):
    """A new key from a key and an integer, such as a step or a layer: 64 bits of the old key at that counter, of which 32 bits count."""

    name = "random_fold_in"
    dtypes = ("u32",)
    samples = (Sample(A_KEY, np.array(7, np.int32)), Sample("u32[2]", np.array(200, np.uint8)), Sample(A_KEY, np.array(-1, np.int64)))

    def infer(self, key, data):
        require_key(self.name, key)
        require_dtype(self.name, data, INTEGERS)
        if data.rank:
            raise ShapeError(f"random_fold_in: the data is a scalar, not {data}")
        return key

    def eval(self, key, data):
        counter = data.astype(np.uint32).astype(np.uint64)
        return key_of_words(_eval_threefry(packed_in_numpy(key), counter))

    def decompose(self, b, key, data):
        counter = b.convert(b.convert(data, dtype=U32), dtype=U64)
        words = b.threefry2x32(packed(b, key), counter)
        return b.stack(high_word(b, words), low_word(b, words), axis=0)


def packed(b: Any, key: Value) -> Value:
    """A key's two words as one scalar."""
    high, low = (b.convert(b.slice(key, start=(i,), stop=(i + 1,)), dtype=U64) for i in (0, 1))
    return b.reshape(b.or_(b.shift_left(high, 32), low), shape=())


def counters(b: Any, shape: tuple[int, ...]) -> Value:
    """0, 1, 2, ... in row-major order. Made of a counter an axis, so that whatever reads it at its own index makes it there."""
    TensorType(U64, shape).require_static()
    total, stride = None, 1
    for axis in reversed(range(len(shape))):
        if shape[axis] != 1:
            counter = b.iota(axis=axis, type=TensorType(U64, shape))
            counter = counter if stride == 1 else b.mul(counter, stride)
            total = counter if total is None else b.add(counter, total)
            stride *= max(shape[axis], 1)
    return b.zeros(TensorType(U64, shape)) if total is None else total


def broadcast_scalar(b: Any, x: Value, shape: Sequence[Any]) -> Value:
    return b.broadcast(x, shape=tuple(shape), axes=tuple(range(len(shape)))) if shape else x


def high_word(b: Any, words: Value) -> Value:
    return b.convert(b.shift_right(words, 32), dtype=U32)


def low_word(b: Any, words: Value) -> Value:
    return b.convert(words, dtype=U32)


def packed_in_numpy(key: np.ndarray) -> np.ndarray:
    """A key's two words as one scalar."""
    wide = key.astype(np.uint64)
    return np.asarray(wide[0] << np.uint64(32) | wide[1])


def words_in_numpy(key: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """64 bits for each element of `shape`."""
    counter = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint64).reshape(shape)
    return _eval_threefry(packed_in_numpy(key), counter)


def bits_of_words(words: np.ndarray, dtype: DType) -> np.ndarray:
    """Unsigned integers of `dtype` from 64 bits each: all of them, or the lowest of both halves combined."""
    if dtype == U64:
        return words
    return np.asarray(numerics.convert((words >> np.uint64(32)) ^ (words & np.uint64(0xFFFFFFFF)), dtype))


def key_of_words(words: np.ndarray) -> np.ndarray:
    """The two halves of 64 bits along a new last axis."""
    return np.stack([words >> np.uint64(32), words & np.uint64(0xFFFFFFFF)], axis=-1).astype(np.uint32)
