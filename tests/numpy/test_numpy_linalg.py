"""`np.linalg` on traced arrays: what NumPy gives, and derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import rlxc
import rlxc.numpy as rnp

RNG = np.random.default_rng(3)
A = RNG.normal(size=(4, 4)) + 2 * np.eye(4)
SPD = A @ A.T + np.eye(4)
TALL, B = RNG.normal(size=(5, 3)), RNG.normal(size=(4, 2))
BATCH = np.stack([A, A.T + 1])


def up_to_sign(x):
    return np.abs(x)


SAME = [
    (np.linalg.cholesky, (SPD,)),
    (lambda a: np.linalg.cholesky(a, upper=True), (SPD,)),
    (np.linalg.solve, (A, B)),
    (np.linalg.solve, (A, B[:, 0])),
    (np.linalg.solve, (BATCH, B)),
    (np.linalg.inv, (BATCH,)),
    (np.linalg.det, (BATCH,)),
    (lambda a: np.linalg.slogdet(a).logabsdet, (BATCH,)),
    (lambda a: np.linalg.qr(a).R, (TALL,)),
    (lambda a: np.linalg.qr(a, mode="r"), (TALL,)),
    (lambda a: np.linalg.qr(a)[0], (TALL.T,)),
    (lambda a: np.linalg.eigh(a + a.T).eigenvalues, (A,)),
    (lambda a: up_to_sign(np.linalg.eigh(a + a.T)[1]), (A,)),
    (lambda a: np.linalg.eigvalsh(a + a.T), (A,)),
    (lambda a: np.linalg.svd(a, full_matrices=False).S, (TALL,)),
    (lambda a: up_to_sign(np.linalg.svd(a)[0]), (A,)),
    (lambda a: np.linalg.svd(a, compute_uv=False), (TALL,)),
    (np.linalg.svdvals, (BATCH,)),
    (np.linalg.pinv, (TALL,)),
    (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], (TALL, RNG.normal(size=5))),
    (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[1], (TALL, RNG.normal(size=5))),
    (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[1], (TALL, RNG.normal(size=(5, 2)))),
    (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[1], (TALL.T, RNG.normal(size=3))),
    (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[3], (TALL, RNG.normal(size=(5, 2)))),
    (np.linalg.matrix_rank, (np.outer(np.arange(3.0), np.ones(4)),)),
    (np.linalg.cond, (A,)),
    (lambda a: np.linalg.cond(a, 1), (A,)),
    (lambda a: np.linalg.matrix_power(a, 5), (A,)),
    (lambda a: np.linalg.matrix_power(a, 0), (A,)),
    (lambda a: np.linalg.matrix_power(a, -2), (A,)),
    (lambda a, b: np.linalg.multi_dot([b.T, a, a, b]), (A, B)),
    (lambda a, b: np.linalg.multi_dot([b[:, 0], a, b]), (A, B)),
    (lambda a: np.linalg.norm(a, 2), (TALL,)),
    (lambda a: np.linalg.norm(a, -2, keepdims=True), (TALL,)),
    (lambda a: np.linalg.norm(a, "nuc", axis=(2, 0)), (RNG.normal(size=(3, 2, 4)),)),
    (np.linalg.matrix_norm, (BATCH,)),
    (np.linalg.vector_norm, (BATCH,)),
    (lambda a: np.linalg.vector_norm(a, axis=(0, 2), keepdims=True), (BATCH,)),
    (np.linalg.diagonal, (BATCH,)),
    (np.linalg.trace, (BATCH,)),
    (np.linalg.matmul, (BATCH, B)),
    (np.linalg.outer, (A[0], A[1])),
    (np.linalg.vecdot, (A, A.T.copy())),
    (np.linalg.cross, (A[:, :3], TALL[:4])),
    (np.linalg.tensorinv, (RNG.normal(size=(2, 3, 6)),)),
    (lambda a: np.linalg.tensorinv(a, ind=1), (RNG.normal(size=(6, 2, 3)),)),
    (np.linalg.tensorsolve, (RNG.normal(size=(2, 3, 6)), RNG.normal(size=(2, 3)))),
    (lambda a, b: np.linalg.tensorsolve(a, b, axes=(0, 2)), (RNG.normal(size=(2, 6, 3)), RNG.normal(size=6))),
]


@pytest.mark.parametrize("number", range(len(SAME)))
def test_it_is_numpys(number):
    f, arrays = SAME[number]
    got, want = rlxc.jit(f)(*arrays), f(*arrays)
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_results_have_numpys_names():
    values, vectors = rlxc.jit(lambda a: np.linalg.eigh(a))(SPD)
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, SPD, rtol=1e-10)
    assert rlxc.jit(lambda a: np.linalg.svd(a))(SPD)._fields == ("U", "S", "Vh")


SMOOTH = [
    lambda a: np.linalg.slogdet(a)[1],
    lambda a: np.linalg.det(a),
    lambda a: np.sum(np.linalg.inv(a) ** 2),
    lambda a: np.sum(np.sin(np.linalg.solve(a, B))),
    lambda a: np.sum(np.linalg.cholesky(a @ a.T + np.eye(4)) ** 3),
    lambda a: np.sum(np.linalg.eigh(a + a.T)[0] ** 3),
    lambda a: np.sum(np.linalg.eigvalsh(a + a.T)[:2]),
    lambda a: np.linalg.norm(a[:, :3], "nuc"),
    lambda a: np.linalg.norm(a, 2),
    lambda a: np.sum(np.abs(np.linalg.qr(a[:, :2])[1]) ** 3),
    lambda a: np.sum(np.linalg.pinv(a[:, :2]) ** 2),
    lambda a: np.sum(np.linalg.lstsq(a[:, :2], B, rcond=None)[0] ** 2),
    lambda a: np.sum(np.abs(np.linalg.svd(a[:3], full_matrices=False)[2]) ** 3),
    lambda a: np.sum(np.linalg.matrix_power(a, 3)),
    lambda a: np.sum(rnp.linalg.expm(a / 4) ** 2),
    lambda a: np.sum(rnp.linalg.solve_triangular(a, B, lower=True, trans=1) ** 2),
]


@pytest.mark.parametrize("number", range(len(SMOOTH)))
def test_gradients_are_finite_differences(number):
    f = SMOOTH[number]
    got = rlxc.grad(f)(A)
    h, want = 1e-5, np.zeros_like(A)
    for i in range(4):
        for j in range(4):
            step = np.zeros_like(A)
            step[i, j] = h
            want[i, j] = (f(A + step) - f(A - step)) / (2 * h)
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6 * np.abs(want).max())


def test_functions_beside_numpys_take_arrays_too():
    scipy_linalg = pytest.importorskip("scipy.linalg")
    np.testing.assert_allclose(rnp.linalg.expm(A), scipy_linalg.expm(A), rtol=1e-12)
    np.testing.assert_allclose(rnp.linalg.solve_triangular(A, B[:, 0], lower=True), scipy_linalg.solve_triangular(A, B[:, 0], lower=True), rtol=1e-12)


def test_float32_stays_and_integers_become_f64():
    assert rlxc.jit(np.linalg.inv)(A.astype(np.float32)).dtype == np.float32
    assert rlxc.jit(np.linalg.det)(np.eye(3, dtype=np.int64)).dtype == np.float64


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda a: np.linalg.svd(a), "full_matrices=True"),
        (lambda a: np.linalg.qr(a, mode="complete"), "mode='complete'"),
        (lambda a: np.linalg.inv(a), "inv takes square matrices"),
        (lambda a: np.linalg.qr(a[0]), "two axes or more"),
    ],
)
def test_what_is_not_there_is_named_with_its_place(f, message):
    with pytest.raises(rlxc.Error, match=message) as caught:
        rlxc.jit(f)(TALL)
    assert caught.value.loc.file == __file__


def test_a_factorization_of_each_of_a_batch_by_vmap():
    x = RNG.normal(size=(3, 4, 4)) + 3 * np.eye(4)
    got = rlxc.vmap(rlxc.grad(lambda a: np.linalg.slogdet(a)[1]))(x)
    np.testing.assert_allclose(got, np.linalg.inv(x).swapaxes(-1, -2), rtol=1e-9, atol=1e-10)


def stiff(m, y):
    """dy/dt of a nonlinear system, and its Jacobian."""
    return m @ y - 0.1 * y**3, m - np.diag(np.ones(3)) * (0.3 * y**2)


def test_backward_euler_with_a_solve_in_the_loop():
    """Each step is implicit: two iterations of Newton's method, each of which solves with the Jacobian. Gradients go through all of it."""
    m = np.array([[-3.0, 2.0, 0.3], [-2.0, -40.0, 0.1], [0.2, -0.4, -0.5]])
    start, h, steps = np.array([1.0, 0.5, -0.3]), 0.02, 60

    def step(m, y):
        z = y
        for _ in range(2):
            slope, jacobian = stiff(m, z)
            z = z - np.linalg.solve(np.eye(3) - h * jacobian, z - y - h * slope)
        return z

    def last(m, y):
        y, _ = rlxc.scan(lambda y, _: (step(m, y), None), y, None, length=steps)
        return np.sum(y**2)

    def unrolled(m, y):
        for _ in range(steps):
            y = step(m, y)
        return np.sum(y**2)

    value, (dm, dy) = rlxc.value_and_grad(last, argnums=(0, 1))(m, start)
    np.testing.assert_allclose(value, unrolled(m, start), rtol=1e-12)
    np.testing.assert_allclose(dm, differences(lambda x: unrolled(x, start), m), atol=1e-7)
    np.testing.assert_allclose(dy, differences(lambda x: unrolled(m, x), start), atol=1e-7)


