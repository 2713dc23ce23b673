"""vecmath against mpmath and against NumPy in twice the precision: the stated bounds, special values, every width."""

from __future__ import annotations

import math

import numpy as np
import pytest

mpmath = pytest.importorskip("mpmath")
scipy_special = pytest.importorskip("scipy.special")

import rlxc  # noqa: E402
from rlxc.primitives.vecmath import BOUNDS, FUNCTIONS  # noqa: E402
from rlxc.runtime.compile import compile_func  # noqa: E402
from rlxc.runtime.cpu import target_cpu  # noqa: E402

INF, NAN = math.inf, math.nan
ARITY = {"pow": 2, "atan2": 2}
NUMPY = {"f32": np.float32, "f64": np.float64}
NAMES = list(FUNCTIONS)
measured: dict[tuple[str, str], tuple] = {}


def compiled(name, dtype, **options):
    """The op as a native function of arrays of any length; options are those of compilation."""

    def run(*arrays):
        n = arrays[0].size
        args = ", ".join(f"%x{i}: {dtype}[{n}]" for i in range(len(arrays)))
        names = ", ".join(f"%x{i}" for i in range(len(arrays)))
        func = rlxc.parse(f"func @f({args}) -> {dtype}[{n}] {{ %y = {name} {names} return %y }}").funcs[0]
        return compile_func(func, **options)(*[np.ascontiguousarray(a) for a in arrays])[0]

    return run


# References.

WIDE = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "logistic": scipy_special.expit, "log": np.log,
    "log2": np.log2, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh,
    "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "erf": scipy_special.erf,
    "erfc": scipy_special.erfc, "erf_inv": scipy_special.erfinv, "pow": np.power, "cbrt": np.cbrt,
    "lgamma": scipy_special.gammaln, "digamma": scipy_special.digamma,
}  # fmt: skip

EXACT = {
    "exp": mpmath.exp, "exp2": lambda x: mpmath.mpf(2) ** x, "expm1": mpmath.expm1,
    "logistic": lambda x: 1 / (1 + mpmath.exp(-x)), "log": mpmath.log, "log2": lambda x: mpmath.log(x, 2),
    "log1p": mpmath.log1p, "sin": mpmath.sin, "cos": mpmath.cos, "tan": mpmath.tan, "tanh": mpmath.tanh,
    "sinh": mpmath.sinh, "cosh": mpmath.cosh, "asinh": mpmath.asinh, "acosh": mpmath.acosh, "atanh": mpmath.atanh,
    "asin": mpmath.asin, "acos": mpmath.acos, "atan": mpmath.atan, "atan2": mpmath.atan2, "erf": mpmath.erf,
    "erfc": lambda x: mpmath.erfc(min(x, mpmath.mpf(1000))), "pow": mpmath.power, "cbrt": lambda x: mpmath.cbrt(abs(x)) * mpmath.sign(x),
    "lgamma": lambda x: mpmath.loggamma(x) if x > 0 else mpmath.log(abs(mpmath.gamma(x))), "digamma": mpmath.digamma,
}  # fmt: skip


def exact(name, *args):
    if name == "erf_inv":
        return _erf_inverse(args[0])
    return EXACT[name](*args)


def _erf_inverse(x):
    a = abs(x)
    y = mpmath.mpf(float(scipy_special.erfinv(float(a))))
    for _ in range(3):
        y -= (mpmath.erf(y) - a) * mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(y * y)
    return y * mpmath.sign(x)


# Samples: (low, high) per function where a valid argument is drawn densely; besides those, all exponents.

