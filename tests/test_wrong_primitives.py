"""A primitive with a wrong rule is caught, by a message that names the op, the rule and the law."""

import numpy as np
import pytest

import rlxc
from rlxc.errors import Error
from rlxc.ir.core import Func, Value
from rlxc.ir.primitive import REGISTRY, Primitive, Sample, register
from rlxc.ir.types import TensorType
from rlxc.passes.linearize import linearize
from rlxc.primitives.families import Elementwise, LinearMap, Multilinear, is_linear
from rlxc.testing import LawBroken, check_primitive


class Cube(Elementwise):
    """x cubed, right in everything; each test spoils one rule."""

    name = "cube"
    samples = ("f64[3]", "f64[]", "f64[2, 0]")

    def eval(self, x):
        return x * x * x

    def partials(self, b, out, x):
        return (b.mul(b.mul(x, x), 3.0),)

    def scalar(self, e, x):
        return e.mul(e.mul(x, x), x)


class Double(LinearMap):
    """x twice over along a new axis; linear, and right in everything."""

    name = "double"
    dtypes = ("f32", "f64")
    samples = ("f64[3]", "f64[2, 3]", "f64[0]", "f64[]")

    def infer(self, x):
        return x.with_shape((2, *x.shape))

    def eval(self, x):
        return np.stack([x, x])

    def transpose(self, b, cts, operands):
        return (b.reduce_sum(cts[0], axes=(0,)),)

    def batch(self, b, x, *, batched):
        n, *rest = x.type.shape
        whole = b.broadcast(x, shape=(2, n, *rest), axes=(0,))
        return b.transpose(whole, perm=(1, 0, *range(2, 2 + len(rest))))

    def element(self, e, index, x):
        return x(index[1:])


class Product(Multilinear):
    """x y, linear in each; right in everything."""

    name = "product"
    dtypes = ("f32", "f64")
    linear_in = (0, 1)
    samples = ("f64[3], f64[3]",)

    def infer(self, x, y):
        return x

    def eval(self, x, y):
        return x * y

    def transpose(self, b, cts, operands):
        x, y = operands
        return (b.mul(cts[0], y), None) if is_linear(x) else (None, b.mul(cts[0], x))

    def batch(self, b, x, y, *, batched):
        n = (x if batched[0] else y).type.shape[0]
        x, y = (v if flag else b.broadcast(v, shape=(n, *v.type.shape), axes=(0,)) for v, flag in zip((x, y), batched, strict=True))
        return b.apply(self, x, y)

    def element(self, e, index, x, y):
        return e.mul(x(index), y(index))


def spoil(base, **rules):
    """A primitive like `base`, under a name of its own, with some rules exchanged."""
    return type(base.__name__, (base,), rules | {"name": f"wrong_{base.name}"})


@pytest.mark.parametrize("prim", [Cube, Double, Product])
def test_right_ones_pass(prim):
    report = check_primitive(prim)
    assert report.checked["the tangent is the derivative"]
    assert "laws hold" in str(report)


def quadratic(self, b, primals, tangents, outs):
    return (b.mul(tangents[0], tangents[0]),)


def affine(self, b, primals, tangents, outs):
    return (b.add(b.mul(tangents[0], b.mul(primals[0], primals[0])), 1.0),)


def nonlinear(self, b, primals, tangents, outs):
    return (b.sin(tangents[0]),)


def the_primal(self, b, primals, tangents, outs):
    return (primals[0],)


def too_many(self, b, primals, tangents, outs):
    return (tangents[0], tangents[0])


def wrong_type(self, b, primals, tangents, outs):
    return (b.broadcast(tangents[0], shape=(7, *tangents[0].type.shape), axes=(0,)),)


def not_a_value(self, b, primals, tangents, outs):
    return (1.0,)


def forgets(self, b, primals, tangents, outs):
    return (None,)


def raises(self, b, primals, tangents, outs):
    return (tangents[0].no_such_thing,)


@pytest.mark.parametrize("rule", [quadratic, affine, nonlinear, the_primal, too_many, wrong_type, not_a_value, forgets, raises])
def test_a_wrong_jvp_is_caught(rule):
    with pytest.raises(LawBroken) as caught:
        check_primitive(spoil(Cube, jvp=rule))
    assert str(caught.value).startswith("wrong_cube: its jvp rule breaks the law")


