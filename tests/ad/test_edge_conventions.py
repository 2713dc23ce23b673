"""Where a derivative is a matter of convention, this is ours: a test for each, for f64 and f32, by the interpreter, compiled, and on the eager tape.

The table is in docs/autodiff.md. `T` in a program stands for the dtype; what is wanted is known in closed form.
"""

import math
import re

import numpy as np
import pytest

import rlxc
from rlxc import eager

INF = math.inf
RTOL = {"f64": 1e-14, "f32": 1e-6, "c128": 1e-14, "c64": 1e-6}


def holds(program, inputs, want, *, seeds=None, tangents=None, dtypes=("f64", "f32")):
    """Whether the gradients of the one result by all float arguments, with cotangents `seeds` (ones), are `want`; and with tangents of one the `tangents`."""
    for dtype in dtypes:
        func = rlxc.parse(re.sub(r"\bT\[", f"{dtype}[", program).replace("DTYPE", dtype))["f"]
        arrays = [np.asarray(x, a.type.dtype.numpy) for x, a in zip(inputs, func.args, strict=True)]
        floats = [i for i, a in enumerate(func.args) if a.type.dtype.differentiable]
        (result,) = func.results
        seed = np.ones(result.type.shape, result.type.dtype.numpy) if seeds is None else np.asarray(seeds, result.type.dtype.numpy)
        joint = rlxc.grad_with_loss(func)
        found = {
            "interpreted": rlxc.interpret(joint, *arrays, seed)[1:],
            "compiled": rlxc.compile(joint)(*arrays, seed)[1:],
            "eager": eager_gradients(func, arrays, floats, seed),
        }
        for way, gradients in found.items():
            for got, i, expected in zip(gradients, floats, want, strict=True):
                assert np.asarray(got).dtype == arrays[i].dtype
                np.testing.assert_allclose(got, expected, rtol=RTOL[dtype], err_msg=f"{way}, {dtype}, %{func.args[i].name}")
        if tangents is not None:
            ones = [np.ones_like(arrays[i]) for i in floats]
            got = rlxc.interpret(rlxc.jvp(func), *arrays, *ones)[1]
            np.testing.assert_allclose(got, tangents, rtol=RTOL[dtype], err_msg=f"forward, {dtype}")


def eager_gradients(func, arrays, floats, seed):
    inputs = [eager.tensor(x, requires_grad=i in floats) for i, x in enumerate(arrays)]
    y = eager.function(func)(*inputs)
    if not y.requires_grad:
        return [np.zeros_like(arrays[i]) for i in floats]
    y.backward(seed)
    return [np.zeros_like(arrays[i]) if inputs[i].grad is None else inputs[i].grad.numpy() for i in floats]


def elementwise(ops, x, want, **options):
    """Of ops on %x, whose result is %y: gradient and tangents are the same numbers."""
    n = len(x)
    holds(f"func @f(%x: T[{n}]) -> T[{n}] {{ {ops.replace('N', str(n))} return %y }}", [x], [want], tangents=want, **options)


# -- steps and corners


def test_max_and_min_split_ties_equally():
    program = "func @f(%x: T[3], %y: T[3]) -> T[3] { %z = OP %x, %y return %z }"
    x, y = [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]
    holds(program.replace("OP", "max"), [x, y], [[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]], tangents=[1.0, 1.0, 1.0])
    holds(program.replace("OP", "min"), [x, y], [[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]], tangents=[1.0, 1.0, 1.0])


def test_reduce_max_and_reduce_min_split_ties_equally():
    program = "func @f(%x: T[4]) -> T[] { %y = OP %x {axes = [0]} return %y }"
    holds(program.replace("OP", "reduce_max"), [[1.0, 3.0, 3.0, 2.0]], [[0.0, 0.5, 0.5, 0.0]])
    holds(program.replace("OP", "reduce_min"), [[1.0, 1.0, 3.0, 1.0]], [[1 / 3, 1 / 3, 0.0, 1 / 3]])


def test_windows_split_ties_equally():
    program = "func @f(%x: T[3]) -> T[2] { %y = reduce_window_max %x {window = [2]} return %y }"
    holds(program, [[1.0, 1.0, 0.0]], [[0.5, 1.5, 0.0]])


def test_cumulative_maxima_split_ties_equally():
    holds("func @f(%x: T[3]) -> T[3] { %y = cummax %x {axis = 0} return %y }", [[2.0, 2.0, 1.0]], [[56.0, 55.0, 0.0]], seeds=[1.0, 10.0, 100.0])


def test_relu_at_zero_is_zero():
    elementwise("%y = relu %x", [-1.0, 0.0, -0.0, 2.0], [0.0, 0.0, 0.0, 1.0])


