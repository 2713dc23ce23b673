"""Where a derivative is a matter of convention, this is ours."""

import math

import numpy as np
import pytest

import rlxc

INF = math.inf


def gradient(ad, body, x, args="%x: f64[{n}]", more=()):
    """Gradient of the sum of the result by %x."""
    n = len(x)
    f = ad.function(args.format(n=n), body + " return %y", f"f64[{n}]")
    primals = [x, *more]
    return ad.vjp(f, primals, [[1.0] * n], wrt=["x"])[0]


@pytest.mark.parametrize(
    ("body", "x", "want"),
    [
        ("%y = relu %x", [-1.0, 0.0, 2.0], [0.0, 0.0, 1.0]),
        ("%y = abs %x", [-1.0, 0.0, 2.0], [-1.0, 0.0, 1.0]),
        ("%y = sign %x", [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0]),
        ("%y = floor %x", [-1.5, 0.0, 2.0], [0.0, 0.0, 0.0]),
        ("%y = sqrt %x", [0.0, 4.0], [INF, 0.25]),
        ("%y = stop_gradient %x", [1.0, 2.0], [0.0, 0.0]),
        ("%z = constant dense<0.0> : f64[3] %y = max %x, %z", [-1.0, 0.0, 2.0], [0.0, 0.5, 1.0]),
        ("%z = constant dense<0.0> : f64[3] %y = min %x, %z", [-1.0, 0.0, 2.0], [1.0, 0.5, 0.0]),
        ("%lo = constant dense<-1.0> : f64[] %hi = constant dense<1.0> : f64[] %y = clamp %lo, %x, %hi", [-2.0, -1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]),
        ("%n = constant dense<2.0> : f64[3] %y = pow %x, %n", [0.0, -3.0, 2.0], [0.0, -6.0, 4.0]),
        ("%n = constant dense<3.0> : f64[2] %y = pow %x, %n", [0.0, -2.0], [0.0, 12.0]),
        ("%n = constant dense<0.0> : f64[2] %y = pow %x, %n", [0.0, 2.0], [0.0, 0.0]),
    ],
)
def test_corners_of_elementwise_ops(ad, body, x, want):
    assert gradient(ad, body, x) == want


def test_a_masked_cotangent_is_a_true_zero(ad):
    """select(x > 0, sqrt(x), 0) at 0 has the gradient 0, though that of sqrt is infinite there."""
    body = "%z = constant dense<0.0> : f64[2] %p = gt %x, %z %r = sqrt %x %y = select %p, %r, %z"
    assert gradient(ad, body, [0.0, 4.0]) == [0.0, 0.25]


def test_a_masked_cotangent_is_a_true_zero_through_a_chain(ad):
    body = "%z = constant dense<0.0> : f64[2] %p = gt %x, %z %r = sqrt %x %l = log %r %y = select %p, %l, %z"
    assert gradient(ad, body, [0.0, 1.0]) == [0.0, 0.5]


def test_a_masked_tangent_is_a_true_zero_forward(ad):
    f = ad.function("%x: f64[2]", "%z = constant dense<0.0> : f64[2] %p = gt %x, %z %r = sqrt %x %y = select %p, %r, %z return %y", "f64[2]")
    assert ad.jvp(f, [[0.0, 4.0]], [[1.0, 1.0]]) == [[0.0, 0.25]]


@pytest.mark.parametrize(
    ("op", "x", "want"), [("reduce_max", [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]), ("reduce_min", [1.0, 1.0, 3.0, 1.0], [1 / 3, 1 / 3, 0.0, 1 / 3])]
)
def test_ties_of_reductions_share_equally(ad, op, x, want):
    f = ad.function(f"%x: f64[{len(x)}]", f"%y = {op} %x {{axes = [0]}} return %y", "f64[]")
    np.testing.assert_allclose(ad.vjp(f, [x], [1.0])[0], want, rtol=1e-15)


@pytest.mark.parametrize(
    ("x", "want"),
    [([2.0, 3.0, 4.0], [12.0, 8.0, 6.0]), ([0.0, 3.0, 4.0], [12.0, 0.0, 0.0]), ([0.0, 3.0, 0.0], [0.0, 0.0, 0.0])],
)
def test_products_with_zeros_have_the_right_gradient(ad, x, want):
    f = ad.function("%x: f64[3]", "%y = reduce_prod %x {axes = [0]} return %y", "f64[]")
    assert ad.vjp(f, [x], [1.0])[0] == want


def test_the_gradient_of_pow_by_the_exponent_is_no_nan_for_a_base_of_zero(ad):
    f = ad.function("%x: f64[2], %n: f64[2]", "%y = pow %x, %n return %y", "f64[2]")
    _, dn = ad.vjp(f, [[0.0, 2.0], [2.0, 3.0]], [[1.0, 1.0]])
    np.testing.assert_allclose(dn, [0.0, 8 * math.log(2)])


def test_atan2_and_hypotenuse_at_the_origin_do_not_raise(ad):
    f = ad.function("%y: f64[], %x: f64[]", "%a = atan2 %y, %x return %a", "f64[]")
    assert len(ad.vjp(f, [0.0, 0.0], [1.0])) == 2


def test_empty_sums_have_empty_gradients(ad):
    f = ad.function("%x: f64[0]", "%e = exp %x %y = reduce_sum %e {axes = [0]} return %y", "f64[]")
    assert ad.vjp(f, [[]], [1.0]) == [[]]


def test_a_gather_with_repeated_indices_adds_up(ad):
    f = ad.function("%x: f64[3]", "%i = constant dense<[1, 1, 2, 1]> : i64[4] %y = take %x, %i {axis = 0} return %y", "f64[4]")
    assert ad.vjp(f, [[1.0, 2.0, 3.0]], [[1.0, 10.0, 100.0, 1000.0]])[0] == [0.0, 1011.0, 100.0]


def test_a_conversion_between_floats_passes_the_gradient_in_the_arguments_dtype(ad):
    f = ad.function("%x: f32[2]", "%a = convert %x {dtype = f64} %b = mul %a, %a return %b", "f64[2]")
    g = rlxc.grad_with_loss(f)
    assert str(g.results[1].type) == "f32[2]"
    assert ad.run(g, [1.0, 2.0], [1.0, 1.0])[1] == [2.0, 4.0]


def test_a_conversion_to_integers_stops_the_gradient(ad):
    f = ad.function("%x: f64[2]", "%a = convert %x {dtype = i32} %b = convert %a {dtype = f64} return %b", "f64[2]")
    assert ad.vjp(f, [[1.5, 2.5]], [[1.0, 1.0]])[0] == [0.0, 0.0]


def test_a_masked_product_with_an_infinite_factor_has_gradient_zero():
    f = rlxc.parse("""
    func @entropy(%p: f64[3]) -> f64[] {
      %log = log %p
      %product = mul %p, %log
      %zero = constant dense<0.0> : f64[3]
      %positive = gt %p, %zero
      %each = select %positive, %product, %zero
      %total = reduce_sum %each {axes = [0]}
      return %total
    }""")["entropy"]
    value, dp = rlxc.compile(rlxc.value_and_grad(f, wrt=["p"]))(np.array([0.0, 1.0, 0.5]))
    np.testing.assert_allclose(value, 0.5 * np.log(0.5))
    np.testing.assert_allclose(dp, [0.0, 1.0, 1 + np.log(0.5)])
