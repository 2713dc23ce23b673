"""SciPy's special functions on traced arrays, and the same in rlxc.special, against SciPy and finite differences."""

import numpy as np
import pytest

import rlxc
from rlxc import special

scipy_special = pytest.importorskip("scipy.special")

X = np.array([0.3, 1.7, 4.25, 11.0])
Y = np.array([0.5, 2.5, 0.1, 3.0])
U = np.array([0.05, 0.3, 0.8, 0.99])
ARGUMENTS = {
    "erf": (X - 3,), "erfc": (X - 1,), "erfinv": (U,), "gammaln": (X,), "gamma": (X - 2.6,), "digamma": (X,), "betaln": (X, Y), "expit": (X - 4,),
    "log_expit": (X - 4,), "logit": (U,), "ndtr": (X - 2,), "log_ndtr": (np.array([-40.0, -24.0, -9.0, 1.0]),), "ndtri": (U,), "xlogy": (X, Y),
    "xlog1py": (X, Y), "entr": (X,), "rel_entr": (X, Y), "kl_div": (X, Y),
}  # fmt: skip


def test_all_are_tried():
    assert set(special.__all__) == {*ARGUMENTS, "polygamma"}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_it_is_scipys(name):
    theirs, ours, xs = getattr(scipy_special, name), getattr(special, name), ARGUMENTS[name]
    want = theirs(*xs)
    np.testing.assert_allclose(ours(*xs), want, rtol=1e-12)
    np.testing.assert_allclose(rlxc.jit(lambda *xs: theirs(*xs))(*xs), want, rtol=1e-12)
    directions = [np.cos(np.arange(4.0) + i) for i in range(len(xs))]
    _, slope = rlxc.jvp(lambda *xs: theirs(*xs), xs, tuple(directions))
    h = 1e-6
    up, down = (theirs(*[x + s * h * d for x, d in zip(xs, directions, strict=True)]) for s in (1, -1))
    np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=2e-6, atol=1e-8)


def test_zeros_win_over_infinities():
    zero = np.array([0.0])
    for f in (special.xlogy, special.rel_entr):
        assert f(zero, zero).tolist() == [0.0]
        assert rlxc.grad(lambda y, f=f: np.sum(f(zero, y)))(np.array([0.5])).tolist() == [0.0]
    assert special.entr(zero).tolist() == [0.0]


def test_polygamma():
    np.testing.assert_allclose(special.polygamma(2, X), scipy_special.polygamma(2, X), rtol=1e-12)


def test_a_ufunc_that_is_not_known_is_an_error_that_names_it():
    with pytest.raises(rlxc.Error, match="jv"):
        rlxc.trace(lambda x: scipy_special.jv(1, x), X)
