"""No option of NumPy's functions is passed over in silence: each gives what NumPy gives, or is an error that says so."""

import ast
import inspect
import warnings

import numpy as np
import pytest
from cases import CASES, FIXED, STATIC, variables

import rlxc
from rlxc.tracing.pytree import tree_leaves

#: what is tried of an option where a function has it
VALUES = {
    "axis": ["0", "-1", "None", "(0, 1)"], "dtype": ["np.float32", "int", "complex", "bool"], "keepdims": ["True"], "initial": ["2.5"], "where": ["b", "False"],
    "ddof": ["1", "0.5"], "correction": ["1"], "mean": ["x.mean()"], "out": ["x * 0"], "order": ["'F'", "'C'"], "casting": ["'unsafe'", "'no'"],
    "subok": ["False"], "signature": ["'dd->d'"], "mode": ["'clip'", "'wrap'"], "side": ["'right'"], "kind": ["'stable'"], "copy": ["False"],
    "indexing": ["'ij'"], "invert": ["True"], "edge_order": ["2"], "n": ["2"], "prepend": ["0.0"], "append": ["1.0"], "left": ["-7.0"], "period": ["3.0"],
    "rowvar": ["False"], "bias": ["True"], "aweights": ["np.arange(1.0, 5)"], "rtol": ["0.5"], "atol": ["3.0"], "equal_nan": ["True"], "deg": ["True"],
    "decimals": ["2", "-1"], "nan": ["5.0"], "posinf": ["3.0"], "k": ["1"], "offset": ["1"], "axis1": ["2"], "method": ["'lower'", "'weibull'"],
    "weights": ["np.abs(x)"], "returned": ["True"], "ord": ["1", "2", "np.inf", "'fro'", "'nuc'", "0", "3"], "UPLO": ["'U'", "'x'"], "compute_uv": ["False"],
    "rcond": ["0.1"], "tol": ["0.1"], "include_initial": ["True"], "norm": ["'ortho'", "'forward'"], "max": ["1.0"],
    "a_max": ["0.5"], "default": ["5"], "shape": ["(2, 2)"], "ndmin": ["3"], "discont": ["2.0"], "to_begin": ["0.0"], "dx": ["0.5"], "density": ["True"],
    "range": ["(0.0, 1.0)"], "bins": ["3"], "full": ["True"], "num": ["7"], "endpoint": ["False"], "retstep": ["True"], "axisc": ["0"],
    "constant_values": ["3"], "reflect_type": ["'odd'"], "stat_length": ["2"], "axes": ["(0, 1)", "[(0,), (0,), ()]"], "device": ["'cpu'"], "start": ["1"],
}  # fmt: skip
OF_UFUNCS = ("out", "where", "dtype", "casting", "order", "subok", "signature")
KNOWN = {**variables(np.float64), **FIXED}
MORE = (
    "np.linalg.norm(x)", "np.linalg.norm(x, axis=1)", "np.linalg.eigvalsh(sq)", "np.linalg.pinv(x)", "np.linalg.svdvals(sq)",
    "np.linalg.matrix_rank(x)", "np.fft.rfft(r)", "np.fft.irfft(x)", "np.einsum('ij,kj->ik', x, y)", "np.clip(x, -1.0)", "np.linalg.svd(x)",
    "np.array(r)", "np.isin(k, i)", "np.histogram(x)", "np.linspace(s, 2.0)",
    "np.cross(w3, v3)", "np.trace(z)", "np.pad(x, 2, 'reflect')", "np.linalg.cholesky(sq @ sq.T)", "np.roll(x, 1)",
)  # fmt: skip
#: numbers of no meaning, and what rlxc is more liberal with
LAX = {"empty_like", "bitwise_count", "lexsort", "choose"}


def calls(option):
    """Each function that has the option, called with it."""
    for name, texts in (*CASES.items(), *[(text, [text]) for text in MORE]):
        if name in LAX:
            continue
        for text in dict.fromkeys(t.rstrip("# ").strip() for t in texts[:2]):
            tree = ast.parse(text, mode="eval").body
            function = eval(ast.unparse(tree.func), {"np": np}) if isinstance(tree, ast.Call) and ast.unparse(tree.func).startswith("np.") else None
            if function is None or option in {k.arg for k in tree.keywords}:
                continue
            if option in (OF_UFUNCS if isinstance(function, np.ufunc) else _parameters(function)[len(tree.args) :]):
                yield from [f"{text[:-1]}, {option}={value})" for value in VALUES[option]]


def _parameters(function):
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:
        return []
    return [*names, "constant_values", "reflect_type", "stat_length"] if function is np.pad else names


def results(f, arrays):
    out = f(*arrays)
    return [np.asarray(v) for v in tree_leaves(list(out) if isinstance(out, tuple | list) else out)]


@pytest.mark.parametrize("option", VALUES)
def test_an_option_is_numpys_or_an_error(option):
    tried = 0
    for text in calls(option):
        used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        names = [n for n in KNOWN if n in used]
        f = eval(f"lambda {', '.join(names)}: {text}", {"np": np, **STATIC})
        arrays = [KNOWN[n] for n in names]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                want = results(f, [a.copy() for a in arrays])
            except (TypeError, ValueError, IndexError, RuntimeError, np.linalg.LinAlgError):
                want = None
            try:
                func = rlxc.trace(lambda *xs, f=f: list(y) if isinstance(y := f(*xs), tuple | list) else y, *arrays)
                got = rlxc.interpret(func, *arrays)
            except rlxc.Error:
                continue
            except (TypeError, ValueError):
                assert want is None, text
                continue
        tried += 1
        assert want is not None, f"{text}: NumPy refuses it"
        for g, w in zip(got if len(func.results) > 1 else [got], want, strict=True):
            assert (g.shape, g.dtype) == (w.shape, w.dtype), text
            np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6, err_msg=text)
    assert tried or option in ("out", "where", "signature", "aweights", "reflect_type", "stat_length", "rcond", "full", "axes", "max")
