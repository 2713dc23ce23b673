"""Distributions: random_uniform, random_normal, random_bernoulli, random_categorical, random_integers, random_permutation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rlxc.errors import AttrError, DTypeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS, INTEGERS, Dim, DType, TensorType
from rlxc.primitives import special_exact
from rlxc.primitives.composite import axis_from_front
from rlxc.primitives.exact import exactly, round_to
from rlxc.primitives.families import require_dtype
from rlxc.primitives.random.bits import A_KEY, U32, U64, Random, RandomBits, require_key, require_sizes

F32, I32, I64 = DType("f32"), DType("i32"), DType("i64")
FRACTION = {"f64": (52, U64), "f32": (23, U32), "f16": (10, DType("u16")), "bf16": (7, DType("u8"))}  # bits that a float has; drawn for it

_eval_bits: Any = RandomBits().eval


class Distribution(Random):
    """Floats of `shape` drawn with a key."""

    dtypes = ("u32",)
    samples = (Sample(A_KEY, shape=(2, 3)), Sample(A_KEY, shape=(3,), dtype=DType("f64")), Sample("u32[2]", shape=()), Sample(A_KEY, shape=(2, 0)))

    def infer(self, key, *, shape: tuple[int | Dim, ...], dtype: DType = F32):
        require_key(self.name, key)
        require_sizes(self.name, shape)
        if dtype not in FLOATS:
            raise DTypeError(f"{self.name}: dtype is {dtype}", help=f"it is one of {', '.join(FLOATS)}")
        return TensorType(dtype, shape)


@register
class RandomUniform(Distribution):
    """Numbers from 0 to 1, 1 excluded, all equally likely: random bits as the fraction of a float in [1, 2), less 1."""

    name = "random_uniform"

    def eval(self, key, *, shape, dtype=F32):
        fraction, drawn = FRACTION[dtype]
        bits = _eval_bits(key, shape=shape, dtype=drawn) >> drawn.numpy.type(drawn.bits - fraction)
        return (bits.astype(np.float64) * 2.0**-fraction).astype(dtype.numpy)

    def decompose(self, b, key, *, shape, dtype):
        fraction, drawn = FRACTION[dtype]
        bits = b.shift_right(b.random_bits(key, shape=shape, dtype=drawn), drawn.bits - fraction)
        one = int(np.ones((), dtype.numpy).view(f"u{dtype.bits // 8}"))
        above_one = b.bitcast(b.or_(b.convert(bits, dtype=DType(f"u{dtype.bits}")), one), dtype=dtype)
        return b.sub(above_one, 1.0)


@register
class RandomNormal(Distribution):
    """Numbers of the normal distribution with mean 0 and variance 1: sqrt(2) erf_inv(u), with u uniform in (-1, 1)."""

    name = "random_normal"

    def eval(self, key, *, shape, dtype=F32):
        wide = F32 if dtype.is_narrow else dtype
        u = RandomUniform().eval(key, shape=shape, dtype=wide)
        u = (2 * u.astype(np.longdouble) + float(_above_minus_one(wide))).astype(wide.numpy)
        z = np.asarray(exactly(special_exact.erf_inv, u) * wide.numpy.type(math.sqrt(2)))
        return round_to(z, dtype.numpy)

    def decompose(self, b, key, *, shape, dtype):
        wide = F32 if dtype.is_narrow else dtype
        u = b.random_uniform(key, shape=shape, dtype=wide)
        u = b.add(b.mul(u, 2.0), float(_above_minus_one(wide)))
        z = b.mul(b.erf_inv(u), math.sqrt(2))
        return b.convert(z, dtype=dtype) if wide != dtype else z


def _above_minus_one(dtype: DType) -> Any:
    return np.nextafter(dtype.numpy.type(-1), dtype.numpy.type(0))


@register
class RandomBernoulli(Random):
    """True with probability p, for each element of p."""

    name = "random_bernoulli"
    operands = ("key", "p")
    dtypes = ("u32",)
    samples = (Sample(A_KEY, np.array([[0.0, 1.0, 0.5], [0.25, 0.75, np.nan]])), Sample("u32[2]", np.array(0.5, np.float32)))

    def infer(self, key, p):
        require_key(self.name, key)
        require_dtype(self.name, p, FLOATS)
        return p.with_dtype("bool")

    def eval(self, key, p):
        wide = F32 if p.dtype.itemsize < 4 else DType(f"f{8 * p.dtype.itemsize}")
        return RandomUniform().eval(key, shape=p.shape, dtype=wide) < p.astype(wide.numpy)

    def decompose(self, b, key, p):
        return b.lt(b.random_uniform(key, shape=p.type.shape, dtype=p.type.dtype), p)


@register
class RandomCategorical(Random):
    """Along `axis` of the logits, which disappears, index i with probability softmax(logits)[i].

    The index of the largest of logits + Gumbel noise, -log(-log(u)). (Maddison, Tarlow & Minka, arXiv:1411.0030.)
    """

    name = "random_categorical"
    dtypes = ("u32",)
    samples = (
        Sample(A_KEY, "f32[2, 5]"),
        Sample("u32[2]", "f64[3]"),
        Sample(A_KEY, "f64[2, 3, 2]", axis=1, dtype=I64),
        Sample(A_KEY, np.array([-np.inf, 0.0, -np.inf])),
    )

    def infer(self, key, logits, *, axis: int = -1, dtype: DType = I32):
        require_key(self.name, key)
        require_dtype(self.name, logits, FLOATS)
        axis = axis_from_front(self.name, logits, axis)
        if dtype not in INTEGERS:
            raise DTypeError(f"random_categorical: an index is an integer, not {dtype}")
        if logits.shape[axis] == 0:
            raise AttrError(f"random_categorical: axis {axis} of {logits} is empty")
        return TensorType(dtype, (*logits.shape[:axis], *logits.shape[axis + 1 :]))

    def eval(self, key, logits, *, axis=-1, dtype=I32):
        wide = F32 if logits.dtype.itemsize < 4 else DType(f"f{8 * logits.dtype.itemsize}")
        u = np.maximum(RandomUniform().eval(key, shape=logits.shape, dtype=wide), np.finfo(wide.numpy).tiny)
        noise = -exactly(np.log, -exactly(np.log, u))
        return np.asarray(np.argmax(noise + logits.astype(wide.numpy), axis)).astype(dtype.numpy)

    def decompose(self, b, key, logits, *, axis, dtype):
        axis = axis_from_front(self.name, logits.type, axis)
        u = b.random_uniform(key, shape=logits.type.shape, dtype=logits.type.dtype)
        u = b.max(u, float(np.finfo(u.type.dtype.numpy).tiny))
        noise = b.neg(b.log(b.neg(b.log(u))))
        return b.argmax(b.add(noise, logits), axis=axis, dtype=dtype)


@register
class RandomIntegers(Random):
    """Integers from `low` to `high`, which is excluded, all equally likely but for a difference of less than (high - low) / 2^64."""

    name = "random_integers"
    dtypes = ("u32",)
    samples = (
        Sample(A_KEY, low=-3, high=4, shape=(2, 3)),
        Sample("u32[2]", low=0, high=256, shape=(), dtype=DType("u8")),
        Sample(A_KEY, low=-(2**63), high=2**63 - 1, shape=(3,), dtype=I64),
    )

    def infer(self, key, *, low: int, high: int, shape: tuple[int | Dim, ...], dtype: DType = I32):
        require_key(self.name, key)
        require_sizes(self.name, shape)
        if dtype not in INTEGERS:
            raise DTypeError(f"random_integers: dtype is {dtype}", help=f"it is one of {', '.join(INTEGERS)}")
        limits = np.iinfo(dtype.numpy)
        if not limits.min <= low < high <= limits.max + 1:
            raise AttrError(f"random_integers: there is no {dtype} from {low} to below {high}")
        return TensorType(dtype, shape)

    def eval(self, key, *, low, high, shape, dtype=I32):
        places = _eval_bits(key, shape=shape, dtype=U64) % np.uint64(high - low)
        return (places + np.uint64(low % 2**64)).astype(dtype.numpy)

    def decompose(self, b, key, *, low, high, shape, dtype):
        places = b.rem(b.random_bits(key, shape=shape, dtype=U64), high - low)
        return b.convert(b.add(places, low % 2**64), dtype=dtype)


@register
class RandomPermutation(Random):
    """The numbers from 0 to `size` - 1 in an order, each as likely as any other: the order of as many random words of 64 bits."""

    name = "random_permutation"
    dtypes = ("u32",)
    samples = (Sample(A_KEY, size=5), Sample("u32[2]", size=1), Sample(A_KEY, size=0))

    def infer(self, key, *, size: int):
        require_key(self.name, key)
        require_sizes(self.name, (size,))
        return TensorType(I64, (size,))

    def eval(self, key, *, size):
        return np.argsort(_eval_bits(key, shape=(size,), dtype=U64), kind="stable").astype(np.int64)

    def decompose(self, b, key, *, size):
        return b.argsort(b.random_bits(key, shape=(size,), dtype=U64), axis=0)
