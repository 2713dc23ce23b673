"""Linear algebra beside NumPy: shapes of all kinds, by the library and by loops; matrices that have no result; derivatives of whole functions."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import rlxc
from rlxc.ir.builder import make_op
from rlxc.ir.core import Func, Value
from rlxc.ir.primitive import lookup
from rlxc.ir.types import TensorType, dtype_of
from rlxc.passes.pipelines import make_pipeline
from rlxc.primitives.linalg import lapack
from rlxc.runtime.aot import Library
from rlxc.runtime.compile import native

RNG = np.random.default_rng(1)
WAYS = ["loops", pytest.param("library", marks=pytest.mark.skipif(not lapack.is_there(), reason="scipy is not there"))]
WITH_LIBRARY = ("cholesky", "eigh", "lu", "qr", "svd", "triangular_solve")


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Matrices of all sizes by loops, or by LAPACK."""
    for name in WITH_LIBRARY:
        monkeypatch.setattr(importlib.import_module(f"rlxc.primitives.linalg.{name}"), "SMALL", 0 if request.param == "library" else 1 << 20)
    monkeypatch.setenv("RLXC_CACHE", "0")
    return request.param


def spd(*shape):
    x = RNG.normal(size=shape)
    return x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])


def program(name, *arrays, **attrs):
    """A function that applies the op to arguments of the arrays' types."""
    args = tuple(Value(TensorType(dtype_of(a.dtype), a.shape), f"x{i}") for i, a in enumerate(arrays))
    one = make_op(lookup(name), args, attrs)
    return Func("f", args, (one,), one.results)


def op(name, *arrays, **attrs):
    """The op, compiled, on arrays."""
    return rlxc.compile(program(name, *arrays, **attrs))(*arrays)


def close(got, want, rtol=1e-10):
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * max(1.0, float(np.abs(want).max(initial=0))))


SIZES = [1, 2, 3, 6, 7, 20, 65]


@pytest.mark.parametrize("n", SIZES)
def test_cholesky_is_numpys(way, n):
    x = spd(n, n)
    close(op("cholesky", x), np.linalg.cholesky(x))
    close(op("cholesky", x.astype(np.float32)), np.linalg.cholesky(x), 1e-4)


@pytest.mark.parametrize("shape", [(0, 0), (2, 3, 4, 4), (0, 3, 3), (5, 1, 1)])
def test_cholesky_of_batches(way, shape):
    x = spd(*shape)
    close(op("cholesky", x), np.linalg.cholesky(x))


def test_cholesky_of_what_is_not_positive_definite_is_nan_below_the_diagonal(way):
    x = np.stack([np.eye(3), np.diag([1.0, -1.0, 2.0]), np.zeros((3, 3)), np.diag([1.0, 1.0, np.nan])])
    low = np.tril(np.full((3, 3), np.nan))
    want = np.stack([np.eye(3), low, low, low])
    np.testing.assert_array_equal(op("cholesky", x), want)
    np.testing.assert_array_equal(rlxc.interpret(program("cholesky", x), x), want)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (20, 20), (9, 5), (5, 9), (65, 65), (2, 3, 6, 4), (0, 0), (3, 0), (0, 3), (2, 0, 2)])
def test_lu_gives_the_matrix_back(way, shape):
    x = RNG.normal(size=shape)
    lu, pivots, permutation = op("lu", x)
    want = rlxc.interpret(program("lu", x), x)
    close(lu, want[0])
    np.testing.assert_array_equal(pivots, want[1])
    np.testing.assert_array_equal(permutation, want[2])
    k = min(shape[-2:])
    low = np.tril(lu[..., :k], -1) + np.eye(shape[-2], k)
    close(low @ np.triu(lu[..., :k, :]), np.take_along_axis(x, permutation[..., None], -2))


def test_lu_of_a_singular_matrix_has_a_zero_on_the_diagonal(way):
    lu, _, _ = op("lu", np.array([[4.0, 2.0, 0.0], [2.0, 1.0, 1.0], [4.0, 2.0, 3.0]]))
    assert lu[1, 1] == 0
    assert np.isfinite(lu).all()


