"""Linear algebra of complex matrices: NumPy's values, equal eigenvalues, gradients against differences, and second derivatives."""

import numpy as np
import pytest

import rlxc

RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


A, B, K = normal(4, 4), normal(4, 2), normal(4, 4)
H = A @ A.conj().T + np.eye(4)
BATCH = normal(2, 3, 3)
LA = np.linalg

SAME = [
    (LA.cholesky, H),
    (lambda a: LA.cholesky(a, upper=True), H),
    (LA.det, BATCH),
    (lambda a: LA.slogdet(a).sign, BATCH),
    (lambda a: LA.slogdet(a).logabsdet, BATCH),
    (LA.det, np.array([[1, 1j], [1j, -1]])),
    (LA.eigvalsh, BATCH + np.conj(np.swapaxes(BATCH, 1, 2))),
    (LA.svdvals, BATCH[:, :2]),
    (LA.matrix_rank, A[:, :1] * A[:1]),
    (LA.cond, A),
    (LA.pinv, B),
    (lambda a: LA.lstsq(B, a, rcond=None)[0], A),
    (lambda a: LA.lstsq(B, a, rcond=None)[1], A),
    (lambda a: LA.norm(a, 2), B),
    (lambda a: LA.norm(a, "nuc"), B),
]


@pytest.mark.parametrize("number", range(len(SAME)))
def test_it_is_numpys(number):
    f, a = SAME[number]
    got, want = rlxc.jit(f)(a), f(a)
    assert (got.dtype, got.shape) == (np.asarray(want).dtype, np.shape(want)) or f is LA.matrix_rank
    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)


def unitary(n):
    return LA.qr(normal(n, n))[0]


SPECTRA = {
    "distinct": [-2.0, -1.0, 0.5, 1.0, 3.0],
    "equal": [1.0, 1.0, 1.0, 2.0, 2.0],
    "almost equal": [1.0, 1.0 + 1e-15, 1.0 + 2e-15, 1.0 + 1e-8, 2.0],
    "nothing": [0.0] * 5,
    "large": [1e200, 1e200, 2e200, 3e200, 5e200],
    "one": [-1.5],
}


@pytest.mark.parametrize("name", SPECTRA)
def test_eigenvectors_are_orthonormal_whatever_the_eigenvalues(name):
    w = np.array(SPECTRA[name])
    q = unitary(len(w))
    x = (q * w) @ q.conj().T
    scale = max(np.abs(w).max(), 1e-300)
    values, v = rlxc.jit(LA.eigh)(x)
    np.testing.assert_allclose(values / scale, w / scale, atol=1e-13)
    np.testing.assert_allclose(v.conj().T @ v, np.eye(len(w)), atol=1e-13)
    np.testing.assert_allclose((v * (values / scale)) @ v.conj().T, x / scale, atol=1e-12)


SMOOTH = {
    "cholesky": lambda a: np.sum(np.abs(LA.cholesky(a @ a.conj().T + np.eye(4)) * K) ** 3),
    "det": lambda a: np.real(LA.det(a)) + np.abs(LA.det(a)) ** 2,
    "slogdet": lambda a: LA.slogdet(a)[1] + np.imag(LA.slogdet(a)[0]),
    "eigvalsh": lambda a: np.sum(LA.eigvalsh(a + a.conj().T) ** 3 * np.arange(4)),
    "eigh": lambda a: np.sum(np.real(LA.eigh(a + a.conj().T)[1] * K)),
    "svdvals": lambda a: np.sum(LA.svdvals(a[:, :3]) ** 3),
    "pinv": lambda a: np.sum(np.abs(LA.pinv(a[:, :2]) * K[:2]) ** 2),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_finite_differences(name):
    """The gradient of a real loss is 2 dL / d(conj z): its parts are derivatives by parts."""
    f, step = SMOOTH[name], 1e-6
    value = rlxc.jit(f)
    got = rlxc.jit(rlxc.grad(f))(A)
    for at in [(0, 0), (1, 3), (2, 1)]:
        for unit in (1, 1j):
            moved = np.zeros_like(A)
            moved[at] = step * unit
            slope = (value(A + moved) - value(A - moved)) / (2 * step)
            np.testing.assert_allclose(np.real(np.conj(unit) * got[at]), slope, rtol=2e-6, atol=2e-7)
    if name not in ("det", "slogdet", "eigvalsh"):
        return
    along = lambda t: f(A + t * K)  # noqa: E731
    first = rlxc.jit(rlxc.grad(along))
    np.testing.assert_allclose(rlxc.jit(rlxc.grad(rlxc.grad(along)))(0.1), (first(0.1 + 1e-5) - first(0.1 - 1e-5)) / 2e-5, rtol=1e-5, atol=1e-5)


def test_matrices_without_a_result_are_nan():
    bad = np.full((2, 2), np.nan + 0j)
    for f in (LA.eigvalsh, lambda a: LA.eigh(a)[1], LA.det, LA.svdvals, LA.pinv):
        assert np.isnan(rlxc.jit(f)(bad)).all()
    low = rlxc.jit(LA.cholesky)(np.array([[1, 2j], [-2j, 1]]))
    assert np.isnan(low[np.tril_indices(2)]).all()
    assert low[0, 1] == 0
