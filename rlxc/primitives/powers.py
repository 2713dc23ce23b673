"""Powers and roots."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import INEXACT
from rlxc.primitives import complex_math
from rlxc.primitives.exact import exactly
from rlxc.primitives.families import Direct
from rlxc.primitives.identities import is_all

_SPECIAL = Sample(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1e300, -1.0]))


@register
class Sqrt(Direct):
    """The square root; nan below 0, and -0.0 at -0.0. The derivative at 0 is inf."""

    name = "sqrt"
    dtypes = INEXACT
    cost = Cost(flops=6, recompute=False)
    domain = (0.25, 4.0)
    samples = ("f64[5]", "f64[]", "f64[2, 0]", _SPECIAL)

    def eval(self, x):
        return np.sqrt(x)  # correctly rounded as it is

    def planes(self, b, x):
        return complex_math.sqrt(b, x)

    def partials(self, b, out, x):
        return (b.div(0.5, out),)


@register
class Rsqrt(Direct):
    """1 / sqrt(x); inf at 0 (-inf at -0.0), nan below."""

    name = "rsqrt"
    dtypes = INEXACT
    cost = Cost(flops=10, recompute=False)
    domain = (0.25, 4.0)
    samples = ("f64[5]", "f64[]", "f64[2, 0]", _SPECIAL)

    def eval(self, x):
        return exactly(lambda v: 1 / np.sqrt(v), x)

    def planes(self, b, x):
        return complex_math.rsqrt(b, x)

    def partials(self, b, out, x):
        return (b.div(b.mul(out, -0.5), x),)


@register
class Cbrt(Direct):
    """The cube root, of negative numbers too. The derivative at 0 is inf."""

    name = "cbrt"
    cost = Cost(flops=16, recompute=False)
    samples = (Sample("f64[5]", domain=(-4.0, -0.25)), Sample("f64[2, 2]", domain=(0.25, 4.0)), Sample("f64[]", domain=(0.25, 4.0)), "f64[0]", _SPECIAL)

    def eval(self, x):
        return exactly(np.cbrt, x)

    def partials(self, b, out, x):
        return (b.div(1.0 / 3.0, b.strong_mul(out, out)),)


@register
class Pow(Direct):
    """x to the power n, as C's pow: nan for x < 0 unless n is whole; anything to the power 0 is 1.

    The derivative in x is n x^(n-1), and 0 where n = 0; in n it is x^n log x for x > 0, and 0 for x <= 0. For complex x it is exp(n log x), 0 at x = 0
    unless n is 0 or -1.
    """

    name = "pow"
    dtypes = INEXACT
    cost = Cost(flops=40, recompute=False)
    domain = (0.25, 2.0)
    samples = (
        "f64[4], f64[4]",
        "f64[2, 1, 3], f64[4, 1]",
        "f64[], f64[0]",
        Sample(
            np.array([0.0, 0.0, -0.0, -2.0, -2.0, -2.0, 0.0, np.inf, -np.inf, np.nan, 1.0, 0.5]),
            np.array([2.0, 0.0, 3.0, 3.0, 2.0, 0.5, -1.0, -1.0, 3.0, 0.0, np.nan, np.inf]),
        ),
    )

    def eval(self, x, n):
        return np.where(n == 2, x * x, np.where(n == -1, 1 / x, exactly(_power, x, n))).astype(x.dtype)

    def planes(self, b, x, n):
        return complex_math.pow(b, x, n)

    def partials(self, b, out, x, n):
        if x.type.dtype.is_complex:
            zero = b.eq(x, b.zeros(x.type))
            log_x = b.log(b.select(zero, b.constant(1.0, like=x), x))
            return b.strong_mul(n, b.pow(x, b.sub(n, 1.0))), b.select(zero, b.zeros(x.type), b.mul(out, log_x))
        positive = b.gt(x, b.zeros(x.type))
        log_x = b.log(b.select(positive, x, b.constant(1.0, like=x)))
        in_n = b.select(positive, b.strong_mul(out, log_x), b.zeros(x.type))
        return b.strong_mul(n, b.pow(x, b.sub(n, 1.0))), in_n

    def fold(self, b, x, n):
        """Also of complex numbers: eval takes such powers by products."""
        return self.identities(b, x, n) if x.type.shape == n.type.shape else None

    def identities(self, b, x, n):
        if is_all(b, n, 1.0):
            return x
        if is_all(b, n, 2.0):
            return b.mul(x, x)
        if is_all(b, n, -1.0):
            return b.div(1.0, x)
        if is_all(b, n, 0.0) or is_all(b, n, -0.0) or (is_all(b, x, 1.0) and not x.type.dtype.is_complex):
            return b.constant(1.0, like=x)
        return None


def _power(x, n):
    """np.power as C's pow. NumPy takes sqrt(x) where it sees the same 0.5 for all elements: that is nan for -inf, and -0.0 for -0.0."""
    x, n = np.broadcast_arrays(x, n)
    return np.power(np.array(x).ravel(), np.array(n).ravel()).reshape(x.shape)
