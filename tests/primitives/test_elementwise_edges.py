"""Conventions at the edges of elementwise ops, and of their derivatives, one test each."""

import numpy as np
import pytest

import rlxc
import rlxc.primitives
from rlxc.errors import AttrError, DTypeError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.interp import interpret
from rlxc.ir.primitive import REGISTRY
from rlxc.ir.types import TensorType, dtype_of
from rlxc.passes.gradient import grad_with_loss
from rlxc.passes.legalize import legalize

INF, NAN = np.inf, np.nan


def traced(build, *arrays):
    """The function that `build(b, *values)` writes, for operands of these arrays' types."""
    args = tuple(Value(TensorType(dtype_of(a.dtype), a.shape), f"x{i}") for i, a in enumerate(arrays))
    b = Builder()
    result = build(b, *args)
    return legalize.on_func(Func("f", args, tuple(b.ops), (result,)))


def value(build, *xs):
    arrays = [np.asarray(x) for x in xs]
    return np.asarray(interpret(traced(build, *arrays), arrays)[0])


def gradient(build, *xs, order=1, wrt=0):
    """Derivative number `order` of the sum of what `build` writes, by operand `wrt`: reverse over reverse."""
    arrays = [np.asarray(x, np.float64) for x in xs]
    f = traced(build, *arrays)
    for _ in range(order):
        g = grad_with_loss(f, [wrt])
        f = g.with_(results=g.results[1:])
        arrays = [*arrays, np.ones(f.results[0].type.shape)]
    return interpret(f, arrays)[0]


def same(got, want):
    """Equal, nan to nan and the sign of zero included."""
    got, want = np.asarray(got), np.asarray(want)
    np.testing.assert_array_equal(got, want)
    if got.dtype.kind == "f":
        zero = want == 0
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


def op(name, **attrs):
    return lambda b, *xs: getattr(b, name)(*xs, **attrs)


# Values


def test_integer_division_truncates_gives_0_for_zero_and_wraps():
    x, y = np.array([7, -7, 7, -7, 5, -128], np.int8), np.array([2, 2, -2, -2, 0, -1], np.int8)
    same(value(op("div"), x, y), np.array([3, -3, -3, 3, 0, -128], np.int8))
    same(value(op("rem"), x, y), np.array([1, -1, 1, -1, 0, 0], np.int8))
    same(value(op("floor_div"), x, y), np.array([3, -4, -4, 3, 0, -128], np.int8))


def test_unsigned_division_reads_all_bits():
    x, y = np.array([255, 200, 9], np.uint8), np.array([2, 255, 0], np.uint8)
    same(value(op("div"), x, y), np.array([127, 0, 0], np.uint8))
    same(value(op("rem"), x, y), np.array([1, 200, 0], np.uint8))


def test_float_floor_div_judges_the_exact_quotient():
    x, y = np.array([1.0, -1.0, 5.0, -5.0, 1.0, 0.0, -0.0]), np.array([0.1, 0.1, -2.0, 2.0, 0.0, 0.0, 3.0])
    same(value(op("floor_div"), x, y), np.array([9.0, -10.0, -3.0, -3.0, INF, NAN, -0.0]))


def test_float_remainder_has_the_sign_of_the_dividend():
    same(value(op("rem"), np.array([5.0, -5.0, 5.0, 5.0, INF]), np.array([3.0, 3.0, INF, 0.0, 2.0])), np.array([2.0, -2.0, 5.0, NAN, NAN]))


def test_negation_of_unsigned_numbers_wraps():
    same(value(op("neg"), np.array([0, 1, 255], np.uint8)), np.array([0, 255, 1], np.uint8))
    same(value(op("abs"), np.array([0, 255], np.uint8)), np.array([0, 255], np.uint8))
    same(value(op("sign"), np.array([0, 255], np.uint8)), np.array([0, 1], np.uint8))


def test_abs_of_the_least_integer_is_itself():
    same(value(op("abs"), np.array([-128, -1], np.int8)), np.array([-128, 1], np.int8))


def test_sign_of_zeros_is_zero_and_of_nan_is_nan():
    same(value(op("sign"), np.array([0.0, -0.0, NAN, -INF])), np.array([0.0, 0.0, NAN, -1.0]))


