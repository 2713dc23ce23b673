"""Elementary functions expanded into elementwise ops: polynomials, selects and bit operations.

Every function takes an emitter `e` and values of dtype f32 or f64, scalars or vectors of any number of lanes, and
returns a value of the same type. BOUNDS states the largest error in ulps, which the tests assert.
"""

from __future__ import annotations

from .erf import erf, erf_inv, erfc
from .exp import exp, exp2, expm1, logistic
from .gamma import digamma, lgamma
from .hyperbolic import acosh, asinh, atanh, cosh, sinh, tanh
from .inverse_trig import acos, asin, atan, atan2
from .log import log, log1p, log2
from .power import cbrt, pow
from .trig import cos, sin, tan

FUNCTIONS = {
    f.__name__: f
    for f in (
        exp, exp2, expm1, logistic, log, log2, log1p, sin, cos, tan, tanh, sinh, cosh, asinh, acosh, atanh,
        asin, acos, atan, atan2, erf, erfc, erf_inv, pow, cbrt, lgamma, digamma,
    )
}  # fmt: skip
