"""Derivatives of complex functions: the adjoint for <a, b> = Re(conj(a) b), and JAX's convention on request."""

import numpy as np
import pytest

import rlxc


def function(args, body, results):
    return rlxc.parse(f"func @f({args}) -> {results} {{ {body} }}")["f"]


def run(f, *xs):
    arrays = [np.asarray(x, a.type.dtype.numpy) for x, a in zip(xs, f.args, strict=True)]
    out = rlxc.interpret(f, *arrays)
    for got, want in zip(*((r if isinstance(r, tuple) else (r,)) for r in (rlxc.compile(f)(*arrays), out)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)
    return out


def pullback(f, seed, *xs, **options):
    """Cotangents of all arguments, for the cotangent `seed` of the result."""
    return run(rlxc.grad_with_loss(f, **options), *xs, seed)[1:]


CONJ = function("%z: c128[]", "%y = conj %z return %y", "c128[]")
TIMES_C = function("%z: c128[]", "%c = constant dense<(2.0, 1.0)> : c128[] %y = mul %c, %z return %y", "c128[]")
PRODUCT = function("%z: c128[], %w: c128[]", "%y = mul %z, %w return %y", "c128[]")
SQUARE = function("%z: c128[]", "%y = mul %z, %z return %y", "c128[]")
SQUARED_SIZE = function("%z: c128[]", "%a = abs %z %y = mul %a, %a return %y", "f64[]")
EXP = function("%z: c128[]", "%y = exp %z return %y", "c128[]")


def test_the_tangent_of_conj_is_the_conjugate():
    assert run(rlxc.jvp(CONJ), 3 - 1j, 1 + 1j) == (3 + 1j, 1 - 1j)


def test_the_cotangent_of_conj_is_the_conjugate():
    assert pullback(CONJ, 1 + 1j, 3 - 1j) == (1 - 1j,)


def test_the_transpose_of_a_product_conjugates_the_fixed_factor():
    assert pullback(TIMES_C, 1, 0.3 + 5j) == (2 - 1j,)
    assert run(rlxc.linear_transpose(TIMES_C), 1) == 2 - 1j


def test_the_product_rule_holds_for_two_complex_arguments():
    z, w, dz, dw = 1 + 2j, -0.5 + 1j, 0.25 - 1j, 2j
    assert run(rlxc.jvp(PRODUCT), z, w, dz, dw)[1] == dz * w + z * dw


def test_the_gradient_of_a_squared_size_is_twice_the_argument():
    assert run(rlxc.value_and_grad(SQUARED_SIZE), 1 + 2j)[1] == pytest.approx(2 + 4j, rel=1e-15)
    f = function("%z: c128[3]", "%c = conj %z %p = mul %z, %c %s = reduce_sum %p {axes = [0]} %y = real %s return %y", "f64[]")
    z = np.array([1 + 2j, -3j, 0.5])
    np.testing.assert_allclose(run(rlxc.grad(f), z), 2 * z, rtol=1e-14)


def test_a_step_against_the_gradient_descends():
    f = function("%z: c128[2]", "%e = tanh %z %a = abs %e %y = reduce_sum %a {axes = [0]} return %y", "f64[]")
    z = np.array([0.5 + 1j, -1 + 0.25j])
    value, slope = run(rlxc.value_and_grad(f), z)
    assert run(f, z - 1e-3 * slope) < value - 0.9e-3 * np.vdot(slope, slope).real


@pytest.mark.parametrize("seed", [1, 1j], ids=["real loss", "imaginary loss"])
def test_the_gradient_of_exp_is_that_of_finite_differences(seed):
    z, h = 0.3 - 0.7j, 1e-3

    def loss(at):
        return (np.conj(seed) * np.exp(at)).real

    def slope(along):
        return (8 * (loss(z + h * along) - loss(z - h * along)) - (loss(z + 2 * h * along) - loss(z - 2 * h * along))) / (12 * h)

    (got,) = pullback(EXP, seed, z)
    assert got == pytest.approx(slope(1) + 1j * slope(1j), rel=1e-10)
    assert got == pytest.approx(np.conj(np.exp(z)) * seed, rel=1e-14)


def test_jax_convention_does_not_conjugate():
    assert pullback(TIMES_C, 1, 0.3 + 5j, convention="jax") == (2 + 1j,)
    assert run(rlxc.linear_transpose(TIMES_C, convention="jax"), 1) == 2 + 1j
    assert run(rlxc.grad(SQUARED_SIZE, convention="jax"), 1 + 2j) == pytest.approx(2 - 4j, rel=1e-15)
    assert pullback(CONJ, 1 + 1j, 3 - 1j, convention="jax") == (1 - 1j,)
    (got,) = pullback(EXP, 1 + 2j, 0.3 - 0.7j, convention="jax")
    assert got == pytest.approx(np.exp(0.3 - 0.7j) * (1 + 2j), rel=1e-14)
    with pytest.raises(rlxc.Error, match="convention is one of"):
        rlxc.grad(SQUARED_SIZE, convention="torch")


def test_the_pullback_of_vjp_takes_either_convention():
    for convention, want in (("jax", 2 + 4j), ("adjoint", 2 - 4j)):
        split = rlxc.vjp(SQUARE, convention=convention)
        z = np.array(1 + 2j)
        results = rlxc.interpret(split.forward, z)
        assert run(split.pullback, *split.kept([z], results if isinstance(results, tuple) else (results,)), 1) == want


def test_a_second_derivative_forward_over_reverse():
    """The pullback of z² at ct = 1 is 2 conj(z), whose tangent along dz is 2 conj(dz)."""
    moved = rlxc.jvp(rlxc.grad_with_loss(SQUARE), ["z"])
    assert run(moved, 1 + 2j, 1, 0.5 - 1j)[-1] == 2 * (0.5 + 1j)


def test_the_hessian_of_a_real_loss_times_a_vector_is_real_linear():
    f = function("%z: c128[2]", "%s = mul %z, %z %r = real %s %y = reduce_sum %r {axes = [0]} return %y", "f64[]")
    v = np.array([1 + 1j, 2j])
    np.testing.assert_allclose(run(rlxc.hvp(f), np.array([1, 2j]), v), 2 * np.conj(v))


def test_the_gradient_of_abs_at_zero_is_zero():
    f = function("%z: c128[3]", "%a = abs %z %y = reduce_sum %a {axes = [0]} return %y", "f64[]")
    np.testing.assert_allclose(run(rlxc.grad(f), np.array([0, 3 + 4j, -2j])), [0, 0.6 + 0.8j, -1j])


def test_real_and_complex_meet_through_convert():
    """A real argument has a real cotangent."""
    f = function("%x: f64[2]", "%z = convert %x {dtype = c128} %c = constant dense<(1.0, 2.0)> : c128[2] %p = mul %z, %c return %p", "c128[2]")
    (dx,) = pullback(f, np.array([1, 1j]), np.array([3.0, 4.0]))
    assert dx.dtype == np.float64
    np.testing.assert_allclose(dx, [1, 2])


def test_a_complex_result_asks_for_a_seed():
    with pytest.raises(rlxc.Error, match="a gradient is that of a real number") as error:
        rlxc.value_and_grad(EXP)
    assert "grad_with_loss" in str(error.value)


def test_there_is_no_complex_jacobian():
    for transform in (rlxc.jacfwd, rlxc.jacrev):
        with pytest.raises(rlxc.Error, match="no array of numbers"):
            transform(EXP)


def test_loops_carry_complex_numbers():
    f = function(
        "%z: c128[], %x: c128[5]",
        """%last, %all = scan %z, %x {consts = 0, carries = 1, length = 5} do (%c: c128[], %e: c128[]) {
             %p = mul %c, %e
             yield %p, %p
           } : c128[], c128[5]
           %a = abs %last
           %b = abs %all
           %s = reduce_sum %b {axes = [0]}
           %y = add %a, %s
           return %y""",
        "f64[]",
    )
    rng = np.random.default_rng(0)
    z, x = 1 + 0.5j, rng.normal(size=5) + 1j * rng.normal(size=5)
    running = np.cumprod(np.concatenate([[z], x]))[1:]
    assert rlxc.interpret(f, np.array(z), x) == pytest.approx(np.abs(running).sum() + abs(running[-1]))
