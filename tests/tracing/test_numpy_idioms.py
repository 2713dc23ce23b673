"""What NumPy has no protocol for, and everybody writes: arrays made of tracers, and `total += x`."""

import threading

import numpy as np
import pytest

import rlxc

X = np.array([0.5, -1.25, 2.0])
MAKERS = {name: getattr(np, name) for name in ("array", "asarray", "asanyarray", "ascontiguousarray", "sum", "mean", "max")}


@pytest.mark.parametrize(
    "make",
    [
        lambda x: np.array([x[0], 1.0, x.sum()]),
        lambda x: np.array([[np.cos(x[0]), -np.sin(x[0])], [np.sin(x[0]), np.cos(x[0])]]),
        lambda x: np.array([x, 2 * x, np.ones(3)]),
        lambda x: np.array(x, ndmin=2),
        lambda x: np.array(object=[x[0], 2], dtype=np.float32),
        lambda x: np.asarray(x, dtype=float) + np.asarray([1, 2, 3]),
        lambda x: np.asanyarray((x[1], x[0])),
        lambda x: np.ascontiguousarray(x[::-1]),
        lambda x: np.array([[[1.0]]]) * x,
    ],
)
def test_arrays_are_made_of_tracers(make):
    got, want = rlxc.jit(make)(X), make(X)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got, want, rtol=1e-15)
    assert rlxc.jacfwd(make)(X).shape == (*want.shape, 3)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum([x[0], 2.0, x[1]]),
        lambda x: np.mean([v**2 for v in x]),
        lambda x: np.max([x[0], x[2]]) - np.min((x[0], x[1]), axis=0),
        lambda x: np.std([x, 2 * x], axis=0),
        lambda x: np.linalg.norm([x[0], x[1]]),
        lambda x: np.median(list(x)) + np.average([x[0], x[1]], weights=[1.0, 3.0]),
        lambda x: np.cumsum([x[0], 1.0]) + np.diff([x[0], x[1], x[2]]) + np.sum(np.sort([x[1], x[0]])[:1]),
        lambda x: np.sum([1.0, 2.0]) * x,
    ],
)
def test_functions_take_lists_of_tracers(f):
    got, want = rlxc.jit(f)(X), f(X)
    np.testing.assert_allclose(got, want, rtol=1e-15)
    slope = rlxc.jacfwd(f)(X)
    h = 1e-6
    np.testing.assert_allclose(
        np.einsum("...i,i->...", slope, [1.0, 0.5, -2.0]), (f(X + h * np.array([1, 0.5, -2])) - f(X - h * np.array([1, 0.5, -2]))) / (2 * h), atol=1e-8
    )