DENSE = {
    "exp": [(-104, 89)], "exp2": [(-150, 128)], "expm1": [(-18, 18), (-1, 1), (18, 89)], "logistic": [(-104, 20), (-4, 4)],
    "log": [(0.5, 2), (0, 100)], "log2": [(0.5, 2), (0, 100)], "log1p": [(-1, 2), (-0.1, 0.1)],
    "sin": [(-10, 10), (-1e5, 1e5), (1.3e5, 1e7)], "cos": [(-10, 10), (-1e5, 1e5), (1.3e5, 1e7)],
    "tan": [(-10, 10), (-1e5, 1e5), (1.3e5, 1e7)], "tanh": [(-10, 10), (-1.2, 1.2)], "sinh": [(-90, 90), (-2, 2)],
    "cosh": [(-90, 90), (-2, 2)], "asinh": [(-5, 5), (1e3, 1e5)], "acosh": [(1, 3), (1e3, 1e5)], "atanh": [(-1, 1)],
    "asin": [(-1, 1)], "acos": [(-1, 1)], "atan": [(-3, 3)], "erf": [(-4.2, 4.2), (-1.2, 1.2)],
    "erfc": [(-4, 10.5), (-1, 1)], "erf_inv": [(-1, 1), (0.99, 1), (0.99999, 1)], "cbrt": [(-10, 10)],
    "lgamma": [(0, 4), (3, 40), (-6, 0)], "digamma": [(0, 4), (3, 40), (-6, 0)],
}  # fmt: skip
DENSE_F64 = {
    "exp": [(-746, 710)], "exp2": [(-1075, 1024)], "expm1": [(-40, 40), (-1, 1), (18, 709)], "logistic": [(-745, 40)],
    "sin": [(-10, 10), (-1e9, 1e9), (1.1e9, 1e15)], "cos": [(-10, 10), (-1e9, 1e9), (1.1e9, 1e15)],
    "tan": [(-10, 10), (-1e9, 1e9), (1.1e9, 1e15)], "tanh": [(-20, 20), (-1.2, 1.2)], "sinh": [(-711, 711), (-2, 2)],
    "cosh": [(-711, 711), (-2, 2)], "erf": [(-6, 6), (-1.2, 1.2)], "erfc": [(-6, 27.3), (-1, 1)],
    "asinh": [(-5, 5), (1e7, 1e10)], "acosh": [(1, 3), (1e7, 1e10)],
}  # fmt: skip


def sample(name, dtype, per_range, any_exponent, seed=0):
    rng = np.random.default_rng(seed)
    scalar = NUMPY[dtype]
    if name == "pow":
        return _sample_pow(rng, dtype, per_range + any_exponent)
    if name == "atan2":
        x = _any_bits(rng, dtype, per_range + any_exponent)
        y = (x * rng.uniform(0.1, 4, x.size)).astype(scalar)
        y[any_exponent:] = _any_bits(rng, dtype, per_range)
        return (y, x)
    ranges = {**DENSE, **(DENSE_F64 if dtype == "f64" else {})}[name]
    parts = [rng.uniform(low, high, per_range).astype(scalar) for low, high in ranges]
    return (np.concatenate([*parts, _any_bits(rng, dtype, any_exponent), _hard(name, dtype)]),)


def _any_bits(rng, dtype, count):
    word = {"f32": np.uint32, "f64": np.uint64}[dtype]
    return rng.integers(0, np.iinfo(word).max, count, dtype=word, endpoint=True).view(NUMPY[dtype])


def _hard(name, dtype):
    """Next to the points where something changes: multiples of pi/2, 1, thresholds of overflow and underflow."""
    scalar = NUMPY[dtype]
    if name in ("sin", "cos", "tan"):
        k = np.concatenate([np.arange(1, 400), 2 ** np.arange(8, 60)]).astype(np.float64)
        near = np.concatenate([(k * (np.pi / 2)).astype(scalar), scalar([1e30, 3e38])])
        if dtype == "f64":  # the double closest to a multiple of pi/2, and far ones
            near = np.concatenate([near, [6381956970095103.0 * 2.0**797, 1e300, 1.7e308, 5.319372648326541e255]])
    else:
        info = np.finfo(scalar)
        top, bottom = math.log(float(info.max)), math.log(float(info.smallest_subnormal))
        points = [
            0.25,
            0.5,
            0.625,
            0.94,
            1,
            2,
            3,
            8,
            9,
            16.6355,
            17,
            19,
            37,
            top,
            top + 0.6931,
            bottom,
            bottom - 0.6931,
        ]
        points += [math.log(float(info.smallest_normal)), float(info.max), float(info.smallest_normal), 5e-45, -1]
        points += [1.4616321449683623, 128, -126, -149, -150, 1024, -1022, -1074, -1075, 26.5, 27.2, 10.05]
        near = np.array(points).astype(scalar)
    return np.concatenate([near, np.nextafter(near, scalar(INF)), np.nextafter(near, scalar(-INF)), -near])


