"""Layers as functions of their input and their parameters. Images are [N, C, spatial...]."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.numpy.common import inexact, promoted, reshape, traced, wrong
from rlxc.tracing.immediate import immediate
from rlxc.tracing.tracer import emit

__all__ = [
    "attention", "avg_pool", "batch_norm", "conv", "conv_transpose", "dropout", "embedding", "group_norm", "instance_norm", "layer_norm", "linear",
    "max_pool", "multi_head_attention", "rms_norm", "rope",
]  # fmt: skip

Sizes = int | Sequence[int]
Padding = str | int | Sequence[Any]


def _some(*xs: Any) -> list[Any]:
    """Operands in one dtype, without those that are None."""
    present = [x for x in xs if x is not None]
    return promoted(*present, at_least="float")


@immediate
def linear(x: Any, w: Any, b: Any = None) -> Any:
    """x w + b: x [..., k], w [k, n], b [n]."""
    return emit("linear", *_some(x, w, b))


@immediate
def embedding(table: Any, ids: Any) -> Any:
    """Rows of a table [V, D] at integers [...]: [..., D]; zeros for integers outside of 0..V-1."""
    return emit("embedding", traced(table), traced(ids))


@immediate
def dropout(x: Any, key: Any, rate: float, *, train: bool = True) -> Any:
    """x with elements set to 0 with probability `rate`, the others divided by 1 - rate; x itself if not in training."""
    return emit("dropout", inexact(x), key, rate=float(rate)) if train else inexact(x)


# -- normalization


@immediate
def layer_norm(x: Any, gamma: Any = None, beta: Any = None, *, axis: Sizes = -1, eps: float = 1e-5) -> Any:
    """(x - mean) / sqrt(var + eps) gamma + beta, with mean and variance over `axis`."""
    if gamma is None and beta is not None:
        gamma = np.ones_like(traced(beta))
    return emit("layer_norm", *_some(x, gamma, beta), axes=_tuple(axis), eps=eps)


@immediate
def rms_norm(x: Any, gamma: Any = None, *, axis: Sizes = -1, eps: float = 1e-6) -> Any:
    """x / sqrt(mean of x² + eps) gamma, with the mean over `axis`."""
    return emit("rms_norm", *_some(x, gamma), axes=_tuple(axis), eps=eps)


@immediate
def group_norm(x: Any, gamma: Any = None, beta: Any = None, *, groups: int, eps: float = 1e-5) -> Any:
    """layer_norm of each image over each of `groups` sets of channels and all of space; x is [N, C, spatial...]."""
    if gamma is None and beta is not None:
        gamma = np.ones_like(traced(beta))
    return emit("group_norm", *_some(x, gamma, beta), groups=groups, eps=eps)


@immediate
def instance_norm(x: Any, gamma: Any = None, beta: Any = None, *, eps: float = 1e-5) -> Any:
    """layer_norm of each channel of each image over space."""
    return group_norm(x, gamma, beta, groups=traced(x).shape[1], eps=eps)


@immediate
def batch_norm(
    x: Any, mean: Any, var: Any, gamma: Any = None, beta: Any = None, *, train: bool = False, momentum: float = 0.9, axis: int = 1, eps: float = 1e-5
) -> Any:
    """(x - mean) / sqrt(var + eps) gamma + beta, for each channel along `axis`.

    In training with the mean and variance of the batch: gives (y, mean, var), with running means of the statistics to go on with (`momentum` of the old
    ones; the variance is divided by n - 1 for that). Otherwise with the statistics given: gives y.
    """
    operands = _some(x, mean, var, gamma, beta)
    y, mean, var = operands[:3]
    if gamma is None and beta is not None:
        operands = [y, mean, var, np.ones_like(operands[3]), operands[3]]
    if not train:
        return emit("batch_norm", *operands, axis=axis, eps=eps)
    others = tuple(a for a in range(y.ndim) if a != axis % y.ndim)
    now, spread = np.mean(y, others), np.var(y, others)
    count = y.size // y.shape[axis]
    out = emit("batch_norm", y, now, spread, *operands[3:], axis=axis, eps=eps)
    unbiased = spread * (count / max(count - 1, 1))
    return out, momentum * mean + (1 - momentum) * now, momentum * var + (1 - momentum) * unbiased


# -- convolutions and pooling


@immediate
def conv(x: Any, w: Any, b: Any = None, *, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1, groups: int = 1) -> Any:
    """Convolution of images [N, C, spatial...] with w [O, C / groups, kernel...], of one to three spatial axes, and b [O] added.

    padding: "same" (as many places as strides fit into the image), "valid" (none), a number, one for each axis, or pairs.
    """
    x, w = promoted(x, w, at_least="float")
    rank = x.ndim - 2
    strides, dilations = _per_axis(stride, rank), _per_axis(dilation, rank)
    pads = _padding(padding, x.shape[2:], w.shape[2:], strides, dilations)
    return _with_bias(emit("conv", x, w, strides=strides, padding=pads, dilation=dilations, groups=groups), b)


@immediate
def conv_transpose(
    x: Any, w: Any, b: Any = None, *, stride: Sizes = 1, padding: Padding = 0, output_padding: Sizes = 0, dilation: Sizes = 1, groups: int = 1
) -> Any:
    """The transpose of `conv`: images [N, C, spatial...] with w [C, O / groups, kernel...]."""
    x, w = promoted(x, w, at_least="float")
    rank = x.ndim - 2
    strides, dilations = _per_axis(stride, rank), _per_axis(dilation, rank)
    if isinstance(padding, str) and padding.lower() != "valid":
        wrong(f"conv_transpose: padding is {padding!r}", "numbers, or pairs for each axis")
    pads = _padding(padding, x.shape[2:], w.shape[2:], strides, dilations)
    more = _per_axis(output_padding, rank)
    return _with_bias(emit("conv_transpose", x, w, strides=strides, padding=pads, dilation=dilations, output_padding=more, groups=groups), b)


def _with_bias(y: Any, b: Any) -> Any:
    return y if b is None else y + reshape(traced(b), (1, y.shape[1], *(1,) * (y.ndim - 2)))


@immediate
def max_pool(x: Any, window: Sizes, *, stride: Sizes | None = None, padding: Padding = 0, dilation: Sizes = 1) -> Any:
    """The largest element of each window of the spatial axes; a stride is the window's size unless stated."""
    return _pool("max_pool", x, window, stride, padding, dilation)