def test_numpys_makers_are_its_own_again_after_a_trace():
    def f(x):
        assert np.array is not MAKERS["array"]
        return rlxc.grad(lambda y: np.array([y, x]).sum())(x) / 0

    with pytest.raises(ZeroDivisionError):
        rlxc.jit(lambda x: f(x) + 1 // 0)(2.0)
    assert {name: getattr(np, name) for name in MAKERS} == MAKERS


def test_other_threads_make_arrays_as_ever_while_one_traces():
    inside, done, made = threading.Event(), threading.Event(), []

    def f(x):
        inside.set()
        done.wait(10)
        return np.array([x, x])

    thread = threading.Thread(target=lambda: made.append(rlxc.jit(f)(1.0)))
    thread.start()
    inside.wait(10)
    ours = np.array([1, 2.5]), np.asarray(X), np.array(rlxc.jit(lambda x: np.array([x]))(3.0))
    done.set()
    thread.join()
    assert [a.tolist() for a in (*ours, *made)] == [[1.0, 2.5], X.tolist(), [3.0], [1.0, 1.0]]
    assert np.array is MAKERS["array"]


def test_an_array_that_has_one_name_is_a_total():
    def f(x):
        total = np.zeros(3)
        for k in range(4):
            total += k * x
        shown = total * 1.0
        total *= 2
        total -= np.ones(3) + shown
        return total

    np.testing.assert_allclose(rlxc.jit(f)(X), f(X), rtol=1e-15)
    np.testing.assert_allclose(rlxc.jacrev(f)(X), 6 * np.eye(3), rtol=1e-15)


def test_a_total_that_was_used_before():
    def f(x):
        total = np.full(3, 2.0)
        product = total * x
        total += product
        return total

    np.testing.assert_allclose(rlxc.jit(f)(X), f(X), rtol=1e-15)


def test_a_total_that_a_function_inside_reads():
    def f(x):
        total = np.zeros(3)

        def twice():
            return 2 * total

        total += x
        return twice()

    np.testing.assert_allclose(rlxc.jit(f)(X), 2 * X)


def alias(x):
    total = np.zeros(3)
    other = total
    total += x
    return other


def view(x):
    total = np.zeros((2, 3))[0]
    total += x
    return total


def written(x):
    total = np.zeros(3)
    np.add(total, x, out=total)
    return total


def narrow(x):
    total = np.zeros(3, int)
    total += x
    return total


def wide(x):
    total = np.zeros(3)
    total += np.stack([x, x])
    return total


TOTAL = np.zeros(3)


def of_the_module(x):
    global TOTAL
    TOTAL += x
    return TOTAL


def of_a_list(x):
    totals = [np.zeros(3)]
    totals[0] += x
    return totals[0]


def of_a_function_around():
    total = np.zeros(3)

    def f(x):
        nonlocal total
        total += x
        return total

    return f


@pytest.mark.parametrize("f", [alias, view, written, narrow, wide, of_the_module, of_a_list, of_a_function_around()])
def test_what_would_not_be_what_numpy_does_is_refused(f):
    with pytest.raises(rlxc.Error) as caught:
        rlxc.jit(f)(X)
    assert caught.value.loc.file == __file__
    assert caught.value.diagnostics[0].help or f is wide


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: np.divide(x, y, out=np.zeros_like(y), where=y != 0),
        lambda x, y: np.divide(x, y, out=np.full(3, 7.0), where=y != 0),
        lambda x, y: np.log(x, out=np.full_like(x, -1.0), where=x > 0),
        lambda x, y: np.add(x[:1], 1.0, np.zeros(3)),
        lambda x, y: np.multiply(x, [2.0, 3.0, 4.0], out=np.ones((2, 3)), where=np.array([[True], [False]])),
    ],
)
def test_what_is_written_to_an_array_made_in_the_call(f):
    y = np.array([2.0, 0.0, -4.0])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(rlxc.jit(f)(X, y), f(X, y), rtol=1e-15)
    for slope in rlxc.jacrev(f, argnums=(0, 1))(X, y):
        assert np.isfinite(slope).all()


def kept_result(x):
    out = np.zeros(3)
    np.exp(x, out=out)
    return out


def traced_result(x):
    out = np.zeros_like(x)
    np.exp(x, out=out)
    return out


def part_of_one(x):
    out = np.zeros(6)
    np.exp(x, out=out[:3])
    return out


def part_of_a_traced_one(x):
    out = np.sin(x)
    np.exp(x[:2], out=out[:2])
    return out


def in_a_list(x):
    outs = [np.zeros(3)]
    np.exp(x, outs[0])
    return outs[0]


def computed(x):
    return np.exp(x, out=x * 1)


def too_narrow(x):
    return np.exp(x, out=np.zeros(3, int))


@pytest.mark.parametrize("f", [kept_result, traced_result, part_of_one, part_of_a_traced_one, in_a_list, computed, too_narrow])
def test_what_is_written_to_arrays_that_others_have_is_refused(f):
    with pytest.raises(rlxc.Error) as caught:
        rlxc.jit(f)(X)
    assert caught.value.loc.file == __file__
