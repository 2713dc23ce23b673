"""Special functions. SciPy's own (`scipy.special.erf(x)`, `gammaln`, `expit`, ...) mean the same on traced arrays, since they are ufuncs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rlxc.numpy.common import constant, inexact, promoted
from rlxc.tracing.immediate import immediate
from rlxc.tracing.protocols import implements_named
from rlxc.tracing.tracer import emit

__all__ = [
    "betaln", "digamma", "entr", "erf", "erfc", "erfinv", "expit", "gamma", "gammaln", "kl_div", "log_expit", "log_ndtr", "logit", "ndtr", "ndtri",
    "polygamma", "rel_entr", "xlog1py", "xlogy",
]  # fmt: skip


def _special(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a function of arrays that SciPy's ufuncs of these names are, too."""

    def register(f: Callable[..., Any]) -> Callable[..., Any]:
        return implements_named(*names)(immediate(f))

    return register


@_special("erf")
def erf(x: Any) -> Any:
    """2 / sqrt(pi) times the integral of exp(-t²) from 0 to x."""
    return emit("erf", inexact(x))


@_special("erfc")
def erfc(x: Any) -> Any:
    """1 - erf(x), exact where that is small."""
    return emit("erfc", inexact(x))


@_special("erfinv")
def erfinv(x: Any) -> Any:
    """The y with erf(y) = x."""
    return emit("erf_inv", inexact(x))


@_special("gammaln", "loggamma")
def gammaln(x: Any) -> Any:
    """log |gamma(x)|."""
    return emit("lgamma", inexact(x))


@_special("gamma")
def gamma(x: Any) -> Any:
    """The gamma function, by its logarithm; the sign is that of sin(pi x) below 0."""
    x = inexact(x)
    size = np.exp(emit("lgamma", x))
    odd = np.remainder(np.floor(x), 2) != 0
    pole = (x <= 0) & (np.floor(x) == x)
    return np.where(pole, constant(np.nan, x), np.where((x < 0) & odd, -size, size))


@_special("psi", "digamma")
def digamma(x: Any) -> Any:
    """The derivative of gammaln."""
    return emit("digamma", inexact(x))


@immediate
def polygamma(n: int, x: Any) -> Any:
    """Derivative n of digamma."""
    return emit("polygamma", inexact(x), n=n)


@_special("betaln")
def betaln(a: Any, b: Any) -> Any:
    """log |beta(a, b)|."""
    a, b = promoted(a, b, at_least="float")
    return emit("lgamma", a) + emit("lgamma", b) - emit("lgamma", a + b)


@_special("expit")
def expit(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return emit("logistic", inexact(x))


@_special("log_expit")
def log_expit(x: Any) -> Any:
    """log(expit(x))."""
    return -emit("softplus", -inexact(x))


@_special("logit")
def logit(x: Any) -> Any:
    """log(x / (1 - x))."""
    x = inexact(x)
    return np.log(x) - np.log1p(-x)


@_special("ndtr")
def ndtr(x: Any) -> Any:
    """The normal distribution function."""
    return 0.5 * emit("erfc", inexact(x) * -math.sqrt(0.5))


@_special("log_ndtr")
def log_ndtr(x: Any) -> Any:
    """log(ndtr(x)); far below 0, before ndtr underflows, by its asymptotic series. (Abramowitz & Stegun 26.2.12.)"""
    x = inexact(x)
    edge = constant(-25 if x.dtype.itemsize == 8 else -10, x)
    far = x < edge
    near = np.log(ndtr(np.where(far, edge, x)))
    y = np.where(far, x, edge)
    square = 1 / (y * y)
    tail = 1 - square * (1 - 3 * square * (1 - 5 * square * (1 - 7 * square * (1 - 9 * square * (1 - 11 * square)))))
    return np.where(far, -0.5 * y * y - np.log(-y) - 0.5 * math.log(2 * math.pi) + np.log(tail), near)


@_special("ndtri")
def ndtri(p: Any) -> Any:
    """The x with ndtr(x) = p."""
    return math.sqrt(2) * emit("erf_inv", 2 * inexact(p) - 1)


@_special("xlogy")
def xlogy(x: Any, y: Any) -> Any:
    """x log(y), 0 where x is 0."""
    x, y = promoted(x, y, at_least="float")
    zero = (x == 0) & ~np.isnan(y)
    return np.where(zero, constant(0, x), x * np.log(np.where(zero, constant(1, x), y)))


@_special("xlog1py")
def xlog1py(x: Any, y: Any) -> Any:
    """x log(1 + y), 0 where x is 0."""
    x, y = promoted(x, y, at_least="float")
    zero = (x == 0) & ~np.isnan(y)
    return np.where(zero, constant(0, x), x * np.log1p(np.where(zero, constant(0, x), y)))


@_special("entr")
def entr(x: Any) -> Any:
    """-x log(x), 0 at 0, -inf below."""
    x = inexact(x)
    return np.where(x < 0, constant(-np.inf, x), -xlogy(x, x))


@_special("rel_entr")
def rel_entr(x: Any, y: Any) -> Any:
    """x log(x / y), 0 where x is 0; inf where either is negative, or y alone is 0."""
    x, y = promoted(x, y, at_least="float")
    inside = (x > 0) & (y > 0)
    value = x * np.log(np.where(inside, x, constant(1, x)) / np.where(inside, y, constant(1, x)))
    value = np.where(inside, value, np.where((x == 0) & (y >= 0), constant(0, x), constant(np.inf, x)))
    return np.where(np.isnan(x) | np.isnan(y), constant(np.nan, x), value)


@_special("kl_div")
def kl_div(x: Any, y: Any) -> Any:
    """rel_entr(x, y) - x + y."""
    x, y = promoted(x, y, at_least="float")
    entropy = rel_entr(x, y)
    return np.where(np.isinf(entropy), entropy, entropy - x + y)
