"""The parser: what it accepts, what it means, and that text and modules round-trip."""

import math
import struct
import sys

import numpy as np
import pytest
from corpus import CORPUS
from hypothesis import given
from hypothesis import strategies as st

from rlxc.errors import Error
from rlxc.frontend.parser import parse
from rlxc.ir.attributes import Dense, Resource, Symbol, attr_text
from rlxc.ir.core import Func, Module, Value
from rlxc.ir.primitive import REGISTRY, Primitive, register
from rlxc.ir.types import TENSOR_DTYPES, Dim, DType, TensorType
from rlxc.ir.verify import verify


class Anything(Primitive):
    """An op for these tests: one attribute of any kind."""

    name = "test.anything"

    def infer(self, x, *, value: object, other: object = 1.5):
        return x


@pytest.fixture(scope="module", autouse=True)
def _anything_is_known():
    register(Anything)
    yield
    del REGISTRY.levels["tensor"][Anything.name]


def with_attribute(text):
    return f"rlx 0.1\n\nfunc @f(%x: f32[B]) -> f32[B] {{\n  %y = test.anything %x {{value = {text}}} : f32[B]\n  return %y\n}}\n"


@pytest.mark.parametrize("name", CORPUS)
def test_modules_and_canonical_text_round_trip(name):
    text = CORPUS[name]
    module = parse(text)
    verify(module)
    assert parse(str(module)) == module
    assert str(parse(str(module))) == str(module)
    if "//" not in text:
        assert str(module) == text


ATTRIBUTES = st.recursive(
    st.one_of(
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]),
        st.booleans(),
        st.none(),
        st.text(),
        st.sampled_from(TENSOR_DTYPES).map(DType),
        st.from_regex(r"[A-Z]\w{0,3}", fullmatch=True).filter(str.isascii).map(Dim),
        st.builds(TensorType, st.sampled_from(TENSOR_DTYPES).map(DType), st.lists(st.integers(0, 9), max_size=3).map(tuple)),
        st.builds(Resource, st.text(), st.text()),
    ),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=8,
)


@given(ATTRIBUTES)
def test_every_attribute_reads_back_bit_for_bit(value):
    text = with_attribute(attr_text(value))
    module = parse(text)
    assert same(module["f"].ops[0].attrs["value"], value)
    assert str(module) == text or value == 1.5


def same(a, b):
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return type(b) is float and struct.pack("<d", a) == struct.pack("<d", b)
    return type(a) is type(b) and a == b


@given(st.sampled_from(TENSOR_DTYPES), st.lists(st.integers(0, 4), max_size=3), st.randoms(use_true_random=False))
def test_every_constant_reads_back_bit_for_bit(dtype, shape, random):
    dtype = DType(dtype)
    count = math.prod(shape)
    data = bytes(random.getrandbits(8) & 1 if dtype == "bool" else random.getrandbits(8) for _ in range(count * dtype.size))
    array = np.frombuffer(data, dtype.numpy).reshape(shape)
    dense = Dense(array, TensorType(dtype, tuple(shape)))
    text = f"rlx 0.1\n\nfunc @f() -> {dense.type} {{\n  %c = constant {attr_text(dense)} : {dense.type}\n  return %c\n}}\n"
    module = parse(text)
    assert module["f"].ops[0].attrs["value"].array.tobytes() == data
    assert str(module) == text


def test_a_constant_as_an_attribute_keeps_its_type():
    text = with_attribute("dense<[1, 2]> : u8[2]")
    assert str(parse(text)) == text


@given(st.text(min_size=1), st.text(min_size=1))
def test_values_and_functions_can_have_any_name(value, function):
    x = Value(TensorType(DType("f32")), value)
    module = Module((Func(function, (x,), (), (x,)),))
    assert parse(str(module)) == module


def test_a_name_of_digits_and_a_number_are_told_apart():
    text = 'rlx 0.1\n\nfunc @f(%0: f32[], %"0": f32[]) -> (f32[], f32[]) {\n  return %"0", %0\n}\n'
    assert str(parse(text)) == text
    assert [a.name for a in parse(text)["f"].args] == [None, "0"]


FREEDOMS = {
    "operands in parentheses": "  %y = add(%x, %x) : f32[3]",
    "types left out": "  %y = add %x, %x",
    "over several lines": "  %y =\n   add %x // one\n   , // two\n   %x :\n f32 [ 3 ]",
    "two on a line": "  %y = add %x, %x %z = sin %y",
}


