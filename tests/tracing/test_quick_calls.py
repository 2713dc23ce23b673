"""Calls with trees, numbers, static arguments and owners are made by code written for them; whatever differs is looked up as ever."""

import dataclasses
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import numpy as np
import pytest

import rlxc
from rlxc.tracing.jit import Jit

X = np.array([1.0, 2.0, 3.0])


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Layer:
    w: Any
    name: str = dataclasses.field(metadata={"static": True})


def looked_up(monkeypatch):
    """Counts calls that are looked up."""
    calls = []
    apply = Jit._apply
    monkeypatch.setattr(Jit, "_apply", lambda self, *args, **kwargs: (calls.append(args), apply(self, *args, **kwargs))[1])
    return calls


def double(tree):
    return rlxc.tree_map(lambda x: x * 2, tree)


TREES = [
    {"w": X, "b": 2.0}, {"b": 1.0, "w": X}, (X, [X, {"a": X}], None), Pair(X, 3.0), Layer(X, "one"), [X], {}, {1: X, "x": (X,)}, {"k": 3},
    {"k": True}, {"k": 1j},
    {"k": np.float32(2)}, OrderedDict(b=X, a=1.0), defaultdict(list, a=X), [[]], {("a", 0): X},
]  # fmt: skip


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_a_tree_in_and_out_is_not_looked_up_the_third_time(tree, monkeypatch):
    f = rlxc.jit(double)
    want = f(tree)
    f(tree)
    calls = looked_up(monkeypatch)
    got = f(tree)
    leaves = rlxc.tree_leaves(tree)
    assert not calls or not leaves
    assert type(got) is type(tree)
    assert repr(got) == repr(want)
    for g, x in zip(rlxc.tree_leaves(got), leaves, strict=True):
        np.testing.assert_array_equal(g, np.asarray(x) * 2)
    assert f.cache_info()[:2] == (2, 1)


def test_trees_of_many_forms_take_turns():
    f = rlxc.jit(double)
    for _ in range(4):
        for tree in TREES:
            got = f(tree)
            assert type(got) is type(tree)
            for g, x in zip(rlxc.tree_leaves(got), rlxc.tree_leaves(tree), strict=True):
                np.testing.assert_array_equal(g, np.asarray(x) * 2)
    assert f.cache_info().misses == len(TREES) - 1  # the order of keys is no form


def test_other_dtypes_shapes_keys_and_types_are_looked_up():
    f = rlxc.jit(lambda p, n: (p["w"] * n, rlxc.numpy.asarray(n)))
    for _ in range(3):
        f({"w": X}, 2)
    for p, n in (({"w": X[:2]}, 2), ({"w": X.astype(np.float32)}, 2), ({"w": X}, 2.0), ({"w": X}, True), ({"w": np.arange(6.0)[::2]}, 2)):
        for _ in range(3):
            for g, w in zip(f(p, n), (p["w"] * n, np.asarray(n)), strict=True):
                assert g.dtype == w.dtype
                np.testing.assert_array_equal(g, w)
    with pytest.raises(rlxc.Error, match="i64 does not hold"):
        f({"w": X}, 2**70)
    with pytest.raises(KeyError):
        f({"v": X}, 2)


def test_static_values_are_told_apart():
    @rlxc.jit(static_argnums=1, static_argnames="mode")
    def f(x, n, *, mode=None):
        return x * n[0] if isinstance(n, tuple) else x + (10 if n is True else n), np.array(0 if mode is None else len(mode))

    for _ in range(3):
        assert f(X, 1)[0].tolist() == [2.0, 3.0, 4.0]
        assert f(X, True)[0].tolist() == [11.0, 12.0, 13.0]
        assert f(X, (2,))[0].tolist() == [2.0, 4.0, 6.0]
        assert f(X, (True,))[0].tolist() == [1.0, 2.0, 3.0]
        assert f(X, 1, mode="ab")[1] == 2
        assert f(X, 1, mode="abc")[1] == 3
        assert f(X, n=1, mode=None)[1] == 0
    assert f.cache_info().misses <= 8


def test_zeros_of_both_signs_are_different_static_values():
    f = rlxc.jit(lambda x, n: np.copysign(x, n[0] if isinstance(n, tuple) else n), static_argnums=1)
    for _ in range(3):
        for zero in (0.0, -0.0, (0.0,), (-0.0,)):
            assert f(X, zero)[0] == np.copysign(1.0, zero if isinstance(zero, float) else zero[0])


class Model:
    def __init__(self, w):
        self.w = w

    @rlxc.jit
    def predict(self, x):
        return x * self.w

    def loss(self, w):
        self.w = w
        return np.sum(self.predict(X))


def test_methods_of_several_objects_take_turns_and_hear_of_what_is_traced(monkeypatch):
    models = [Model(k * X) for k in range(3)]
    for _ in range(3):
        for k, model in enumerate(models):
            assert model.predict(X).tolist() == (k * X * X).tolist()
    calls = looked_up(monkeypatch)
    method = models[2].predict
    assert method(X).tolist() == (2 * X * X).tolist()
    assert not calls
    assert (method.__name__, method.__func__, method.__self__) == ("predict", Model.predict, models[2])
    np.testing.assert_array_equal(rlxc.grad(models[2].loss)(np.ones(3)), X)
    del models[1:], model, method
    assert Model(5.0).predict(X).tolist() == (5 * X).tolist()


def test_an_eager_tensor_in_a_tree_is_recorded():
    f = rlxc.jit(lambda p: p["w"] * 2)
    for _ in range(3):
        f({"w": X})
    t = rlxc.eager.tensor(X, requires_grad=True)
    f({"w": t}).sum().backward()
    assert t.grad.tolist() == [2.0, 2.0, 2.0]


def test_a_cleared_cache_is_empty():
    f = rlxc.jit(double)
    for _ in range(3):
        f([X])
    f.cache_clear()
    assert f.cache_info() == (0, 0, 0)
    f([X])
    assert f.cache_info() == (0, 1, 1)
