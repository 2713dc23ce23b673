"""NumPy's functions on traced complex arrays."""

import ast

import numpy as np
import pytest

import rlxc

RNG = np.random.default_rng(0)
KNOWN = {
    "z": RNG.standard_normal((3, 4)) + 1j * RNG.standard_normal((3, 4)),
    "w": RNG.standard_normal((3, 4)) + 1j * RNG.standard_normal((3, 4)),
    "v": RNG.standard_normal(4) + 1j * RNG.standard_normal(4),
    "x": RNG.standard_normal((3, 4)),
    "ends": np.array([complex(a, b) for a in (-np.inf, -2.0, -0.0, 0.0, 1e-300, 1e300) for b in (-np.inf, -1.0, 0.0, 1e300)]),
}
EXPRESSIONS = """
z + w; z * x; z / w; z**2; z - 1j; abs(z); np.conj(z); z.conj(); np.real(z); z.imag; np.angle(z); np.exp(z); np.log(z); np.sqrt(z); np.sin(z); np.tanh(z)
np.square(z); np.reciprocal(z); np.sign(z); np.power(z, w); np.log10(z); np.sinc(z); np.sum(z, axis=0); np.mean(z, axis=1); np.var(z); np.std(z, axis=0)
np.prod(z, axis=1); np.cumsum(z, axis=1); np.cumprod(v); np.average(z); z @ w.T; np.dot(v, v); np.vdot(z, w); np.vecdot(z, w); np.inner(v, v); np.outer(v, v)
np.einsum('ij,kj->ik', z, w); np.tensordot(z, w); np.kron(z, w); np.cross(z[:, :3], w[:, :3]); np.linalg.norm(z); np.linalg.norm(v); np.convolve(v, v)
np.correlate(v, v, 'full'); np.cov(z); np.polyval(v, w); np.trapezoid(v); np.gradient(v); np.diff(z); np.where(x > 0, z, 0); np.concatenate([z, w])
np.stack([z, w]); z.T; z[1:, ::2]; np.diag(v); np.tril(z); np.roll(z, 1); np.flip(z); np.tile(v, 2); np.pad(v, 1); np.take(z, [0, 2], axis=1)
np.isnan(z); np.isfinite(z); np.isinf(z); np.isreal(z); np.iscomplex(z); np.allclose(z, z); np.isclose(z, w); z == w; np.any(z); np.count_nonzero(z)
np.array_equal(z, z); np.zeros_like(z); np.full_like(z, 1j); np.linspace(v, 1, 3); x.astype(complex); x * 1j; np.linalg.norm(v, 0)
np.log10(ends); np.sign(ends); np.linalg.vecdot(z, w); np.linalg.vecdot(z, w, axis=0); np.linalg.cross(z[:, :3], w[:, :3])
"""


@pytest.mark.parametrize("text", [t.strip() for line in EXPRESSIONS.strip().splitlines() for t in line.split(";")])
def test_numbers_shapes_and_dtypes_are_numpys(text):
    names = sorted({n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)} & KNOWN.keys())
    f = eval(f"lambda {', '.join(names)}: {text}", {"np": np})
    arrays = [KNOWN[n] for n in names]
    with np.errstate(all="ignore"):
        got, want = rlxc.interpret(rlxc.trace(f, *arrays), *arrays), np.asarray(f(*arrays))
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(np.real(got), np.real(want), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(np.imag(got), np.imag(want), rtol=1e-11, atol=1e-12)
