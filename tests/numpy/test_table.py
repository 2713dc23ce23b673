"""Every function of the table is NumPy's: numbers, shapes and dtypes in several dtypes, natively too, with derivatives that finite differences confirm."""

import ast
import inspect
import warnings
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, FIXED, ON_BOOLEANS, REFUSED, STATIC, variables
from page import table_page

import rlxc
from rlxc.tracing.pytree import tree_leaves

EVERYTHING = [(name, text.rstrip("# ").strip(), not text.endswith("#")) for name, texts in CASES.items() for text in texts]
DTYPES = (np.float64, np.float32, np.int32, bool)


def function(text):
    """An expression as a function of its variables, and which they are."""
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    names = [name for name in {**variables(np.float64), **FIXED} if name in used and f"lambda {name}" not in text]
    return eval(f"lambda {', '.join(names)}: {text}", {"np": np, **STATIC}), names


def in_numpy(f, arrays):
    """What NumPy gives, or None where it refuses."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [np.asarray(v) for v in tree_leaves(_plain(f(*arrays)))]
    except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError):
        return None


def _plain(x):
    return list(x) if isinstance(x, tuple | list) else x


def tolerance(*dtypes):
    """For results of these dtypes, or computed from them."""
    return max([{2: 2e-3, 4: 3e-5, 8: 1e-11}.get(np.dtype(d).itemsize, 0) if np.dtype(d).kind == "f" else 0 for d in dtypes])


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, text, _ in EVERYTHING])
def test_numbers_shapes_and_dtypes_are_numpys(name, text):
    f, names = function(text)
    tried = 0
    for dtype in DTYPES:
        known = {**variables(dtype), **FIXED}
        arrays = [known[n] for n in names]
        want = in_numpy(f, arrays)
        if want is None or (dtype is bool and text in ON_BOOLEANS) or any(w.dtype.kind not in "biuf" for w in want):
            continue
        tried += 1
        func = rlxc.trace(lambda *xs: _plain(f(*xs)), *arrays)
        with np.errstate(all="ignore"):
            got = rlxc.interpret(func, *arrays)
        got = list(got) if len(func.results) > 1 else [got]
        for g, w in zip(got, want, strict=True):
            assert (g.shape, g.dtype) == (w.shape, w.dtype), (dtype, text)
            loose = tolerance(w.dtype if dtype is bool else np.promote_types(dtype, np.float16), w.dtype)
            np.testing.assert_allclose(g.astype(float), w.astype(float), rtol=loose, atol=loose, err_msg=f"{text} of {np.dtype(dtype)}")
        if all(n in FIXED for n in names):
            break
    assert tried


def has_derivative(text):
    """Whether floats go in and finite floats come out."""
    f, names = function(text)
    known = {**variables(np.float64), **FIXED}
    outs = in_numpy(f, [known[n] for n in names]) or ()
    return any(_is_active(known[n]) for n in names) and any(w.dtype.kind == "f" and np.isfinite(w).all() for w in outs)


def _is_active(x):
    return x.dtype == np.float64 and np.isfinite(x).all()


SMOOTH = [(name, text) for name, text, smooth in EVERYTHING if smooth and has_derivative(text)]


@pytest.mark.parametrize(("name", "text"), SMOOTH)
def test_derivatives_are_those_of_finite_differences(name, text):
    f, names = function(text)
    known = {**variables(np.float64), **FIXED}
    arrays = [known[n] for n in names]
    active = [n for n, a in zip(names, arrays, strict=True) if _is_active(a)]
    want = in_numpy(f, arrays)
    weights = [np.cos(np.arange(w.size) + 1.0).reshape(w.shape) if w.dtype.kind == "f" and w.size else None for w in want]

    def total(*xs):
        outs = tree_leaves(_plain(f(*xs)))
        return sum(np.sum(np.where(np.isfinite(o), o, 0.0) * c) for o, c in zip(outs, weights, strict=True) if c is not None)

    def named(*xs):
        return total(*xs)

    named.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names])
    func = rlxc.trace(named, *arrays)
    positions = [names.index(n) for n in active]
    with np.errstate(all="ignore"):
        _, *gradients = rlxc.interpret(rlxc.value_and_grad(func, wrt=positions), *arrays)
    rng = np.random.default_rng(1)
    directions = [rng.standard_normal(arrays[p].shape) for p in positions]
    h = 1e-6
    sides = []
    for sign in (1, -1):
        moved = list(arrays)
        for p, d in zip(positions, directions, strict=True):
            moved[p] = np.asarray(arrays[p] + sign * h * d)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sides.append(float(total(*moved)))
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients, directions, strict=True))
    assert slope == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=2e-5, abs=2e-6), text


@pytest.mark.parametrize("half", range(2))
def test_native_code_computes_the_same(half):
    """All cases in two functions, since one compiles faster than many."""
    known = {**variables(np.float64), **FIXED}
    chosen = [f for i, (_, text, _) in enumerate(EVERYTHING) if i % 2 == half for f in [function(text)] if in_numpy(f[0], [known[n] for n in f[1]]) is not None]
    names = list(known)

    def everything(*xs):
        given = dict(zip(names, xs, strict=True))
        return [leaf for f, mine in chosen for leaf in tree_leaves(_plain(f(*[given[n] for n in mine])))]

    func = rlxc.trace(everything, *known.values())
    with np.errstate(all="ignore"):
        want = rlxc.interpret(func, *known.values())
    got = rlxc.compile(func)(*known.values())
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_allclose(g, w, rtol=tolerance(w.dtype), atol=tolerance(w.dtype))


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused_with_a_reason(text):
    f, names = function(text)
    known = {**variables(np.float64), **FIXED}
    with pytest.raises(rlxc.Error) as error:
        rlxc.trace(f, *[known[n] for n in names])
    assert REFUSED[text] in str(error.value)


def test_the_page_is_made_of_the_table(request):
    path = Path(__file__).parents[2] / "docs" / "numpy.md"
    text = table_page({text for _, text in SMOOTH})
    if request.config.getoption("--bless", default=False):
        path.write_text(text)
    assert path.read_text() == text, "run: pytest --bless tests/numpy/test_table.py"


def test_numbers_beyond_an_integer_dtype():
    x = np.array([0, 3, 255], np.uint8)
    for f in (lambda x: x > -1, lambda x: x < 300, lambda x: x >= 300, lambda x: x == -5, lambda x: np.clip(x, -1, 300), lambda x: np.clip(x, 2, 1000)):
        got = rlxc.interpret(rlxc.trace(f, x), x)
        assert got.dtype == f(x).dtype
        assert got.tolist() == f(x).tolist()