@pytest.mark.parametrize("n", [3, 13])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("unit", [False, True])
def test_triangular_solve_in_all_its_forms(way, lower, transposed, unit, right, n):
    a = RNG.normal(size=(2, n, n)) / 3 + 2 * np.eye(n)
    t = np.tril(a) if lower else np.triu(a)
    t = t - t * np.eye(n) + np.eye(n) if unit else t
    t = np.swapaxes(t, -1, -2) if transposed else t
    for k in (1, 5, 17):
        b = RNG.normal(size=(2, k, n) if right else (2, n, k))
        want = b @ np.linalg.inv(t) if right else np.linalg.inv(t) @ b
        flags = {"lower": lower, "transposed": transposed, "unit": unit, "right": right}
        close(op("triangular_solve", a, b, **flags), want, 1e-9)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("k", [None, 1, 6, 40])
def test_solve_is_numpys(way, n, k):
    a, b = RNG.normal(size=(n, n)) + 2 * np.eye(n), RNG.normal(size=n if k is None else (n, k))
    close(op("solve", a, b), np.linalg.solve(a, b), 1e-8)


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3, 3), (3,)), ((3, 3), (4, 3, 2)), ((2, 1, 3, 3), (5, 3, 1)), ((0, 0), (0, 2)), ((0, 0), (0,)), ((2, 0, 0), (2, 0, 3))]
)
def test_solve_broadcasts(way, a, b):
    x, y = RNG.normal(size=a), RNG.normal(size=b)
    want = np.linalg.solve(x, y[..., None])[..., 0] if len(b) == 1 else np.linalg.solve(x, y)
    close(op("solve", x, y), want, 1e-8)


def test_solving_with_a_singular_matrix_gives_no_finite_numbers(way):
    x = op("solve", np.array([[1.0, 2.0], [2.0, 4.0]]), np.array([1.0, 1.0]))
    assert not np.isfinite(x).any()
    assert not np.isfinite(op("inv", np.zeros((2, 2)))).any()


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (65, 65), (2, 3, 5, 5), (0, 0), (2, 0, 0)])
def test_inverse_and_determinants_are_numpys(way, shape):
    x = RNG.normal(size=shape) + np.eye(shape[-1])
    close(op("inv", x), np.linalg.inv(x), 1e-7)
    close(op("det", x), np.linalg.det(x), 1e-8)
    for got, want in zip(op("slogdet", x), np.linalg.slogdet(x), strict=True):
        close(got, want, 1e-8)


@pytest.mark.parametrize(
    "rows", [[[0.0]], [[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], 3 * [[1.0, 2.0, 3.0]]]
)
def test_the_derivative_of_a_small_determinant_is_the_adjugate_of_singular_matrices_too(rows):
    x = np.array(rows)
    n = len(x)
    cofactors = [[(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(n)] for i in range(n)]
    np.testing.assert_allclose(rlxc.grad(np.linalg.det)(x), cofactors, atol=1e-13)
    second = rlxc.hessian(np.linalg.det)(x)
    for k in range(n):  # it is linear in each row
        np.testing.assert_array_equal(second[k, :, k, :], 0)
    if n > 1:
        assert np.isfinite(second).all()
        assert n == 3 or np.count_nonzero(second) == 4


def test_determinants_of_singular_matrices(way):
    x = np.array([[1.0, 2.0], [2.0, 4.0]])
    assert op("det", x) == 0
    assert [float(v) for v in op("slogdet", x)] == [0.0, -np.inf]


@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 30.0, 1e3])
def test_expm_is_the_power_series(way, scale):
    scipy_linalg = pytest.importorskip("scipy.linalg")
    x = RNG.normal(size=(3, 4, 4)) * scale
    x -= x.swapaxes(-1, -2)  # so that exponentials stay small
    close(op("expm", x), scipy_linalg.expm(x), 1e-9 * max(scale, 1))


