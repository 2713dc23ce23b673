"""What derivatives of straight-line functions are, case by case."""

import math

import numpy as np
import pytest

import rlxc
from rlxc.errors import DifferentiationError, LinearityError, MissingRule, RuleError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.primitive import REGISTRY, register
from rlxc.ir.types import TensorType
from rlxc.passes.linearize import linearize
from rlxc.passes.transpose import transpose
from rlxc.primitives.families import Elementwise

SCALAR = "%x: f64[]"
PAIR = "%x: f64[], %y: f64[]"


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


# -- values


@pytest.mark.parametrize(
    ("body", "at", "slope"),
    [
        ("%y = add %x, %x return %y", 3.0, 2.0),
        ("%y = mul %x, %x return %y", 3.0, 6.0),
        ("%a = add %x, %x %y = mul %a, %x return %y", 3.0, 12.0),
        ("%a = exp %x %b = add %a, %a return %b", 1.0, 2 * math.e),
        ("%a = exp %x %b = exp %a return %b", 0.3, math.exp(0.3) * math.exp(math.exp(0.3))),
        ("%a = sub %x, %x return %a", 3.0, 0.0),
        ("%a = neg %x %b = neg %a return %b", 3.0, 1.0),
    ],
)
def test_forward_and_reverse_agree_with_the_calculus(ad, body, at, slope):
    f = ad.function(SCALAR, body, "f64[]")
    close(ad.jvp(f, [at], [1.0]), [slope])
    close(ad.vjp(f, [at], [1.0]), [slope])
    close(ad.vjp(f, [at], [-2.0]), [-2 * slope])


def test_the_product_rule_gives_each_factor_the_other(ad):
    f = ad.function(PAIR, "%z = mul %x, %y return %z", "f64[]")
    close(ad.vjp(f, [2.0, 3.0], [1.0]), [3.0, 2.0])


def test_cotangents_come_in_the_order_of_wrt(ad):
    f = ad.function(PAIR, "%z = mul %x, %y return %z", "f64[]")
    g = rlxc.grad_with_loss(f, ["y", "x"])
    assert ad.run(g, 2.0, 3.0, 1.0) == [6.0, 2.0, 3.0]


def test_only_the_wanted_arguments_are_differentiated(ad):
    f = ad.function(PAIR, "%z = mul %x, %y return %z", "f64[]")
    assert ad.vjp(f, [2.0, 3.0], [1.0], wrt=["x"]) == [3.0]
    linear = linearize(f, ["x"]).functions("f")[1]
    assert [op.prim.name for op in linear.ops] == ["strong_mul"]


def test_a_sum_hands_its_cotangent_to_every_element(ad):
    f = ad.function("%x: f64[3]", "%e = exp %x %s = reduce_sum %e {axes = [0]} return %s", "f64[]")
    close(ad.vjp(f, [[0.0, 1.0, 2.0]], [2.0])[0], [2 * math.exp(k) for k in range(3)])


# -- several results


def test_two_results_that_share_a_tangent_add_their_cotangents(ad):
    """x + c and x + d with cotangents 1 and 10 give 11."""
    f = ad.function(
        "%x: f64[], %c: f64[], %d: f64[]",
        "%p = add %x, %c %q = add %x, %d return %p, %q",
        "(f64[], f64[])",
    )
    assert ad.vjp(f, [0.5, 1.0, 2.0], [1.0, 10.0], wrt=["x"]) == [11.0]


def test_one_value_returned_twice_adds_its_cotangents(ad):
    """(y, y) for y = x x at 3 with cotangents 1 and 10 gives 66."""
    f = ad.function(SCALAR, "%y = mul %x, %x return %y, %y", "(f64[], f64[])")
    assert ad.vjp(f, [3.0], [1.0, 10.0]) == [66.0]


def test_an_argument_returned_twice_adds_its_cotangents(ad):
    f = ad.function(SCALAR, "return %x, %x", "(f64[], f64[])")
    assert ad.vjp(f, [3.0], [1.0, 10.0]) == [11.0]