@pytest.mark.parametrize("rule", [quadratic, affine, nonlinear, the_primal])
def test_a_tangent_that_is_not_linear_is_refused_by_linearize_itself(rule):
    prim = register(spoil(Cube, jvp=rule, __module__=__name__))
    x = Value(TensorType("f64", (3,)), "x")
    from rlxc.ir.builder import Builder

    b = Builder()
    y = b.wrong_cube(x)
    with pytest.raises(Error) as caught:
        linearize(Func("f", (x,), tuple(b.ops), (y,)), ("x",))
    assert prim.name in str(caught.value)
    assert "jvp" in str(caught.value)


def test_a_wrong_partial_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_cube: its jvp rule breaks the law 'the tangent is the derivative'"):
        check_primitive(spoil(Cube, partials=lambda self, b, out, x: (b.mul(b.mul(x, x), 2.0),)))


def test_a_wrong_number_of_partials_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_cube: its jvp rule.*\n.*partials rule must give 1 partials"):
        check_primitive(spoil(Cube, partials=lambda self, b, out, x: (None, None)))


def test_a_partial_that_is_right_once_but_not_twice_is_caught():
    """The partial is computed by an op whose own derivative is declared to be zero."""

    class Stopped(Elementwise):
        name = "stopped_identity"
        samples = ("f64[3]",)
        differentiable = False

        def eval(self, x):
            return np.array(x)

        def scalar(self, e, x):
            return x

    register(Stopped)
    with pytest.raises(LawBroken, match=r"wrong_cube: its jvp \(second order\) rule"):
        check_primitive(spoil(Cube, partials=lambda self, b, out, x: (b.mul(b.stopped_identity(b.mul(x, x)), 3.0),)))


def test_a_wrong_transpose_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_double: its transpose rule breaks the law 'the transposed tangent map is its adjoint'"):
        check_primitive(spoil(Double, transpose=lambda self, b, cts, operands: (b.neg(b.reduce_sum(cts[0], axes=(0,))),)))


def test_a_transpose_for_one_operand_only_is_caught():
    def one_sided(self, b, cts, operands):
        return (b.mul(cts[0], operands[1]), None) if is_linear(operands[0]) else (None, None)

    with pytest.raises(LawBroken, match=r"wrong_product: its transpose rule"):
        check_primitive(spoil(Product, transpose=one_sided))


def test_a_transpose_that_uses_the_linear_operand_is_caught():
    """It is seen as its type only, so there is nothing to use."""
    with pytest.raises(LawBroken, match=r"wrong_double: its transpose rule"):
        check_primitive(spoil(Double, transpose=lambda self, b, cts, operands: (operands[0],)))


def test_a_transpose_with_too_few_cotangents_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_product: its transpose rule.*\n.*1 cotangents for 2 operands"):
        check_primitive(spoil(Product, transpose=lambda self, b, cts, operands: (cts[0],)))


def test_a_missing_transpose_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_double: its transpose rule.*\n.*has no transpose rule"):
        check_primitive(spoil(Double, transpose=Primitive.transpose))


def test_claiming_to_be_linear_is_caught():
    def square(self, x):
        return np.stack([x * x, x * x])

    def batched_square(self, b, x, *, batched):
        return Double.batch(self, b, b.mul(x, x), batched=batched)

    with pytest.raises(LawBroken, match=r"wrong_double: its (jvp|linear_in) rule"):
        check_primitive(spoil(Double, eval=square, batch=batched_square))


def test_not_saying_linear_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_product: its jvp rule.*\n.*not linear"):
        check_primitive(spoil(Product, linear_in=()))


@pytest.mark.parametrize("far", [-1, 10**9])
def test_an_element_out_of_bounds_is_caught_before_native_code_reads_it(far):
    def element(self, e, index, x, y):
        return e.mul(x([e.index_add(index[0], far)]), y(index))

    with pytest.raises(LawBroken, match=r"wrong_product: its element, lower or scalar rule breaks the law 'the loops compute.*\n.*out of bounds"):
        check_primitive(spoil(Product, element=element))