def _sample_pow(rng, dtype, count):
    scalar = NUMPY[dtype]
    limit = {"f32": 104.0, "f64": 745.5}[dtype]
    x = np.abs(_any_bits(rng, dtype, count))
    x[: count // 3] = rng.uniform(0.5, 2, count // 3).astype(scalar)
    x[: count // 9] = (1 + rng.uniform(-1e-3, 1e-3, count // 9)).astype(scalar)
    y = rng.uniform(-limit, limit, count) / np.log(x.astype(np.float64))
    y[::4] = rng.uniform(-4, 4, y[::4].size)
    y[::16] = np.round(y[::16])
    x[::16] *= np.where(rng.random(x[::16].size) < 0.5, -1, 1).astype(scalar)
    y = y.astype(scalar)
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


# Accuracy.


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("name", NAMES)
def test_f32_is_within_its_bound(name):
    args = sample(name, "f32", 250_000, 500_000)
    if name in ("lgamma", "digamma"):
        args = tuple(a[(a > 0) | (a > -30) & (a < -1e-3)] for a in args)
    got = compiled(name, "f32")(*args)
    want = WIDE[name](*[a.astype(np.float64) for a in args])
    assert_same_specials(name, args, got, want.astype(np.float32))
    error = np.abs(got.astype(np.float64) - want) / _ulp(_scale(name, args[0], want), 24, -149)
    check_bound(name, "f32", args, got, error)


@pytest.mark.parametrize("name", NAMES)
def test_f64_is_within_its_bound(name):
    slow = name in ("lgamma", "digamma", "erf_inv", "erfc")
    args = sample(name, "f64", 1000 if slow else 3000, 500 if slow else 2000)
    if name in ("lgamma", "digamma"):
        args = tuple(a[(a > 0) & (a < 1e305) | (a > -30) & (a < -1e-3)] for a in args)
    got = compiled(name, "f64")(*args)
    # The last bit of the special values from NumPy, the finite ones exactly.
    numpy = WIDE[name](*args)
    finite = np.isfinite(numpy) & np.isfinite(got)
    edge = np.isfinite(numpy) != np.isfinite(got)
    errors = np.zeros(got.size)
    with mpmath.workprec(160):
        wants = []
        for i in np.flatnonzero(finite):
            # Periodic functions of huge arguments and differences close to 1 need the bits of the argument too.
            with mpmath.workprec(1300 if name in ("sin", "cos", "tan") and abs(args[0][i]) > 1e15 else 160):
                wants.append(exact(name, *[mpmath.mpf(float(a[i])) for a in args]))
        size = [_scale(name, float(args[0][i]), float(w)) for i, w in zip(np.flatnonzero(finite), wants, strict=True)]
        for i, want, s in zip(np.flatnonzero(finite), wants, size, strict=True):
            errors[i] = float(abs(mpmath.mpf(float(got[i])) - want) / mpmath.mpf(float(_ulp(np.array(s), 53, -1074))))
    assert not edge.any(), (name, [a[edge][:5] for a in args], got[edge][:5], numpy[edge][:5])
    assert_same_specials(name, args, got, np.where(finite, got, numpy))
    check_bound(name, "f64", args, got, np.where(finite, errors, 0.0))


def _ulp(want, precision, lowest):
    exponent = np.frexp(want)[1] - precision
    return np.ldexp(1.0, np.maximum(exponent, lowest))


def _scale(name, x, want):
    """What the ulp is taken of: the result; for negative arguments of lgamma and digamma, where the reflection formula
    cancels, the larger of result, 1 and the value at 1 - x."""
    if name not in ("lgamma", "digamma"):
        return want
    reflected = np.maximum(np.maximum(np.abs(want), np.abs(WIDE[name](1.0 - np.minimum(x, 0.0)))), 1.0)
    return np.where(np.asarray(x) < 0, reflected, want)


def assert_same_specials(name, args, got, want):
    same = (got == want) | (np.isnan(got) & np.isnan(want)) | (np.isfinite(got) & np.isfinite(want))
    same &= (np.signbit(got) == np.signbit(want)) | np.isnan(want) | ((got != 0) & (want != 0) & np.isfinite(want))
    bad = np.flatnonzero(~same)[:5]
    assert bad.size == 0, (name, [a[bad] for a in args], got[bad], want[bad])


def check_bound(name, dtype, args, got, error):
    error = np.where(np.isfinite(got) & np.isfinite(error), error, 0.0)
    worst = int(error.argmax())
    measured[name, dtype] = (float(error[worst]), tuple(a[worst] for a in args))
    assert error[worst] <= BOUNDS[name, dtype], (error[worst], [a[worst] for a in args], got[worst])


# Special values.

SPECIAL = {
    "exp": [(0.0, 1), (-0.0, 1), (INF, INF), (-INF, 0.0), (1e30, INF), (-1e30, 0.0)],
    "exp2": [(0.0, 1), (INF, INF), (-INF, 0.0), (10, 1024), (-3, 0.125)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1), (1e30, INF), (-1e30, -1), (1e-40, 1e-40)],
    "logistic": [(0.0, 0.5), (INF, 1), (-INF, 0.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (1, 0.0), (INF, INF), (-1, NAN), (-INF, NAN)],
    "log2": [(0.0, -INF), (-0.0, -INF), (1, 0.0), (8, 3), (2.0**-20, -20), (INF, INF), (-1, NAN), (-INF, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1, -INF), (-2, NAN), (INF, INF), (-INF, NAN), (1e-40, 1e-40)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (1e-40, 1e-40)],
    "cos": [(0.0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN)],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (-1e-40, -1e-40)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (1e30, 1), (-1e-40, -1e-40)],
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (1e30, INF), (1e-40, 1e-40)],
    "cosh": [(0.0, 1), (-0.0, 1), (INF, INF), (-INF, INF)],
    "asinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (-1e-40, -1e-40)],
    "acosh": [(1, 0.0), (INF, INF), (0.5, NAN), (-INF, NAN)],
    "atanh": [(0.0, 0.0), (-0.0, -0.0), (1, INF), (-1, -INF), (1.5, NAN), (INF, NAN), (-1e-40, -1e-40)],
    "asin": [(0.0, 0.0), (-0.0, -0.0), (1.5, NAN), (-INF, NAN), (1e-40, 1e-40)],
    "acos": [(1, 0.0), (1.5, NAN), (INF, NAN)],
    "atan": [(0.0, 0.0), (-0.0, -0.0), (INF, math.pi / 2), (-INF, -math.pi / 2), (1e-40, 1e-40)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1)],
    "erfc": [(0.0, 1), (INF, 0.0), (-INF, 2)],
    "erf_inv": [(0.0, 0.0), (-0.0, -0.0), (1, INF), (-1, -INF), (1.5, NAN), (INF, NAN)],
    "cbrt": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (27, 3), (-8, -2)],
    "lgamma": [(1, 0.0), (2, 0.0), (0.0, INF), (-0.0, INF), (-3, INF), (INF, INF), (-INF, INF)],
    "digamma": [(0.0, -INF), (-0.0, INF), (-3, NAN), (INF, INF), (-INF, NAN)],
}


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", list(SPECIAL))
def test_special_values(name, dtype):
    scalar = NUMPY[dtype]
    table = np.array([*SPECIAL[name], (NAN, NAN)]).astype(scalar)
    for vectorize in (False, True):
        assert_identical(compiled(name, dtype, vectorize=vectorize)(table[:, 0]), table[:, 1], table[:, 0])