def test_sine_and_cosine_of_one_argument(ad):
    f = ad.function(SCALAR, "%s = sin %x %c = cos %x return %s, %c", "(f64[], f64[])")
    close(ad.jvp(f, [1.0], [1.0]), [math.cos(1), -math.sin(1)])
    close(ad.vjp(f, [1.0], [1.0, 1.0]), [math.cos(1) - math.sin(1)])


def test_forward_and_reverse_are_adjoint_for_several_results(ad):
    f = ad.function(PAIR, "%a = mul %x, %y %b = exp %a %c = sin %x return %b, %c, %a", "(f64[], f64[], f64[])")
    tangents, cotangents = [0.3, -0.7], [1.1, -0.2, 0.4]
    out = ad.jvp(f, [0.5, 0.8], tangents)
    back = ad.vjp(f, [0.5, 0.8], cotangents)
    close(np.dot(out, cotangents), np.dot(back, tangents))


# -- structure


def test_the_identity_needs_no_ops(ad):
    f = ad.function(SCALAR, "return %x", "f64[]")
    primal, linear = linearize(f).functions("f")
    assert (primal.ops, linear.ops, transpose(linear).ops) == ((), (), ())
    assert ad.jvp(f, [2.0], [5.0]) == [5.0]
    assert ad.vjp(f, [2.0], [5.0]) == [5.0]


def test_a_constant_result_has_the_tangent_zero_and_takes_no_ops(ad):
    f = ad.function(PAIR, "%c = exp %y return %c", "f64[]")
    assert ad.jvp(f, [2.0, 0.0], [1.0], wrt=["x"]) == [0.0]
    assert ad.vjp(f, [2.0, 0.0], [1.0], wrt=["x"]) == [0.0]
    assert linearize(f, ["x"]).linear_ops == ()


def test_a_diamond_computes_the_shared_part_once(ad):
    f = ad.function(SCALAR, "%e = exp %x %s = add %e, %e return %s", "f64[]")
    primal, _ = linearize(f).functions("f")
    assert [op.prim.name for op in primal.ops].count("exp") == 1


def test_unused_arguments_have_typed_zeros(ad):
    f = ad.function("%x: f64[], %u: f32[2, 3]", "%y = sin %x return %y", "f64[]")
    g = rlxc.value_and_grad(f, ["u", "x"])
    assert [str(v.type) for v in g.results] == ["f64[]", "f32[2, 3]", "f64[]"]
    assert ad.run(g, 0.0, np.ones((2, 3)))[1:] == [[[0.0] * 3] * 2, 1.0]


def test_unused_arguments_can_be_left_out_or_refused(ad):
    f = ad.function("%x: f64[], %u: f32[2]", "%y = sin %x return %y", "f64[]")
    assert len(rlxc.value_and_grad(f, ["x", "u"], on_unused="none").results) == 2
    with pytest.raises(DifferentiationError, match="does not depend on %u"):
        rlxc.value_and_grad(f, ["x", "u"], on_unused="error")


def test_dead_tangents_are_not_computed(ad):
    """The second result is not asked for: its derivative is not built."""
    f = ad.function(SCALAR, "%a = exp %x %b = tanh %a %y = sin %x return %y", "f64[]")
    assert [op.prim.name for op in linearize(f).linear_ops] == ["mul"]


def test_an_argument_named_twice_is_refused(ad):
    f = ad.function(SCALAR, "%y = sin %x return %y", "f64[]")
    with pytest.raises(DifferentiationError, match="twice"):
        linearize(f, ["x", "x"])


def test_two_pullbacks_in_one_function_are_independent(ad):
    f = ad.function(SCALAR, "%y = sin %x return %y", "f64[]")
    g = rlxc.grad_with_loss(rlxc.grad_with_loss(f).with_(results=rlxc.grad_with_loss(f).results[:1]))
    assert len({a.name for a in g.args}) == len(g.args)


def test_a_function_can_be_linearized_twice_and_gives_the_same_text(ad):
    f = ad.function(PAIR, "%a = mul %x, %y %b = exp %a return %b", "f64[]")
    texts = {str(rlxc.grad_with_loss(f)) for _ in range(5)}
    assert len(texts) == 1