def test_linear_backward_euler_is_its_closed_form():
    m, h, steps = np.array([[-1.0, 2.0], [-2.0, -1.0]]), 0.01, 500
    end = rlxc.jit(lambda y: rlxc.scan(lambda y, _: (np.linalg.solve(np.eye(2) - h * m, y), None), y, None, length=steps)[0])
    y = np.array([1.0, -0.5])
    np.testing.assert_allclose(end(y), np.linalg.matrix_power(np.linalg.inv(np.eye(2) - h * m), steps) @ y, rtol=1e-11)


def differences(f, x, h=1e-5):
    """The gradient by central differences of the fourth order."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        out[i] = (8 * (f(x + step) - f(x - step)) - (f(x + 2 * step) - f(x - 2 * step))) / (12 * h)
    return out


def test_complex_systems_and_their_gradients():
    z = A + 1j * BATCH[1] / 3
    f = rlxc.jit(lambda a, b: (np.linalg.solve(a, b), np.linalg.inv(a), rnp.linalg.expm(a / 4)))
    for got, want in zip(f(z, B), (np.linalg.solve(z, B), np.linalg.inv(z), rnp.linalg.expm(z / 4)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10)

    def of_planes(x, y):
        solved = np.linalg.solve(x + 1j * y, B)
        return np.sum(np.abs(solved) ** 2)

    dx, dy = rlxc.grad(of_planes, argnums=(0, 1))(z.real.copy(), z.imag.copy())
    np.testing.assert_allclose(dx, differences(lambda x: of_planes(x, z.imag), z.real.copy()), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(dy, differences(lambda y: of_planes(z.real, y), z.imag.copy()), rtol=1e-7, atol=1e-8)


def test_the_derivative_of_eigenvectors_of_equal_eigenvalues_is_not_finite():
    assert not np.isfinite(rlxc.grad(lambda a: np.sum(np.linalg.eigh(a)[1] ** 3))(np.eye(2))).all()
    np.testing.assert_allclose(rlxc.grad(lambda a: np.sum(np.linalg.eigh(a)[0] ** 2))(2 * np.eye(2)), 4 * np.eye(2))


def test_eager_tensors_take_them_too():
    a = rlxc.eager.tensor(A, requires_grad=True)
    y = np.linalg.slogdet(a)[1] + np.sum(np.linalg.solve(a, B) ** 2)
    y.backward()
    want = rlxc.grad(lambda a: np.linalg.slogdet(a)[1] + np.sum(np.linalg.solve(a, B) ** 2))(A)
    np.testing.assert_allclose(np.asarray(a.grad), want, rtol=1e-12)
