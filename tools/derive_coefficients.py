"""Derives every polynomial of vecmath and writes `vecmath/coefficients.py`.

Method. Each polynomial is the solution of a weighted least-squares problem on Chebyshev nodes, where Lawson's
iteration (w <- w * |error|) turns the weights until the largest weighted error is nearly as small as it can be. All
of it in 400-bit fixed-point arithmetic (mpmath supplies the function values). Coefficients are then rounded to the
type one by one from the constant term up; after each rounding the remaining ones are fitted again, so they absorb
the rounding error of those before.

    python tools/derive_coefficients.py            rewrites vecmath/coefficients.py
    python tools/derive_coefficients.py --check    says whether the file is what would be written
    python tools/derive_coefficients.py ERF LOG    prints the families named, writes nothing
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mpmath import mp, mpf

mp.prec = 400
FIXED = 400  # fraction bits of the normal equations
LAWSON_STEPS = 12
NODES_PER_COEFFICIENT = 8
OUTPUT = Path(__file__).resolve().parent.parent / "rlxc" / "primitives" / "vecmath" / "coefficients.py"


@dataclass(frozen=True)
class Fit:
    """p(variable(x)) ~ g(x) for x in [low, high], where an error d of p costs d * weight(x)."""

    g: Callable
    low: object
    high: object
    degree: int
    weight: Callable
    variable: Callable = lambda x: x


def derive(fit: Fit, dtype: str) -> tuple[tuple[float, ...], float]:
    """The rounded coefficients, lowest first, and log2 of the largest weighted error (evaluated exactly)."""
    nodes = _chebyshev_nodes(mpf(fit.low), mpf(fit.high), NODES_PER_COEFFICIENT * (fit.degree + 1))
    t = [fit.variable(x) for x in nodes]
    powers = np.array([[_fixed(v**k) for k in range(fit.degree + 1)] for v in t], dtype=object)
    target = np.array([_fixed(fit.g(x)) for x in nodes], dtype=object)
    cost = [abs(fit.weight(x)) for x in nodes]
    importance = [mpf(1) / len(nodes)] * len(nodes)
    for _ in range(LAWSON_STEPS):
        row_weight = _row_weights(cost, importance)
        coefficients = _least_squares(powers, target, row_weight)
        error = _errors(powers, target, coefficients, cost)
        importance = [w * e for w, e in zip(importance, error, strict=True)]
        total = sum(importance)
        importance = [w / total for w in importance]
    rounded = []
    residual = target
    for k in range(fit.degree + 1):
        first = _least_squares(powers[:, k:], residual, row_weight)[0]
        rounded.append(_round(first, dtype))
        residual = residual - _scale(powers[:, k], _fixed(mpf(rounded[-1])))
    worst = max(abs(_mpf(r)) * c for r, c in zip(residual, cost, strict=True))
    return tuple(rounded), float(mp.log(worst, 2))


def _chebyshev_nodes(low, high, count):
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle + half * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]


def _row_weights(cost, importance):
    weights = [w * c * c for w, c in zip(importance, cost, strict=True)]
    largest = max(weights)
    return np.array([_fixed(w / largest) for w in weights], dtype=object)


def _least_squares(powers, target, row_weight):
    weighted = _scale(powers, row_weight[:, None])
    gram, right = weighted.T.dot(powers), weighted.T.dot(target)
    n = powers.shape[1]
    matrix = mp.matrix([[mpf(int(gram[i, j])) for j in range(n)] for i in range(n)])
    return list(mp.lu_solve(matrix, mp.matrix([mpf(int(v)) for v in right])))


def _errors(powers, target, coefficients, cost):
    values = powers.dot(np.array([_fixed(c) for c in coefficients], dtype=object)) >> FIXED
    return [abs(_mpf(v)) * c for v, c in zip(values - target, cost, strict=True)]


def _scale(fixed, factor):
    return (fixed * factor) >> FIXED


def _fixed(x) -> int:
    return int(mp.floor(mp.ldexp(mpf(x), FIXED)))


def _mpf(fixed) -> mpf:
    return mp.ldexp(mpf(int(fixed)), -FIXED)


def _round(x, dtype) -> float:
    return float(np.float32(float(x))) if dtype == "f32" else float(x)


# The families of polynomials.

LN2 = mp.log(2)
PI = mp.pi
EDGE = mpf("1.0001")  # the reduced argument may exceed its interval by rounding
SQRT_HALF = mp.sqrt(mpf(1) / 2)
DIGAMMA_ROOT = mp.findroot(mp.digamma, mpf("1.4616321449683623"))


def _exp(degree):
    r = LN2 / 2 * EDGE
    return Fit(lambda r: (mp.expm1(r) - r) / r**2, -r, r, degree, lambda r: r**2 / mp.exp(r))


def _exp2(degree):
    return Fit(lambda r: (2**r - 1) / r, -EDGE / 2, EDGE / 2, degree, lambda r: r / 2**r)


def _log_tail(degree):
    """log(1 + f) = f - f^2/2 + f^3 p(f)."""

    def g(f):
        return (mp.log1p(f) - f + f**2 / 2) / f**3

    return Fit(g, SQRT_HALF - 1, mp.sqrt(2) - 1, degree, lambda f: f**3 / mp.log1p(f))


def _log_atanh(degree, leading=0):
    """log((1 + s) / (1 - s)) = 2s + s z p(z), z = s^2; with `leading` the term 2/3 z is left out of p too."""

    def g(z):
        s = mp.sqrt(z)
        p = 2 * (mp.atanh(s) - s) / s**3
        return (p - mpf(2) / 3) / z if leading else p

    high = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2
    return Fit(g, 0, high, degree, lambda z: z**2 if leading else z)


def _log2_wide(degree):
    """log2(1 + f) = f p(f), relative."""

    def g(f):
        return mp.log1p(f) / (f * LN2)

    return Fit(g, SQRT_HALF - 1, mp.sqrt(2) - 1, degree, lambda f: f * LN2 / mp.log1p(f))


def _sin(degree):
    def g(z):
        return (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z

    return Fit(g, 0, (PI / 4 * EDGE) ** 2, degree, lambda z: z)


def _cos(degree):
    def g(z):
        return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2

    return Fit(g, 0, (PI / 4 * EDGE) ** 2, degree, lambda z: z**2 * mp.sqrt(2))


def _tanh(degree, high):
    """tanh(x) = x + x z p(z), z = x^2."""

    def g(z):
        return (mp.tanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z

    return Fit(g, 0, mpf(high) ** 2, degree, lambda z: z * mp.sqrt(z) / mp.tanh(mp.sqrt(z)))


def _erf_small(degree, high):
    """erf(x) = x + x p(z), z = x^2."""

    def g(z):
        return mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1

    return Fit(g, 0, mpf(high) ** 2, degree, lambda z: 1 / (1 + g(z)))


def _erf_tail(degree, low, high, middle):
    """erf(x) = 1 - 2^-p(x - middle)."""
    return Fit(lambda x: -mp.log(mp.erfc(x), 2), low, high, degree, lambda x: mp.erfc(x), lambda x: x - mpf(middle))


def _erfc(degree, high, middle):
    """erfc(x) = exp(-x^2) / (1 + 2x) p(t), t = (x - middle) / (x + middle)."""

    def g(x):
        return mp.erfc(x) * mp.exp(x * x) * (1 + 2 * x)

    return Fit(g, 0, high, degree, lambda x: 1 / g(x), lambda x: (x - middle) / (x + middle))


def _erf_inv(degree, low, high, middle):
    """erf_inv(x) = x p(w - middle), w = -log(1 - x^2)."""

    def x_of(w):
        return mp.sqrt(-mp.expm1(-w))

    def g(w):
        return _erf_inverse(x_of(w)) / x_of(w)

    return Fit(g, low, high, degree, lambda w: 1 / g(w), lambda w: w - mpf(middle))


def _erf_inv_root(degree, low, high, middle):
    """The same in the square root of w, for the tails."""
    inner = _erf_inv(degree, low, high, middle)
    return Fit(lambda v: inner.g(v * v), low, high, degree, lambda v: inner.weight(v * v), lambda v: v - mpf(middle))


def _erf_inverse(x):
    # Newton on erf, or on log(erfc) where x is close to 1.
    y = mp.erfinv(x) if x < mpf("0.9") else mp.sqrt(-mp.log(1 - x))
    for _ in range(60):
        tail = mp.erfc(y)
        step = tail * mp.log(tail / (1 - x)) * mp.sqrt(PI) / 2 * mp.exp(y * y)
        y += step
        if abs(step) < mpf(2) ** -300:
            break
    return y


def _asin(degree):
    """asin(x) = x + x z p(z), z = x^2 <= 1/4."""

    def g(z):
        return (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z

    return Fit(g, 0, mpf(1) / 4, degree, lambda z: z * mp.sqrt(z) / mp.asin(mp.sqrt(z)))


def _atan(degree):
    """atan(x) = x + x z p(z), z = x^2, |x| <= tan(pi/8)."""

    def g(z):
        return (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z

    high = (mp.tan(PI / 8) * EDGE) ** 2
    return Fit(g, 0, high, degree, lambda z: z * mp.sqrt(z) / mp.atan(mp.sqrt(z)))


def _cbrt(degree):
    return Fit(lambda x: mp.cbrt(x), 1, 2, degree, lambda x: 1 / mp.cbrt(x), lambda x: x - mpf(1.5))


def _lgamma(degree):
    """lgamma(x) = (x - 1)(x - 2) p(x - 3/2) on [1, 2]."""

    def g(x):
        return mp.loggamma(x) / ((x - 1) * (x - 2))

    return Fit(g, 1, 2, degree, lambda x: 1 / g(x), lambda x: x - mpf(1.5))


def _stirling(degree, low):
    """lgamma(x) = (x - 1/2) log(x) - x + log(2 pi)/2 + p(z) / x, z = 1/x^2, x >= low."""

    def g(z):
        x = 1 / mp.sqrt(z)
        return x * (mp.loggamma(x) - (x - mpf(1) / 2) * mp.log(x) + x - mp.log(2 * PI) / 2)

    return Fit(g, 0, 1 / mpf(low) ** 2, degree, lambda z: mp.sqrt(z))


def _digamma(degree):
    """digamma(x) = (x - root) p(x - 3/2) on [1, 2]."""

    def g(x):
        return mp.digamma(x) / (x - DIGAMMA_ROOT)

    return Fit(g, 1, 2, degree, lambda x: 1 / g(x), lambda x: x - mpf(1.5))


def _digamma_tail(degree, low):
    """digamma(x) = log(x) - 1/(2x) - z p(z), z = 1/x^2, x >= low."""

    def g(z):
        x = 1 / mp.sqrt(z)
        return (mp.log(x) - 1 / (2 * x) - mp.digamma(x)) / z

    return Fit(g, 0, 1 / mpf(low) ** 2, degree, lambda z: z)


FAMILIES = {
    "EXP": {"f32": _exp(4), "f64": _exp(9)},
    "EXP2": {"f32": _exp2(5), "f64": _exp2(10)},
    "LOG": {"f32": _log_tail(7), "f64": _log_atanh(6)},
    "LOG2_WIDE": {"f64": _log2_wide(12)},
    "LOG_DOUBLE": {"f64": _log_atanh(8, leading=1)},
    "EXP2_WIDE": {"f64": _exp2(5)},
    "SIN": {"f32": _sin(2), "f64": _sin(5)},
    "COS": {"f32": _cos(2), "f64": _cos(5)},
    "TANH": {"f32": _tanh(6, "1.0")},
    "ERF": {"f32": _erf_small(6, "0.95"), "f64": _erf_small(13, "1.0")},
    "ERF_TAIL": {"f32": _erf_tail(6, "0.94", "4.0", 1), "f64": _erf_tail(18, "1.0", "6.0", 1)},
    "ERFC": {"f32": _erfc(11, "10.5", 2), "f64": _erfc(25, "28", 4)},
    "ERF_INV": {"f32": _erf_inv(10, 0, 5, "2.5"), "f64": _erf_inv(23, 0, "6.25", "3.125")},
    "ERF_INV_MIDDLE": {"f64": _erf_inv_root(19, "2.5", "4", "3.25")},
    "ERF_INV_TAIL": {"f32": _erf_inv_root(9, "2.2", "4.2", "3"), "f64": _erf_inv_root(17, "4", "6.1", "5")},
    "ASIN": {"f32": _asin(4), "f64": _asin(11)},
    "ATAN": {"f32": _atan(4), "f64": _atan(10)},
    "CBRT": {"f32": _cbrt(3), "f64": _cbrt(5)},
    "LGAMMA": {"f32": _lgamma(10), "f64": _lgamma(22)},
    "STIRLING": {"f32": _stirling(2, 8), "f64": _stirling(6, 8)},
    "DIGAMMA": {"f32": _digamma(10), "f64": _digamma(22)},
    "DIGAMMA_TAIL": {"f32": _digamma_tail(2, 8), "f64": _digamma_tail(7, 8)},
}


def _parts(value, bits: tuple[int, ...]) -> tuple[float, ...]:
    """`value` as a sum of parts with so many significant bits each, every part rounded to nearest."""
    parts = []
    for width in bits:
        exponent = int(mp.floor(mp.log(abs(value), 2))) + 1 - width
        parts.append(float(mp.ldexp(mp.nint(mp.ldexp(value, -exponent)), exponent)))
        value = value - mpf(parts[-1])
    return tuple(parts)


CONSTANTS = {
    # The first part of LN2 is short, so that n * LN2[0] is exact for every exponent n.
    "LN2": (LN2, {"f32": (15, 24), "f64": (41, 53)}),
    "LN2_WHOLE": (LN2, {"f32": (24, 24), "f64": (53, 53)}),
    "LOG2E": (1 / LN2, {"f32": (24, 24), "f64": (53, 53)}),
    "HALF_PI": (PI / 2, {"f32": (24, 24, 24), "f64": (53, 53, 53)}),
    "QUARTER_PI": (PI / 4, {"f32": (24, 24), "f64": (53, 53)}),
    "TWO_OVER_PI": (2 / PI, {"f32": (24,), "f64": (53,)}),
    "TAN_EIGHTH_PI": (mp.tan(PI / 8), {"f32": (24,), "f64": (53,)}),
    "TWO_THIRDS": (mpf(2) / 3, {"f64": (53, 53)}),
    "CBRT_2": (mp.cbrt(2), {"f32": (24,), "f64": (53,)}),
    "CBRT_4": (mp.cbrt(4), {"f32": (24,), "f64": (53,)}),
    "HALF_LOG_2PI": (mp.log(2 * PI) / 2, {"f32": (24, 24), "f64": (53, 53)}),
    "LOG_PI": (mp.log(PI), {"f32": (24, 24), "f64": (53, 53)}),
    "TWO_LOG2E": (2 / LN2, {"f32": (24, 24)}),
    "PI": (PI, {"f32": (24, 24), "f64": (53, 53)}),
    "DIGAMMA_ROOT": (DIGAMMA_ROOT, {"f32": (24, 24), "f64": (53, 53)}),
}

TWO_OVER_PI_BITS = 1536


def _tuple_text(items, indent=8) -> str:
    rows = "".join(f"{' ' * indent}{item},\n" for item in items)
    return f"(\n{rows}{' ' * (indent - 4)})"


def _family_text(name: str, fits: dict) -> str:
    lines = [f"{name} = {{\n"]
    for dtype, fit in fits.items():
        coefficients, error = derive(fit, dtype)
        print(f"{name:16} {dtype} degree {fit.degree:2}  error 2^{error:.1f}", file=sys.stderr)
        lines.append(f"    # weighted error 2^{error:.1f}\n")
        lines.append(f'    "{dtype}": {_tuple_text(map(repr, coefficients))},\n')
    return "".join(lines) + "}\n"


def _constant_text(name: str, value, widths: dict) -> str:
    lines = [f"{name} = {{\n"]
    for dtype, bits in widths.items():
        lines.append(f'    "{dtype}": {_parts(value, bits)!r},\n')
    return "".join(lines) + "}\n"


def _two_over_pi_text() -> str:
    digits = int(mp.floor(mp.ldexp(2 / PI, TWO_OVER_PI_BITS)))
    words = {}
    for width in (32, 64):
        count = TWO_OVER_PI_BITS // width
        words[width] = [(digits >> (width * (count - 1 - i))) & ((1 << width) - 1) for i in range(count)]
    f32 = words[32][:10]  # f32 exponents need 127 + 3 words, no more
    f64 = words[64][: (1024 // 64) + 5]

    def rows(items, size):
        return _tuple_text(f"0x{word:0{size}X}" for word in items)

    return (
        "# The bits of 2/pi after the binary point, most significant word first.\n"
        f'TWO_OVER_PI_WORDS = {{\n    "f32": {rows(f32, 8)},\n    "f64": {rows(f64, 16)},\n}}\n'
    )


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        same = coefficients_text() == OUTPUT.read_text()
        print("up to date" if same else f"{OUTPUT} differs from what this script derives")
        return 0 if same else 1
    if arguments:
        for name in arguments:
            print(_family_text(name, FAMILIES[name]))
        return 0
    OUTPUT.write_text(coefficients_text())
    return 0


def coefficients_text() -> str:
    mp.prec = 2000
    words = _two_over_pi_text()
    mp.prec = 400
    text = '"""Coefficients and constants, lowest power first. Written by tools/derive_coefficients.py: do not edit."""\n'
    text += "".join("\n" + _constant_text(name, *spec) for name, spec in CONSTANTS.items())
    text += "\n" + words
    text += "".join("\n" + _family_text(name, fits) for name, fits in FAMILIES.items())
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