def test_abs_at_zero_is_zero():
    elementwise("%y = abs %x", [-1.0, 0.0, -0.0, 2.0], [-1.0, 0.0, 0.0, 1.0])


def test_sign_is_zero_everywhere():
    elementwise("%y = sign %x", [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0])


@pytest.mark.parametrize("op", ["floor", "ceil", "round", "trunc"])
def test_rounding_has_the_derivative_zero_at_its_steps_too(op):
    elementwise(f"%y = {op} %x", [-1.5, 0.0, 1.0, 2.5], [0.0] * 4)


def test_floor_div_and_rem_are_steps_and_what_is_left():
    program = "func @f(%x: T[2], %y: T[2]) -> T[2] { %z = OP %x, %y return %z }"
    holds(program.replace("OP", "floor_div"), [[7.0, -7.0], [2.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]])
    holds(program.replace("OP", "rem"), [[7.0, -7.0], [2.0, 2.0]], [[1.0, 1.0], [-3.0, 3.0]])


def test_clamp_is_one_strictly_inside_and_zero_at_its_bounds():
    bounds = "%lo = constant dense<-1.0> : T[] %hi = constant dense<1.0> : T[]"
    elementwise(f"{bounds} %y = clamp %lo, %x, %hi", [-2.0, -1.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 0.0, 0.0])


def test_comparisons_stop_the_gradient():
    elementwise("%z = constant dense<1.0> : T[N] %p = gt %x, %z %y = convert %p {dtype = DTYPE}", [0.0, 1.0], [0.0, 0.0])


def test_stop_gradient_has_the_derivative_zero():
    elementwise("%s = stop_gradient %x %y = mul %s, %x", [2.0, 3.0], [2.0, 3.0])


# -- infinite derivatives, and what hides them


@pytest.mark.parametrize("op", ["sqrt", "cbrt"])
def test_roots_at_zero_have_the_derivative_inf(op):
    elementwise(f"%y = {op} %x", [0.0, 1.0], [INF, 0.5 if op == "sqrt" else 1 / 3])


def test_a_zero_cotangent_stays_zero_at_an_infinite_derivative():
    holds("func @f(%x: T[2]) -> T[2] { %y = sqrt %x return %y }", [[0.0, 0.0]], [[0.0, INF]], seeds=[0.0, 1.0])


def test_what_select_masks_is_a_true_zero():
    mask = "%z = constant dense<0.0> : T[N] %p = gt %x, %z"
    elementwise(f"{mask} %r = sqrt %x %y = select %p, %r, %z", [0.0, 4.0], [0.0, 0.25])
    elementwise(f"{mask} %r = sqrt %x %l = log %r %y = select %p, %l, %z", [0.0, 1.0], [0.0, 0.5])


def test_what_select_masks_is_a_true_zero_in_a_product_with_inf():
    """x log x, which is 0 at 0 where it is written with a mask."""
    mask = "%z = constant dense<0.0> : T[N] %p = gt %x, %z"
    elementwise(f"{mask} %l = log %x %m = mul %x, %l %y = select %p, %m, %z", [0.0, 1.0], [0.0, 1.0])


def test_what_select_masks_is_a_true_zero_where_it_is_nan():
    mask = "%z = constant dense<0.0> : T[N] %p = gt %x, %z"
    elementwise(f"{mask} %l = log %x %y = select %p, %l, %z", [-1.0, 2.0], [0.0, 0.5])


@pytest.mark.parametrize("norm", [np.linalg.norm, lambda x: np.hypot(x[0], x[1])], ids=["norm", "hypot"])
@pytest.mark.parametrize("dtype", ["f64", "f32"])
def test_norms_at_zero_are_zero(norm, dtype):
    zero = np.zeros(2, "d" if dtype == "f64" else "f")
    np.testing.assert_array_equal(rlxc.grad(norm)(zero), zero)
    x = eager.tensor(zero, requires_grad=True)
    norm(x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), zero)
    joint = rlxc.grad(rlxc.trace(norm, f"{dtype}[2]"))
    np.testing.assert_array_equal(rlxc.interpret(joint, zero), zero)


# -- powers and products


def test_pow_of_zero_by_two_is_zero():
    elementwise("%n = constant dense<2.0> : T[N] %y = pow %x, %n", [0.0, -3.0, 2.0], [0.0, -6.0, 4.0])


def test_pow_by_zero_is_zero():
    elementwise("%n = constant dense<0.0> : T[N] %y = pow %x, %n", [0.0, 2.0], [0.0, 0.0])


def test_pow_by_one_at_zero_is_one():
    elementwise("%n = constant dense<1.0> : T[N] %y = pow %x, %n", [0.0, -2.0], [1.0, 1.0])


