"""Static values that Python takes for equal, and a function does not, are traced for each."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

import rlxc
from rlxc import eager
from rlxc.tracing.static_values import distinction


class Pair(NamedTuple):
    n: Any


@dataclass(frozen=True)
class Box:
    n: Any


@dataclass
class Held:
    x: Any
    n: Any = field(metadata={"static": True})


EQUAL = [(1, 1.0), (1, True), (0.0, -0.0), (0j, complex(0.0, -0.0)), ((1, (0.0,)), (1, (-0.0,))), (frozenset([2]), frozenset([2.0]))]
EQUAL += [(Pair(2), Pair(2.0)), (Box((2,)), Box((2.0,))), (np.float64(0.0), np.float64(-0.0)), (2.0, np.float64(2.0))]


@pytest.mark.parametrize(("one", "other"), EQUAL, ids=str)
def test_equal_values_are_told_apart(one, other):
    assert one == other
    assert distinction(one) != distinction(other)
    assert hash(distinction(one)) == hash(distinction(one))
    assert distinction(one) == distinction(one)


def test_a_jitted_function_is_compiled_for_each():
    f = rlxc.jit(lambda x, p: x * p.n, static_argnums=1)
    for n in (2, 2.0, 2, 2.0):
        assert f(np.arange(3), Pair(n)).dtype == (np.arange(3) * n).dtype
    g = rlxc.jit(lambda x, sign: np.copysign(x, sign), static_argnums=1)
    for sign in (0.0, -0.0, 0.0, -0.0):
        assert g(1.0, sign) == np.copysign(1.0, sign)
    h = rlxc.jit(lambda held: held.x * held.n[0])
    for n in (2, 2.0):
        assert h(Held(np.arange(3), (n,))).dtype == (np.arange(3) * n).dtype


def test_the_tape_records_each():
    x = eager.tensor(np.ones(2), requires_grad=True)
    for zero in (0.0, -0.0, 0.0):
        assert np.signbit(x.at[0].set(zero).numpy()[0]) == np.signbit(zero)
