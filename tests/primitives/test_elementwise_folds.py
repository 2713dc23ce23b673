"""Identities of elementwise ops: they fire, and no bit of the result changes, for nan, infinities and signed zeros too."""

import numpy as np
import pytest

import rlxc.primitives  # noqa: F401
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.interp import interpret
from rlxc.ir.types import parse_type
from rlxc.passes.simplify import simplify

FLOATS = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -3.0, 1e-310, 1e300, -1e300, np.inf, -np.inf, np.nan])


def func_of(build, *types):
    args = tuple(Value(parse_type(t), f"x{i}") for i, t in enumerate(types))
    b = Builder()
    return Func("f", args, (), ()).with_(results=(build(b, *args),), ops=tuple(b.ops))


def names(func):
    return [op.prim.name for op in func.ops if op.prim.name != "constant"]


def operand(t, seed):
    type = parse_type(t)
    if type.dtype == "bool":
        return np.arange(type.size) % 2 == 0
    if type.dtype.is_integer:
        info = np.iinfo(type.dtype.numpy)
        return np.resize(np.array([0, 1, 7, info.min, info.max, info.max // 2], type.dtype.numpy), type.shape)
    with np.errstate(over="ignore"):
        return np.roll(np.resize(FLOATS, type.shape), 5 * seed).astype(type.dtype.numpy)


X, Y, N, U, C = "f64[12]", "f64[12]", "i32[12]", "u8[12]", "bool[12]"
FIRE = [
    ("x + -0.0", lambda b, x: b.add(x, -0.0), [X], []),
    ("i + 0", lambda b, x: b.add(x, 0), [N], []),
    ("x + -y", lambda b, x, y: b.add(x, b.neg(y)), [X, Y], ["sub"]),
    ("-x + y", lambda b, x, y: b.add(b.neg(x), y), [X, Y], ["sub"]),
    ("x - 0", lambda b, x: b.sub(x, 0.0), [X], []),
    ("-0.0 - x", lambda b, x: b.sub(-0.0, x), [X], ["neg"]),
    ("x - -y", lambda b, x, y: b.sub(x, b.neg(y)), [X, Y], ["add"]),
    ("i - i", lambda b, x: b.sub(x, x), [N], []),
    ("x * 1", lambda b, x: b.mul(1.0, x), [X], []),
    ("x * -1", lambda b, x: b.mul(x, -1.0), [X], ["neg"]),
    ("i * 0", lambda b, x: b.mul(0, x), [N], []),
    ("u * 255", lambda b, x: b.mul(x, 255), [U], ["mul"]),
    ("-x * -y", lambda b, x, y: b.mul(b.neg(x), b.neg(y)), [X, Y], ["mul"]),
    ("-x * 3", lambda b, x: b.mul(b.neg(x), 3.0), [X], ["mul"]),
    ("x / 1", lambda b, x: b.div(x, 1.0), [X], []),
    ("x / -1", lambda b, x: b.div(x, -1.0), [X], ["neg"]),
    ("x / 4", lambda b, x: b.div(x, 4.0), [X], ["mul"]),
    ("i / -1", lambda b, x: b.div(x, -1), [N], ["neg"]),
    ("-x / -y", lambda b, x, y: b.div(b.neg(x), b.neg(y)), [X, Y], ["div"]),
    ("- -x", lambda b, x: b.neg(b.neg(x)), [X], []),
    ("| -x |", lambda b, x: b.abs(b.neg(x)), [X], ["abs"]),
    ("| |x| |", lambda b, x: b.abs(b.abs(x)), [X], ["abs"]),
    ("|u|", lambda b, x: b.abs(x), [U], []),
    ("t strong 2", lambda b, x: b.strong_mul(x, 2.0), [X], ["mul"]),
    ("x ^ 0", lambda b, x: b.pow(x, 0.0), [X], []),
    ("x ^ 1", lambda b, x: b.pow(x, 1.0), [X], []),
    ("x ^ 2", lambda b, x: b.pow(x, 2.0), [X], ["mul"]),
    ("x ^ -1", lambda b, x: b.pow(x, -1.0), [X], ["div"]),
    ("1 ^ x", lambda b, x: b.pow(1.0, x), [X], []),
    ("max(x, x)", lambda b, x: b.max(x, x), [X], []),
    ("max(x, -inf)", lambda b, x: b.max(x, -np.inf), [X], []),
    ("min(inf, x)", lambda b, x: b.min(np.inf, x), [X], []),
    ("floor(round(x))", lambda b, x: b.floor(b.round(x)), [X], ["round"]),
    ("select(c, x, x)", lambda b, c, x: b.select(c, x, x), [C, X], []),
    ("select(c, true, false)", lambda b, c: b.select(c, b.constant(True, like=c), b.constant(False, like=c)), [C], []),
    ("select(not c, x, y)", lambda b, c, x, y: b.select(b.not_(c), x, y), [C, X, Y], ["select"]),
    ("select(c, select(c, x, y), y)", lambda b, c, x, y: b.select(c, b.select(c, x, y), x), [C, X, Y], []),
    ("not not c", lambda b, c: b.not_(b.not_(c)), [C], []),
    ("not (x = y)", lambda b, x, y: b.not_(b.eq(x, y)), [X, Y], ["ne"]),
    ("x < x", lambda b, x: b.lt(x, x), [X], []),
    ("3 strong x", lambda b, x: b.strong_mul(3.0, x), [X], ["mul"]),
    ("i <= i", lambda b, x: b.le(x, x), [N], []),
    ("u and 255", lambda b, x: b.and_(x, 255), [U], []),
    ("u or 0", lambda b, x: b.or_(0, x), [U], []),
    ("c xor c", lambda b, c: b.xor(c, c), [C], []),
    ("c and false", lambda b, c: b.and_(c, b.constant(False, like=c)), [C], []),
    ("i << 0", lambda b, x: b.shift_left(x, 0), [N], []),
    ("to f64", lambda b, x: b.convert(x, dtype="f64"), [X], []),
    ("f32 to f64 to f32", lambda b, x: b.convert(b.convert(x, dtype="f64"), dtype="f32"), ["f32[12]"], []),
    ("u8 to i32 to f64", lambda b, x: b.convert(b.convert(x, dtype="i32"), dtype="f64"), [U], ["convert"]),
    ("i32 to i64 to u8", lambda b, x: b.convert(b.convert(x, dtype="i64"), dtype="u8"), [N], ["convert"]),
    ("bits there and back", lambda b, x: b.bitcast(b.bitcast(x, dtype="i64"), dtype="f64"), [X], []),
]
HOLD = [
    ("x + 0.0", lambda b, x: b.add(x, 0.0), [X]),
    ("x - -0.0", lambda b, x: b.sub(x, -0.0), [X]),
    ("0.0 - x", lambda b, x: b.sub(0.0, x), [X]),
    ("x - x", lambda b, x: b.sub(x, x), [X]),
    ("x * 0", lambda b, x: b.mul(x, 0.0), [X]),
    ("x / x", lambda b, x: b.div(x, x), [X]),
    ("x / 3", lambda b, x: b.div(x, 3.0), [X]),
    ("x ^ 0.5", lambda b, x: b.pow(x, 0.5), [X]),
    ("x = x", lambda b, x: b.eq(x, x), [X]),
    ("x <= x", lambda b, x: b.le(x, x), [X]),
    ("t strong inf", lambda b, x: b.strong_mul(x, np.inf), [X]),
    ("t strong -2", lambda b, x: b.strong_mul(x, -2.0), [X]),
    ("max(x, inf)", lambda b, x: b.max(x, np.inf), [X]),
    ("f64 to f32 to f64", lambda b, x: b.convert(b.convert(x, dtype="f32"), dtype="f64"), [X]),
    ("i32 to f64 to u8", lambda b, x: b.convert(b.convert(x, dtype="f64"), dtype="u8"), [N]),
    ("select(c, 0.0, -0.0)", lambda b, c, x: b.select(c, b.constant(0.0, like=x), b.constant(-0.0, like=x)), [C, X]),
    ("stop_gradient", lambda b, x: b.stop_gradient(x), [X]),
]


def check_same_bits(f, g, types):
    arrays = [operand(t, i) for i, t in enumerate(types)]
    (want,), (got,) = interpret(f, arrays), interpret(g, arrays)
    want, got = np.asarray(want), np.asarray(got)
    nan = np.isnan(want) if want.dtype.kind == "f" else np.zeros(want.shape, bool)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(np.isnan(got) if want.dtype.kind == "f" else nan, nan)
    assert np.broadcast_to(got, want.shape)[~nan].tobytes() == want[~nan].tobytes()


@pytest.mark.parametrize(("build", "types", "left"), [pytest.param(*c[1:], id=c[0]) for c in FIRE])
def test_an_identity_fires_and_changes_no_bit(build, types, left):
    f = func_of(build, *types)
    g = simplify.on_func(f)
    assert names(g) == left
    check_same_bits(f, g, types)


@pytest.mark.parametrize(("build", "types"), [pytest.param(*c[1:], id=c[0]) for c in HOLD])
def test_what_is_no_identity_stays(build, types):
    f = func_of(build, *types)
    g = simplify.on_func(f)
    assert names(g) == names(f)
    check_same_bits(f, g, types)