EDGES = [
    0.0,
    -0.0,
    1,
    -1,
    0.5,
    -0.5,
    2,
    -2,
    3,
    -3,
    2.5,
    -2.5,
    1e30,
    -1e30,
    1e-30,
    -1e-30,
    16777217,
    2.0**53 + 2,
    INF,
    -INF,
    NAN,
    1e-40,
]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", ["pow", "atan2"])
def test_special_pairs_agree_with_libm(name, dtype):
    x, y = (a.ravel().astype(NUMPY[dtype]) for a in np.meshgrid(EDGES, EDGES))
    want = WIDE[name](x.astype(np.float64), y.astype(np.float64)).astype(NUMPY[dtype])
    got = compiled(name, dtype)(x, y)
    np.testing.assert_array_max_ulp(np.where(np.isnan(want), 0, got), np.where(np.isnan(want), 0, want), 2)
    assert_identical(np.where(np.isfinite(want) & (want != 0), want, got), want, list(zip(x, y, strict=True)))


def assert_identical(got, want, args):
    same = (got == want) & (np.signbit(got) == np.signbit(want)) | (np.isnan(got) & np.isnan(want))
    wrong = [(a, g, w) for a, g, w, s in zip(args, got, want, same, strict=True) if not s]
    assert not wrong, wrong


# Widths and targets.


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", NAMES)
def test_every_width_and_target_gives_the_same_bits(name, dtype):
    args = sample(name, dtype, 300, 300, seed=1)
    want = compiled(name, dtype)(*args)
    assert_array = np.testing.assert_array_equal
    assert_array(compiled(name, dtype, vectorize=False)(*args), want)
    if has("avx2"):
        assert_array(compiled(name, dtype, cpu="avx2")(*args), want)
    plain = compiled(name, dtype, cpu="plain")(*args)
    if dtype == "f64":
        assert_array(plain, want)
    else:  # without the instruction, fma is rounded twice
        assert_array(np.isfinite(plain), np.isfinite(want))
        apart = np.abs(plain.astype(np.float64) - want) / _ulp(_scale(name, args[0].astype(np.float64), want.astype(np.float64)), 24, -149)
        assert np.nanmax(np.where(np.isfinite(want), apart, 0)) <= 2


def has(level):
    try:
        target_cpu(level)
    except rlxc.Error:
        return False
    return True


def test_print_the_table(capsys):
    with capsys.disabled():
        print("\n\nlargest error found, in ulps (bound)")
        for name in NAMES:
            row = [f"{measured[name, d][0]:7.3f} ({BOUNDS[name, d]:4})" for d in ("f32", "f64") if (name, d) in measured]
            print(f"  {name:9}", "   ".join(row))


def test_the_documentation_states_the_bounds():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "vector-math.md").read_text()
    for name in NAMES:
        assert f"| `{name}` | {BOUNDS[name, 'f32']} | {BOUNDS[name, 'f64']} |" in text