@pytest.mark.parametrize("scale", [0.1, 4.0])
def test_expm_of_one_large_matrix_squares_no_more_than_it_must(scale):
    scipy_linalg = pytest.importorskip("scipy.linalg")
    x = RNG.normal(size=(20, 20)) * scale / 4
    func = program("expm", x)
    assert sum(o.prim.name == "cond" for o in rlxc.run_passes(func.as_module(), "legalize").funcs[0].ops) == 16
    close(rlxc.compile(func)(x), scipy_linalg.expm(x), 1e-10)
    close(rlxc.interpret(func, x), scipy_linalg.expm(x), 1e-10)
    gradient = rlxc.compile(rlxc.grad_with_loss(func))(x, seed := RNG.normal(size=x.shape))[1]
    close(gradient, scipy_linalg.expm_frechet(x.T, seed, compute_expm=False), 1e-9)  # the adjoint of the derivative at x
    several = rlxc.compile(rlxc.bind(rlxc.vmap(func), N=2))(np.stack([x, -x]))
    close(several, np.stack([scipy_linalg.expm(x), scipy_linalg.expm(-x)]), 1e-10)


def test_expm_beyond_its_squarings_is_nan():
    assert np.isnan(op("expm", np.eye(2) * 100, squarings=2)).all()


def test_a_matrix_that_is_computed_on_the_way_is_factorized():
    """Transposes and slices are drawn into kernels; the library needs them in memory."""
    n = 40
    text = f"""func @f(%x: f64[2, {n}, {n}], %b: f64[{n}, 3]) -> f64[{n}, 3] {{
      %s = slice %x {{start = [1, 0, 0], stop = [2, {n}, {n}]}}
      %r = reshape %s {{shape = [{n}, {n}]}}
      %t = transpose %r {{perm = [1, 0]}}
      %y = triangular_solve %t, %b {{lower = true}}
      %z = solve %t, %y
      return %z
    }}"""
    x, b = RNG.normal(size=(2, n, n)) / 9 + 3 * np.eye(n), RNG.normal(size=(n, 3))
    close(rlxc.compile(text)(x, b), np.linalg.solve(x[1].T, np.linalg.solve(np.tril(x[1].T), b)), 1e-8)


SHAPES = [(1, 1), (4, 4), (20, 20), (9, 5), (5, 9), (40, 3), (3, 40), (2, 3, 6, 4), (0, 0), (3, 0), (0, 3), (2, 0, 2), (70, 70), (90, 66), (66, 90)]


@pytest.mark.parametrize("shape", SHAPES)
def test_qr_is_numpys(way, shape):
    x = RNG.normal(size=shape)
    q, r = op("qr", x)
    for got, want in zip((q, r), np.linalg.qr(x), strict=True):
        close(got, want, 1e-9)


def test_qr_of_what_is_triangular_already_reflects_nothing(way):
    x = np.array([[2.0, 1.0, 3.0], [0.0, -3.0, 1.0], [0.0, 0.0, -1.0]])
    q, r = op("qr", x)
    np.testing.assert_array_equal(q, np.eye(3))
    np.testing.assert_array_equal(r, x)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 30, 70])
def test_eigh_diagonalizes(way, n):
    x = RNG.normal(size=(2, n, n))
    x += x.swapaxes(-1, -2)
    w, v = op("eigh", x)
    close(w, np.linalg.eigvalsh(x))
    close(op("eigvalsh", x), np.linalg.eigvalsh(x))
    close(v @ (w[..., None] * v.swapaxes(-1, -2)), x)
    close(v.swapaxes(-1, -2) @ v, np.broadcast_to(np.eye(n), x.shape))
    close(np.abs(v), np.abs(np.linalg.eigh(x)[1]), 1e-7)
    interpreted = rlxc.interpret(program("eigh", x), x)
    close(v, interpreted[1], 1e-7)  # signs and all


def test_eigh_of_equal_eigenvalues_still_gives_orthonormal_vectors(way):
    q, _ = np.linalg.qr(RNG.normal(size=(12, 12)))
    x = q @ np.diag([1.0] * 5 + [2.0] * 7) @ q.T
    w, v = op("eigh", x)
    close(v @ np.diag(w) @ v.T, (x + x.T) / 2)
    close(v.T @ v, np.eye(12))


