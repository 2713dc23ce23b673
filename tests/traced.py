"""What a function does on tracers, against what NumPy does."""

import numpy as np

import rlxc


def traced(f, *arrays):
    """`f` on tracers of these arrays, interpreted."""
    func = rlxc.trace(f, *arrays)
    assert rlxc.parse(str(func))[func.name] == func, "what is traced prints and parses"
    return rlxc.interpret(func, *arrays)


def agree(f, *arrays):
    """What `f` gives on tracers is what NumPy gives: numbers, shape and dtype."""
    got, want = traced(f, *arrays), f(*arrays)
    if not isinstance(want, tuple):
        got, want = (got,), (want,)
    for g, w in zip(got, want, strict=True):
        w = np.asarray(w)
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        np.testing.assert_allclose(g, w, rtol=1e-12 if w.dtype == np.float64 else 1e-5, atol=1e-12)