def test_pow_of_negative_numbers_has_no_nan_in_the_base():
    holds("func @f(%x: T[2], %n: i32[]) -> T[2] { %m = convert %n {dtype = DTYPE} %y = pow %x, %m return %y }", [[0.0, -2.0], 3], [[0.0, 12.0]])


def test_pow_of_zero_has_no_nan_in_the_exponent():
    program = "func @f(%x: T[2], %n: T[2]) -> T[2] { %y = pow %x, %n return %y }"
    holds(program, [[0.0, 2.0], [2.0, 3.0]], [[0.0, 12.0], [0.0, 8 * math.log(2)]])


def test_products_with_zeros_have_the_product_of_the_others():
    program = "func @f(%x: T[3]) -> T[] { %y = reduce_prod %x {axes = [0]} return %y }"
    for x, want in ([2.0, 3.0, 4.0], [12.0, 8.0, 6.0]), ([0.0, 3.0, 4.0], [12.0, 0.0, 0.0]), ([0.0, 3.0, 0.0], [0.0, 0.0, 0.0]):
        holds(program, [x], [want])


def test_cumulative_products_with_zeros_have_the_products_of_the_others():
    program = "func @f(%x: T[3]) -> T[3] { %y = cumprod %x {axis = 0} return %y }"
    holds(program, [[2.0, 0.0, 3.0]], [[1.0, 2.0 + 6.0, 0.0]])
    holds(program, [[0.0, 0.0, 3.0]], [[1.0, 0.0, 0.0]])


# -- order and places


def test_sort_gives_ties_their_cotangents_in_the_order_in_which_they_stand():
    program = "func @f(%x: T[3]) -> T[3] { %y = sort %x {axis = 0} return %y }"
    holds(program, [[2.0, 1.0, 1.0]], [[100.0, 1.0, 10.0]], seeds=[1.0, 10.0, 100.0])


def test_top_k_takes_the_first_of_ties():
    program = "func @f(%x: T[3]) -> T[2] { %y, %i = top_k %x {k = 2} return %y }"
    holds(program, [[3.0, 3.0, 3.0]], [[1.0, 10.0, 0.0]], seeds=[1.0, 10.0])


def test_a_gather_with_repeated_indices_adds_up():
    program = "func @f(%x: T[3]) -> T[4] { %i = constant dense<[1, 1, 2, 1]> : i64[4] %y = take %x, %i {axis = 0} return %y }"
    holds(program, [[1.0, 2.0, 3.0]], [[0.0, 1011.0, 100.0]], seeds=[1.0, 10.0, 100.0, 1000.0])


def test_a_gather_out_of_bounds_reads_the_nearest_element_or_nothing():
    program = 'func @f(%x: T[3]) -> T[3] { %i = constant dense<[-5, 1, 7]> : i64[3] %y = take %x, %i {axis = 0, bounds = "BOUNDS"} return %y }'
    holds(program.replace("BOUNDS", "clamp"), [[1.0, 2.0, 3.0]], [[1.0, 10.0, 100.0]], seeds=[1.0, 10.0, 100.0])
    holds(program.replace("BOUNDS", "fill"), [[1.0, 2.0, 3.0]], [[0.0, 10.0, 0.0]], seeds=[1.0, 10.0, 100.0])


def test_a_scatter_out_of_bounds_drops_what_it_would_write():
    program = "func @f(%x: T[2], %u: T[3]) -> T[2] { %i = constant dense<[-1, 1, 7]> : i64[3] %y = scatter_set %x, %u, %i {axes = [0]} return %y }"
    holds(program, [[1.0, 2.0], [3.0, 4.0, 5.0]], [[1.0, 0.0], [0.0, 10.0, 0.0]], seeds=[1.0, 10.0])


def test_vectors_of_equal_eigenvalues_have_no_derivative():
    """Eigenvalues have: that of the sum of them is the identity."""
    f = rlxc.parse("func @f(%x: f64[2, 2]) -> f64[2, 2] { %w, %v = eigh %x return %v }")["f"]
    seed = np.array([[0.0, 1.0], [2.0, 0.0]])
    joint = rlxc.grad_with_loss(f)
    found = [rlxc.interpret(joint, np.eye(2), seed)[1], rlxc.compile(joint)(np.eye(2), seed)[1], *eager_gradients(f, [np.eye(2)], [0], seed)]
    for gradient in found:
        assert not np.isfinite(gradient).all()
    holds("func @f(%x: T[2, 2]) -> T[] { %w, %v = eigh %x %y = reduce_sum %w {axes = [0]} return %y }", [np.eye(2)], [np.eye(2)])


def test_empty_sums_have_empty_gradients():
    holds("func @f(%x: T[0]) -> T[] { %e = exp %x %y = reduce_sum %e {axes = [0]} return %y }", [[]], [np.zeros(0)])


