"""Arrays at call time: what is taken, and what is refused with the argument and both types."""

import numpy as np
import pytest

import rlxc
from rlxc.runtime.compiled import Compiled

F = rlxc.parse("""
func @f(%x: f32[2, 3], %k: f64[], %n: i8[2], %b: bool[]) -> f32[2, 3] {
  %y = add %x, %x
  return %y
}""")["f"]
X = np.arange(6, dtype=np.float32).reshape(2, 3)
GOOD = {"x": X, "k": 1.5, "n": [1, 2], "b": True}


@pytest.fixture(scope="module", params=["machine code", "Python"])
def f(request):
    """Called by the emitted wrapper, or without it."""
    compiled = rlxc.compile(F)
    return compiled if request.param == "machine code" else Compiled(F, compiled._engine)


def refused(f, **changes):
    with pytest.raises(rlxc.ArgumentError) as caught:
        f(**{**GOOD, **changes})
    assert isinstance(caught.value, TypeError)
    return str(caught.value)


def test_arrays_come_by_position_by_name_or_both(f):
    want = X + X
    np.testing.assert_array_equal(f(*GOOD.values()), want)
    np.testing.assert_array_equal(f(**GOOD), want)
    np.testing.assert_array_equal(f(X, 1.5, b=True, n=[1, 2]), want)


@pytest.mark.parametrize("x", [X[::-1], X[:, ::-1], np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], np.broadcast_to(X[:1], (2, 3))])
def test_arrays_in_any_layout_are_taken(f, x):
    np.testing.assert_array_equal(f(**{**GOOD, "x": x}), x + x)


def test_an_array_at_an_odd_address_is_taken(f):
    raw = np.zeros(25, np.uint8)
    raw[1:] = X.view(np.uint8).reshape(-1)
    x = np.frombuffer(raw.tobytes(), np.float32, 6, 1).reshape(2, 3)
    np.testing.assert_array_equal(f(**{**GOOD, "x": x}), X + X)


def test_numbers_and_lists_are_taken_where_the_dtype_holds_them(f):
    np.testing.assert_array_equal(f([[0, 1, 2], [3, 4, 5]], 1, (127, -128), False), X + X)
    np.testing.assert_array_equal(f(memoryview(X), np.float64(2), np.int8([0, 0]), np.True_), X + X)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": X.astype(np.float64)}, ("%x is f32[2, 3], not f64[2, 3]", "astype('float32')")),
        ({"x": X.astype(np.float16)}, ("not f16[2, 3]",)),
        ({"x": X.astype(">f4")}, ("swapped bytes", "newbyteorder")),
        ({"x": X[0]}, ("%x is f32[2, 3], not f32[3]",)),
        ({"x": X.reshape(-1)}, ("not f32[6]", ".reshape((2, 3))")),
        ({"x": X.T}, ("not f32[3, 2]",)),
        ({"x": X.astype(object)}, ("%x is f32[2, 3], not an array of dtype object",)),
        ({"x": np.zeros((2, 3), "datetime64[s]")}, ("dtype datetime64",)),
        ({"x": np.zeros((2, 3), [("a", "f4")])}, ("not an array of dtype",)),
        ({"x": np.ma.array(X)}, ("masked",)),
        ({"x": None}, ("%x is f32[2, 3], not a NoneType",)),
        ({"x": "abc"}, ("not a str",)),
        ({"x": object()}, ("not an object",)),
        ({"x": [[1, 2], [3]]}, ("%x is f32[2, 3]",)),
        ({"x": [[1, 2, "3"], [4, 5, 6]]}, ("not a str",)),
        ({"x": [[2**24 + 1, 2, 3], [4, 5, 6]]}, ("does not hold 16777217",)),
        ({"x": [[1e39, 2, 3], [4, 5, 6]]}, ("does not hold 1e+39",)),
        ({"k": np.float32(1)}, ("%k is f64[], not f32[]",)),
        ({"k": 1j}, ("does not hold",)),
        ({"k": [1.0]}, ("%k is f64[], not f64[1]",)),
        ({"n": [1, 128]}, ("%n is i8[2], which does not hold 128",)),
        ({"n": [1, 2.0]}, ("which does not hold 2.0",)),
        ({"n": np.array([1, 2])}, ("%n is i8[2], not i64[2]",)),
        ({"b": 1}, ("%b is bool[], which does not hold 1",)),
        ({"z": 1}, ("has no argument %z", "%x: f32[2, 3]")),
    ],
)
def test_wrong_arrays_are_refused_with_the_argument_and_both_types(f, change, says):
    message = refused(f, **change)
    for part in says:
        assert part in message