def test_gradients_are_the_same_bits_from_run_to_run(ad):
    f = ad.function("%x: f64[50]", "%a = exp %x %b = mul %a, %x %s = reduce_sum %b {axes = [0]} return %s", "f64[]")
    g = rlxc.compile(rlxc.value_and_grad(f))
    x = np.linspace(-1, 1, 50)
    assert len({g(x)[1].tobytes() for _ in range(5)}) == 1


# -- higher orders


def power(n):
    ops = [f"%v{i} = mul {f'%v{i - 1}' if i else '%x'}, %x" for i in range(n - 1)]
    return "\n".join(ops) + f"\nreturn %v{n - 2}"


@pytest.mark.parametrize(("n", "at", "want"), [(2, 5.0, 2.0), (3, 2.0, 6.0), (4, 1.0, 24.0), (5, 1.0, 120.0)])
def test_the_nth_derivative_of_x_to_the_n_is_a_factorial(ad, n, at, want):
    """Forward over forward over forward ..."""
    f = ad.function(SCALAR, power(n), "f64[]")
    arguments = [at]
    for _ in range(n):
        f = rlxc.jvp(f, ["x"])
        f = f.with_(results=f.results[-1:])
        arguments.append(1.0)
    assert ad.run(f, *arguments) == [want]


@pytest.mark.parametrize(("n", "at", "want"), [(2, 5.0, 2.0), (3, 2.0, 6.0), (4, 1.0, 24.0)])
def test_reverse_over_reverse_to_the_fourth_order(ad, n, at, want):
    f = ad.function(SCALAR, power(n), "f64[]")
    for _ in range(n):
        f = rlxc.value_and_grad(f, ["x"])
        f = f.with_(results=f.results[-1:])
    assert ad.run(f, at) == [want]


def test_forward_over_reverse_is_reverse_over_forward(ad):
    f = ad.function(PAIR, "%a = exp %x %b = mul %a, %y %c = mul %b, %y return %c", "f64[]")
    g = rlxc.value_and_grad(f, ["x", "y"])
    hvp = ad.jvp(g.with_(results=g.results[1:]), [0.4, 1.5], [0.3, -1.0])
    forward = rlxc.jvp(f, ["x", "y"])
    gradient_of_slope = rlxc.value_and_grad(forward.with_(results=forward.results[1:]), ["x", "y"])
    close(hvp, ad.run(gradient_of_slope, 0.4, 1.5, 0.3, -1.0)[1:])


def test_third_order_forward_over_forward_over_reverse_of_exp(ad):
    f = ad.function(SCALAR, "%y = exp %x return %y", "f64[]")
    g = rlxc.value_and_grad(f)
    g = g.with_(results=g.results[1:])
    for _ in range(2):
        g = rlxc.jvp(g, ["x"])
        g = g.with_(results=g.results[-1:])
    close(ad.run(g, 1.0, 1.0, 1.0), [math.e])


def test_the_gradient_of_a_sum_of_squares_has_the_derivative_two(ad):
    f = ad.function("%x: f64[2]", "%a = mul %x, %x %b = mul %a, %x %s = reduce_sum %b {axes = [0]} return %s", "f64[]")
    g = rlxc.value_and_grad(f)
    assert ad.jvp(g.with_(results=g.results[1:]), [[1.0, 1.0]], [[1.0, 1.0]]) == [[6.0, 6.0]]


def test_the_transpose_of_the_transpose_is_the_map(ad):
    f = ad.function(SCALAR, "%a = add %x, %x %y = mul %a, %x return %y", "f64[]")
    primal, linear = linearize(f).functions("f")
    back = transpose(transpose(linear))
    residuals = ad.run(primal, 3.0)[1:]
    assert ad.run(linear, *residuals, 1.0) == ad.run(back, *residuals, 1.0) == [12.0]


# -- many uses, long chains


