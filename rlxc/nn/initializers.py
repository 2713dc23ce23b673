"""Initializers: arrays to begin with, from a key and a shape. Fans are the sizes of the last two axes (inputs, outputs), times those before: kernels
of convolutions are [O, C, kernel...], for which `image=True` counts C and O.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc import random

__all__ = ["glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "normal", "ones", "uniform", "zeros"]


def zeros(key: Any, shape: Sequence[int], dtype: Any = np.float32) -> Any:
    """0 everywhere; the key is not used."""
    return np.zeros(shape, dtype)


def ones(key: Any, shape: Sequence[int], dtype: Any = np.float32) -> Any:
    """1 everywhere; the key is not used."""
    return np.ones(shape, dtype)


def normal(key: Any, shape: Sequence[int], dtype: Any = np.float32, *, std: float = 0.02) -> Any:
    """Normally distributed around 0."""
    return std * random.normal(key, shape, dtype)


def uniform(key: Any, shape: Sequence[int], dtype: Any = np.float32, *, limit: float = 0.01) -> Any:
    """Evenly between -limit and limit."""
    return random.uniform(key, shape, dtype, -limit, limit)


def glorot_uniform(key: Any, shape: Sequence[int], dtype: Any = np.float32, *, image: bool = False) -> Any:
    """Evenly, with variance 2 / (inputs + outputs). (Glorot & Bengio, 2010.)"""
    inputs, outputs = _fans(shape, image)
    return uniform(key, shape, dtype, limit=math.sqrt(6 / (inputs + outputs)))


def glorot_normal(key: Any, shape: Sequence[int], dtype: Any = np.float32, *, image: bool = False) -> Any:
    """Normally distributed, with variance 2 / (inputs + outputs). (Glorot & Bengio, 2010.)"""
    inputs, outputs = _fans(shape, image)
    return normal(key, shape, dtype, std=math.sqrt(2 / (inputs + outputs)))


def he_uniform(key: Any, shape: Sequence[int], dtype: Any = np.float32, *, image: bool = False) -> Any:
    """Evenly, with variance 2 / inputs. (He et al., arXiv:1502.01852.)"""
    return uniform(key, shape, dtype, limit=math.sqrt(6 / _fans(shape, image)[0]))


def he_normal(key: Any, shape: Sequence[int], dtype: Any = np.float32, *, image: bool = False) -> Any:
    """Normally distributed, with variance 2 / inputs. (He et al., arXiv:1502.01852.)"""
    return normal(key, shape, dtype, std=math.sqrt(2 / _fans(shape, image)[0]))


def lecun_uniform(key: Any, shape: Sequence[int], dtype: Any = np.float32, *, image: bool = False) -> Any:
    """Evenly, with variance 1 / inputs. (LeCun et al., 1998.)"""
    return uniform(key, shape, dtype, limit=math.sqrt(3 / _fans(shape, image)[0]))


def lecun_normal(key: Any, shape: Sequence[int], dtype: Any = np.float32, *, image: bool = False) -> Any:
    """Normally distributed, with variance 1 / inputs. (LeCun et al., 1998.)"""
    return normal(key, shape, dtype, std=math.sqrt(1 / _fans(shape, image)[0]))


def _fans(shape: Sequence[int], image: bool) -> tuple[int, int]:
    """How many inputs an output has, and how many outputs an input goes to."""
    shape = tuple(shape)
    if image:
        places = math.prod(shape[2:])
        return shape[1] * places, shape[0] * places
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    around = math.prod(shape[:-2])
    return shape[-2] * around, shape[-1] * around
