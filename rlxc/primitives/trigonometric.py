"""Trigonometric functions and their inverses, in radians."""

from __future__ import annotations

import numpy as np

from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import INEXACT
from rlxc.primitives import complex_math
from rlxc.primitives.exact import exactly
from rlxc.primitives.families import Direct

_SPECIAL = Sample(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-300, 1e22, 2.0, -2.0]))


class Trigonometric(Direct):
    """Of one operand, dear enough to keep."""

    dtypes = INEXACT
    cost = Cost(flops=14, recompute=False)
    samples = ("f64[5]", "f64[]", "f64[2, 0]", _SPECIAL)


@register
class Sin(Trigonometric):
    """sin x; nan at infinity."""

    name = "sin"
    singular = False
    domain = (-6.0, 6.0)

    def eval(self, x):
        return exactly(np.sin, x)

    def planes(self, b, x):
        return complex_math.sin(b, x)

    def partials(self, b, out, x):
        return (b.cos(x),)


@register
class Cos(Trigonometric):
    """cos x; nan at infinity."""

    name = "cos"
    singular = False
    domain = (-6.0, 6.0)

    def eval(self, x):
        return exactly(np.cos, x)

    def planes(self, b, x):
        return complex_math.cos(b, x)

    def partials(self, b, out, x):
        return (b.neg(b.sin(x)),)


@register
class Tan(Trigonometric):
    """tan x; nan at infinity."""

    name = "tan"
    domain = (-1.2, 1.2)

    def eval(self, x):
        return exactly(np.tan, x)

    def planes(self, b, x):
        return complex_math.tan(b, x)

    def partials(self, b, out, x):
        return (b.add(b.mul(out, out), 1.0),)


@register
class Asin(Trigonometric):
    """The angle in [-pi/2, pi/2] whose sine is x; nan outside [-1, 1]."""

    name = "asin"
    domain = (-0.8, 0.8)

    def eval(self, x):
        return exactly(np.arcsin, x)

    def planes(self, b, x):
        return complex_math.asin(b, x)

    def partials(self, b, out, x):
        return (b.rsqrt(_one_less_square(b, x)),)


@register
class Acos(Trigonometric):
    """The angle in [0, pi] whose cosine is x; nan outside [-1, 1]."""

    name = "acos"
    domain = (-0.8, 0.8)

    def eval(self, x):
        return exactly(np.arccos, x)

    def planes(self, b, x):
        return complex_math.acos(b, x)

    def partials(self, b, out, x):
        return (b.neg(b.rsqrt(_one_less_square(b, x))),)


@register
class Atan(Trigonometric):
    """The angle in [-pi/2, pi/2] whose tangent is x."""

    name = "atan"
    singular = False

    def eval(self, x):
        return exactly(np.arctan, x)

    def planes(self, b, x):
        return complex_math.atan(b, x)

    def partials(self, b, out, x):
        return (b.div(1.0, b.add(b.mul(x, x), 1.0)),)


@register
class Atan2(Direct):
    """The angle in [-pi, pi] of the point (x, y), as C's atan2(y, x): signs of zeros and infinities count.

    Derivatives: x / (x² + y²) in y, -y / (x² + y²) in x; 0 at the origin, where there is none.
    """

    name = "atan2"
    cost = Cost(flops=24, recompute=False)
    samples = (
        Sample("f64[4], f64[4]", domain=(0.25, 2.0)),
        Sample("f64[2, 1, 3], f64[4, 1]", domain=(-2.0, -0.25)),
        "f64[], f64[0]",
        Sample(np.array([0.0, -0.0, 0.0, -0.0, 1.0, -1.0, np.inf, np.nan]), np.array([1.0, -1.0, -1.0, -0.0, 0.0, 0.0, -np.inf, 1.0])),
    )

    def eval(self, y, x):
        return exactly(np.arctan2, y, x)

    def partials(self, b, out, y, x):
        # Scaled by the larger of |x| and |y|, so that squares stay in range; the result does not depend on the scale.
        size = b.stop_gradient(b.max(b.abs(x), b.abs(y)))
        scale = b.div(1.0, b.select(b.eq(size, 0.0), b.constant(1.0, like=size), size))
        u, v = b.strong_mul(x, scale), b.strong_mul(y, scale)
        r = b.div(scale, b.add(b.mul(u, u), b.mul(v, v)))
        return b.strong_mul(u, r), b.neg(b.strong_mul(v, r))


def _one_less_square(b, x):
    """1 - x², exact near x = 1 and x = -1."""
    return b.mul(b.sub(1.0, x), b.add(x, 1.0))