def test_max_and_min_carry_nan():
    x, y = np.array([1.0, NAN, 1.0, NAN]), np.array([2.0, 1.0, NAN, NAN])
    same(value(op("max"), x, y), np.array([2.0, NAN, NAN, NAN]))
    same(value(op("min"), x, y), np.array([1.0, NAN, NAN, NAN]))


def test_clamp_with_crossed_bounds_is_the_upper_one():
    same(value(op("clamp"), 1.0, np.array([-5.0, 0.0, 5.0, NAN]), -1.0), np.array([-1.0, -1.0, -1.0, NAN]))


def test_round_takes_the_even_of_two():
    same(value(op("round"), np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49999999999999994])), np.array([0.0, 2.0, 2.0, -0.0, -2.0, 0.0]))


def test_trunc_floor_ceil_keep_the_sign_of_zero():
    x = np.array([-0.5, 0.5, -0.0])
    same(value(op("trunc"), x), np.array([-0.0, 0.0, -0.0]))
    same(value(op("ceil"), x), np.array([-0.0, 1.0, -0.0]))
    same(value(op("floor"), x), np.array([-1.0, 0.0, -0.0]))


def test_shifts_by_too_much_or_by_negative_amounts_shift_everything_out():
    x, n = np.array([1, -1, -128, 5, -5], np.int8), np.array([7, 1, 7, 8, -1], np.int8)
    same(value(op("shift_left"), x, n), np.array([-128, -2, 0, 0, 0], np.int8))
    same(value(op("shift_right"), x, n), np.array([0, -1, -1, 0, -1], np.int8))
    same(value(op("shift_right"), np.array([200, 200], np.uint8), np.array([1, 8], np.uint8)), np.array([100, 0], np.uint8))


def test_logic_is_by_truth_on_bools_and_by_bits_on_integers():
    t = np.array([True, False])
    same(value(op("not"), t), ~t)
    same(value(op("xor"), t, np.array([True, True])), ~t)
    same(value(op("not"), np.array([0, 5], np.int32)), np.array([-1, -6], np.int32))
    same(value(op("and"), np.array([6], np.uint8), np.array([3], np.uint8)), np.array([2], np.uint8))


def test_comparisons_take_bools():
    t = np.array([True, False])
    same(value(op("lt"), ~t, t), t)
    same(value(op("eq"), t, t), np.array([True, True]))


def test_comparisons_with_nan_are_false_but_for_ne():
    x = np.array([NAN, 1.0])
    for name in ("eq", "lt", "le", "gt", "ge"):
        same(value(op(name), x, np.array([NAN, NAN])), np.array([False, False]))
    same(value(op("ne"), x, np.array([NAN, NAN])), np.array([True, True]))


def test_conversion_to_integers_saturates_and_takes_nan_to_zero():
    x = np.array([1.9, -1.9, 1e20, -1e20, NAN, INF, 2.0**63])
    same(value(op("convert", dtype="i8"), x), np.array([1, -1, 127, -128, 0, 127, 127], np.int8))
    same(value(op("convert", dtype="u8"), x), np.array([1, 0, 255, 0, 0, 255, 255], np.uint8))
    top = np.iinfo(np.int64).max
    same(value(op("convert", dtype="i64"), x), np.array([1, -1, top, -top - 1, 0, top, top]))
    same(value(op("convert", dtype="u64"), x)[2:], np.array([2**64 - 1, 0, 0, 2**64 - 1, 2**63], np.uint64))


def test_conversion_between_integers_wraps():
    same(value(op("convert", dtype="u8"), np.array([-1, 256, 300], np.int32)), np.array([255, 0, 44], np.uint8))
    same(value(op("convert", dtype="i8"), np.array([200], np.uint8)), np.array([-56], np.int8))


def test_conversion_to_bool_asks_for_difference_from_zero():
    same(value(op("convert", dtype="bool"), np.array([0.0, -0.0, 0.5, NAN])), np.array([False, False, True, True]))
    same(value(op("convert", dtype="f32"), np.array([True, False])), np.array([1, 0], np.float32))


