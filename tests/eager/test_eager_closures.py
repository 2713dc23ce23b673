"""Bodies of loops and branches see tensors from outside, and derivatives flow to those."""

import numpy as np
import pytest

import rlxc
from rlxc import eager

X = np.array([0.3, -0.7, 1.1])
CLOSURES = {
    "scan": lambda x: rlxc.scan(lambda c, e: (np.tanh(c * x + e), x * c), np.ones(3), np.ones((4, 3)))[1].sum(),
    "nested scans": lambda x: rlxc.scan(lambda c, _: (rlxc.scan(lambda d, _: (d * x, None), c, None, 2)[0], None), np.ones(3), None, 2)[0].sum(),
    "while_loop": lambda x: rlxc.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, np.ones(3)), bound=5)[1].sum(),
    "fori_loop": lambda x: rlxc.fori_loop(0, 3, lambda i, v: v * x, np.ones(3)).sum(),
    "map": lambda x: rlxc.map(lambda t: t * x.sum(), x).sum(),
    "cond": lambda x: rlxc.cond(x.sum() > 0, lambda y: (y * x).sum(), lambda y: y.sum(), x),
    "switch": lambda x: rlxc.switch(1, [lambda: x.sum(), lambda: (x**3).sum()]),
    "grad": lambda x: rlxc.grad(lambda y: (y * y * x).sum())(X).sum(),
    "functions": lambda x: rlxc.scan(lambda c, _: (np.matmul(np.outer(x, c), c) + np.linalg.solve(np.diag(x), c), None), np.ones(3), None, 2)[0].sum(),
    "an index": lambda x: rlxc.scan(lambda c, i: (c * x[i], None), np.ones(()), np.arange(3))[0],
}


@pytest.mark.parametrize("name", CLOSURES)
def test_derivatives_flow_to_what_a_body_sees(name):
    f = CLOSURES[name]
    x = eager.tensor(X, requires_grad=True)
    y = f(x)
    y.backward()
    value, gradient = rlxc.value_and_grad(f)(X)
    np.testing.assert_allclose(y.numpy(), value, rtol=1e-14)
    np.testing.assert_allclose(x.grad, gradient, rtol=1e-12)
