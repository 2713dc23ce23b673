"""Activations and losses against their formulas, on arrays and traced, with derivatives by finite differences."""

import math

import numpy as np
import pytest

import rlxc
from rlxc import nn

X = np.array([[-7.5, -1.25, -0.4, 0.3], [0.75, 1.5, 4.0, 9.0]])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


FORMULAS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: np.log(sigmoid(x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "squareplus": lambda x: 0.5 * (x + np.sqrt(x * x + 4)),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "tanh": np.tanh,
    "softmax": softmax,
    "log_softmax": lambda x: np.log(softmax(x)),
    "logsumexp": lambda x: np.log(np.sum(np.exp(x))),
    "glu": lambda x: x[:, :2] * sigmoid(x[:, 2:]),
    "standardize": lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5),
}


def check_gradient(f, *xs):
    """Gradients of a weighted sum of f, in a random direction, against finite differences."""
    shape = np.shape(f(*xs))
    c = np.cos(np.arange(math.prod(shape)) + 1.0).reshape(shape)
    rng = np.random.default_rng(0)
    directions = [rng.standard_normal(np.shape(x)) for x in xs]
    grads = rlxc.grad(lambda *xs: np.sum(f(*xs) * c), argnums=tuple(range(len(xs))))(*xs)
    h = 1e-6
    up, down = (np.sum(f(*[x + s * h * d for x, d in zip(xs, directions, strict=True)]) * c) for s in (1, -1))
    slope = sum(np.sum(g * d) for g, d in zip(grads, directions, strict=True))
    assert slope == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-8)


def test_every_activation_is_tried():
    assert {n for n in nn.activations.__all__ if n != "one_hot"} == set(FORMULAS)


@pytest.mark.parametrize("name", FORMULAS)
def test_an_activation_is_its_formula(name):
    f = getattr(nn, name)
    np.testing.assert_allclose(f(X), FORMULAS[name](X), rtol=1e-12, atol=1e-12)
    assert f(X.astype(np.float32)).dtype == np.float32
    check_gradient(f, X)


def test_activations_do_not_overflow():
    far = np.array([-1e4, 1e4])
    for name in FORMULAS:
        if name not in ("glu", "relu6"):
            value, slope = getattr(nn, name)(far), rlxc.grad(lambda x, name=name: np.sum(getattr(nn, name)(x)))(far)
            assert np.isfinite(value).all(), name
            assert np.isfinite(slope).all(), name


P = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
T = np.array([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0]])
LABELS = np.array([2, 0])


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (nn.mse, lambda p, t: (p - t) ** 2),
        (nn.l1, lambda p, t: np.abs(p - t)),
        (nn.huber, lambda p, t: np.where(np.abs(p - t) <= 1, (p - t) ** 2 / 2, np.abs(p - t) - 0.5)),
        (nn.hinge, lambda p, t: np.maximum(1 - p * t, 0)),
        (nn.sigmoid_binary_cross_entropy, lambda p, t: np.log1p(np.exp(p)) - p * t),
        (lambda p, t, r: nn.cross_entropy(p, softmax(t), r), lambda p, t: -np.sum(softmax(t) * np.log(softmax(p)), -1)),
        (lambda p, t, r: nn.kl_divergence(nn.log_softmax(p), softmax(t), r), lambda p, t: np.sum(softmax(t) * np.log(softmax(t) / softmax(p)), -1)),
        (lambda p, t, r: nn.cross_entropy(p, LABELS, r), lambda p, t: -np.log(softmax(p))[[0, 1], LABELS]),
        (lambda p, t, r: nn.nll(nn.log_softmax(p), LABELS, r), lambda p, t: -np.log(softmax(p))[[0, 1], LABELS]),
        (
            lambda p, t, r: nn.cross_entropy(p, LABELS, r, label_smoothing=0.3),
            lambda p, t: -0.7 * np.log(softmax(p))[[0, 1], LABELS] - 0.3 * np.log(softmax(p)).mean(-1),
        ),
    ],
)
def test_a_loss_is_its_formula(loss, formula):
    def reduced(kind):
        return loss(P, T, reduction=kind) if loss.__name__ != "<lambda>" else loss(P, T, kind)

    want = formula(P, T)
    np.testing.assert_allclose(reduced("none"), want, rtol=1e-12)
    assert reduced("sum") == pytest.approx(want.sum())
    assert reduced("mean") == pytest.approx(want.mean())
    if loss.__name__ != "<lambda>":
        check_gradient(lambda p: loss(p, T, reduction="none"), P)
    else:
        check_gradient(lambda p: loss(p, T, "none"), P)


def test_ignored_labels_do_not_count_in_the_mean():
    labels = np.array([2, -100])
    assert nn.cross_entropy(P, labels, ignore_index=-100) == pytest.approx(-np.log(softmax(P))[0, 2])


def test_cosine_similarity():
    x, y = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0], [1.0, 0.0]])
    np.testing.assert_allclose(nn.cosine_similarity(x, y), [24 / 25, 0.0])