def test_missing_extra_and_repeated_arguments_are_named(f):
    with pytest.raises(rlxc.ArgumentError, match=r"misses %k: f64\[\], %b: bool\[\]"):
        f(X, n=[1, 2])
    with pytest.raises(rlxc.ArgumentError, match="takes 4 arguments, not 5"):
        f(*GOOD.values(), 1)
    with pytest.raises(rlxc.ArgumentError, match="%x is given twice"):
        f(X, 1.0, [1, 2], True, x=X)
    with pytest.raises(rlxc.ArgumentError, match="did you mean %"):
        f(X, 1.0, nn=[1, 2], b=True)


def test_results_go_to_the_arrays_given_as_out(f):
    out = np.empty((2, 3), np.float32)
    assert f(**GOOD, out=out) is out
    np.testing.assert_array_equal(out, X + X)
    strided = np.empty((4, 3), np.float32)[::2]
    f(**GOOD, out=strided)
    np.testing.assert_array_equal(strided, X + X)


def test_an_out_array_may_be_an_input(f):
    x = X.copy()
    f(**{**GOOD, "x": x}, out=x)
    np.testing.assert_array_equal(x, X + X)


@pytest.mark.parametrize(
    ("out", "says"),
    [
        (np.empty((2, 3)), "out[0] is f32[2, 3], not f64[2, 3]"),
        (np.empty((3, 2), np.float32), "not f32[3, 2]"),
        ([[0.0]], "not a list"),
        ((np.empty((2, 3), np.float32),) * 2, "out is one array: there is one result"),
        (np.lib.stride_tricks.as_strided(np.empty(6, np.float32), (2, 3), (8, 4)), "elements that share memory"),
        (np.broadcast_to(np.float32(0), (2, 3)), "read-only"),
    ],
)
def test_wrong_out_arrays_are_refused(f, out, says):
    with pytest.raises(rlxc.ArgumentError) as caught:
        f(**GOOD, out=out)
    assert says in str(caught.value)


def test_out_arrays_must_not_overlap():
    g = rlxc.compile("func @g(%x: f32[2]) -> (f32[2], f32[2]) {\n %y = neg %x\n return %x, %y\n}")
    out = np.empty(4, np.float32)
    with pytest.raises(rlxc.ArgumentError, match="shares memory"):
        g(X[0, :2], out=(out[:2], out[1:3]))
    g(X[0, :2], out=(out[:2], out[2:]))
    np.testing.assert_array_equal(out, [0, 1, 0, -1])
    g(X[0, :2], out=(out[::2], out[1::2]))  # which lie between each other
    np.testing.assert_array_equal(out, [0, 0, 1, -1])
    with pytest.raises(rlxc.ArgumentError, match="not a list"):
        g(X[0, :2], out=(out[:2], [0, 0]))


def test_a_result_never_shares_memory_with_an_argument():
    same = rlxc.compile("func @same(%x: f32[2, 3]) -> f32[2, 3] {\n return %x\n}")
    y = same(X)
    assert not np.shares_memory(X, y)
    y[0, 0] = 7
    assert X[0, 0] == 0


def test_results_of_rank_zero_are_arrays():
    out = rlxc.compile("func @s(%x: f32[]) -> f32[] {\n %y = neg %x\n return %y\n}")(2.0)
    assert type(out) is np.ndarray
    assert out.shape == ()
    assert out == -2


def test_an_argument_without_a_name_is_called_by_its_number():
    g = rlxc.parse('func @g(%0: f32[], %x: f32[], %1: f32[], %"0": f32[]) -> f32[] {\n  %2 = sub %0, %1\n  return %2\n}')["g"]
    compiled = rlxc.compile(g)
    assert compiled(**{"0": 1.0, "x": 1.0, "1": 2.0, "0_": 4.0}) in (-1.0, 2.0)
    with pytest.raises(rlxc.ArgumentError, match=r"misses %1: f32\[\]"):
        compiled(**{"0": 1.0, "x": 1.0, "0_": 2.0})
    h = rlxc.parse("func @h(%0: f32[]) -> f32[] {\n  %1 = sin %0\n  return %1\n}")["h"]
    assert rlxc.compile(rlxc.value_and_grad(h, wrt="0"))(0.0) == (0.0, 1.0)
    assert "%d0" in str(rlxc.jvp(h))


def test_lists_nested_deeper_than_arrays_are_refused(f):
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert "%x is f32[2, 3]" in refused(f, x=deep)


def test_a_huge_number_does_not_fill_the_screen(f):
    assert len(refused(f, k=10**400)) < 200