def test_conversion_to_narrow_floats_rounds_once():
    half = value(op("convert", dtype="f16"), np.array([1.0 + 2.0**-11 + 2.0**-40, 1.0 + 2.0**-11, 65519.9, 65520.0]))
    same(half.astype(np.float64), np.array([1.0 + 2.0**-10, 1.0, 65504.0, INF]))
    brain = value(op("convert", dtype="bf16"), np.array([1.0 + 2.0**-8 + 2.0**-40, 1.0 + 2.0**-8, -1.0 - 2.0**-8 - 2.0**-40, 1e39, NAN]))
    same(brain.astype(np.float64), np.array([1.0 + 2.0**-7, 1.0, -1.0 - 2.0**-7, INF, NAN]))


def test_bitcast_reads_the_same_bits():
    same(value(op("bitcast", dtype="u32"), np.array([1.0, -0.0], np.float32)), np.array([0x3F800000, 0x80000000], np.uint32))
    same(value(op("bitcast", dtype="f64"), np.array(0x7FF0000000000000)), np.array(INF))


def test_bitcast_to_another_width_or_bool_is_refused():
    for dtype in ("f64", "bool"):
        with pytest.raises(DTypeError, match="bitcast"):
            value(op("bitcast", dtype=dtype), np.zeros(2, np.float32))


def test_select_wants_a_bool_and_two_of_one_dtype():
    with pytest.raises(DTypeError, match="select"):
        value(op("select"), np.ones(2), np.ones(2), np.ones(2))
    with pytest.raises(DTypeError, match="differ"):
        value(op("select"), np.ones(2, bool), np.ones(2), np.ones(2, np.float32))


def test_polygamma_of_a_negative_or_huge_order_is_refused():
    for n in (-1, 101):
        with pytest.raises(AttrError, match="polygamma"):
            value(op("polygamma", n=n), np.ones(2))


