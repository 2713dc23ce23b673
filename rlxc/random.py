"""Random numbers: functions of a key, u32[2], which always give the same for the same key. Keys and numbers are those of JAX's default generator.

    key = rlxc.random.key(0)
    key, mine = rlxc.random.split(key)          a key is used once: split it before
    x = rlxc.random.normal(mine, (3, 4))

Floats are f32 unless a dtype is given. How the numbers are made: `rlxc ops random_uniform`, and so on.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError
from rlxc.ir.types import DType
from rlxc.numpy.common import as_operand, traced
from rlxc.tracing.immediate import immediate
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.promotion import as_dtype
from rlxc.tracing.tracer import Tracer, convert, emit

__all__ = [
    "bernoulli", "bits", "categorical", "choice", "exponential", "fold_in", "gumbel", "key", "laplace", "normal", "permutation", "rademacher", "randint",
    "split", "truncated_normal", "uniform",
]  # fmt: skip

F32, I32 = DType("f32"), DType("i32")
Shape = int | Sequence[int]


def key(seed: Any) -> Any:
    """A key from an integer, of which 64 bits count."""
    if isinstance(seed, Tracer):
        wide = convert(seed, DType("u64"))
        return np.stack([convert(wide >> 32, DType("u32")), convert(wide, DType("u32"))])
    number = operator.index(seed) % 2**64
    return np.array([number >> 32, number & 0xFFFFFFFF], np.uint32)


@immediate
def split(key: Any, num: Shape = 2) -> Any:
    """`num` new keys, as an array [num, 2], which can be unpacked."""
    sizes = _sizes(num)
    keys = emit("random_split", key, count=math.prod(sizes))
    return np.reshape(keys, (*sizes, 2))


@immediate
def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and an integer: a step, the number of a layer."""
    return emit("random_fold_in", key, np.asarray(operator.index(data) % 2**32, np.uint32) if isinstance(data, int) else data)


@immediate
def bits(key: Any, shape: Shape = (), dtype: Any = "u4") -> Any:
    """Random bits as unsigned integers."""
    return emit("random_bits", key, shape=_sizes(shape), dtype=as_dtype(dtype))