def test_claiming_to_be_commutative_is_caught():
    def eval(self, x, y):
        return x * y * y

    with pytest.raises(LawBroken, match="wrong_product: its commutative rule"):
        check_primitive(spoil(Product, commutative=True, eval=eval))


def test_an_op_of_rlxc_itself_is_not_replaced():
    with pytest.raises(Error, match="there is an op 'sin' already"):
        register(type("Sine", (Cube,), {"name": "sin"}))


@pytest.mark.parametrize("name", ["", "two words", "3d", "a-b"])
def test_what_is_no_name_in_the_text_is_refused_as_the_name_of_an_op(name):
    with pytest.raises(Error, match="is not a name"):
        register(type("Unnamed", (Cube,), {"name": name}))


def test_a_wrong_batch_is_caught():
    def along_the_wrong_axis(self, b, x, *, batched):
        return b.reshape(b.broadcast(x, shape=(2, *x.type.shape), axes=(0,)), shape=(x.type.shape[0], 2, *x.type.shape[1:]))

    with pytest.raises(LawBroken, match=r"wrong_double: its batch rule breaks the law 'batching is a loop'"):
        check_primitive(spoil(Double, batch=along_the_wrong_axis))


def test_a_batch_of_the_wrong_type_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_double: its batch rule.*\n.*gave f64\[2, 3, 3\], not f64\[3, 2, 3\]"):
        check_primitive(spoil(Double, batch=lambda self, b, x, *, batched: b.broadcast(x, shape=(2, *x.type.shape), axes=(0,))))


def test_a_wrong_dtype_from_infer_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_double: its infer rule breaks the law 'infer tells what eval gives'"):
        check_primitive(spoil(Double, infer=lambda self, x: x.with_shape((2, *x.shape)).with_dtype("f32")))


def test_a_wrong_shape_from_infer_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_double: its infer rule"):
        check_primitive(spoil(Double, infer=lambda self, x: x))


