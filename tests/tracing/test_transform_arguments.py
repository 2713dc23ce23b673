"""What transforms take: wrong arguments are errors at the user's line, and what the caller does with arrays later is no matter."""

import functools
import pickle

import numpy as np
import pytest

import rlxc
from rlxc import eager


def product(x, y):
    return x * x * y


@functools.wraps(product)
def scaled(s, *args):
    return s * product(*args)


@functools.wraps(product)
def passed_on(*args, **kwargs):
    return product(*args, **kwargs)


def test_pullbacks_keep_what_the_caller_may_write_to():
    x = np.array([2.0, 3.0])
    _, pull = rlxc.vjp(lambda x: np.sum(x * x), x)
    x[:] = 100
    assert pull(1.0)[0].tolist() == [4, 6]
    y, pull = rlxc.vjp(np.exp, np.zeros(2))
    y[:] = 0
    assert pull(np.ones(2))[0].tolist() == [1, 1]


def test_parameters_are_named_by_the_function_that_is_called():
    assert rlxc.grad(scaled, argnums="s")(10.0, 2.0, 3.0) == 12
    for f in (passed_on, rlxc.jit(passed_on), functools.wraps(passed_on)(lambda *a: passed_on(*a))):
        assert rlxc.grad(f, argnums="y")(2.0, 3.0) == 4
    assert rlxc.grad(product, argnums=np.int64(1))(2.0, 3.0) == 4


def test_none_stands_for_the_tangents_and_cotangents_of_integers():
    (_, three), pull = rlxc.vjp(lambda x: (x * x, 3), 2.0)
    assert (three, pull((1.0, None))[0]) == (3, 4)
    assert rlxc.jvp(lambda p: p["x"] * p["n"], ({"x": 2.0, "n": 3},), ({"x": 1.0, "n": None},))[1] == 3


def test_arguments_without_derivatives_are_counted_from_the_end_too():
    @functools.partial(rlxc.custom_jvp, nondiff_argnums=-1)
    def power(x, n):
        return x**n

    power.defjvp(lambda n, primals, tangents: (primals[0] ** n, 10 * n * tangents[0]))
    assert rlxc.grad(power)(3.0, 2) == 20


STEP = rlxc.jit(rlxc.value_and_grad(product))
EACH = rlxc.vmap(rlxc.grad(product), in_axes=(0, None))
CURVES = rlxc.hessian(product, argnums=(0, 1))


def test_what_transforms_make_is_pickled_as_the_function_and_the_transform():
    for f, x in ((STEP, 2.0), (EACH, np.array([1.0, 2.0])), (CURVES, 2.0)):
        again = pickle.loads(pickle.dumps(f))
        assert rlxc.tree_map(np.array_equal, again(x, 3.0), f(x, 3.0))
    assert EACH.__name__ == "product"


@rlxc.custom_vjp
def rotated(x):
    return x


rotated.defvjp(lambda x: (x, None), lambda _, ct: (2j,))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rlxc.vjp(lambda x: x * x, 2.0)[1](1j), "a cotangent is c128"),
        (lambda: rlxc.jvp(lambda x: x * x, (2.0,), (1j,)), "a tangent is c128"),
        (lambda: rlxc.grad(rotated)(1.0), "a cotangent is c128"),
        (lambda: rlxc.grad(scaled, argnums="x")(10.0, 2.0, 3.0), "argument 'x': there is no"),
        (lambda: rlxc.grad(product, argnums=None)(2.0, 3.0), "argument None"),
        (lambda: rlxc.grad(product, argnums=1.0)(2.0, 3.0), "argument 1.0"),
        (lambda: rlxc.grad(product, argnums=np.array([0, 1]))(2.0, 3.0), "argument array"),
        (lambda: rlxc.vmap(product, in_axes=None, axis_size=-1)(1.0, 2.0), "a number of examples, not -1"),
        (lambda: rlxc.vmap(product, in_axes=None, axis_size=2.5)(1.0, 2.0), "a number of examples, not 2.5"),
        (lambda: rlxc.switch(0, [1, 2], 1.0), "a function is asked for, not int 1"),
        (lambda: rlxc.cond(True, 1.0, 2.0), "a function is asked for"),
        (lambda: rlxc.scan(3, 1.0, np.ones(3)), "a function is asked for, not int 3"),
        (lambda: rlxc.scan(lambda c, x: (c, x), 1.0, np.ones(3), length="3"), "a number of steps, not '3'"),
        (lambda: rlxc.map(product, 1.0), "map of product: xs is"),
        (lambda: rlxc.fori_loop(0, 2.5, lambda i, v: v, 1.0), "its ends are integers"),
        (lambda: rlxc.jit(lambda x: x.at[0].set(1j))(np.ones(2)), "does not hold"),
        (lambda: eager.function(product)(1.0, 2.0), "given no tensor"),
        (lambda: rlxc.checkpoint(product, policy="bogus"), "recompute, save, contractions, named"),
        (lambda: rlxc.custom_jvp(product, nondiff_argnums=-3), "no argument -3"),
    ],
)
def test_what_does_not_fit_is_an_error_at_its_line(call, words):
    with pytest.raises(rlxc.Error, match=words) as caught:
        call()
    assert caught.value.loc.file == __file__ or words == "given no tensor"