@pytest.mark.parametrize("shape", SHAPES)
def test_svd_gives_the_matrix_back(way, shape):
    x = RNG.normal(size=shape)
    u, s, vh = op("svd", x)
    k = min(shape[-2:])
    close(s, np.linalg.svd(x, compute_uv=False))
    close(op("singular_values", x), np.linalg.svd(x, compute_uv=False))
    close((u * s[..., None, :]) @ vh, x)
    for one in (u.swapaxes(-1, -2) @ u, vh @ vh.swapaxes(-1, -2)):
        close(one, np.broadcast_to(np.eye(k), one.shape))
    for got, want in zip((u, vh), rlxc.interpret(program("svd", x), x)[::2], strict=True):
        close(got, want, 1e-6)  # signs and all


@pytest.mark.parametrize("shape", [(4, 4), (12, 5), (5, 12)])
@pytest.mark.parametrize("rank", [0, 1, 3])
def test_svd_of_deficient_matrices_still_has_orthonormal_vectors(way, shape, rank):
    x = RNG.normal(size=(shape[0], rank)) @ RNG.normal(size=(rank, shape[1]))
    u, s, vh = op("svd", x)
    close((u * s) @ vh, x)
    close(u.T @ u, np.eye(min(shape)))
    close(vh @ vh.T, np.eye(min(shape)))


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("n", [3, 9])
def test_the_scale_of_a_matrix_does_not_matter(way, n, scale):
    """Nothing over- or underflows where elements are squared."""
    x = RNG.normal(size=(n, n))
    x += x.T
    q, r = op("qr", x * scale)
    close((q @ r) / scale, x)
    close(q.T @ q, np.eye(n))
    w, v = op("eigh", x * scale)
    close(w / scale, np.linalg.eigvalsh(x))
    close(v.T @ v, np.eye(n))
    close(op("eigvalsh", x * scale) / scale, w / scale)
    u, s, vh = op("svd", x * scale)
    close((u * (s / scale)) @ vh, x)
    close(op("singular_values", x * scale) / scale, np.linalg.svd(x, compute_uv=False))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_decompositions_of_what_is_not_finite_are_nan(way, bad):
    x = np.eye(10)
    x[3, 3] = bad
    for name in ("eigh", "svd", "eigvalsh", "singular_values"):
        results = op(name, x)
        for v in results if isinstance(results, list | tuple) else [results]:
            assert np.isnan(v).all(), name


GAUSSIAN_PROCESS = """
func @likelihood(%x: f64[N, 2], %y: f64[N], %scale: f64[], %noise: f64[]) -> f64[] {
  %a = expand_dims %x {axes = [1]}
  %b = expand_dims %x {axes = [0]}
  %d = sub %a, %b
  %e = div %d, %scale
  %q = mul %e, %e
  %s = reduce_sum %q {axes = [2]}
  %half = constant dense<-0.5> : f64[]
  %h = mul %s, %half
  %k = exp %h
  %i = iota {axis = 0} : i32[N, N]
  %j = iota {axis = 1} : i32[N, N]
  %on = eq %i, %j
  %zero = constant dense<0.0> : f64[]
  %n = select %on, %noise, %zero
  %cov = add %k, %n
  %l = cholesky %cov
  %c = expand_dims %y {axes = [1]}
  %w = triangular_solve %l, %c {lower = true}
  %ww = mul %w, %w
  %fit = reduce_sum %ww {axes = [0, 1]}
  %sign, %size = slogdet %cov
  %sum = add %fit, %size
  return %sum
}
"""


def likelihood(x, y, scale, noise):
    d = (x[:, None] - x[None]) / scale
    cov = np.exp(-0.5 * (d * d).sum(-1)) + noise * np.eye(len(x))
    return y @ np.linalg.solve(cov, y) + np.linalg.slogdet(cov)[1]


def test_a_gaussian_process_and_its_gradient():
    n = 12
    func = rlxc.bind(rlxc.parse(GAUSSIAN_PROCESS)["likelihood"], N=n)
    x, y, scale, noise = RNG.normal(size=(n, 2)), RNG.normal(size=n), np.array(0.8), np.array(0.3)
    value, dx, dy, dscale, dnoise = rlxc.compile(rlxc.value_and_grad(func))(x, y, scale, noise)
    close(value, likelihood(x, y, scale, noise), 1e-11)
    h = 1e-5
    for name, got in (("scale", dscale), ("noise", dnoise)):
        at = {"scale": scale, "noise": noise}
        ahead, behind = (likelihood(x, y, **{**at, name: at[name] + s * h}) for s in (1, -1))
        close(got, (ahead - behind) / (2 * h), 1e-7)
    direction = RNG.normal(size=x.shape), RNG.normal(size=y.shape)
    ahead, behind = (likelihood(x + s * h * direction[0], y + s * h * direction[1], scale, noise) for s in (1, -1))
    close((dx * direction[0]).sum() + dy @ direction[1], (ahead - behind) / (2 * h), 1e-7)


