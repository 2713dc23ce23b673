"""How often rules are asked: jvp once an op, none by transposing, nothing for what is inactive; and what is said of rules that fail."""

from typing import ClassVar

import numpy as np
import pytest

import rlxc
from rlxc.ir.primitive import REGISTRY
from rlxc.passes.gradient import prepare
from rlxc.passes.linearize import linearize
from rlxc.passes.transpose import transpose


class Counted(rlxc.Elementwise):
    """The square, which counts how often its rules are asked."""

    name = "test_counted"
    asked: ClassVar[list] = []

    def eval(self, x):
        return x * x

    def jvp(self, b, primals, tangents, outs):
        self.asked.append("jvp")
        return (b.mul(tangents[0], b.mul(primals[0], 2.0)),)

    def scalar(self, e, x):
        return e.mul(x, x)


class CountedMap(rlxc.LinearMap):
    """Minus x, which counts how often its rules are asked."""

    name = "test_counted_map"
    asked: ClassVar[list] = []
    linear_in = (0,)

    def infer(self, x):
        return x

    def eval(self, x):
        return -x

    def jvp(self, b, primals, tangents, outs):
        self.asked.append("jvp")
        return (b.test_counted_map(tangents[0]),)

    def transpose(self, b, cts, operands):
        self.asked.append("transpose")
        return (b.test_counted_map(cts[0]),)


@pytest.fixture(autouse=True)
def counters():
    for cls in (Counted, CountedMap):
        cls.asked.clear()
        rlxc.register(cls)
    yield
    for cls in (Counted, CountedMap):
        del REGISTRY.levels["tensor"][cls.name]


def function(args, body, result="f64[]"):
    return rlxc.parse(f"func @f({args}) -> {result} {{ {body} }}")["f"]


def test_each_jvp_rule_is_asked_once_in_each_linearize():
    f = function("%x: f64[]", "%a = test_counted %x %b = test_counted %a %c = add %b, %a return %c")
    rlxc.value_and_grad(f)
    assert Counted.asked == ["jvp", "jvp"]


def test_transposing_asks_no_jvp_rule_and_each_transpose_rule_once():
    f = function("%x: f64[]", "%a = test_counted_map %x %b = test_counted_map %a %c = test_counted %b return %c")
    _, linear = linearize(prepare(f)).functions("f")
    assert CountedMap.asked == ["jvp", "jvp"]
    Counted.asked.clear()
    transpose(linear)
    assert CountedMap.asked == ["jvp", "jvp", "transpose", "transpose"]
    assert Counted.asked == []


SQUARE = "do (%a: f64[]) { %c = test_counted %a yield %c }"
BODIES = {
    "scan": f"%y = scan %x {{consts = 0, carries = 1, length = 5}} {SQUARE}",
    "scan in segments": f"%y = scan %x {{consts = 0, carries = 1, length = 6, checkpoint = 2}} {SQUARE}",
    "scan of what depends on x later": "%y, %z = scan %x, %x {consts = 0, carries = 2, length = 5} "
    "do (%a: f64[], %b: f64[]) { %c = test_counted %b yield %b, %c }",
    "scan in a scan": "%y = scan %x {consts = 0, carries = 1, length = 3} do (%a: f64[]) { "
    f"%b = scan %a {{consts = 0, carries = 1, length = 3}} {SQUARE} yield %b }}",
    "while": f"%y = while %x {{consts = 0, bound = 5}} do (%a: f64[]) {{ %p = lt %a, %a yield %p }} {SQUARE}",
    "cond": f"%p = gt %x, %x %y = cond %p, %x {SQUARE} do (%a: f64[]) {{ yield %a }}",
    "checkpoint": f"%y = checkpoint %x {SQUARE}",
    "map": f"%v = reshape %x {{shape = [1]}} %w = map %v {{consts = 0}} {SQUARE} %y = reshape %w {{shape = []}}",
}


@pytest.mark.parametrize("make", [rlxc.grad, rlxc.jvp, rlxc.vjp, rlxc.linearize, rlxc.jacfwd, rlxc.jacrev], ids=lambda m: m.__name__)
@pytest.mark.parametrize("body", BODIES)
def test_a_body_is_linearized_once(body, make):
    """However often it runs, and however many rounds it takes to see what of it depends on x."""
    make(function("%x: f64[]", f"{BODIES[body]} return %y"))
    assert Counted.asked == ["jvp"]


