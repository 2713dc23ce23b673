"""The smallest cases that every AD has to get right, each with the value that it must give, in every frontend.

A case is written twice, as text and in Python; its derivative is that of the text by the interpreter and by native code, of the Python function
traced, compiled by `jit` and recorded op by op, and of the text recorded as one node. What a case says beyond its value (one node, one exp,
nothing computed) is tested where that is visible: `tests/ad`, `tests/eager`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import rlxc
from rlxc import eager


@dataclass(frozen=True)
class Case:
    """Cotangents of the arguments at the places `wrt`, for the cotangents `seeds` of the results."""

    text: str
    python: Callable[..., Any]
    at: tuple
    want: tuple
    seeds: tuple = (1.0,)
    wrt: tuple[int, ...] = (0,)

    @property
    def func(self) -> rlxc.Func:
        return rlxc.parse(f"func @f({self.text}")["f"]


CASES = {
    "x*x at 3": Case("%x: f64[]) -> f64[] { %y = mul %x, %x return %y }", lambda x: x * x, (3.0,), (6.0,)),
    "x*y + y at (2, 3)": Case(
        "%x: f64[], %y: f64[]) -> f64[] { %a = mul %x, %y %b = add %a, %y return %b }", lambda x, y: x * y + y, (2.0, 3.0), (3.0, 3.0), wrt=(0, 1)
    ),
    "-(a + b)": Case("%a: f64[], %b: f64[]) -> f64[] { %s = add %a, %b %n = neg %s return %n }", lambda a, b: -(a + b), (2.0, 5.0), (-1.0, -1.0), wrt=(0, 1)),
    "x + x": Case("%x: f64[]) -> f64[] { %y = add %x, %x return %y }", lambda x: x + x, (3.0,), (2.0,)),
    "(x + x) * x at 3": Case("%x: f64[]) -> f64[] { %y = add %x, %x %z = mul %y, %x return %z }", lambda x: (x + x) * x, (3.0,), (12.0,)),
    "exp(x) + exp(x) at 1": Case(
        "%x: f64[]) -> f64[] { %a = exp %x %b = exp %x %c = add %a, %b return %c }", lambda x: np.exp(x) + np.exp(x), (1.0,), (2 * math.e,)
    ),
    "three operands, the middle one inactive": Case(
        "%a: f64[], %b: f64[], %c: f64[]) -> f64[] { %d = add %a, %b %e = add %d, %c return %e }",
        lambda a, b, c: a + b + c,
        (1.0, 2.0, 3.0),
        (1.0, 1.0),
        wrt=(0, 2),
    ),
    "split(x) = (x, 2x), seeded in slot 1": Case(
        "%x: f64[]) -> (f64[], f64[]) { %t = constant dense<2.0> : f64[] %y = mul %x, %t return %x, %y }",
        lambda x: (x * 1.0, 2.0 * x),
        (3.0,),
        (2.0,),
        seeds=(0.0, 1.0),
    ),
    "(x + c, x + d), seeded (1, 10)": Case(
        "%x: f64[], %c: f64[], %d: f64[]) -> (f64[], f64[]) { %a = add %x, %c %b = add %x, %d return %a, %b }",
        lambda x, c, d: (x + c, x + d),
        (3.0, 4.0, 5.0),
        (11.0,),
        seeds=(1.0, 10.0),
    ),
    "(y, y) with y = x*x at 3, seeded (1, 10)": Case(
        "%x: f64[]) -> (f64[], f64[]) { %y = mul %x, %x return %y, %y }", lambda x: (lambda y: (y, y))(x * x), (3.0,), (66.0,), seeds=(1.0, 10.0)
    ),
    "the identity": Case("%x: f64[]) -> f64[] { return %x }", lambda x: x, (4.0,), (5.0,), seeds=(5.0,)),
    "a constant": Case(
        "%x: f64[]) -> (f64[], f64[]) { %c = constant dense<7.0> : f64[] %y = add %x, %x return %c, %y }",
        lambda x: (np.float64(7.0), x + x),
        (4.0,),
        (2.0,),
        seeds=(3.0, 1.0),
    ),
    "c z with c = 2+i": Case(
        "%z: c128[]) -> c128[] { %c = constant dense<(2.0, 1.0)> : c128[] %y = mul %c, %z return %y }",
        lambda z: (2 + 1j) * z,
        (0.5j,),
        (2 - 1j,),
        seeds=(1 + 0j,),
    ),
    "|z|^2 at 1+2i": Case("%z: c128[]) -> f64[] { %a = abs %z %y = mul %a, %a return %y }", lambda z: np.abs(z) ** 2, (1 + 2j,), (2 + 4j,)),
    "conj z, whose pullback conjugates too": Case("%z: c128[]) -> c128[] { %y = conj %z return %y }", np.conj, (1 + 2j,), (1 - 1j,), seeds=(1 + 1j,)),
}


def as_tuple(x):
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def from_text(run):
    def derivative(case):
        split = rlxc.vjp(case.func, case.wrt)
        out = as_tuple(run(split.forward, *case.at))
        return run(split.pullback, *split.kept(case.at, out), *case.seeds)

    return derivative


def traced(case, wrap=lambda f: f):
    fixed = {i: x for i, x in enumerate(case.at) if i not in case.wrt}

    def of_active(*active):
        rest = iter(active)
        return case.python(*[fixed[i] if i in fixed else next(rest) for i in range(len(case.at))])

    def derivative(*active):
        return rlxc.vjp(of_active, *active)[1](case.seeds if len(case.seeds) > 1 else case.seeds[0])

    return wrap(derivative)(*[case.at[i] for i in case.wrt])


def recorded(case, function):
    leaves = [eager.tensor(x, requires_grad=i in case.wrt) for i, x in enumerate(case.at)]
    outs = as_tuple(function(*leaves))
    active = [(out, seed) for out, seed in zip(outs, case.seeds, strict=True) if getattr(out, "requires_grad", False)]
    eager.backward([out for out, _ in active], [seed for _, seed in active])
    assert [x.grad is not None for x in leaves] == [i in case.wrt for i in range(len(leaves))]
    return [leaves[i].grad.numpy() for i in case.wrt]


FRONTENDS = {
    "text, interpreted": from_text(rlxc.interpret),
    "text, native": from_text(lambda func, *xs: rlxc.compile(func)(*xs)),
    "traced": traced,
    "jitted": lambda case: traced(case, rlxc.jit),
    "eager": lambda case: recorded(case, case.python),
    "eager, as one node": lambda case: recorded(case, eager.function(case.func)),
}


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("name", CASES)
def test_a_case_has_its_stated_value(name, frontend):
    case = CASES[name]
    got = as_tuple(FRONTENDS[frontend](case))
    assert len(got) == len(case.want)
    np.testing.assert_allclose([complex(g) for g in got], case.want, rtol=2e-15)


def power(n):
    lines = " ".join(f"%v{i} = mul {f'%v{i - 1}' if i > 1 else '%x'}, %x" for i in range(1, n))
    return rlxc.parse(f"func @f(%x: f64[]) -> f64[] {{ {lines} return %v{n - 1} }}")["f"], lambda x: math.prod([x] * n)


def repeated(transform, f, n):
    for _ in range(n):
        f = transform(f)
    return f


def recorded_grad(f):
    def slope(x):
        x = x if isinstance(x, eager.Tensor) else eager.tensor(x, requires_grad=True)
        return eager.grad(f(x), x, create_graph=True)

    return slope


@pytest.mark.parametrize(("n", "at"), [(3, 2.0), (4, 1.0), (5, 1.5)])
def test_the_nth_derivative_of_x_to_the_n_is_a_factorial(n, at):
    text, python = power(n)
    assert rlxc.interpret(repeated(rlxc.grad, text, n), at) == math.factorial(n)
    assert rlxc.compile(repeated(rlxc.grad, text, n))(at) == math.factorial(n)
    assert repeated(rlxc.grad, python, n)(at) == math.factorial(n)
    assert rlxc.jit(repeated(rlxc.grad, lambda x: x**n, n))(at) == pytest.approx(math.factorial(n), rel=1e-14)
    assert repeated(recorded_grad, python, n)(at).item() == math.factorial(n)


def test_forward_over_forward_over_reverse_of_exp():
    text = rlxc.parse("func @f(%x: f64[]) -> f64[] { %y = exp %x return %y }")["f"]
    third = rlxc.jvp(rlxc.jvp(rlxc.grad(text), "x"), "x")
    for run in (rlxc.interpret, lambda func, *xs: rlxc.compile(func)(*xs)):
        np.testing.assert_allclose(run(third, 1.0, 1.0, 1.0), [math.e] * 4, rtol=1e-15)
    tangent = lambda f: lambda x: rlxc.jvp(f, (x,), (1.0,))[1]  # noqa: E731
    for f in (tangent(tangent(rlxc.grad(np.exp))), rlxc.jit(tangent(tangent(rlxc.grad(np.exp))))):
        assert float(f(1.0)) == pytest.approx(math.e, rel=1e-15)
    x = eager.tensor(1.0, requires_grad=True)
    tangent(tangent(rlxc.grad(np.exp)))(x).backward()  # and reverse over all that
    assert x.grad.item() == pytest.approx(math.e, rel=1e-15)


def test_the_tangent_of_conj_is_the_conjugate():
    f = rlxc.parse("func @f(%z: c128[]) -> c128[] { %y = conj %z return %y }")["f"]
    assert rlxc.compile(rlxc.jvp(f))(0j, 1 + 1j)[1] == 1 - 1j
    for way in (lambda f: f, rlxc.jit):
        assert way(lambda z, dz: rlxc.jvp(np.conj, (z,), (dz,))[1])(0j, 1 + 1j) == 1 - 1j


def test_two_pullbacks_in_one_program_stay_independent():
    f = rlxc.parse("func @f(%x: f64[]) -> f64[] { %y = mul %x, %x return %y }")["f"]
    text = (
        str(rlxc.vjp(f).pullback.as_module())
        + """
    func @both(%x: f64[], %z: f64[], %a: lin f64[], %b: lin f64[]) -> (lin f64[], lin f64[]) {
      %p = call @f.pullback(%x, %a) : lin f64[]
      %q = call @f.pullback(%z, %b) : lin f64[]
      return %p, %q
    }"""
    )
    both = rlxc.run_passes(rlxc.parse(text), "inline,cse,dce")["both"]
    assert [float(v) for v in rlxc.compile(both)(3.0, 4.0, 1.0, 10.0)] == [6.0, 80.0]

    def merged(x, z):
        first, second = (rlxc.vjp(lambda v: v * v, v)[1] for v in (x, z))
        return second(10.0)[0], first(1.0)[0]

    for way in (merged, rlxc.jit(merged)):
        assert [float(v) for v in way(3.0, 4.0)] == [80.0, 6.0]
    x, z = (eager.tensor(v, requires_grad=True) for v in (3.0, 4.0))
    a, b = x * x, z * z
    assert [d.item() for d in (eager.grad(b, z, 10.0), eager.grad(a, x))] == [80.0, 6.0]
