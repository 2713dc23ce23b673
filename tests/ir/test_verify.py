"""The verifier: modules made by hand that are wrong, one rule at a time."""

import numpy as np
import pytest

from rlxc.errors import Error
from rlxc.frontend.parser import parse
from rlxc.ir.attributes import Symbol
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.primitive import lookup
from rlxc.ir.types import DType, MemType, TensorType
from rlxc.ir.verify import verify, verify_func

F3 = TensorType(DType("f32"), (3,))
F4 = TensorType(DType("f32"), (4,))
SIN, ADD, SUM = lookup("sin"), lookup("add"), lookup("reduce_sum")
X = Value(F3, "x")


def func(*ops, args=(X,), results=(), kind="func"):
    return Module((Func("f", args, ops, results, kind),))


def op(prim, operands, types=(F3,), attrs=None):
    return Op(prim, tuple(operands), attrs or {}, tuple(Value(t) for t in types))


def codes(module, **options):
    with pytest.raises(Error) as caught:
        verify(module, **options)
    return [d.code for d in caught.value.diagnostics]


STRAY = Value(F3, "stray")
TWICE = op(SIN, [X])

WRONG = {
    "used before defined": (func(op(SIN, [STRAY])), "RLX0105"),
    "returned and not defined": (func(results=(STRAY,)), "RLX0105"),
    "defined twice": (func(TWICE, TWICE), "RLX0106"),
    "two arguments of one name": (func(args=(Value(F3, "x"), Value(F3, "x"))), "RLX0106"),
    "too few operands": (func(op(ADD, [X])), "RLX0211"),
    "another result type": (func(op(SIN, [X], [F4])), "RLX0212"),
    "more results": (func(op(SIN, [X], [F3, F3])), "RLX0214"),
    "operands that do not fit": (func(op(ADD, [X, y := Value(F4, "y")]), args=(X, y)), "RLX0201"),
    "an attribute too many": (func(op(SIN, [X], attrs={"a": 1})), "RLX0207"),
    "an attribute missing": (func(op(SUM, [X], [TensorType(DType("f32"))])), "RLX0208"),
    "an attribute of another kind": (func(op(SUM, [X], [TensorType(DType("f32"))], {"axes": ("0",)})), "RLX0203"),
    "an attribute not completed": (func(op(SUM, [X], [TensorType(DType("f32"))], {"axes": [np.int64(0)]})), None),
    "a loop op in a func": (func(op(lookup("sin", "loop"), [X])), "RLX0109"),
    "a tensor op in a kernel": (func(op(SIN, [X]), kind="kernel"), "RLX0109"),
    "memory in a func": (func(args=(Value(MemType(DType("f32"), (3,))),)), "RLX0210"),
    "a function of no kind": (func(kind="region"), "RLX0210"),
    "a callee that does not exist": (func(op(lookup("call"), [X], attrs={"callee": Symbol("g"), "type": (F3,)})), "RLX0103"),
    "recursion": (func(op(lookup("call"), [X], [], attrs={"callee": Symbol("f"), "type": ()})), "RLX0217"),
    "two functions of one name": (Module((Func("f", (), (), ()), Func("f", (), (), ()))), "RLX0107"),
    "a region that the op does not have": (func(Op(SIN, (X,), {}, (Value(F3),), (Func("", (), (), (), "region"),))), "RLX0220"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_well_formed_is_refused(case):
    module, code = WRONG[case]
    if code is None:
        verify(module)
    else:
        assert codes(module) == [code]


def test_values_of_a_region_are_not_seen_outside():
    module = parse("kernel @k(%m: mem f32[4]) {\n  for %i in 0..4 {\n    %v = load %m, %i\n    store %m, %v, %i\n  }\n}")
    loop = module["k"].ops[0]
    inner = loop.regions[0].ops[0].result
    again = Op(lookup("neg", "loop"), (inner,), {}, (Value(inner.type),))
    assert codes(Module((module["k"].with_(ops=(loop, again)),))) == ["RLX0105"]


def test_recursion_through_several_functions_names_them():
    text = "func @f() { call @g() return } func @g() { call @h() return } func @h() { call @f() return }"
    with pytest.raises(Error, match="@f calls @g calls @h calls @f"):
        parse(text)


def test_all_that_is_wrong_is_reported():
    assert codes(func(op(SIN, [STRAY]), op(ADD, [X]), op(SIN, [X], [F4]))) == ["RLX0105", "RLX0211", "RLX0212"]


LEGAL = "func @f(%x: f32[2, 3], %y: f32[2, 3]) { %z = add %x, %y return }"


def test_legal_programs_stay_legal():
    verify(parse(LEGAL), "legal")


@pytest.mark.parametrize(
    "body",
    [
        "%z = add %x, %b",
        "%z = softmax %x {axis = 0}",
        "%h = convert %x {dtype = f16} %z = sin %h",
    ],
)
def test_what_legalize_would_change_is_not_legal(body):
    module = parse(f"func @f(%x: f32[2, 3], %b: f32[3]) {{ {body} return }}")
    verify(module)
    assert codes(module, stage="legal") == ["RLX0222"]


def test_only_kernels_are_left_for_loops():
    assert codes(parse(LEGAL), stage="loops") == ["RLX0223"]
    verify(parse("kernel @k(%m: mem f32[4]) {\n}"), "loops")


def test_named_dimensions_can_be_refused():
    module = parse("func @f(%x: f32[B]) { %y = sin %x return }")
    verify(module, "legal")
    assert codes(module, stage="legal", static=True) == ["RLX0206"]


def test_one_function_is_verified_by_itself():
    verify_func(parse(LEGAL)["f"])


def test_a_fused_region_without_rows_ends_in_its_op():
    head = "func @f(%x: f32[3]) -> f32[3] {\n  %y = fused %x do (%a: f32[3]) {\n"
    for body, message in (("    yield %a\n", "computes an op"), ("    %b = sin %a\n    yield %a\n", "sin stands last in a fused region")):
        with pytest.raises(Error, match=message):
            parse(f"{head}{body}  }}\n  return %y\n}}")


def test_a_fused_region_with_rows_holds_what_goes_by_rows():
    with pytest.raises(Error, match="cumsum does not go by rows"):
        parse(
            """func @f(%x: f32[3]) -> f32[3] {
              %y = fused %x {rows = 0} do (%a: f32[3]) {
                %b = cumsum %a {axis = 0}
                yield %b
              }
              return %y
            }"""
        )
