"""Losses, one for each example; `reduction="mean"` or `"sum"` makes one number of them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from rlxc.numpy.common import convert, inexact, promoted, traced, wrong
from rlxc.tracing.immediate import immediate
from rlxc.tracing.tracer import emit

__all__ = [
    "cosine_similarity", "cross_entropy", "hinge", "huber", "kl_divergence", "l1", "mae", "mse", "nll", "sigmoid_binary_cross_entropy",
]  # fmt: skip

Reduction = Literal["mean", "sum", "none"]


def _reduced(losses: Any, reduction: Reduction) -> Any:
    if reduction == "mean":
        return np.mean(losses)
    if reduction == "sum":
        return np.sum(losses)
    if reduction != "none":
        wrong(f"a reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    return losses


@immediate
def cross_entropy(logits: Any, labels: Any, reduction: Reduction = "mean", *, ignore_index: int | None = None, label_smoothing: float = 0.0) -> Any:
    """-log softmax(logits)[label] along the last axis; labels are integers [...], or probabilities [..., C].

    Labels of `ignore_index` do not count, in the mean neither. With label_smoothing s, a label has probability 1 - s + s / C, the others s / C.
    """
    z, y = inexact(logits), traced(labels)
    if y.aval.dtype.is_float:
        if ignore_index is not None:
            wrong("cross_entropy: probabilities have no ignore_index")
        p = y * (1 - label_smoothing) + label_smoothing / z.shape[-1] if label_smoothing else y
        return _reduced(-np.sum(p * emit("log_softmax", z), axis=-1), reduction)
    losses = emit("cross_entropy", z, y, ignore_index=ignore_index)
    counted = None if ignore_index is None else y != ignore_index
    if label_smoothing:
        even = -np.mean(emit("log_softmax", z), axis=-1)
        even = even if counted is None else np.where(counted, even, 0.0)
        losses = losses * (1 - label_smoothing) + even * label_smoothing
    if reduction == "mean" and counted is not None:
        return np.sum(losses) / np.sum(counted).astype(losses.dtype)
    return _reduced(losses, reduction)


@immediate
def nll(log_probabilities: Any, labels: Any, reduction: Reduction = "mean") -> Any:
    """Minus the log probability of each label, along the last axis."""
    picked = np.take_along_axis(inexact(log_probabilities), traced(labels)[..., None], axis=-1)
    return _reduced(-picked[..., 0], reduction)


@immediate
def sigmoid_binary_cross_entropy(logits: Any, labels: Any, reduction: Reduction = "mean") -> Any:
    """-y log p - (1 - y) log(1 - p) with p = sigmoid(logits), without overflow."""
    z = inexact(logits)
    y = convert(traced(labels), z.aval.dtype)
    return _reduced(emit("softplus", z) - z * y, reduction)


@immediate
def mse(predictions: Any, targets: Any, reduction: Reduction = "mean") -> Any:
    """(x - y)²."""
    x, y = promoted(predictions, targets, at_least="float")
    return _reduced((x - y) * (x - y), reduction)


@immediate
def l1(predictions: Any, targets: Any, reduction: Reduction = "mean") -> Any:
    """|x - y|."""
    x, y = promoted(predictions, targets, at_least="float")
    return _reduced(np.abs(x - y), reduction)


mae = l1


@immediate
def huber(predictions: Any, targets: Any, delta: float = 1.0, reduction: Reduction = "mean") -> Any:
    """d² / 2 up to a distance of delta, delta (d - delta / 2) beyond. (Huber, 1964.)"""
    x, y = promoted(predictions, targets, at_least="float")
    distance = np.abs(x - y)
    near = np.minimum(distance, delta)
    return _reduced(near * (distance - 0.5 * near), reduction)


@immediate
def hinge(predictions: Any, targets: Any, reduction: Reduction = "mean") -> Any:
    """max(1 - x y, 0) for targets of -1 and 1."""
    x, y = promoted(predictions, targets, at_least="float")
    return _reduced(emit("relu", 1 - x * y), reduction)


@immediate
def kl_divergence(log_predictions: Any, targets: Any, reduction: Reduction = "mean") -> Any:
    """The sum of p (log p - log q) along the last axis, for log q and p; 0 where p is 0."""
    q, p = promoted(log_predictions, targets, at_least="float")
    positive = p > 0
    terms = np.where(positive, p * (np.log(np.where(positive, p, 1.0)) - q), 0.0)
    return _reduced(np.sum(terms, axis=-1), reduction)


@immediate
def cosine_similarity(x: Any, y: Any, axis: int = -1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along an axis."""
    x, y = promoted(x, y, at_least="float")
    lengths = np.sum(x * x, axis) * np.sum(y * y, axis)
    return np.sum(x * y, axis) / np.sqrt(np.maximum(lengths, eps * eps))
