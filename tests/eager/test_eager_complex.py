"""Complex numbers on the tape: the adjoint for <a, b> = Re(conj(a) b)."""

import numpy as np
import pytest

from rlxc import eager


def slope(f, z, seed=None):
    """The gradient of f at z, for a seed."""
    z = eager.tensor(np.array(z), requires_grad=True)
    f(z).backward(seed=None if seed is None else np.array(seed, complex))
    return np.asarray(z.grad.numpy())


def test_the_stated_values():
    assert slope(np.conj, 0.3 + 2j, 1 + 1j) == 1 - 1j
    assert slope(lambda z: (2 + 1j) * z, 0.3 + 2j, 1) == 2 - 1j
    assert slope(lambda z: abs(z) ** 2, 1 + 2j) == pytest.approx(2 + 4j)


def test_a_transform_on_the_tape():
    z = np.array([1 + 2j, -0.5, 3j])
    np.testing.assert_allclose(slope(lambda z: np.sum(np.abs(np.fft.fft(z)) ** 2), z), 6 * z, atol=1e-13)