@immediate
def uniform(key: Any, shape: Shape = (), dtype: Any = F32, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Numbers from minval to maxval, which is excluded (but for rounding)."""
    u = emit("random_uniform", key, shape=_sizes(shape), dtype=as_dtype(dtype))
    if isinstance(minval, float | int) and isinstance(maxval, float | int) and (minval, maxval) == (0, 1):
        return u
    low, high = (convert(as_operand(v), u.aval.dtype) for v in (minval, maxval))
    return np.maximum(u * (high - low) + low, low)


@immediate
def normal(key: Any, shape: Shape = (), dtype: Any = F32) -> Any:
    """Numbers of the normal distribution with mean 0 and variance 1."""
    return emit("random_normal", key, shape=_sizes(shape), dtype=as_dtype(dtype))


@immediate
def truncated_normal(key: Any, lower: Any, upper: Any, shape: Shape | None = None, dtype: Any = F32) -> Any:
    """Numbers of the normal distribution, those that are between lower and upper."""
    low, high = (convert(traced(v), as_dtype(dtype)) for v in (lower, upper))
    sizes = np.broadcast_shapes(low.shape, high.shape) if shape is None else _sizes(shape)
    a, b = emit("erf", low / math.sqrt(2)), emit("erf", high / math.sqrt(2))
    u = emit("random_uniform", key, shape=sizes, dtype=as_dtype(dtype))
    x = math.sqrt(2) * emit("erf_inv", u * (b - a) + a)
    return np.clip(x, low, high)


@immediate
def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Any:
    """True with probability p."""
    chance = traced(np.float32(p) if isinstance(p, float | int) else p)
    return emit("random_bernoulli", key, chance if shape is None else np.broadcast_to(chance, _sizes(shape)))


@immediate
def rademacher(key: Any, shape: Shape = (), dtype: Any = F32) -> Any:
    """1 or -1, each with probability 1/2."""
    heads = emit("random_bernoulli", key, np.broadcast_to(traced(np.float32(0.5)), _sizes(shape)))
    return convert(np.where(heads, 1, -1), as_dtype(dtype))


@immediate
def exponential(key: Any, shape: Shape = (), dtype: Any = F32) -> Any:
    """Numbers of the exponential distribution with mean 1."""
    return -np.log1p(-emit("random_uniform", key, shape=_sizes(shape), dtype=as_dtype(dtype)))


@immediate
def gumbel(key: Any, shape: Shape = (), dtype: Any = F32) -> Any:
    """Numbers of the Gumbel distribution, -log(-log(u))."""
    u = emit("random_uniform", key, shape=_sizes(shape), dtype=as_dtype(dtype))
    return -np.log(-np.log(np.maximum(u, np.finfo(u.dtype).tiny)))


@immediate
def laplace(key: Any, shape: Shape = (), dtype: Any = F32) -> Any:
    """Numbers of the Laplace distribution with mean 0 and scale 1."""
    kind = as_dtype(dtype)
    u = emit("random_uniform", key, shape=_sizes(shape), dtype=kind) * 2 + float(np.nextafter(kind.numpy.type(-1), kind.numpy.type(0)))
    return np.sign(u) * -np.log1p(-np.abs(u))


@immediate
def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None) -> Any:
    """Indices along an axis, each with a probability in proportion to exp(logits); `shape` ends with the other axes of the logits."""
    x = traced(logits)
    if shape is not None:
        sizes = _sizes(shape)
        x = np.moveaxis(x, axis, -1)
        x, axis = np.broadcast_to(x, (*sizes, x.shape[-1])), -1
    return emit("random_categorical", key, x, axis=axis)


@immediate
def randint(key: Any, shape: Shape, minval: int, maxval: int, dtype: Any = I32) -> Any:
    """Integers from minval to maxval, which is excluded."""
    return emit("random_integers", key, low=operator.index(minval), high=operator.index(maxval), shape=_sizes(shape), dtype=as_dtype(dtype))


@immediate
def permutation(key: Any, x: Any, axis: int = 0) -> Any:
    """The numbers below an integer in a random order, or the slices of an array along an axis."""
    if isinstance(x, int):
        return emit("random_permutation", key, size=x)
    y = traced(x)
    return np.take(y, emit("random_permutation", key, size=y.shape[axis]), axis)


@immediate
def choice(key: Any, a: Any, shape: Shape = (), replace: bool = True, p: Any = None) -> Any:
    """Elements of a vector (or numbers below an integer), drawn with probabilities p, or all alike; without replacement, none of them twice."""
    sizes = _sizes(shape)
    n = a if isinstance(a, int) else traced(a).shape[0]
    count = math.prod(sizes)
    if replace:
        if p is None:
            places = emit("random_integers", key, low=0, high=n, shape=sizes, dtype=DType("i64"))
        else:
            logits = np.log(traced(p))
            places = emit("random_categorical", key, np.broadcast_to(logits, (*sizes, n)), axis=-1, dtype=DType("i64"))
    else:
        if count > n:
            raise with_source(ArgumentError(f"random.choice: {count} of {n} without replacement", code="RLX0505", loc=user_location()))
        if p is None:
            order = emit("random_permutation", key, size=n)
        else:
            weights = traced(p)
            u = emit("random_uniform", key, shape=(n,), dtype=weights.aval.dtype)
            order = np.argsort(np.log(-np.log(np.maximum(u, np.finfo(u.dtype).tiny))) - np.log(weights))
        places = np.reshape(order[:count], sizes)
    return places if isinstance(a, int) else np.take(traced(a), places, 0)


def _sizes(shape: Shape) -> tuple[int, ...]:
    return tuple([operator.index(n) for n in shape]) if isinstance(shape, Sequence) else (operator.index(shape),)
