"""A number that changes from call to call, as a rate does, is not compiled anew each time."""

import numpy as np
import pytest

import rlxc
from rlxc import eager
from rlxc.eager import traced

MASK = np.array([True, False, True])
CALLS = {
    "clip": lambda x, c: np.clip(x, -c, c),
    "where": lambda x, c: np.where(MASK, x, c) * x,
    "set": lambda x, c: x.at[1].set(c) * x,
    "leaky_relu": lambda x, c: rlxc.nn.leaky_relu(x, c),
    "tree": lambda x, c: np.concatenate([x, np.full_like(x, c) * x]),
}


@pytest.fixture
def traces(monkeypatch):
    """How many times something has been traced."""
    count = []
    stage = traced._stage
    monkeypatch.setattr(traced, "_stage", lambda *args: count.append(1) or stage(*args))
    return count


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CALLS)
def test_values_gradients_and_dtypes_are_those_of_each_number(name, dtype):
    f = CALLS[name]
    at = np.array([-1.5, 0.25, 2.0], dtype)
    for i in range(2 * traced.ENOUGH):
        c = 0.125 + 0.25 * i
        x = eager.tensor(at, requires_grad=True)
        y = f(x, c)
        y.sum().backward()
        slope = rlxc.grad(lambda x, c=c: np.sum(f(x, c)))(at)
        assert y.numpy().dtype == x.grad.numpy().dtype == dtype
        np.testing.assert_array_equal(y.numpy(), rlxc.jit(lambda x, c=c: f(x, c))(at))
        np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-6)


def test_no_more_is_traced_after_a_few_numbers(traces):
    def clipped(x, c):
        return np.clip(x, 0.0, c)

    x = eager.tensor(np.ones(3), requires_grad=True)
    for i in range(50):
        traced.call(clipped, (x, 0.3 + 0.01 * i))
    assert len(traces) == traced.ENOUGH + 1


def test_a_function_that_needs_to_know_the_number_gets_it(traces):
    def f(x, c):
        return x * 2 if c > 1 else x * 3

    x = eager.tensor(np.ones(3), requires_grad=True)
    for i in range(2 * traced.ENOUGH):
        c = 0.7 + 0.1 * i
        assert traced.call(f, (x, c)).numpy()[0] == f(1, c)
