"""What the tape asks of primitives and executors: who asks which rule how often, errors that say where, and operands of any sort."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

import rlxc
from rlxc import eager


def leaf(value):
    return eager.tensor(value, requires_grad=True)


class Odd(rlxc.Elementwise):
    """x cubed, whose rules are to be spoilt."""

    dtypes = ("f64",)
    operands = ("x",)

    def eval(self, x):
        return x * x * x

    def scalar(self, e, x):
        return e.mul(e.mul(x, x), x)


def registered(name, **rules):
    return rlxc.register(type(name, (Odd,), {"name": name, "__module__": __name__, **rules}))


def spoilt(jvp):
    registered("test_odd", jvp=jvp)


@pytest.mark.parametrize(
    ("jvp", "error", "message"),
    [
        (rlxc.Primitive.jvp, rlxc.MissingRule, "test_odd has no jvp rule"),
        (lambda self, b, primals, tangents, outs: (None, None), rlxc.RuleError, "test_odd: its jvp rule gave 2 tangents for 1 results"),
        (lambda self, b, primals, tangents, outs: (3.0,), rlxc.RuleError, "test_odd: its jvp rule gave 3.0, not a value or None"),
        (
            lambda self, b, primals, tangents, outs: (b.broadcast(tangents[0], shape=(2,), axes=(0,)),),
            rlxc.RuleError,
            r"test_odd: its jvp rule gave a tangent f64\[2\] for a result f64\[\]",
        ),
        (lambda self, b, primals, tangents, outs: (b.convert(tangents[0], dtype="f32"),), rlxc.RuleError, r"gave a tangent f32\[\] for a result f64\[\]"),
        (lambda self, b, primals, tangents, outs: (primals[0],), rlxc.RuleError, "does not depend on the tangents"),
        (lambda self, b, primals, tangents, outs: (b.mul(tangents[0], tangents[0]),), rlxc.LinearityError, "test_odd: its jvp rule is not linear"),
        (lambda self, b, primals, tangents, outs: (b.add(tangents[0], primals[0]),), rlxc.LinearityError, "test_odd: its jvp rule is not linear"),
    ],
    ids=["missing", "count", "kind", "shape", "dtype", "constant", "quadratic", "affine"],
)
def test_a_jvp_rule_that_is_wrong_is_named_with_the_line_that_asked_for_it(jvp, error, message):
    spoilt(jvp)
    assert eager.apply("test_odd", eager.tensor(2.0)).item() == 8  # it is not asked
    with pytest.raises(error, match=message) as raised:
        eager.apply("test_odd", leaf(2.0))
    assert raised.value.loc.file == __file__
    with pytest.raises(error, match=message):  # and again
        eager.apply("test_odd", leaf(2.0))


@pytest.mark.parametrize(
    ("transpose", "error", "message"),
    [
        (None, rlxc.MissingRule, "test_linear has no transpose rule"),
        (lambda self, b, cts, operands: (cts[0], cts[0]), rlxc.RuleError, "test_linear: its transpose rule gave 2 cotangents for 1 operands"),
        (lambda self, b, cts, operands: ("ct",), rlxc.RuleError, "test_linear: its transpose rule gave 'ct', not a value or None"),
        (lambda self, b, cts, operands: (b.convert(cts[0], dtype="f32"),), rlxc.RuleError, r"a cotangent f32\[\] for an operand f64\[\]"),
    ],
    ids=["missing", "count", "kind", "dtype"],
)
def test_a_transpose_rule_that_is_wrong_is_named_with_the_line_that_recorded_it(transpose, error, message):
    rules = {"linear_in": (0,), "jvp": lambda self, b, primals, tangents, outs: (b.test_linear(tangents[0]),)}
    registered("test_linear", **rules, **({"transpose": transpose} if transpose else {}))
    with pytest.raises(error, match=message) as raised:
        eager.apply("test_linear", leaf(2.0)).backward()
    assert raised.value.loc.file == __file__


def test_each_rule_is_asked_once_and_transposing_asks_no_jvp_rule():
    asked = Counter()

    def jvp(self, b, primals, tangents, outs):
        asked["jvp"] += 1
        return (b.test_counted_map(tangents[0], primals[0]),)

    def transpose(self, b, cts, operands):
        asked["transpose"] += 1
        return b.test_counted_map(cts[0], operands[1]), None

    registered("test_counted", jvp=jvp)
    registered(
        "test_counted_map",
        linear_in=(0,),
        transpose=transpose,
        jvp=lambda self, b, primals, tangents, outs: (None,),
        operands=("dx", "x"),
        eval=lambda self, dx, x: 3 * x * x * dx,
        scalar=lambda self, e, dx, x: e.mul(e.mul(e.mul(x, x), 3.0), dx),
    )
    x = leaf(2.0)
    results = [eager.apply("test_counted", x) for _ in range(5)]
    for y in results:
        y.backward()
    assert x.grad.item() == 60
    assert asked == {"jvp": 1, "transpose": 1}  # the second use of an operation asks no rule at all


def test_operands_that_do_not_fit_are_refused_at_the_users_line():
    with pytest.raises(rlxc.ShapeError, match="add: shapes do not fit") as raised:
        eager.apply("add", leaf(np.ones(2)), leaf(np.ones(3)))
    assert raised.value.loc.file == __file__
    with pytest.raises(rlxc.DTypeError, match="dtypes differ"):
        eager.apply("add", leaf(np.ones(2)), eager.tensor(np.ones(2, np.float32)))
    with pytest.raises(rlxc.UnknownName, match="no op 'mull'"):
        eager.apply("mull", leaf(1.0), 2.0)
    with pytest.raises(rlxc.ArgumentError, match="no variable"):
        eager.apply("mul", 1.0, 2.0)
    with pytest.raises(TypeError):
        leaf(1.0) * "two"


def test_mixed_dtypes_are_those_of_numpy():
    x = leaf(np.ones(2, np.float32))
    assert (x * 2.0).dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64
    assert (x * np.ones(2)).dtype == np.float64
    assert (eager.tensor(np.arange(3)) / 2).dtype == np.float64
    y = x * np.ones(2)
    y.backward(np.ones(2))
    assert x.grad.dtype == np.float32


# -- an executor for exact numbers, with a type of its own


class Rationals(eager.Executor):
    class Type:
        """The only type; rules ask whether its dtype is differentiable."""

        class dtype:
            differentiable = True

        shape = ()

        def __repr__(self):
            return "rational"

    only = Type()

    def type_of(self, operand):
        return self.only

    def take(self, operand):
        return Fraction(operand)

    view = take

    def zeros(self, type):
        return Fraction(0)

    def ones(self, type):
        return Fraction(1)

    def add(self, x, y):
        return x + y


class Rational(eager.Variable):
    executor = Rationals()

    def __mul__(self, other):
        return eager.apply("test_rational_mul", self, other)


@pytest.fixture
def rational_mul():
    @rlxc.register
    class RationalMul(rlxc.Primitive):
        name = "test_rational_mul"
        linear_in = (0, 1)

        def infer(self, x, y):
            return x

        def eval(self, x, y):
            return x * y

        def jvp(self, b, primals, tangents, outs):
            (x, y), (dx, dy) = primals, tangents
            terms = [b.test_rational_mul(*pair) for pair in ((dx, y), (x, dy)) if None not in pair]
            return (b.test_rational_sum(*terms) if len(terms) == 2 else terms[0],)

        def transpose(self, b, cts, operands):
            x, y = operands
            return (b.test_rational_mul(cts[0], y), None) if rlxc.is_linear(x) else (None, b.test_rational_mul(x, cts[0]))

    @rlxc.register
    class RationalSum(rlxc.Primitive):
        name = "test_rational_sum"
        linear_in = ((0, 1),)

        def infer(self, x, y):
            return x

        def eval(self, x, y):
            return x + y

        def jvp(self, b, primals, tangents, outs):
            raise AssertionError("not asked")

        def transpose(self, b, cts, operands):
            return cts[0], cts[0]


@pytest.mark.usefixtures("rational_mul")
def test_operands_of_a_type_of_their_own():
    x = Rational(Fraction(1, 3), requires_grad=True)
    y = x * x * 6
    y.backward()
    assert (y.value, x.grad.value, type(y.value)) == (Fraction(2, 3), Fraction(4), Fraction)
