"""Loops and branches on Python bodies: what they compute, their types, closures, derivatives, and what does not fit."""

import numpy as np
import pytest

import rlxc

X = np.array([0.5, -1.25, 2.0, 0.25])


def run(f, *arrays):
    """`f` traced and interpreted; the text parses back."""
    func = rlxc.trace(f, *arrays)
    assert rlxc.parse(str(func))[func.name] == func
    return rlxc.interpret(func, *arrays)


def close(got, want):
    for g, w in zip(rlxc.tree_leaves(got), rlxc.tree_leaves(want), strict=True):
        assert np.asarray(g).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(g, w, rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_scan_is_a_loop(n, reverse):
    x = X[:n]

    def step(carry, e):
        return carry * 0.5 + e, {"before": carry}

    carry, ys = 1.0, []
    for e in reversed(x) if reverse else x:
        carry, y = step(carry, e)
        ys.append(y["before"])
    want = carry, np.array(ys[::-1] if reverse else ys)
    close(run(lambda x: [*rlxc.tree_leaves(rlxc.scan(step, 1.0, x, reverse=reverse))], x), want)


def test_scan_takes_trees_and_none():
    def step(carry, e):
        (a, b), n = carry
        return ((a + e["x"], b), n + 1), (a, None)

    out = run(lambda x: rlxc.tree_leaves(rlxc.scan(step, ((np.zeros(2), 3.0), 0), {"x": x})), np.ones((5, 2)))
    close(out, (np.full(2, 5.0), 3.0, 5, np.arange(5.0)[:, None] * np.ones(2)))
    out = run(lambda x: rlxc.tree_leaves(rlxc.scan(lambda c, _: (c * x, None), 1.0, length=3)), np.array(2.0))
    close(out, (8.0,))


def test_a_python_number_to_begin_with_takes_the_dtype_of_the_body():
    func = rlxc.trace(lambda x: rlxc.scan(lambda c, e: (c + e, c), 0, x), "f32[3]")
    assert [str(v.type) for v in func.results] == ["f32[]", "f32[3]"]
    func = rlxc.trace(lambda x: rlxc.scan(lambda c, e: ((c[1], c[0] + e), None), (0, 1), x)[0], "f32[3]")
    assert [str(v.type) for v in func.results] == ["f32[]", "f32[]"]
    func = rlxc.trace(lambda x: rlxc.scan(lambda c, e: (c + 1, None), 0, x)[0], "f32[3]")
    assert [str(v.type) for v in func.results] == ["i64[]"]


def test_bodies_use_arrays_and_tracers_from_outside():
    table = np.arange(3.0)

    def f(x, w):
        return rlxc.scan(lambda c, e: (c * w + np.sum(table * e), None), 0.0, x)[0]

    want = 0.0
    for e in X:
        want = want * 0.5 + np.sum(table * e)
    close(run(f, X, np.array(0.5)), (want,))
    slope = rlxc.trace(rlxc.grad(f, argnums=(0, 1)), X, np.array(0.5))
    dx, dw = rlxc.interpret(slope, X, np.array(0.5))
    np.testing.assert_allclose(dx, 3.0 * 0.5 ** np.arange(3, -1, -1))
    step = 1e-6
    numeric = (run(f, X, np.array(0.5 + step)) - run(f, X, np.array(0.5 - step))) / (2 * step)
    np.testing.assert_allclose(dw, numeric, rtol=1e-7)


def test_fori_loop_with_known_and_computed_bounds():
    close(run(lambda x: rlxc.fori_loop(0, 4, lambda i, v: v + x[i] * i, 0.0), X), (np.sum(X * np.arange(4)),))
    close(run(lambda x: rlxc.fori_loop(3, 1, lambda i, v: v + 1, x), X), (X,))
    close(run(lambda x: rlxc.fori_loop(-2, 2, lambda i, v: v + i, 0), X), (-2,))
    close(run(lambda n: rlxc.fori_loop(1, n, lambda i, v: v * i, 1), np.array(6)), (120,))
    slope = rlxc.trace(rlxc.grad(lambda x: rlxc.fori_loop(0, 5, lambda i, v: v * x, 1.0)), "f64[]")
    np.testing.assert_allclose(rlxc.interpret(slope, 2.0), 80.0)
    slope = rlxc.jit(rlxc.grad(lambda x, n: rlxc.fori_loop(0, n, lambda i, v: v * x, 1.0, bound=8)))
    np.testing.assert_allclose(slope(2.0, np.array(5)), 80.0)


def test_while_loop():
    close(run(lambda x: rlxc.while_loop(lambda v: v < 100, lambda v: v * x, 1.0), np.array(3.0)), (243.0,))
    close(run(lambda x: rlxc.tree_leaves(rlxc.while_loop(lambda s: s["i"] < 3, lambda s: {"i": s["i"] + 1, "v": s["v"] * 2}, {"i": 0, "v": x})), X), (3, X * 8))
    tangent = rlxc.trace(lambda x: rlxc.jvp(lambda x: rlxc.while_loop(lambda v: v < 100, lambda v: v * x, 1.0), (x,), (1.0,)), "f64[]")
    close(rlxc.interpret(tangent, 3.0), (243.0, 405.0))
    slope = rlxc.trace(rlxc.grad(lambda x: rlxc.while_loop(lambda v: v < 100, lambda v: v * x, 1.0, bound=9)), "f64[]")
    close(rlxc.interpret(slope, 3.0), (405.0,))
    with pytest.raises(rlxc.Error, match="bound"):
        rlxc.trace(rlxc.grad(lambda x: rlxc.while_loop(lambda v: v < 100, lambda v: v * x, 1.0)), "f64[]")


def test_branches():
    w = np.array(2.0)
    f = lambda p, x: rlxc.cond(p, lambda x: (x * w, 1), lambda x: (x, 2.5), x)  # noqa: E731
    close(run(f, np.array(True), X), (2 * X, 1.0))
    close(run(f, np.array(False), X), (X, 2.5))
    for index, want in ((0, X), (1, 2 * X), (2, 3 * X), (7, 3 * X), (-1, X)):
        close(run(lambda i, x: rlxc.switch(i, [lambda x: x, lambda x: 2 * x, lambda x: 3 * x], x), np.array(index), X), (want,))
    slope = rlxc.trace(rlxc.grad(lambda x: rlxc.cond(x > 0, lambda: x * x, lambda: -x)), "f64[]")
    close(rlxc.interpret(slope, 3.0), (6.0,))
    close(rlxc.interpret(slope, -3.0), (-1.0,))


def test_only_one_branch_runs():
    f = rlxc.trace(lambda p, x: rlxc.cond(p, lambda: x, lambda: np.log(x)), "bool[]", "f64[]")
    (op,) = f.ops
    assert [len(r.ops) for r in op.regions] == [0, 1]


def test_map_and_vmap_of_loops():
    close(run(lambda x: rlxc.map(lambda e: np.sum(e * X[:2]), x), np.ones((3, 2))), (np.full(3, X[:2].sum()),))
    x = np.arange(12.0).reshape(3, 4)
    close(run(rlxc.vmap(lambda r: rlxc.scan(lambda c, e: (c + e, c), 0.0, r)), x), (x.sum(1), np.cumsum(x, 1) - x))
    close(run(rlxc.vmap(lambda v: rlxc.cond(v > 4, lambda: v, lambda: -v)), X * 4), (np.where(X * 4 > 4, X * 4, -X * 4),))


def test_nested_loops_and_closures_over_carries():
    def f(x):
        return rlxc.scan(lambda c, e: (rlxc.fori_loop(0, 3, lambda i, v: v * e + c, c), None), 1.0, x)[0]

    want = 1.0
    for e in X:
        v = want
        for _ in range(3):
            v = v * e + want
        want = v
    close(run(f, X), (want,))


@pytest.mark.parametrize(
    ("f", "says"),
    [
        (lambda x: rlxc.scan(lambda c, e: ((c, e), None), 0.0, x), "the carry goes in as"),
        (lambda x: rlxc.scan(lambda c, e: (c, None), np.float32(0), x)[0] + rlxc.scan(lambda c, e: (c + e, None), np.float32(0), x)[0], "keep its type"),
        (lambda x: rlxc.scan(lambda c, e: (x, None), 0.0, x), "keep its type"),
        (lambda x: rlxc.scan(lambda c, e: c, 0.0, x), "returns a pair"),
        (lambda x: rlxc.scan(lambda c, e: (c, None), 0.0), "how many steps"),
        (lambda x: rlxc.scan(lambda c, e: (c, None), 0.0, (x, x[:2])), "number of steps differs"),
        (lambda x: rlxc.scan(lambda c, e: (c, None), 0.0, x[0]), "no axis"),
        (lambda x: rlxc.while_loop(lambda v: v, lambda v: v, x), "a scalar"),
        (lambda x: rlxc.while_loop(lambda v: v[0] > 0, lambda v: v[:2], x), "keep its type"),
        (lambda x: rlxc.cond(x[0] > 0, lambda: x, lambda: x[0]), "that of"),
        (lambda x: rlxc.cond(x[0] > 0, lambda: x, lambda: (x,)), "returns"),
        (lambda x: rlxc.cond(x > 0, lambda: x, lambda: x), "a scalar"),
        (lambda x: rlxc.switch(x[0], [lambda: x]), "an integer"),
        (lambda x: rlxc.switch(0, []), "no branches"),
    ],
)
def test_what_does_not_fit_is_an_error_with_a_place(f, says):
    with pytest.raises(rlxc.TracingError, match=says) as caught:
        rlxc.trace(f, X)
    assert caught.value.code == "RLX0808"
    assert caught.value.loc.file == __file__


def test_a_long_scan_takes_no_longer_to_trace():
    short, long = (rlxc.trace(lambda x: rlxc.scan(lambda c, e: (c + e, c), 0.0, x), f"f64[{n}]") for n in (10, 100_000))
    assert len(list(short.walk())) == len(list(long.walk()))