def test_a_function_with_a_rule_is_not_linearized():
    f = function("%x: f64[]", f"%y = custom_jvp %x {SQUARE} do (%b: f64[], %d: f64[]) {{ yield %d }} return %y")
    rlxc.grad(f)
    rlxc.jvp(f)
    f = function("%x: f64[]", f"%y = custom_vjp %x {SQUARE} {SQUARE} do (%d: f64[]) {{ yield %d }} return %y")
    rlxc.grad(f)
    assert Counted.asked == []


@pytest.mark.parametrize(
    "body",
    [
        "%a = test_counted %y %b = mul %a, %x return %b",  # of an argument that is not differentiated
        "%s = stop_gradient %x %a = test_counted %s %b = mul %a, %x return %b",
        "%i = convert %x {dtype = i32} %j = convert %i {dtype = f64} %a = test_counted %j %b = mul %a, %x return %b",
        "%a = test_counted %x %b = gt %a, %y %z = constant dense<0.0> : f64[] %c = select %b, %x, %z return %c",
    ],
)
def test_nothing_is_computed_for_what_is_inactive(body):
    linear = linearize(prepare(function("%x: f64[], %y: f64[]", body)), ["x"])
    used = {v for op in linear.linear_ops for v in op.operands}
    assert len(linear.linear_ops) == 1
    if "gt" not in body:
        assert Counted.asked == []
    assert not any(op.prim.name == "test_counted" and op.result in used for op in linear.linear_ops)


def test_a_branch_without_tangents_asks_no_rule():
    f = function(
        "%p: bool[], %x: f64[], %y: f64[]",
        """%r = cond %p, %x, %y do (%a: f64[], %b: f64[]) { %c = test_counted %b %d = mul %c, %a yield %d } do (%a1: f64[], %b1: f64[]) { yield %b1 }
        return %r""",
    )
    rlxc.grad(f, "x")
    assert Counted.asked == []
    assert [float(d) for d in (rlxc.interpret(rlxc.grad(f, "x"), np.array(p), np.array(2.0), np.array(3.0)) for p in (True, False))] == [9.0, 0.0]


def test_a_missing_rule_inside_a_loop_names_op_rule_and_place():
    @rlxc.register
    class NoRules(rlxc.Elementwise):
        name = "test_no_rules"

        def eval(self, x):
            return x

    body = "%y = scan %x {consts = 0, carries = 1, length = 5} do (%a: f64[]) {\n    %c = test_no_rules %a\n    yield %c\n  }"
    text = f"func @f(%x: f64[]) -> f64[] {{\n  {body}\n  return %y\n}}"
    with pytest.raises(rlxc.MissingRule, match="test_no_rules has no partials rule") as caught:
        rlxc.grad(rlxc.parse(text, "loop.rlx")["f"])
    assert "loop.rlx:3:" in str(caught.value)


def test_a_missing_rule_tells_how_a_tangent_reaches_it():
    @rlxc.register
    class NoRules(rlxc.Elementwise):
        name = "test_no_rules"

        def eval(self, x):
            return x

    with pytest.raises(rlxc.MissingRule, match=r"by %x, %a, %b\n"):
        rlxc.grad(function("%x: f64[], %y: f64[]", "%a = sin %x %b = mul %y, %a %c = test_no_rules %b return %c"), "x")
    steps = " ".join(f"%v{i} = sin {f'%v{i - 1}' if i else '%x'}" for i in range(50))
    with pytest.raises(rlxc.MissingRule, match=r"by %x, %v0, %v1, \.\.\., %v47, %v48, %v49\n"):
        rlxc.grad(function("%x: f64[]", f"{steps} %c = test_no_rules %v49 return %c"))


def test_gradients_have_the_same_bits_each_time():
    ops = " ".join(f"%s{i} = add {f'%s{i - 1}' if i else '%x'}, %x %t{i} = sin %s{i}" for i in range(40))
    total = " ".join(f"%u{i} = add {f'%u{i - 1}' if i else '%t0'}, %t{i}" for i in range(40))
    f = function("%x: f64[1000]", f"{ops} {total} %r = reduce_sum %u39 {{axes = [0]}} return %r")
    x = np.linspace(0, 1, 1000)
    texts = {str(rlxc.grad(f)) for _ in range(3)}
    assert len(texts) == 1
    gradient = rlxc.compile(rlxc.grad(f))
    assert len({gradient(x).tobytes() for _ in range(10)}) == 1
    assert rlxc.compile(rlxc.grad(f))(x).tobytes() == gradient(x).tobytes()
