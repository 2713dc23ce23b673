"""Indices of tracers mean what NumPy's mean, for reading and for writing."""

import numpy as np
import pytest
from traced import agree, traced

import rlxc

X = np.arange(60.0).reshape(3, 4, 5)
ROWS, J = np.array([0, 2, -1]), np.array([[1], [0]])

READS = [
    np.s_[0],
    np.s_[-1, 2],
    np.s_[1:3],
    np.s_[::-1],
    np.s_[::-2, 3:0:-1],
    np.s_[5:1],
    np.s_[...],
    np.s_[..., 0],
    np.s_[None],
    np.s_[:, None, 1, None],
    np.s_[..., None],
    np.s_[0, ..., None, 1:4:2],
    np.s_[ROWS],
    np.s_[:, ROWS],
    np.s_[:, ROWS, :],
    np.s_[ROWS, :, J],
    np.s_[ROWS, J],
    np.s_[0, :, ROWS],
    np.s_[:, 0, ROWS],
    np.s_[1:, ROWS, ::-1],
    np.s_[None, ROWS, None, 0],
    np.s_[:, None, ROWS, None, 1:],
    np.s_[[0, 1]],
    np.s_[np.array(1), 1:],
    np.s_[np.int64(2)],
    np.s_[X[:, 0, 0] > 10],
    np.s_[0, X[0] > 7],
    np.s_[()],
    np.s_[np.zeros((0,), int)],
    np.s_[ROWS, None, :, 0],
]


@pytest.mark.parametrize("index", READS, ids=str)
def test_reading_is_what_numpy_reads(index):
    agree(lambda x: x[index], X)


@pytest.mark.parametrize("index", READS, ids=str)
@pytest.mark.parametrize("update", ["set", "add", "multiply", "min", "max"])
def test_updating_is_what_numpy_assigns(index, update):
    values = np.linspace(-30, 90, X[index].size).reshape(X[index].shape)
    want = X.copy()
    match update:
        case "set":
            want[index] = values
        case "add":
            np.add.at(want, index, values)
        case "multiply":
            np.multiply.at(want, index, values)
        case "min":
            np.minimum.at(want, index, values)
        case "max":
            np.maximum.at(want, index, values)
    np.testing.assert_allclose(traced(lambda x, y: getattr(x.at[index], update)(y), X, values), want)


@pytest.mark.parametrize("index", READS, ids=str)
def test_a_number_is_broadcast_to_the_places(index):
    want = X.copy()
    want[index] = 2
    np.testing.assert_array_equal(traced(lambda x: x.at[index].set(2), X), want)


@pytest.mark.parametrize("i", [0, 2, -1, -3])
def test_a_computed_index_counts_from_the_end_where_negative(i):
    for f in (lambda x, i: x[i], lambda x, i: x[:, i], lambda x, i: x[1, :, i], lambda x, i: x[i, 1:, ::-1]):
        np.testing.assert_array_equal(traced(f, X, np.array(i)), f(X, i))
    want = X.copy()
    want[:, i] = 7
    np.testing.assert_array_equal(traced(lambda x, i: x.at[:, i].set(7), X, np.array(i)), want)


def test_computed_indices_out_of_bounds_are_clamped_when_read_and_dropped_when_written():
    x, i = np.arange(3.0), np.array([1, 9])
    np.testing.assert_array_equal(traced(lambda x, i: x[i], x, i), [1, 2])
    np.testing.assert_array_equal(traced(lambda x, i: x.at[i].set(7), x, i), [0, 7, 2])


@pytest.mark.parametrize(
    ("index", "error", "says"),
    [
        (np.s_[3], IndexError, "index 3 is out of bounds for axis 0 of size 3"),
        (np.s_[0, 0, 0, 0], IndexError, "too many indices"),
        (np.s_[[0, 5]], IndexError, "index 5 is out of bounds"),
        (np.s_[0.5], TypeError, "made of integers"),
        (np.s_[..., ...], TypeError, "one ellipsis"),
        (np.s_[np.ones(2, bool)], IndexError, "mask"),
    ],
    ids=str,
)
def test_a_wrong_index_is_an_error(index, error, says):
    with pytest.raises(error, match=says) as caught:
        rlxc.trace(lambda x: x[index], X)
    assert isinstance(caught.value, rlxc.Error)
    assert caught.value.loc.file == __file__


def test_a_computed_mask_is_refused_with_the_remedy():
    with pytest.raises(rlxc.TracingError, match=r"rlxc.where") as caught:
        rlxc.trace(lambda x: x[x > 0], X)
    assert caught.value.code == "RLX0805"


def test_assigning_elements_names_the_remedy():
    def f(x):
        x[0] = 1
        return x

    with pytest.raises(rlxc.TracingError, match=r"x.at\[index\].set"):
        rlxc.trace(f, X)


def a_random_index(rng, shape):
    """Slices of all steps, integers, arrays that broadcast, masks, new axes, an ellipsis."""
    block = tuple(rng.choice([2, 3], rng.integers(0, 3)))

    def bound(n):
        return None if rng.random() < 0.4 else int(rng.integers(-n - 2, n + 3))

    def part(n):
        kind = rng.choice(["slice", "int", "array", "mask"], p=[0.4, 0.2, 0.35, 0.05])
        if kind == "slice":
            return slice(bound(n), bound(n), rng.choice([None, 1, 2, -1, -2, 3, -3]))
        if kind == "int":
            return int(rng.integers(-n, n))
        if kind == "mask":
            return rng.random(n) < 0.5
        sizes = tuple(1 if rng.random() < 0.2 else m for m in block)
        return rng.integers(-n, n, sizes).astype(rng.choice([np.int64, np.int8]))

    count = int(rng.integers(0, len(shape) + 1))
    parts = [part(n) for n in shape[:count]]
    if rng.random() < 0.4:
        at = int(rng.integers(0, count + 1))
        parts = [*parts[:at], ..., *[part(n) for n in shape[len(shape) - (count - at) :]]]
    for _ in range(rng.integers(0, 2)):
        parts.insert(int(rng.integers(0, len(parts) + 1)), None)
    return tuple(parts)


@pytest.mark.parametrize("seed", range(60))
def test_any_index_is_numpys(seed):
    rng = np.random.default_rng(seed)
    for _ in range(4):
        shape = tuple(int(n) for n in rng.integers(2, 5, rng.integers(1, 5)))
        x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
        index = a_random_index(rng, shape)
        try:
            want = x[index]
        except IndexError:
            with pytest.raises(rlxc.Error):
                rlxc.trace(lambda x, i=index: x[i], x)
            continue
        y = rng.standard_normal(want.shape)
        added, last = x.copy(), x.copy()
        np.add.at(added, index, y)
        last[index] = y
        func = rlxc.trace(lambda x, y, i=index: (x[i], x.at[i].add(y), x.at[i].set(y)), x, y)
        for got, wanted in zip(rlxc.interpret(func, x, y), (want, added, last), strict=True):
            assert got.shape == wanted.shape, index
            np.testing.assert_allclose(got, wanted, rtol=1e-13, err_msg=str(index))