def test_a_value_used_a_thousand_times(ad):
    ops = [f"%s{i} = add {f'%s{i - 1}' if i else '%x'}, %x" for i in range(999)]
    f = ad.function(SCALAR, "\n".join(ops) + "\nreturn %s998", "f64[]")
    assert ad.vjp(f, [1.0], [1.0]) == [1000.0]


# -- errors


def test_a_linear_function_is_not_differentiated_again(ad):
    f = ad.function("%dx: lin f64[]", "%y = neg %dx return %y", "lin f64[]")
    with pytest.raises(DifferentiationError, match="linear function already"):
        linearize(f)


@pytest.fixture
def undifferentiated():
    """An op without partials, known for the time of a test."""

    @register
    class Undifferentiated(Elementwise):
        name = "test_undifferentiated"

        def eval(self, x):
            return x

    yield Undifferentiated
    del REGISTRY.levels["tensor"]["test_undifferentiated"]


def test_a_missing_rule_names_op_rule_and_place(undifferentiated):
    f = rlxc.parse("func @f(%x: f64[]) -> f64[] {\n  %a = sin %x\n  %y = test_undifferentiated %a\n  return %y\n}", "a.rlx")["f"]
    with pytest.raises(MissingRule) as caught:
        linearize(f)
    assert "test_undifferentiated has no partials rule" in str(caught.value)
    assert "a.rlx:3:" in str(caught.value)
    assert "%a" in str(caught.value)


def test_a_missing_rule_does_not_matter_where_no_tangent_comes(undifferentiated):
    f = rlxc.parse("func @f(%x: f64[], %c: f64[]) -> f64[] { %a = test_undifferentiated %c  %y = mul %a, %x  return %y }")["f"]
    linearize(f, ["x"])


def make(rule):
    """A function of an op whose jvp rule is `rule`."""
    name = f"test_{rule.__name__}"
    register(type(name, (Elementwise,), {"name": name, "eval": lambda self, x: x, "jvp": rule, "__module__": __name__}))
    b = Builder()
    x = Value(TensorType("f64"), "x")
    y = getattr(b, name)(x)
    return Func("f", (x,), tuple(b.ops), (y,))


def test_wrong_numbers_and_types_of_tangents_are_refused():
    def gives_two(self, b, primals, tangents, outs):
        return tangents[0], tangents[0]

    def gives_a_number(self, b, primals, tangents, outs):
        return (2.0,)

    def gives_another_type(self, b, primals, tangents, outs):
        return (b.broadcast(tangents[0], shape=(3,), axes=(0,)),)

    for rule, says in ((gives_two, "2 tangents for 1 results"), (gives_a_number, "not a value"), (gives_another_type, r"f64\[3\] for a result f64\[\]")):
        with pytest.raises(RuleError, match=says):
            linearize(make(rule))


def test_a_rule_must_be_linear_in_the_tangent():
    def affine(self, b, primals, tangents, outs):
        return (b.add(tangents[0], 1.0),)

    def square(self, b, primals, tangents, outs):
        return (b.mul(tangents[0], tangents[0]),)

    for rule in (affine, square):
        with pytest.raises(LinearityError, match=f"test_{rule.__name__}: its jvp rule is not linear"):
            linearize(make(rule))


@pytest.mark.parametrize("body", ["%y = add %x, %c", "%y = mul %x, %x", "%y = exp %x", "%a = mul %x, %c %y = sub %a, %c"])
def test_linear_transpose_refuses_what_is_not_linear(ad, body):
    f = ad.function("%x: f64[], %c: f64[]", body + " return %y", "f64[]")
    with pytest.raises(LinearityError) as caught:
        rlxc.linear_transpose(f, ["x"])
    assert caught.value.loc.line


def test_a_call_is_differentiated_once_it_is_inlined():
    program = rlxc.parse("func @g(%x: f64[]) -> f64[] { %y = sin %x return %y }\nfunc @f(%x: f64[]) -> f64[] { %y = call @g(%x) return %y }")
    with pytest.raises(rlxc.Error, match="must be inlined") as caught:
        linearize(program["f"])
    assert "inline" in str(caught.value)
    assert "@f(%x: f64[])" in repr(program["f"])
    assert repr(program) == "<module of @g, @f>"