def test_logistic_neither_overflows_nor_loses_its_tail():
    x = np.array([-1000.0, -700.0, 0.0, 40.0, 1000.0])
    y = value(op("logistic"), x)
    same(y[[0, 2, 4]], np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(y[1], np.exp(-700.0), rtol=1e-15)
    assert np.all(np.isfinite(gradient(op("logistic"), x)))


def test_log1p_and_expm1_are_exact_near_zero():
    x = np.array([1e-18, -1e-300, 0.0, -0.0])
    same(value(op("log1p"), x), x)
    same(value(op("expm1"), x), x)


def test_cbrt_takes_negative_numbers():
    same(value(op("cbrt"), np.array([-8.0, -0.0, 27.0])), np.array([-2.0, -0.0, 3.0]))


def test_atan2_knows_the_quadrants_and_the_signs_of_zeros():
    y, x = np.array([0.0, -0.0, 0.0, -0.0, 1.0, -1.0]), np.array([1.0, 1.0, -1.0, -1.0, 0.0, -0.0])
    same(value(op("atan2"), y, x), np.array([0.0, -0.0, np.pi, -np.pi, np.pi / 2, -np.pi / 2]))


def test_pow_follows_c():
    x = np.array([0.0, NAN, 1.0, -2.0, -2.0, 0.0, -0.0, -INF])
    n = np.array([0.0, 0.0, NAN, 3.0, 0.5, -1.0, -3.0, 3.0])
    same(value(op("pow"), x, n), np.array([1.0, 1.0, 1.0, -8.0, NAN, INF, -INF, -INF]))


def test_erf_inv_at_the_ends():
    same(value(op("erf_inv"), np.array([1.0, -1.0, 1.5, 0.0, -0.0])), np.array([INF, -INF, NAN, 0.0, -0.0]))


def test_gamma_functions_at_their_poles():
    x = np.array([0.0, -0.0, -1.0, -2.0])
    same(value(op("lgamma"), x), np.array([INF, INF, INF, INF]))
    same(value(op("digamma"), x), np.array([-INF, INF, NAN, NAN]))
    same(value(op("polygamma", n=1), x), np.array([INF, INF, INF, INF]))
    same(value(op("polygamma", n=2), x), np.array([-INF, INF, NAN, NAN]))


def test_strong_mul_keeps_a_zero_whatever_it_meets():
    t, c = np.array([0.0, -0.0, 2.0, NAN, INF]), np.array([INF, NAN, INF, 0.0, 0.0])
    same(value(op("strong_mul"), t, c), np.array([0.0, -0.0, INF, NAN, NAN]))


# Derivatives


def test_abs_has_derivative_0_at_0():
    same(gradient(op("abs"), np.array([0.0, -0.0, -2.0, 3.0])), np.array([0.0, 0.0, -1.0, 1.0]))


def test_sqrt_has_derivative_inf_at_0():
    same(gradient(op("sqrt"), np.array([0.0, 4.0])), np.array([INF, 0.25]))


def test_cbrt_has_a_derivative_at_negative_numbers_and_inf_at_0():
    np.testing.assert_allclose(gradient(op("cbrt"), np.array([0.0, -8.0])), np.array([INF, 1 / 12]))


def test_max_and_min_split_ties_equally_and_have_no_curvature():
    x, y = np.array([1.0, 2.0, 0.0, -1.0]), np.array([1.0, 1.0, -0.0, 1.0])
    same(gradient(op("max"), x, y), np.array([0.5, 1.0, 0.5, 0.0]))
    same(gradient(op("max"), x, y, wrt=1), np.array([0.5, 0.0, 0.5, 1.0]))
    same(gradient(op("min"), x, y), np.array([0.5, 0.0, 0.5, 1.0]))
    for order in (2, 3):
        assert not np.any(gradient(op("max"), x, y, order=order))


def test_powers_of_a_tied_max_have_finite_derivatives_to_third_order():
    def build(b, x, y):
        m = b.max(x, y)
        return b.mul(b.mul(m, m), m)

    same(gradient(build, 2.0, 2.0, order=1), np.array(6.0))
    same(gradient(build, 2.0, 2.0, order=2), np.array(3.0))
    same(gradient(build, 2.0, 2.0, order=3), np.array(0.75))


def test_the_loser_of_a_max_gets_0_though_the_cotangent_is_infinite():
    same(gradient(lambda b, x: b.sqrt(b.max(x, 0.0)), np.array([-1.0, 4.0])), np.array([0.0, 0.25]))


def test_clamp_passes_derivatives_strictly_inside_only():
    lo, x, hi = np.full(5, -1.0), np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.full(5, 1.0)
    same(gradient(op("clamp"), lo, x, hi, wrt=1), np.array([0.0, 0.0, 1.0, 0.0, 0.0]))
    same(gradient(op("clamp"), lo, x, hi, wrt=0), np.array([1.0, 0.0, 0.0, 0.0, 0.0]))
    same(gradient(op("clamp"), lo, x, hi, wrt=2), np.array([0.0, 0.0, 0.0, 0.0, 1.0]))


def test_crossed_bounds_of_clamp_send_the_derivative_to_the_upper_one():
    args = np.full(3, 1.0), np.array([-2.0, 0.0, 2.0]), np.full(3, -1.0)
    same([gradient(op("clamp"), *args, wrt=i) for i in range(3)], [np.zeros(3), np.zeros(3), np.ones(3)])


def test_pow_by_a_constant_has_all_derivatives_at_0():
    n = np.array([2.0, 3.0, 1.0, 0.0])
    x = np.zeros(4)
    same(gradient(op("pow"), x, n, order=1), np.array([0.0, 0.0, 1.0, 0.0]))
    same(gradient(op("pow"), x, n, order=2), np.array([2.0, 0.0, 0.0, 0.0]))
    same(gradient(op("pow"), x, n, order=3), np.array([0.0, 6.0, 0.0, 0.0]))


def test_pow_of_negative_numbers_by_whole_ones_has_derivatives():
    x, n = np.array([-2.0, -2.0, -2.0]), np.array([3.0, 2.0, -1.0])
    same(gradient(op("pow"), x, n, order=1), np.array([12.0, -4.0, -0.25]))
    same(gradient(op("pow"), x, n, order=2), np.array([-12.0, 2.0, -0.25]))


def test_pow_has_derivative_0_in_its_exponent_where_there_is_no_logarithm():
    x, n = np.array([0.0, -2.0, 2.0, 0.0]), np.array([2.0, 2.0, 2.0, 0.0])
    np.testing.assert_allclose(gradient(op("pow"), x, n, wrt=1), np.array([0.0, 0.0, 4 * np.log(2), 0.0]))


def test_the_mixed_derivative_of_pow_at_exponent_0_is_the_reciprocal():
    def slope(b, x, n):
        return b.strong_mul(n, b.pow(x, b.sub(n, 1.0)))

    same(gradient(slope, np.array([4.0]), np.array([0.0]), wrt=1), np.array([0.25]))


def test_atan2_has_derivatives_on_the_axes():
    y, x = np.array([0.0, 0.0, 2.0, -2.0]), np.array([2.0, -2.0, 0.0, 0.0])
    same(gradient(op("atan2"), y, x, wrt=0) + 0.0, np.array([0.5, -0.5, 0.0, 0.0]))
    same(gradient(op("atan2"), y, x, wrt=1) + 0.0, np.array([0.0, 0.0, -0.5, 0.5]))


def test_atan2_has_derivatives_for_huge_and_tiny_operands():
    np.testing.assert_allclose(gradient(op("atan2"), np.array([1e200, 1e-200]), np.array([1e200, 1e-200])), [0.5e-200, 0.5e200])


def test_atan2_has_derivative_0_at_the_origin():
    same(gradient(op("atan2"), 0.0, 0.0) + 0.0, np.array(0.0))


def test_rem_has_derivatives_1_and_minus_the_quotient():
    x, y = np.array([7.0, -7.0]), np.array([2.0, 2.0])
    same(gradient(op("rem"), x, y), np.array([1.0, 1.0]))
    same(gradient(op("rem"), x, y, wrt=1), np.array([-3.0, 3.0]))


def test_steps_have_derivative_0():
    for name in ("floor", "ceil", "round", "trunc", "sign"):
        assert not np.any(gradient(lambda b, x, name=name: b.add(b.mul(x, 0.0), getattr(b, name)(x)), np.array([0.5, 1.7])))


def test_stop_gradient_cuts_the_derivative_but_not_the_value():
    same(gradient(lambda b, x: b.mul(x, b.stop_gradient(x)), np.array([3.0])), np.array([3.0]))


def test_conversion_passes_derivatives_between_floats_only():
    same(gradient(lambda b, x: b.convert(b.convert(x, dtype="f32"), dtype="f64"), np.array([3.0])), np.array([1.0]))
    same(gradient(lambda b, x: b.add(x, b.convert(b.convert(x, dtype="i32"), dtype="f64")), np.array([3.5])), np.array([1.0]))


UNARY = [p for p in REGISTRY.all() if p.elementwise and p.differentiable and "f64" in p.dtypes and len(p.signature.operands) == 1]
SINGULAR = [p.name for p in UNARY if not p.signature.attrs]


@pytest.mark.parametrize("name", SINGULAR)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_masked_cotangent_is_a_true_zero(name, order):
    x = np.array([0.0, -0.0, 1.0, -1.0, -3.0, 1e300, -1e300])

    def build(b, x):
        never = b.lt(x, -np.inf)
        return b.select(never, getattr(b, name)(x), b.mul(x, 0.0))

    assert not np.any(gradient(build, x, order=order))


def test_masked_division_by_zero_has_gradient_0():
    def build(b, x, y):
        return b.select(b.ne(y, 0.0), b.div(x, y), b.zeros(x.type))

    for order in (1, 2, 3):
        for wrt in (0, 1):
            assert not np.any(gradient(build, np.array([1.0, 0.0]), np.array([0.0, 0.0]), order=order, wrt=wrt))


def test_masked_pow_and_atan2_have_gradient_0_where_there_is_none():
    def build(b, x, y):
        never = b.lt(x, -np.inf)
        return b.select(never, b.add(b.pow(x, y), b.atan2(x, y)), b.zeros(x.type))

    for wrt in (0, 1):
        for order in (1, 2, 3):
            assert not np.any(gradient(build, np.array([0.0, 0.0]), np.array([-1.0, 0.0]), wrt=wrt, order=order))


def test_the_transpose_of_strong_mul_keeps_zeros_of_both_kinds():
    def build(b, t, c):
        return b.strong_mul(t, c)

    same(gradient(build, np.array([0.0, 2.0]), np.array([INF, 3.0]), wrt=1), np.array([0.0, 2.0]))


def test_pow_of_two_numbers_by_a_half_is_that_of_arrays():
    """NumPy takes the square root there, which differs at -inf and -0.0."""
    f = rlxc.parse("func @f(%x: f64[], %n: f64[]) -> f64[] { %y = pow %x, %n return %y }")["f"]
    for x, want in (-np.inf, np.inf), (-0.0, 0.0):
        inputs = np.array(x), np.array(0.5)
        for y in rlxc.interpret(f, *inputs), rlxc.compile(f)(*inputs):
            assert (float(y), bool(np.signbit(y))) == (want, False)
