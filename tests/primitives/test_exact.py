"""What `eval` gives is the exact result rounded, for elementary and special functions alike."""

import numpy as np
import pytest

from rlxc.ir.primitive import REGISTRY, lookup
from rlxc.primitives import special_exact

mpmath = pytest.importorskip("mpmath")
RNG = np.random.default_rng(0)
wide = np.finfo(np.longdouble).nmant > 52
BOUND = 0.7 if wide else 8.0

HALF_LINE = np.concatenate([RNG.uniform(0, 30, 60), 10.0 ** RNG.uniform(-300, 15, 20)])
LINE = np.concatenate([RNG.uniform(-6, 6, 60), 10.0 ** RNG.uniform(-300, 0, 20)])
INSIDE = np.concatenate([RNG.uniform(-1, 1, 60), 1 - 10.0 ** RNG.uniform(-15, 0, 20)])
ELEMENTARY = {
    "exp": (mpmath.exp, LINE * 50),
    "exp2": (lambda x: mpmath.power(2, x), LINE * 50),
    "expm1": (mpmath.expm1, LINE),
    "log": (mpmath.log, HALF_LINE),
    "log2": (lambda x: mpmath.log(x, 2), HALF_LINE),
    "log1p": (mpmath.log1p, HALF_LINE),
    "logistic": (lambda x: 1 / (1 + mpmath.exp(-x)), LINE * 50),
    "sin": (mpmath.sin, LINE * 1e5),
    "cos": (mpmath.cos, LINE * 1e5),
    "tan": (mpmath.tan, LINE * 1e5),
    "asin": (mpmath.asin, INSIDE),
    "acos": (mpmath.acos, INSIDE),
    "atan": (mpmath.atan, LINE),
    "sinh": (mpmath.sinh, LINE * 50),
    "cosh": (mpmath.cosh, LINE * 50),
    "tanh": (mpmath.tanh, LINE),
    "asinh": (mpmath.asinh, LINE),
    "acosh": (mpmath.acosh, 1 + HALF_LINE),
    "atanh": (mpmath.atanh, INSIDE),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), LINE),
    "sqrt": (mpmath.sqrt, HALF_LINE),
    "rsqrt": (lambda x: 1 / mpmath.sqrt(x), HALF_LINE),
    "erf": (mpmath.erf, LINE),
    "erfc": (mpmath.erfc, np.concatenate([LINE, RNG.uniform(0, 26, 40)])),
    "erf_inv": (mpmath.erfinv, INSIDE),
    "lgamma": (lambda x: mpmath.log(abs(mpmath.gamma(x))), np.concatenate([HALF_LINE, 1 + INSIDE / 100, 2 + INSIDE / 100])),
    "digamma": (mpmath.digamma, np.concatenate([HALF_LINE, -HALF_LINE[:60]])),
}


def error_in_ulps(got, exact, xs):
    """The largest error over `xs`, in units in the last place of the exact result."""
    worst = 0.0
    with mpmath.workprec(1200):
        for x, y in zip(xs, got, strict=True):
            want = exact(mpmath.mpf(float(x)))
            near = abs(float(want))
            if 1e-300 < near < np.inf:
                worst = max(worst, float(abs(mpmath.mpf(float(y)) - want) / mpmath.mpf(float(np.spacing(near)))))
    return worst


@pytest.mark.parametrize("name", ELEMENTARY)
def test_eval_in_f64_is_the_exact_result_rounded(name):
    exact, xs = ELEMENTARY[name]
    assert error_in_ulps(lookup(name).eval(xs), exact, xs) < BOUND


@pytest.mark.parametrize("n", [1, 2, 3, 8, 25, 40])
def test_polygamma_in_f64_is_the_exact_result_rounded(n):
    xs = np.concatenate([RNG.uniform(0.1, 30, 20), RNG.uniform(-9.9, 0, 20), [-0.5, -2.5, 0.25]])
    with mpmath.workprec(200):
        exact = [mpmath.polygamma(n, mpmath.mpf(float(x))) for x in xs]
    assert error_in_ulps(lookup("polygamma").eval(xs, n=n), dict(zip(map(mpmath.mpf, xs), exact, strict=True)).__getitem__, xs) < BOUND


@pytest.mark.parametrize("name", ["erf", "lgamma", "exp", "tanh", "sin"])
def test_eval_in_f32_is_the_f64_result_rounded(name):
    x = np.linspace(0.1, 3, 50, dtype=np.float32)
    np.testing.assert_array_equal(lookup(name).eval(x), lookup(name).eval(x.astype(np.float64)).astype(np.float32))


def test_every_math_function_of_one_float_is_checked_here():
    known = {p.name for p in REGISTRY.all() if p.elementwise and p.differentiable and not p.cost.recompute and len(p.signature.operands) == 1}
    assert known - set(ELEMENTARY) <= {"polygamma"}


def test_bernoulli_numbers_and_derivatives_of_the_cotangent_are_right():
    assert [str(special_exact.bernoulli(n)) for n in (1, 2, 3, 4, 12)] == ["-1/2", "1/6", "0", "-1/30", "-691/2730"]
    assert special_exact.cotangent_derivative(2) == (0, 2, 0, 2)
