"""rlxc.random: JAX's keys and numbers, on arrays and traced; every function of its own distribution."""

import numpy as np
import pytest

import rlxc
from rlxc import random

KEY = random.key(123)


def test_keys_are_words_of_the_seed():
    np.testing.assert_array_equal(random.key(2**32 + 5), np.array([1, 5], np.uint32))
    np.testing.assert_array_equal(rlxc.jit(random.key)(np.int64(2**32 + 5)), np.array([1, 5], np.uint32))
    assert random.key(-1).tolist() == [2**32 - 1, 2**32 - 1]


def test_numbers_are_those_of_jax():
    one, two = random.split(KEY)
    assert one.tolist() == [969380169, 3408994049]
    assert two.tolist() == [2095235069, 2959038751]
    assert random.fold_in(KEY, 7).tolist() == [4195957486, 134989543]
    assert random.uniform(KEY, (3,)).tolist() == [0.9490746259689331, 0.7997726202011108, 0.508825421333313]
    np.testing.assert_allclose(random.normal(KEY, 3), [1.6359468698501587, 0.8408094048500061, 0.022123929113149643], rtol=3e-7)
    assert random.categorical(KEY, np.zeros((8, 5), np.float32)).tolist() == [0, 2, 3, 2, 4, 0, 1, 0]


def test_inside_a_compiled_function_they_are_the_same():
    @rlxc.jit
    def f(key):
        a, b = random.split(key)
        return random.normal(a, (4,)), random.uniform(b, (2, 2), minval=-1.0, maxval=1.0)

    a, b = random.split(KEY)
    x, u = f(KEY)
    np.testing.assert_array_equal(x, random.normal(a, (4,)))
    np.testing.assert_array_equal(u, random.uniform(b, (2, 2), minval=-1.0, maxval=1.0))


N = 40000
MOMENTS = {
    "uniform": (0.5, 1 / 12),
    "normal": (0.0, 1.0),
    "exponential": (1.0, 1.0),
    "gumbel": (0.5772156649, np.pi**2 / 6),
    "laplace": (0.0, 2.0),
    "rademacher": (0.0, 1.0),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_mean_and_variance(name):
    x = getattr(random, name)(KEY, (N,), np.float64)
    mean, var = MOMENTS[name]
    assert x.dtype == np.float64
    assert abs(x.mean() - mean) < 5 * np.sqrt(var / N)
    assert x.var() == pytest.approx(var, rel=0.06)


def test_truncated_normal_stays_between():
    x = random.truncated_normal(KEY, -0.5, 2.0, (N,))
    assert x.min() >= -0.5
    assert x.max() <= 2.0
    p = np.exp(-0.125) / np.sqrt(2 * np.pi), np.exp(-2.0) / np.sqrt(2 * np.pi)
    assert x.mean() == pytest.approx((p[0] - p[1]) / (0.9772498681 - 0.3085375387), abs=0.02)


def test_choice_and_permutation():
    x = np.arange(10.0)
    order = random.permutation(KEY, x)
    assert sorted(order) == x.tolist()
    assert random.permutation(KEY, np.arange(6).reshape(3, 2)).shape == (3, 2)
    counts = np.bincount(random.choice(KEY, 3, (N,), p=np.array([0.2, 0.5, 0.3])), minlength=3) / N
    np.testing.assert_allclose(counts, [0.2, 0.5, 0.3], atol=0.02)
    some = random.choice(KEY, x, (4, 2), replace=False)
    assert some.shape == (4, 2)
    assert len(set(some.ravel())) == 8
    weighted = random.choice(KEY, x, (3,), replace=False, p=np.array([0, 0, 0.2, 0, 0.5, 0, 0.3, 0, 0, 0]))
    assert set(weighted) == {2.0, 4.0, 6.0}
    with pytest.raises(rlxc.Error, match="without replacement"):
        random.choice(KEY, x, (11,), replace=False)


def test_vmap_over_keys_draws_for_each():
    keys = random.split(KEY, 3)
    each = rlxc.vmap(lambda k: random.normal(k, (2,)))(keys)
    np.testing.assert_array_equal(each, np.stack([random.normal(k, (2,)) for k in keys]))