@immediate
def avg_pool(x: Any, window: Sizes, *, stride: Sizes | None = None, padding: Padding = 0, dilation: Sizes = 1, count_include_pad: bool = True) -> Any:
    """The mean of each window of the spatial axes; a stride is the window's size unless stated."""
    return _pool("avg_pool", x, window, stride, padding, dilation, count_include_pad=count_include_pad)


def _pool(op: str, x: Any, window: Sizes, stride: Sizes | None, padding: Padding, dilation: Sizes, **attrs: Any) -> Any:
    x = traced(x)
    rank = x.ndim - 2
    sizes, dilations = _per_axis(window, rank), _per_axis(dilation, rank)
    strides = sizes if stride is None else _per_axis(stride, rank)
    pads = _padding(padding, x.shape[2:], sizes, strides, dilations)
    return emit(op, x, window=sizes, strides=strides, padding=pads, dilation=dilations, **attrs)


def _padding(padding: Padding, image: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """What is added before and after each spatial axis."""
    if isinstance(padding, str):
        match padding.lower():
            case "valid":
                return ((0, 0),) * len(image)
            case "same":
                needed = [max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in zip(image, kernel, strides, dilations, strict=True)]
                return tuple((p // 2, p - p // 2) for p in needed)
        wrong(f"padding is {padding!r}", 'there is "same" and "valid"')
    if isinstance(padding, int | np.integer):
        return ((int(padding),) * 2,) * len(image)
    pairs: list[Any] = [(p, p) if isinstance(p, int | np.integer) else p for p in padding]
    return tuple((operator.index(low), operator.index(high)) for low, high in pairs)


def _per_axis(sizes: Sizes, rank: int) -> tuple[int, ...]:
    return (operator.index(sizes),) * rank if isinstance(sizes, int | np.integer) else tuple(operator.index(n) for n in sizes)


def _tuple(axis: Sizes) -> tuple[int, ...]:
    return (axis,) if isinstance(axis, int) else tuple(axis)


# -- attention


@immediate
def attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    *,
    causal: bool = False,
    window: int | None = None,
    offset: int = 0,
    scale: float | None = None,
    softcap: float | None = None,
) -> Any:
    """softmax(scale q k^T + mask) v: q [..., H, S, D], k [..., G, T, D], v [..., G, T, E] (each head of k and v serves H / G heads of q), or without heads.

    mask: bools (true: may see) or floats (added). causal: a query sees the keys up to its own place, counted from `offset`; window: only so many of them.
    """
    q, k, v = promoted(q, k, v, at_least="float")
    masks = [] if mask is None else [traced(mask)]
    return emit("attention", q, k, v, *masks, causal=causal, window=window, offset=offset, scale=scale, softcap=softcap)


@immediate
def multi_head_attention(x: Any, wqkv: Any, wo: Any, heads: int, bqkv: Any = None, bo: Any = None, **options: Any) -> Any:
    """Self-attention of x [..., S, D] with `heads` heads: wqkv [D, 3 D] makes queries, keys and values, wo [D, D] puts heads together again."""
    qkv = linear(x, wqkv, bqkv)
    s, d = qkv.shape[-2], qkv.shape[-1] // 3
    parts = np.moveaxis(reshape(qkv, (*qkv.shape[:-1], 3, heads, d // heads)), (-3, -2), (0, -3))
    y = attention(parts[0], parts[1], parts[2], **options)
    joined = reshape(np.swapaxes(y, -3, -2), (*qkv.shape[:-2], s, d))
    return linear(joined, wo, bo)


@immediate
def rope(x: Any, positions: Any = None, *, base: float = 10000.0, dims: int | None = None, interleaved: bool = False) -> Any:
    """Pairs of elements of x [..., S, D] turned by angles that grow with the position. (Su et al., arXiv:2104.09864.)"""
    return emit("rope", inexact(x), *([] if positions is None else [traced(positions)]), base=base, dims=dims, interleaved=interleaved)
