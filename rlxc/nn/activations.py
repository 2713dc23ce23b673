"""Activations: functions of each element, and softmax along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.numpy.common import axes_of, constant, given, inexact, known, reshape, traced
from rlxc.tracing.immediate import immediate
from rlxc.tracing.promotion import as_dtype
from rlxc.tracing.tracer import emit

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_swish", "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "logsumexp", "mish", "one_hot",
    "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "squareplus", "standardize", "swish", "tanh",
]  # fmt: skip


@immediate
def relu(x: Any) -> Any:
    """max(x, 0); its derivative at 0 is 0."""
    return emit("relu", traced(x))


@immediate
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6)."""
    return np.clip(traced(x), 0, 6)


@immediate
def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """x where it is positive, else slope x."""
    x = traced(x)
    return np.where(x > 0, x, slope * x)


@immediate
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, else alpha (exp(x) - 1). (Clevert et al., arXiv:1511.07289.)"""
    x = inexact(x)
    positive = x > 0
    return np.where(positive, x, alpha * np.expm1(np.where(positive, constant(0, x), x)))


@immediate
def celu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, else alpha (exp(x / alpha) - 1). (Barron, arXiv:1704.07483.)"""
    x = inexact(x)
    positive = x > 0
    return np.where(positive, x, alpha * np.expm1(np.where(positive, constant(0, x), x) / alpha))


@immediate
def selu(x: Any) -> Any:
    """elu, scaled so that mean 0 and variance 1 are kept. (Klambauer et al., arXiv:1706.02515.)"""
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


@immediate
def gelu(x: Any, approximate: bool = False) -> Any:
    """x Phi(x), Phi being the normal distribution function; or its approximation by tanh."""
    return emit("gelu", inexact(x), approximate="tanh" if approximate else "none")


@immediate
def silu(x: Any) -> Any:
    """x sigmoid(x)."""
    return emit("silu", inexact(x))


swish = silu


@immediate
def mish(x: Any) -> Any:
    """x tanh(softplus(x)). (Misra, arXiv:1908.08681.)"""
    x = inexact(x)
    return x * np.tanh(emit("softplus", x))


@immediate
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return emit("logistic", inexact(x))


@immediate
def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without loss where that is near 0 or 1."""
    return -emit("softplus", -inexact(x))


@immediate
def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return emit("softplus", inexact(x))


@immediate
def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    x = inexact(x)
    return x / (1 + np.abs(x))


@immediate
def squareplus(x: Any, b: float = 4.0) -> Any:
    """(x + sqrt(x² + b)) / 2. (Barron, arXiv:2112.11687.)"""
    x = inexact(x)
    return 0.5 * (x + np.sqrt(x * x + b))


@immediate
def hard_tanh(x: Any) -> Any:
    """x kept between -1 and 1."""
    return np.clip(traced(x), -1, 1)


@immediate
def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6."""
    return relu6(inexact(x) + 3) / 6


@immediate
def hard_swish(x: Any) -> Any:
    """x relu6(x + 3) / 6. (Howard et al., arXiv:1905.02244.)"""
    x = inexact(x)
    return x * hard_sigmoid(x)


@immediate
def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return np.tanh(inexact(x))


@immediate
def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum of exp(x) along an axis."""
    return emit("softmax", inexact(x), axis=axis)


@immediate
def log_softmax(x: Any, axis: int = -1) -> Any:
    """log(softmax(x)) along an axis."""
    return emit("log_softmax", inexact(x), axis=axis)


@immediate
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum of exp(x)) over axes, all unless stated."""
    x = inexact(x)
    axes = axes_of(axis, x.ndim)
    y = emit("logsumexp", x, axes=axes)
    return reshape(y, [1 if a in axes else n for a, n in enumerate(x.shape)]) if keepdims else y


@immediate
def glu(x: Any, axis: int = -1) -> Any:
    """The first half along an axis times the sigmoid of the second. (Dauphin et al., arXiv:1612.08083.)"""
    first, second = np.split(inexact(x), 2, axis)
    return first * sigmoid(second)


@immediate
def one_hot(x: Any, num_classes: int, dtype: Any = np.float32) -> Any:
    """A new last axis with 1 at the index, 0 elsewhere."""
    return emit("one_hot", traced(x), size=known("one_hot", "num_classes", num_classes), dtype=as_dtype(dtype))


@immediate
def standardize(x: Any, axis: Any = -1, eps: float = 1e-5) -> Any:
    """(x - mean) / sqrt(var + eps) over axes."""
    x = inexact(x)
    centred = x - np.mean(x, axis=axis if given(axis) else None, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=axis, keepdims=True) + eps)
