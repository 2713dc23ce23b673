"""Transforms nest in any order: what changes nothing about a function (jit, a loop of one step, a branch, vmap of one example, a checkpoint, a rule
that says what is so anyway) changes nothing about its derivatives, whatever stands around and inside of it."""

import numpy as np
import pytest

import rlxc

X = np.array([0.3, -0.7, 1.1])
ONES = np.ones(3)


def plain(x):
    return np.sin(x) * x[::-1] + np.tanh(x @ np.arange(9.0).reshape(3, 3) / 9)


def by_scan(f):
    return lambda x: rlxc.scan(lambda c, e: (f(c + e), None), x * 0.0, x[None])[0]


def by_cond(f):
    return lambda x: rlxc.cond(np.sum(x * 0) < 1, lambda: f(x), lambda: x)


def by_switch(f):
    return lambda x: rlxc.switch(1, [lambda x: x, f, lambda x: -x], x)


def by_loop(f):
    return lambda x: rlxc.fori_loop(0, 1, lambda i, v: f(v), x)


def by_while(f):
    return lambda x: rlxc.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, f(s[1])), (0, x), bound=2)[1]


def by_vmap(f):
    return lambda x: rlxc.vmap(f, out_axes=1)(x[None])[:, 0]


def by_map(f):
    return lambda x: rlxc.map(f, x[None])[0]


def by_rule(f):
    g = rlxc.custom_jvp(f)
    g.defjvp(lambda primals, tangents: rlxc.jvp(f, primals, tangents))
    return g


def by_pullback(f):
    g = rlxc.custom_vjp(f)
    g.defvjp(lambda x: (f(x), x), lambda x, ct: rlxc.vjp(f, x)[1](ct))
    return g


def by_closure(f):
    return lambda x: rlxc.jvp(lambda s: f(x) * s, (1.0,), (1.0,))[1]


WRAPPERS = [rlxc.jit, rlxc.checkpoint, by_scan, by_cond, by_switch, by_loop, by_while, by_vmap, by_map, by_rule, by_pullback, by_closure]
REVERSE_ONLY = (by_pullback,)
FORWARD = {
    "jvp": lambda f: lambda x: rlxc.jvp(f, (x,), (ONES,))[1],
    "linearize": lambda f: lambda x: rlxc.linearize(f, x)[1](ONES),
    "jacfwd": lambda f: lambda x: rlxc.jacfwd(f)(x) @ ONES,
}
REVERSE = {
    "grad": lambda f: rlxc.grad(lambda x: np.sum(f(x))),
    "vjp": lambda f: lambda x: rlxc.vjp(f, x)[1](ONES)[0],
    "jacrev": lambda f: lambda x: ONES @ rlxc.jacrev(f)(x),
}
WANT = {
    1: rlxc.jit(FORWARD["jvp"](plain))(X),
    2: rlxc.jit(REVERSE["grad"](plain))(X),
    3: rlxc.jit(FORWARD["jvp"](REVERSE["grad"](plain)))(X),
    4: rlxc.jit(REVERSE["grad"](REVERSE["grad"](plain)))(X),
}


@pytest.mark.parametrize("wrap", WRAPPERS, ids=lambda w: w.__name__)
@pytest.mark.parametrize("mode", [*FORWARD, *REVERSE])
def test_a_wrapper_changes_no_derivative(wrap, mode):
    if wrap in REVERSE_ONLY and mode in FORWARD:
        pytest.skip("a custom_vjp has no tangents")
    transform = (FORWARD | REVERSE)[mode]
    want = WANT[1] if mode in FORWARD else WANT[2]
    np.testing.assert_allclose(rlxc.jit(transform(wrap(plain)))(X), want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seed", range(24))
def test_wrappers_and_modes_in_random_order(seed):
    rng = np.random.default_rng(seed)
    inner, between = rng.permutation([w for w in WRAPPERS if w not in REVERSE_ONLY])[:2]
    first = list(REVERSE)[rng.integers(3)]
    forward = bool(rng.integers(2))
    second = list(FORWARD if forward else REVERSE)[rng.integers(3)]
    f = (FORWARD | REVERSE)[second](between(REVERSE[first](inner(plain))))
    if rng.integers(2):
        f = rlxc.jit(f)
    np.testing.assert_allclose(f(X), WANT[3] if forward else WANT[4], rtol=1e-11, atol=1e-13, err_msg=f"{second} {between} {first} {inner}")
