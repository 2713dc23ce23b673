"""Activation functions: relu, gelu, silu, softplus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS, REALS
from rlxc.primitives.composite import in_f64
from rlxc.primitives.exact import round_to
from rlxc.primitives.families import Composite, require_dtype

_SPECIAL = Sample(np.array([0.0, -0.0, np.inf, np.nan, 1e-3, 30.0, -30.0]))
_erfc = np.frompyfunc(math.erfc, 1, 1)


class Activation(Composite):
    """A function of each element."""

    dtypes = FLOATS
    samples: ClassVar[Sequence[Any]] = ("f64[5]", "f64[]", "f64[2, 0]", "f64[2, 3, 1]", _SPECIAL)

    def infer(self, x):
        require_dtype(self.name, x, self.dtypes)
        return x


@register
class Relu(Activation):
    """max(x, 0); nan stays nan. Its derivative is 1 above 0 and 0 elsewhere, at 0 too."""

    name = "relu"
    dtypes = REALS
    computes = False
    samples = (*Activation.samples, "i32[4]", Sample(np.array([-np.inf, np.inf])))

    def eval(self, x):
        return np.where(x <= 0, x.dtype.type(0), x)

    def decompose(self, b, x):
        return b.select(b.le(x, b.zeros(x.type)), b.zeros(x.type), x)


@register
class Gelu(Activation):
    """x Phi(x), Phi being the normal distribution function; `approximate = "tanh"` uses x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Both are written so that nothing cancels for x far below 0: with erfc, and as x logistic(2 ...). (Hendrycks & Gimpel, arXiv:1606.08415.)
    """

    name = "gelu"
    samples = (*Activation.samples, Sample("f64[5]", approximate="tanh"), Sample(_SPECIAL.operands[0], approximate="tanh"))

    def infer(self, x, *, approximate: Literal["none", "tanh"] = "none"):
        require_dtype(self.name, x, self.dtypes)
        return x

    def eval(self, x, *, approximate):
        z = in_f64(x)
        if approximate == "tanh":
            return round_to(z / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))), x.dtype)
        return round_to(np.asarray(z / 2 * _erfc(-z / math.sqrt(2)), np.float64), x.dtype)

    def decompose(self, b, x, *, approximate):
        if approximate == "tanh":
            c = 2 * math.sqrt(2 / math.pi)
            return b.mul(x, b.logistic(b.mul(x, b.add(b.mul(b.mul(x, x), 0.044715 * c), c))))
        return b.mul(b.mul(x, 0.5), b.erfc(b.mul(x, -math.sqrt(0.5))))


@register
class Silu(Activation):
    """x logistic(x), also called swish."""

    name = "silu"

    def eval(self, x):
        z = in_f64(x)
        small = np.exp(-np.abs(z))
        return round_to(np.where(z < 0, z * small, z) / (1 + small), x.dtype)

    def decompose(self, b, x):
        return b.mul(x, b.logistic(x))


@register
class Softplus(Activation):
    """log(1 + exp(x)), without overflow: x above 0, plus log1p(exp(-|x|)). Its derivative is logistic(x)."""

    name = "softplus"
    samples = (*Activation.samples, Sample(np.array([-np.inf, 800.0, -800.0])))

    def eval(self, x):
        return round_to(np.logaddexp(in_f64(x), 0), x.dtype)

    def decompose(self, b, x):
        """Each side is smooth by itself, so that all derivatives are right at 0 too (with `abs` and `max` they are not)."""
        positive = b.gt(x, 0.0)
        return b.add(b.select(positive, x, b.zeros(x.type)), b.log1p(b.exp(b.select(positive, b.neg(x), x))))
