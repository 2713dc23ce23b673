"""Complex numbers and Fourier transforms in NumPy functions that are traced."""

import numpy as np
import pytest

import rlxc
import rlxc.numpy as rnp

RNG = np.random.default_rng(3)
Z = RNG.normal(size=(3, 8)) + 1j * RNG.normal(size=(3, 8))
X = RNG.normal(size=(3, 8))


def check(f, *xs, rtol=1e-12):
    """What the compiled function gives is what NumPy gives, dtype included."""
    got, want = rlxc.jit(f)(*xs), f(*xs)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


TRANSFORMS = {
    "fft": lambda z: np.fft.fft(z),
    "fft of some, padded": lambda z: np.fft.fft(z, n=11, axis=0),
    "fft of fewer": lambda z: np.fft.fft(z, n=5, norm="ortho"),
    "ifft": lambda z: np.fft.ifft(z, axis=-2),
    "fft2": lambda z: np.fft.fft2(z, s=(4, 4)),
    "ifft2": lambda z: np.fft.ifft2(z, norm="forward"),
    "fftn": lambda z: np.fft.fftn(z),
    "ifftn": lambda z: np.fft.ifftn(z, axes=(0,)),
    "irfft": lambda z: np.fft.irfft(z),
    "irfft, odd": lambda z: np.fft.irfft(z, n=9),
    "irfftn": lambda z: np.fft.irfftn(z, s=(3, 6), axes=(0, 1), norm="ortho"),
    "hfft": lambda z: np.fft.hfft(z),
    "shift": lambda z: np.fft.ifftshift(np.fft.fftshift(z, axes=1)) * 2,
}
REAL_TRANSFORMS = {
    "fft": lambda x: np.fft.fft(x),
    "rfft": lambda x: np.fft.rfft(x),
    "rfft, odd": lambda x: np.fft.rfft(x, n=7, norm="forward"),
    "rfft along the first axis": lambda x: np.fft.rfft(x, axis=0),
    "rfft2": lambda x: np.fft.rfft2(x),
    "rfftn": lambda x: np.fft.rfftn(x, axes=(1, 0)),
    "ihfft": lambda x: np.fft.ihfft(x),
    "there and back": lambda x: np.fft.irfft(np.fft.rfft(x) * 2, n=8),
}


@pytest.mark.parametrize("f", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_transforms_are_numpys(f):
    check(f, Z)


@pytest.mark.parametrize("f", REAL_TRANSFORMS.values(), ids=REAL_TRANSFORMS.keys())
def test_transforms_of_real_numbers_are_numpys(f):
    check(f, X)


def test_names_stand_in_the_explicit_namespace():
    np.testing.assert_allclose(rlxc.jit(lambda x: rnp.fft.rfft(x))(X), np.fft.rfft(X))
    assert rnp.fft.fft(X).shape == X.shape


@pytest.mark.parametrize(
    "f",
    [
        np.real,
        np.imag,
        np.conj,
        np.abs,
        np.angle,
        np.exp,
        np.log,
        np.sqrt,
        np.sin,
        np.tanh,
        np.arcsinh,
        np.square,
        np.isfinite,
        np.isnan,
        np.isinf,
        np.iscomplex,
    ],
    ids=lambda f: f.__name__,
)
def test_functions_of_complex_numbers_are_numpys(f):
    check(lambda z: f(z), Z)


def test_arithmetic_of_complex_numbers_is_numpys():
    check(lambda z, x: (z * x + 1j) / (2 - z) - z**2, Z, X)
    check(lambda z, x: (z.conj() @ x.T).real, Z, X)
    check(lambda z: np.sum(z, axis=0) + np.mean(z) + np.prod(z, axis=0) + np.cumsum(z, axis=1)[0], Z)
    check(lambda z: np.einsum("ij,kj->ik", z, z.conj()), Z)
    check(lambda z: np.where(z.real > 0, z, 0) + z[:, ::-1] + np.concatenate([z[1:], z[:1]]), Z)
    check(lambda x: np.exp(1j * x.astype(np.float32)), X.astype(np.float32), rtol=1e-5)


def test_order_of_complex_numbers_is_refused():
    with pytest.raises(rlxc.Error, match="no order"):
        rlxc.jit(lambda z: np.max(z))(Z)
    with pytest.raises(rlxc.Error, match="does not take c128"):
        rlxc.jit(lambda z: z < 1)(Z)


def test_the_gradient_of_a_spectral_loss():
    target = np.fft.rfft(RNG.normal(size=8))

    def loss(x):
        return np.sum(np.abs(np.fft.rfft(x) - target) ** 2)

    x, h = RNG.normal(size=8), 1e-6
    want = [(loss(x + h * e) - loss(x - h * e)) / (2 * h) for e in np.eye(8)]
    np.testing.assert_allclose(rlxc.grad(loss)(x), want, rtol=1e-6)


def test_either_convention_for_gradients():
    assert rlxc.grad(lambda z: np.abs(z) ** 2)(1 + 2j) == pytest.approx(2 + 4j)
    assert rlxc.grad(lambda z: np.abs(z) ** 2, convention="jax")(1 + 2j) == pytest.approx(2 - 4j)
    for convention, want in (("adjoint", 2 - 1j), ("jax", 2 + 1j)):
        _, pull = rlxc.vjp(lambda z: (2 + 1j) * z, 0.3 + 2j, convention=convention)
        assert pull(1 + 0j) == (want,)


def test_gradients_go_through_loops_of_complex_carries():
    def loss(z, xs):
        last, _ = rlxc.scan(lambda c, x: (c * x, None), z, xs)
        return np.abs(last) ** 2

    z, xs = 1 + 1j, np.array([1j, 2, 3j])
    dz, dxs = rlxc.grad(loss, argnums=(0, 1))(z, xs)
    assert dz == pytest.approx(72 * z)
    np.testing.assert_allclose(dxs, 72 * 2 * xs / np.abs(xs) ** 2 * [1, 1, 1])


def test_the_gradient_by_a_complex_argument():
    def loss(z):
        return np.sum(np.abs(np.fft.fft(z)) ** 2)

    np.testing.assert_allclose(rlxc.grad(loss)(Z[0]), 2 * 8 * Z[0], rtol=1e-12)