def test_an_infer_that_crashes_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_double: infer:.*its infer rule failed: ZeroDivisionError"):
        check_primitive(spoil(Double, infer=lambda self, x: 1 // 0))


def test_an_eval_that_changes_its_operand_is_caught():
    def in_place(self, x):
        x *= 2.0
        return np.stack([x, x])

    with pytest.raises(LawBroken, match=r"wrong_double: its eval rule.*\n.*changes an operand"):
        check_primitive(spoil(Double, eval=in_place))


def test_an_eval_that_reads_memory_as_it_lies_is_caught():
    def flat(self, x):
        return np.stack([x, x]).ravel(order="K").reshape((2, *x.shape))

    with pytest.raises(LawBroken, match=r"wrong_double: its eval rule.*\n.*column-major"):
        check_primitive(spoil(Double, eval=flat))


def test_an_eval_with_chance_in_it_is_caught():
    def dice(self, x):
        return np.stack([x, x]) + np.random.random()

    with pytest.raises(LawBroken, match=r"wrong_double: its eval rule"):
        check_primitive(spoil(Double, eval=dice))


def test_a_wrong_decomposition_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_cube: its decompose rule breaks the law 'the legal form computes the same'"):
        check_primitive(spoil(Cube, composite=True, legalize=lambda self, b, x: b.mul(x, x)))


def test_a_decomposition_into_itself_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_cube.*\n.*never comes to an end"):
        check_primitive(spoil(Cube, legalize=lambda self, b, x: b.apply(self, x)))


def test_a_fold_that_is_not_safe_for_nan_is_caught():
    """0 x is not 0 where x is nan or infinite."""

    def fold(self, b, x, y):
        return b.zeros(x.type) if b.is_splat(y, 0.0) else None

    with pytest.raises(LawBroken, match=r"wrong_product: its fold rule breaks the law 'fold computes the same'"):
        check_primitive(spoil(Product, fold=fold))


def test_a_fold_of_the_wrong_type_is_caught():
    with pytest.raises(LawBroken, match=r"wrong_double: its fold rule"):
        check_primitive(spoil(Double, fold=lambda self, b, x: x))


def test_a_rule_that_emits_an_op_without_rules_is_caught():
    class Opaque(Elementwise):
        name = "opaque_square"
        samples = ("f64[3]",)

        def eval(self, x):
            return x * x

    register(Opaque)
    with pytest.raises(LawBroken, match=r"wrong_cube: its jvp.* rule.*\n.*opaque_square has no partials rule"):
        check_primitive(spoil(Cube, partials=lambda self, b, out, x: (b.mul(b.opaque_square(x), 3.0),)))


def test_attributes_that_do_not_survive_the_text_are_caught():
    class Tagged(Elementwise):
        name = "wrong_tagged"
        samples = (Sample("f64[3]", tag={"a": 1}),)

        def eval(self, x, *, tag: object):
            return np.array(x)

        def partials(self, b, out, x, *, tag):
            return (1,)

    with pytest.raises(LawBroken, match=r"wrong_tagged: its text rule"):
        check_primitive(Tagged)


def test_a_primitive_without_samples_is_refused():
    with pytest.raises(LawBroken, match=r"wrong_cube: it has no samples"):
        check_primitive(spoil(Cube, samples=()))


def test_a_sample_that_is_refused_is_said():
    with pytest.raises(LawBroken, match=r"wrong_cube: infer: a sample is refused.*i32"):
        check_primitive(spoil(Cube, samples=("i32[2]",)))


def test_the_laws_need_no_optional_package(monkeypatch):
    """Without ml_dtypes there are no bf16 arrays, and nothing to try on them."""
    from rlxc.errors import MissingExtra
    from rlxc.ir import types

    def missing():
        raise MissingExtra("bf16 arrays in Python need the package ml_dtypes")

    monkeypatch.setattr(types, "_bfloat16", missing)
    check_primitive(Cube)


def test_a_wrong_rule_beside_a_legal_form_is_no_hiding_place():
    """The legal form is what is differentiated, so a wrong `jvp` would go unnoticed."""

    class Twice(Primitive):
        name = "twice"
        dtypes = ("f64",)
        samples = ("f64[3]",)

        def infer(self, x):
            return x

        def eval(self, x):
            return x * 2

        def legalize(self, b, x):
            return b.add(x, x)

    class WrongTwice(Twice):
        def jvp(self, b, primals, tangents, outs):
            return b.mul(tangents[0], tangents[0])

    check_primitive(Twice)
    with pytest.raises(LawBroken, match=r"twice: its jvp rule .*\n.*no sample asks it"):
        check_primitive(WrongTwice)


def _boom(*_, **__):
    raise ZeroDivisionError("mine")


@pytest.mark.parametrize(
    ("rule", "wrong", "message"),
    [
        ("scalar", _boom, "its scalar rule failed: ZeroDivisionError: mine"),
        ("scalar", lambda self, e, x: None, "its scalar rule gave None"),
        ("scalar", lambda self, e, x: (x, x), "its scalar rule gave"),
        ("scalar", lambda self, e, x: e.convert(x, dtype="f32"), "its scalar or element rule gave f32, not f64"),
        ("element", _boom, "its element rule failed"),
        ("infer", lambda self, x: None, "its infer rule gave None"),
        ("fold", _boom, "its fold rule failed"),
        ("legalize", _boom, "its legalize rule failed"),
        ("legalize", lambda self, b, x: 3, "its legalize rule gave 3"),
        ("partials", _boom, "its partials rule failed"),
        ("partials", lambda self, b, out, x: ("x",), "its partials rule gave 'x'"),
        ("jvp", _boom, "its jvp rule failed"),
        ("batch", _boom, "its batch rule failed"),
    ],
)
def test_a_rule_that_fails_is_named_with_the_place_that_asked_for_it(rule, wrong, message):
    register(type("Spoilt", (Cube,), {"name": "spoilt", rule: wrong}))

    def use():
        f = rlxc.parse("func @f(%x: f64[3]) -> f64[3] {\n  %y = spoilt %x\n  return %y\n}")["f"]
        rlxc.compile(rlxc.vmap(f) if rule == "batch" else rlxc.jvp(f, ["x"]) if rule in ("partials", "jvp") else f)

    try:
        with pytest.raises(Error) as caught:
            use()
    finally:
        del REGISTRY.levels["tensor"]["spoilt"]
    assert f"spoilt: {message}" in str(caught.value)
    assert "<text>:2:8" in str(caught.value)