@pytest.mark.parametrize("case", FREEDOMS)
def test_layout_is_free(case):
    module = parse(f"func @f(%x: f32[3]) {{ {FREEDOMS[case]} return }}")
    assert str(module["f"].ops[0].result.type) == "f32[3]"
    assert module["f"].ops[0].prim.name == "add"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1.8p3", 12.0),
        ("-0x1p-3", -0.125),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-inf", -math.inf),
        ("0x10", 16),
        ("+7", 7),
        ("f32", DType("f32")),
        ("B", Dim("B")),
        ("@f", Symbol("f")),
        ("[]", ()),
        ("[1, [B, true], none]", (1, (Dim("B"), True), None)),
        (r'"a\"\u0041\n"', 'a"A\n'),
    ],
)
def test_attributes_are_read(text, value):
    assert same(parse(with_attribute(text))["f"].ops[0].attrs["value"], value)


def test_a_bare_attribute_is_true():
    module = parse("func @f(%x: f32[3]) { %y = test.anything %x {other, value = 1} return }")
    assert module["f"].ops[0].attrs["other"] is True


def test_locations_are_those_of_the_text():
    module = parse("func @f(%x: f32[3]) {\n  %y,\n   %z = top %x\n  %a = add %x, %x\n  return\n}".replace("%y,\n   %z = top %x", "%w = sin\n %x"), "f.rlx")
    func = module["f"]
    assert str(func.loc) == "f.rlx:1:6"
    assert str(func.args[0].loc) == "f.rlx:1:9"
    assert str(func.ops[1].loc) == "f.rlx:4:8"
    assert (func.ops[1].loc.end_line, func.ops[1].loc.end_column) == (4, 18)
    assert str(func.ops[1].result.loc) == "f.rlx:4:3"


def test_calls_take_the_sizes_they_meet():
    text = CORPUS["calls"]
    types = [str(v.type) for op in parse(text)["main"].ops for v in op.results]
    assert types == ["f32[4]", "f32[3]", "f32[N]", "f32[3]", "i64[2]"]


@pytest.mark.parametrize(
    ("operand", "code"),
    [("f32[4, 5]", "RLX0218"), ("f64[4, 3]", "RLX0218"), ("f32[3]", "RLX0218")],
)
def test_calls_with_other_operands_are_refused(operand, code):
    text = f"func @g(%x: f32[B, 3], %y: f32[B]) {{ return }} func @f(%x: {operand}, %y: f32[4]) {{ call @g(%x, %y) return }}"
    with pytest.raises(Error) as caught:
        parse(text)
    assert caught.value.code == code


def test_a_named_dimension_of_a_callee_has_one_size():
    with pytest.raises(Error, match="with B = 4"):
        parse("func @g(%x: f32[B], %y: f32[B]) { return } func @f(%x: f32[4], %y: f32[5]) { call @g(%x, %y) return }")


def chain(n):
    lines = "".join(f"  %{i + 1} = sin %{i} : f32[3]\n" for i in range(n))
    return f"rlx 0.1\n\nfunc @f(%0: f32[3]) -> f32[3] {{\n{lines}  return %{n}\n}}\n"


def calls(run):
    """What `run` gives, and how many functions it calls: a measure of time that no other process disturbs."""
    count = 0

    def count_one(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(count_one)
    try:
        result = run()
    finally:
        sys.setprofile(None)
    return result, count


def test_reading_checking_and_printing_are_linear():
    parse(chain(10))
    counts = {}
    for n in (400, 4_000):
        text = chain(n)
        module, parsed = calls(lambda text=text: parse(text))
        _, verified = calls(lambda module=module: verify(module))
        printed, written = calls(lambda module=module: str(module))
        assert printed == text
        counts[n] = parsed, verified, written
    assert counts[4_000][0] < 300 * 4_000
    assert max(long / short for short, long in zip(counts[400], counts[4_000], strict=True)) < 11


def test_a_large_constant_is_read_quickly():
    array = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
    text = f"func @f() {{ %c = constant {attr_text(Dense(array))} : f32[300, 300] return }}"
    module, count = calls(lambda: parse(text))
    assert count < 10 * array.size
    assert np.array_equal(module["f"].ops[0].attrs["value"].numpy(), array)
