"""Random numbers: the published vectors of the cipher, the numbers of JAX's default generator, and what distributions promise."""

import numpy as np
import pytest

import rlxc
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.types import TensorType, dtype_of

KEY = np.array([0, 123], np.uint32)


def call(op, *arrays, interpreted=True, **attrs):
    """Native results of one op on arrays, which are the interpreter's."""
    b = Builder()
    args = [Value(TensorType(dtype_of(a.dtype), a.shape), f"x{i}") for i, a in enumerate(arrays)]
    out = getattr(b, op)(*args, **attrs)
    func = Func("f", tuple(args), tuple(b.ops), (out,))
    got = rlxc.compile(func)(*arrays)
    if not interpreted:
        return got
    want = rlxc.interpret(func, *arrays)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if got.dtype.kind in "biu":
        assert np.array_equal(got, want)
    return got


@pytest.mark.parametrize(
    ("key", "counter", "result"),
    [
        (0, 0, 0x6B20015999BA4EFE),
        (2**64 - 1, 2**64 - 1, 0x1CB996FCBB002BE7),
        (0x13198A2E03707344, 0x243F6A8885A308D3, 0xC4923A9C483DF7A0),
    ],
)
def test_threefry_gives_the_published_answers(key, counter, result):
    """Those of the Random123 library, file kat_vectors, threefry2x32 with 20 rounds."""
    assert int(call("threefry2x32", np.array(key, np.uint64), np.array(counter, np.uint64))) == result


def test_bits_and_keys_are_those_of_jax():
    """jax.random.bits, split and fold_in with PRNGKey(123), JAX 0.5 and later."""
    assert call("random_bits", KEY, shape=(2, 3)).tolist() == [[0xF2F68E48, 0xCCBDE6E2, 0x8242629E], [0x4C5DD43D, 0x3F03E7E5, 0x23693F60]]
    assert call("random_bits", KEY, shape=(2,), dtype="u64").tolist() == [0x39C79149CB311F01, 0x7CE2BFFDB05F591F]
    assert call("random_bits", KEY, shape=(3,), dtype="u8").tolist() == [0x48, 0xE2, 0x9E]
    assert call("random_split", KEY, count=2).tolist() == [[969380169, 3408994049], [2095235069, 2959038751]]
    assert call("random_fold_in", KEY, np.array(7, np.int32)).tolist() == [4195957486, 134989543]


def test_uniform_and_normal_numbers_are_those_of_jax():
    assert call("random_uniform", KEY, shape=(3,)).tolist() == [0.9490746259689331, 0.7997726202011108, 0.508825421333313]
    assert call("random_uniform", KEY, shape=(2,), dtype="f64").tolist() == [0.22570140887836865, 0.48783492988183963]
    assert call("random_uniform", KEY, shape=(3,), dtype="f16").tolist() == [0.5556640625, 0.9013671875, 0.384765625]
    assert call("random_normal", KEY, shape=(3,)) == pytest.approx([1.6359468698501587, 0.8408094048500061, 0.022123929113149643], rel=3e-7)
    assert call("random_normal", KEY, shape=(2,), dtype="f64") == pytest.approx([-0.7530783761000122, -0.03049803591884285], rel=1e-15)


def test_an_element_depends_on_its_place_alone():
    flat = call("random_bits", KEY, shape=(24,))
    assert np.array_equal(call("random_bits", KEY, shape=(2, 3, 4)).ravel(), flat)
    assert np.array_equal(call("random_bits", KEY, shape=(7,)), flat[:7])


def test_moments_of_uniform_and_normal_numbers():
    u = call("random_uniform", KEY, shape=(300, 700), dtype="f64", interpreted=False)
    z = call("random_normal", KEY, shape=(300, 700), dtype="f64", interpreted=False)
    n = u.size
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 1 / 2) < 5 / np.sqrt(12 * n)
    assert [abs((z**k).mean() - m) < 5 * np.sqrt(v / n) for k, m, v in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96))] == [True] * 4
    assert abs(np.mean(z[:-1] * z[1:])) < 5 / np.sqrt(n)


def test_bernoulli_and_categorical_keep_their_probabilities():
    hits = call("random_bernoulli", KEY, np.tile([0.0, 1.0, 0.3], (20000, 1)))
    assert hits[:, 0].sum() == 0
    assert hits[:, 1].all()
    assert abs(hits[:, 2].mean() - 0.3) < 5 * np.sqrt(0.21 / 20000)
    p = np.array([0.1, 0.0, 0.6, 0.3])
    with np.errstate(divide="ignore"):
        picks = call("random_categorical", KEY, np.tile(np.log(p), (20000, 1)))
    assert np.all(np.abs(np.bincount(picks, minlength=4) / 20000 - p) <= 5 * np.sqrt(p * (1 - p) / 20000))


def test_integers_stay_in_their_range_and_meet_all_of_it():
    picks = call("random_integers", KEY, low=-3, high=4, shape=(7000,), dtype="i8")
    assert set(picks.tolist()) == set(range(-3, 4))
    assert np.all(np.abs(np.bincount(picks.astype(int) + 3) - 1000) < 5 * np.sqrt(1000))


def test_a_permutation_has_every_number_once():
    order = call("random_permutation", KEY, size=1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.2


def test_dropout_keeps_the_mean_and_its_gradient_is_the_mask():
    func = rlxc.parse("""
    func @f(%x: f64[100, 200], %key: u32[2]) -> f64[] {
      %y = dropout %x, %key {rate = 0.25}
      %s = reduce_sum %y {axes = [0, 1]}
      return %s
    }""")["f"]
    x = np.ones((100, 200))
    total, dx = rlxc.compile(rlxc.value_and_grad(func, wrt=["x"]))(x, KEY)
    assert abs(total / x.size - 1) < 5 * np.sqrt(1 / 3 / x.size)
    assert set(np.unique(dx)) == {0.0, 1 / 0.75}
    assert np.array_equal(dx, call("dropout", x, KEY, rate=0.25))


@pytest.mark.parametrize(
    ("op", "attrs", "says"),
    [
        ("random_bits %k {shape = [-1]}", "u32[2]", "sizes are 0 or more"),
        ("random_bits %k {shape = [2], dtype = i32}", "u32[2]", "dtype is i32"),
        ("random_uniform %k {shape = [2]}", "u32[3]", "a key is u32[2]"),
        ("random_uniform %k {shape = [2]}", "i32[2]", "does not take i32[2]"),
        ("random_integers %k {shape = [2], low = 3, high = 3}", "u32[2]", "no i32 from 3 to below 3"),
        ("random_integers %k {shape = [2], low = 0, high = 257, dtype = u8}", "u32[2]", "no u8 from 0 to below 257"),
    ],
)
def test_wrong_operands_are_refused_with_a_reason(op, attrs, says):
    with pytest.raises(rlxc.Error) as error:
        rlxc.parse(f"func @f(%k: {attrs}) -> f32[2] {{\n  %y = {op}\n  return %y\n}}")
    assert says in str(error.value)
