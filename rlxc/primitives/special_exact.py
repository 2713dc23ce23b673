"""Special functions for `eval`: erf, erfc, erf_inv, lgamma, digamma, polygamma, by series of NumPy arrays.

They work in the precision of the array they are given, long double for f64 operands, and lose only a few of its last bits.
Everything is an array of a float dtype; `exactly` (see exact.py) rounds the results.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

_ERFC_FROM = 1.5  # from here the continued fraction of erfc, below the series of erf
_SERIES_TERMS = 60
_FRACTION_TERMS = 160
_STIRLING_FROM = 20.0
_STIRLING_TERMS = 14


def erf(x: Any) -> Any:
    """2/sqrt(pi) times the integral of exp(-t²) from 0 to x."""
    near = np.abs(x) < _ERFC_FROM
    return np.where(near, _erf_series(np.where(near, x, 0)), np.copysign(1 - _erfc_fraction(np.where(near, _ERFC_FROM, np.abs(x))), x))


def erfc(x: Any) -> Any:
    """1 - erf(x), without cancellation for large x."""
    near = np.abs(x) < _ERFC_FROM
    tail = _erfc_fraction(np.where(near, _ERFC_FROM, np.abs(x)))
    return np.where(near, 1 - _erf_series(np.where(near, x, 0)), np.where(x < 0, 2 - tail, tail))


def _erf_series(x: Any) -> Any:
    """2/sqrt(pi) exp(-x²) times the sum of 2^n x^(2n+1) / (2n+1)!!, whose terms all have one sign."""
    term, total = x, x
    for n in range(1, _SERIES_TERMS):
        term = term * (2 * x * x / (2 * n + 1))
        total = total + term
    return total * _exp_of_minus_square(x) * 2 / np.sqrt(pi_like(x))


def _erfc_fraction(x: Any) -> Any:
    """exp(-x²) / sqrt(pi) / (x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...))))."""
    fraction = x
    for n in range(_FRACTION_TERMS, 0, -1):
        fraction = x + n / (2 * fraction)
    return _exp_of_minus_square(x) / (np.sqrt(pi_like(x)) * fraction)


def _exp_of_minus_square(x: Any) -> Any:
    """exp(-x²), with the square split so that its rounding error is not magnified."""
    high = np.minimum(np.maximum(x, -1e6), 1e6).astype(np.float32).astype(x.dtype)
    rest = np.where(np.isinf(x), 0, (x - high) * (x + high))
    return np.exp(-high * high) * np.exp(-rest)


def erf_inv(x: Any) -> Any:
    """The y with erf(y) = x: Winitzki's approximation, then Halley's steps; near 1 they solve erfc(y) = 1 - x."""
    size = np.abs(x)
    middle = size < 0.5
    inside = np.where(size < 1, size, 0)
    log = np.log1p(-inside * inside)
    half = 2 / (0.147 * math.pi) + log / 2
    y = np.sqrt(np.sqrt(half * half - log / 0.147) - half)
    for _ in range(4):
        residual = np.where(middle, erf(y) - inside, (1 - inside) - erfc(y))
        step = residual * np.sqrt(pi_like(x)) / 2 / _exp_of_minus_square(y)
        y = y - step / (1 + y * step)
    y = np.where(size == 0, size, np.where(size < 1, y, np.where(size == 1, np.inf, np.nan)))
    return np.copysign(y, x)


def lgamma(x: Any) -> Any:
    """log |gamma(x)|; inf at 0, -1, -2, ... and at both infinities."""
    reflected = x < 0
    positive = np.where(reflected, 1 - x, x)
    value = _lgamma_positive(np.where(np.isfinite(positive), positive, 1))
    value = np.where(reflected, np.log(pi_like(x) / np.abs(_sin_pi(x))) - value, value)
    return np.where(is_pole(x) | np.isinf(x), np.inf, np.where(np.isnan(x), x, value))


def _lgamma_positive(x: Any) -> Any:
    """Near its roots 1 and 2 by the series around 2, elsewhere by Stirling's, after steps up to where that is exact."""
    near = (x > 0.5) & (x < 2.5)
    below = x < 1.5
    z = np.where(near, np.where(below, x - 1, x - 2), 0)
    series = 0
    for k in range(64, 1, -1):
        series = (series + (-1) ** k * _zeta_less_one(k, x.dtype.char) / k) * z
    series = (series + (1 - _euler_gamma(x.dtype.char))) * z
    series = series - np.where(below, np.log1p(z), 0)
    product, up = np.ones_like(x), x
    for _ in range(int(_STIRLING_FROM)):
        low = up < _STIRLING_FROM
        product = np.where(low, product * up, product)
        up = np.where(low, up + 1, up)
    tail = 0
    for k in range(_STIRLING_TERMS, 0, -1):
        tail = (tail + _ratio(bernoulli(2 * k) / (2 * k * (2 * k - 1)), x)) / (up * up)
    stirling = (up - 0.5) * np.log(up) - up + np.log(2 * pi_like(x)) / 2 + tail * up - np.log(product)
    return np.where(near, series, stirling)