def test_the_gradient_of_solve_factorizes_once():
    func = rlxc.parse("func @f(%a: f64[30, 30], %b: f64[30]) -> f64[] { %x = solve %a, %b %s = mul %x, %x %t = reduce_sum %s {axes = [0]} return %t }")["f"]
    gradient = rlxc.run_passes(rlxc.value_and_grad(func).as_module(), "legalize,simplify,cse,dce").funcs[0]
    names = [o.prim.name for o in gradient.ops]
    assert names.count("lu") == 1
    assert names.count("lu_solve") == 2
    a, b = RNG.normal(size=(30, 30)) + 6 * np.eye(30), RNG.normal(size=30)
    _, da, db = rlxc.compile(rlxc.value_and_grad(func))(a, b)
    x = np.linalg.solve(a, b)
    y = np.linalg.solve(a.T, 2 * x)
    close(db, y)
    close(da, -np.outer(y, x))


def test_right_sides_of_a_batch_stand_side_by_side():
    """A Jacobian by vmap solves once, for all columns."""
    func = rlxc.trace(rlxc.jacrev(lambda a, b: np.linalg.solve(a, b), argnums=1), "f64[6, 6]", "f64[6]")
    legal = rlxc.run_passes(func.as_module(), "legalize,simplify,cse,dce").funcs[0]
    solves = [o for o in legal.ops if o.prim.name == "lu_solve"]
    assert all(o.operands[0].type.shape == (6, 6) for o in solves)
    a = RNG.normal(size=(6, 6)) + 3 * np.eye(6)
    close(rlxc.compile(func)(a, np.ones(6)), np.linalg.inv(a))


def test_a_library_for_others_needs_no_lapack():
    func = rlxc.parse("func @f(%a: f64[40, 40], %b: f64[40]) -> f64[40] { %x = solve %a, %b return %x }")["f"]
    assert Library("solver", (func,)).emitted.foreign == ()
    if lapack.is_there():
        assert any("getrf" in prototype for prototype in native(func).emitted.foreign)


def test_without_scipy_code_of_another_process_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(importlib.import_module("sys").modules, "scipy.linalg", None)
    with pytest.raises(rlxc.MissingExtra, match=r"native code that calls dpotrf needs the package scipy"):
        assert rlxc.foreign("void test_dpotrf(ptr, ptr, ptr, ptr, ptr)", lapack.ROUTINES["dpotrf"].source).address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func @f(%x: f64[3, 2]) -> f64[3, 2] { %y = cholesky %x return %y }", "cholesky takes square matrices"),
        ("func @f(%x: f64[3]) -> f64[3] { %y = inv %x return %y }", "inv takes matrices"),
        ("func @f(%x: f16[3, 3]) -> f16[] { %y = det %x return %y }", "det does not take f16"),
        ("func @f(%x: f64[3, 3], %b: f64[2]) -> f64[2] { %y = solve %x, %b return %y }", "does not fit"),
        ("func @f(%x: f64[2, 3, 3], %b: f64[3, 1]) -> f64[3, 1] { %y = triangular_solve %x, %b return %y }", "leading axes differ"),
    ],
)
def test_wrong_operands_are_errors(text, message):
    with pytest.raises(rlxc.Error, match=message):
        rlxc.parse(text)


def test_loops_are_lowered_the_same_every_time():
    module = rlxc.parse("func @f(%x: f64[9, 9]) -> f64[9, 9] { %y = inv %x return %y }")
    first, second = (str(make_pipeline("legalize,simplify,cse,dce,fuse,lower{bytes = 32}").run(module)) for _ in range(2))
    assert first == second