def test_atan2_at_the_origin_is_zero():
    holds("func @f(%y: T[], %x: T[]) -> T[] { %a = atan2 %y, %x return %a }", [0.0, 0.0], [0.0, 0.0])


# -- arguments and dtypes


def test_arguments_that_the_result_does_not_depend_on_have_zeros_of_their_type():
    holds("func @f(%x: T[2], %w: T[2, 3]) -> T[2] { %y = sin %x return %y }", [[0.0, 0.0], np.ones((2, 3))], [[1.0, 1.0], np.zeros((2, 3))])
    f = rlxc.parse("func @f(%x: f64[], %w: f32[3]) -> f64[] { return %x }")["f"]
    assert [str(v.type) for v in rlxc.value_and_grad(f).results] == ["f64[]", "f64[]", "f32[3]"]
    assert [str(v.type) for v in rlxc.value_and_grad(f, on_unused="none").results] == ["f64[]", "f64[]"]
    with pytest.raises(rlxc.DifferentiationError, match="does not depend on %w"):
        rlxc.value_and_grad(f, on_unused="error")


def test_integer_arguments_have_no_derivative_and_asking_for_one_is_an_error():
    f = rlxc.parse("func @f(%x: f64[], %n: i32[], %p: bool[]) -> f64[] { return %x }")["f"]
    assert [str(v.type) for v in rlxc.grad(f).results] == ["f64[]"]
    for name in "n", "p":
        with pytest.raises(rlxc.DifferentiationError, match=rf"%{name} is (i32|bool)\[\]: there is no derivative"):
            rlxc.grad(f, name)
    with pytest.raises(rlxc.DifferentiationError, match="only floats may require a gradient"):
        eager.tensor(np.arange(3), requires_grad=True)


def test_a_conversion_to_integers_stops_the_gradient():
    elementwise("%a = convert %x {dtype = i32} %y = convert %a {dtype = DTYPE}", [1.5, 2.5], [0.0, 0.0])


def test_a_conversion_between_floats_passes_the_gradient_in_the_dtype_of_the_argument():
    holds("func @f(%x: T[2]) -> f64[2] { %a = convert %x {dtype = f64} %b = mul %a, %a return %b }", [[1.0, 2.0]], [[2.0, 4.0]])


@pytest.mark.parametrize(("factors", "want"), [((3.0, 1e17, -1e17), 3.0), ((1e17, 3.0, -1e17), 0.0)])
def test_contributions_to_one_cotangent_are_summed_in_the_order_in_which_they_arise(factors, want):
    """Those of later ops come first; another order would leave another rounding error."""
    uses = "".join(f"%c{i} = constant dense<{c}> : T[] %a{i} = mul %x, %c{i} " for i, c in enumerate(factors))
    holds(f"func @f(%x: T[]) -> T[] {{ {uses} %s = add %a0, %a1 %y = add %s, %a2 return %y }}", [1.0], [want])


# -- complex numbers: the adjoint for Re(conj(a) b)


def complex_holds(program, inputs, want, **options):
    holds(program, inputs, want, dtypes=("c128", "c64"), **options)


def test_the_gradient_of_a_product_is_conjugated():
    complex_holds("func @f(%z: T[], %c: T[]) -> T[] { %y = mul %c, %z return %y }", [1j, 2 + 1j], [2 - 1j, -1j])


def test_the_gradient_of_conj_is_the_conjugate():
    complex_holds("func @f(%z: T[]) -> T[] { %y = conj %z return %y }", [1 + 2j], [1 - 1j], seeds=1 + 1j, tangents=1)


def test_the_gradient_of_a_real_loss_points_where_it_grows():
    program = "func @f(%z: T[]) -> PART[] { %a = abs %z %y = mul %a, %a return %y }"
    for dtype, part in ("c128", "f64"), ("c64", "f32"):
        holds(program.replace("PART", part), [1 + 2j], [2 + 4j], dtypes=(dtype,))


def test_abs_of_complex_zero_is_zero():
    for dtype, part in ("c128", "f64"), ("c64", "f32"):
        holds(f"func @f(%z: T[2]) -> {part}[2] {{ %y = abs %z return %y }}", [[0j, 3 + 4j]], [[0j, 0.6 + 0.8j]], dtypes=(dtype,))


def test_the_convention_of_jax_is_the_conjugate():
    f = rlxc.parse("func @f(%z: c128[]) -> f64[] { %a = abs %z %y = mul %a, %a return %y }")["f"]
    assert rlxc.interpret(rlxc.grad(f, convention="jax"), np.array(1 + 2j)) == pytest.approx(2 - 4j)
    assert rlxc.compile(rlxc.grad(f, convention="jax"))(np.array(1 + 2j)) == pytest.approx(2 - 4j)