def digamma(x: Any) -> Any:
    """The derivative of lgamma; -inf at 0.0, inf at -0.0, nan at -1, -2, ..."""
    reflected = x < 0.5
    up = np.where(reflected, 1 - x, x)
    up = np.where(np.isfinite(up), up, 1)
    total = np.zeros_like(x)
    for _ in range(int(_STIRLING_FROM)):
        low = up < _STIRLING_FROM
        total = np.where(low, total - 1 / up, total)
        up = np.where(low, up + 1, up)
    tail = 0
    for k in range(_STIRLING_TERMS, 0, -1):
        tail = (tail - _ratio(bernoulli(2 * k) / (2 * k), x)) / (up * up)
    total = total + (np.log(up) - 1 / (2 * up) + tail)
    total = np.where(reflected, total - pi_like(x) * _cot_pi(x), total)
    total = np.where(np.isnan(x) | (x == np.inf), x, np.where(x == -np.inf, np.nan, total))
    return np.where(x == 0, -np.copysign(np.inf, x), np.where(is_pole(x), np.nan, total))


def polygamma(x: Any, n: int) -> Any:
    """Derivative n of digamma; at 0, -1, -2, ... inf for odd n, nan for even n (at 0.0 -inf, at -0.0 inf)."""
    if n == 0:
        return digamma(x)
    reflected = x < 0.5
    up = np.where(reflected, 1 - x, x)
    sign = (-1) ** (n + 1)
    value = sign * _factorial(n, x) * hurwitz_zeta(n + 1, np.where(np.isfinite(up), up, 1))
    cot = _cot_pi(x)
    polynomial = 0
    for c in reversed(cotangent_derivative(n)):
        polynomial = polynomial * cot + np.asarray(c).astype(x.dtype)
    value = np.where(reflected, (-1) ** n * value - pi_like(x) ** (n + 1) * polynomial, value)
    value = np.where(np.isnan(x), x, np.where(np.isinf(x), np.where(x > 0, sign * 0.0, np.nan), value))
    if n % 2:
        return np.where(is_pole(x), np.inf, value)
    return np.where(x == 0, -np.copysign(np.inf, x), np.where(is_pole(x), np.nan, value))


def hurwitz_zeta(s: int, x: Any) -> Any:
    """The sum of (x + k)^-s over k = 0, 1, ..., for s >= 2 and x > 0, by Euler and Maclaurin."""
    steps = 20 + s // 2
    total = 0
    for k in range(steps):
        total = total + (x + k) ** -s
    up = x + steps
    last = up**-s
    total = total + last * up / (s - 1) + last / 2
    rising = Fraction(s)  # s (s+1) ... (s + 2j - 2) / (2j)!
    rising /= 2
    term = last / up
    for j in range(1, 15):
        total = total + _ratio(bernoulli(2 * j) * rising, x) * term
        rising *= Fraction((s + 2 * j - 1) * (s + 2 * j), (2 * j + 1) * (2 * j + 2))
        term = term / (up * up)
    return total


@lru_cache(maxsize=256)
def cotangent_derivative(n: int) -> tuple[int, ...]:
    """Coefficients, from c^0 up, of the polynomial Q with d^n/dt^n cot t = Q(cot t)."""
    polynomial = [0, 1]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(polynomial)][1:]
        polynomial = [0] * (len(slope) + 2)
        for k, c in enumerate(slope):  # times -(1 + cot²)
            polynomial[k] -= c
            polynomial[k + 2] -= c
    return tuple(polynomial)


@lru_cache(maxsize=256)
def bernoulli(n: int) -> Fraction:
    """The Bernoulli number B_n."""
    if n == 0:
        return Fraction(1)
    return -sum((math.comb(n + 1, k) * bernoulli(k) for k in range(n)), Fraction(0)) / (n + 1)


@lru_cache(maxsize=256)
def _zeta_less_one(k: int, kind: str) -> Any:
    return hurwitz_zeta(k, np.asarray(2, kind))


@lru_cache(maxsize=4)
def _euler_gamma(kind: str) -> Any:
    return -digamma(np.asarray(1, kind))


def pi_like(x: Any) -> Any:
    """Pi in the precision of `x`."""
    return x.dtype.type("3.14159265358979323846264338327950288")


def _sin_pi(x: Any) -> Any:
    """|sin pi x|, reduced exactly."""
    return np.sin(pi_like(x) * (x - np.rint(x)))


def _cot_pi(x: Any) -> Any:
    """cot pi x, reduced exactly; near 1/2, where it is small, by the tangent of the rest."""
    r = x - np.rint(x)
    near_half = np.copysign(np.tan(pi_like(x) * (0.5 - np.abs(r))), r)
    return np.where(np.abs(r) > 0.25, near_half, 1 / np.tan(pi_like(x) * r))


def is_pole(x: Any) -> Any:
    """Whether x is one of 0, -1, -2, ..."""
    return (x <= 0) & (np.floor(x) == x) & np.isfinite(x)


def _ratio(f: Fraction, x: Any) -> Any:
    """A fraction in the precision of `x`."""
    return x.dtype.type(str(f.numerator)) / x.dtype.type(str(f.denominator))


def _factorial(n: int, x: Any) -> Any:
    return x.dtype.type(str(math.factorial(n)))
