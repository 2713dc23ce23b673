"""Elementary functions expanded into elementwise ops: polynomials, selects and bit operations.

Every function takes an emitter `e` and values of dtype f32 or f64, scalars or vectors of any number of lanes, and
returns a value of the same type. What few arguments ask for may be a function of RARE, which `e` knows as an op: it is called.
BOUNDS states the largest error in ulps, which the tests assert.
"""

from __future__ import annotations

from rlxc.primitives.vecmath.erf import erf, erf_inv, erfc
from rlxc.primitives.vecmath.exp import exp, exp2, expm1, logistic
from rlxc.primitives.vecmath.gamma import digamma, lgamma
from rlxc.primitives.vecmath.hyperbolic import acosh, asinh, atanh, cosh, sinh, tanh
from rlxc.primitives.vecmath.inverse_trig import acos, asin, atan, atan2
from rlxc.primitives.vecmath.log import log, log1p, log1p_any, log2, log2_any, log_any
from rlxc.primitives.vecmath.power import cbrt, pow, pow_any
from rlxc.primitives.vecmath.trig import cos, cos_far, sin, sin_far, tan, tan_far

FUNCTIONS = {
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "logistic": logistic,
    "log": log,
    "log2": log2,
    "log1p": log1p,
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "tanh": tanh,
    "sinh": sinh,
    "cosh": cosh,
    "asinh": asinh,
    "acosh": acosh,
    "atanh": atanh,
    "asin": asin,
    "acos": acos,
    "atan": atan,
    "atan2": atan2,
    "erf": erf,
    "erfc": erfc,
    "erf_inv": erf_inv,
    "pow": pow,
    "cbrt": cbrt,
    "lgamma": lgamma,
    "digamma": digamma,
}

# Parts of functions that arguments seldom need, by the function.
RARE = {"sin": sin_far, "cos": cos_far, "tan": tan_far, "log": log_any, "log2": log2_any, "log1p": log1p_any, "pow": pow_any}

# The largest error in units in the last place. Of lgamma and digamma: for x > 0; for x < 0, where the reflection formula
# cancels, the ulp is that of the largest of |f(x)|, |f(1 - x)| and 1.
_BOUNDS_F32_F64 = {
    "exp": (1.0, 1.0),
    "exp2": (1.0, 1.0),
    "expm1": (1.1, 1.1),
    "logistic": (1.5, 1.5),
    "log": (1.0, 1.0),
    "log2": (1.25, 1.0),
    "log1p": (1.0, 1.0),
    "sin": (1.0, 1.0),
    "cos": (1.0, 1.0),
    "tan": (2.5, 2.5),
    "tanh": (1.0, 1.0),
    "sinh": (2.0, 2.0),
    "cosh": (1.5, 1.5),
    "asinh": (1.25, 1.25),
    "acosh": (2.0, 2.0),
    "atanh": (1.25, 1.25),
    "asin": (1.5, 1.5),
    "acos": (1.0, 1.0),
    "atan": (2.0, 2.0),
    "atan2": (2.5, 2.5),
    "erf": (1.0, 1.25),
    "erfc": (2.5, 2.5),
    "erf_inv": (3.0, 3.0),
    "pow": (0.75, 0.75),
    "cbrt": (0.55, 0.55),
    "lgamma": (8.0, 5.0),
    "digamma": (8.0, 5.0),
}
BOUNDS = {(name, dtype): bound for name, bounds in _BOUNDS_F32_F64.items() for dtype, bound in zip(("f32", "f64"), bounds, strict=True)}
