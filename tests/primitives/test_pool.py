"""Pooling against plain loops."""

import numpy as np
import pytest
from checks import apply, check_derivatives, check_infer_raises_only_errors, check_op, close, legal, op_func, run

from rlxc.errors import Error
from rlxc.ir.types import TensorType

OPS = ["max_pool", "avg_pool"]


@pytest.mark.parametrize("name", OPS)
def test_the_rules_agree_on_all_samples(name):
    pytest.importorskip("ml_dtypes")
    check_op(name, orders=0, dtypes=("f64", "f32", "f16", "bf16"))


@pytest.mark.parametrize("name", OPS)
def test_infer_raises_nothing_but_errors(name):
    check_infer_raises_only_errors(name, np.random.default_rng(1), n=600)


def plain_pool(combine, x, window, strides, padding, dilation):
    """`combine` of the list of the elements of each window that are inside of x."""
    size = []
    for n, k, s, (lo, hi), d in zip(x.shape[2:], window, strides, padding, dilation, strict=True):
        size.append(len([p for p in range(0, n + lo + hi, s) if p + (k - 1) * d < n + lo + hi]))
    out = np.zeros((*x.shape[:2], *size))
    for n, c, *p in np.ndindex(out.shape):
        inside = []
        for k in np.ndindex(*window):
            at = [a * s + b * d - lo for a, s, b, d, (lo, _) in zip(p, strides, k, dilation, padding, strict=True)]
            if all(0 <= i < m for i, m in zip(at, x.shape[2:], strict=True)):
                inside.append(x[(n, c, *at)])
        out[(n, c, *p)] = combine(inside)
    return out


@pytest.mark.parametrize("seed", range(40))
def test_random_windows_and_their_derivatives(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    pick = lambda low, high: tuple(int(v) for v in rng.integers(low, high, rank))  # noqa: E731
    x = rng.normal(size=(2, 2, *pick(1, 5)))
    window = pick(1, 4)
    attrs = {"strides": pick(1, 4), "padding": tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (rank, 2))), "dilation": pick(1, 3)}
    wants = {
        "max_pool": plain_pool(lambda v: max(v, default=-np.inf), x, window, **attrs),
        "avg_pool": plain_pool(lambda v: sum(v) / np.prod(window), x, window, **attrs),
    }
    for name, want in wants.items():
        func = op_func(name, TensorType("f64", x.shape), window=window, **attrs)
        close(apply(name, x, window=window, **attrs), want)
        close(run(legal(func), x), want)
        if np.isfinite(want).all():
            check_derivatives(func, [x], rng, 2)
    want = plain_pool(lambda v: sum(v) / max(1, len(v)), x, window, **attrs)
    func = op_func("avg_pool", TensorType("f64", x.shape), window=window, count_include_pad=False, **attrs)
    close(run(func, x), want)
    close(run(legal(func), x), want)
    check_derivatives(func, [x], rng, 1)


def test_the_windows_do_not_overlap_unless_told():
    x = np.arange(7.0)[None, None]
    assert apply("max_pool", x, window=(2,)).tolist() == [[[1, 3, 5]]]
    assert apply("avg_pool", x, window=(3,), strides=(1,)).tolist() == [[[1, 2, 3, 4, 5]]]


def test_nan_wins_and_padding_never_does():
    x = np.array([[[np.nan, -1.0, -2.0]]])
    got = run(legal(op_func("max_pool", "f64[1, 1, 3]", window=(2,), strides=(1,), padding=((1, 1),))), x)
    np.testing.assert_array_equal(got, [[[np.nan, np.nan, -1, -2]]])
    low = np.array([[[-128, -127]]], np.int8)
    assert run(legal(op_func("max_pool", "i8[1, 1, 2]", window=(1,), padding=((1, 0),))), low).tolist() == [[[-128, -128, -127]]]


@pytest.mark.parametrize(
    ("types", "attrs", "says"),
    [
        (["f64[1, 2, 5]"], {"window": (2, 2)}, "should have 1 number"),
        (["f64[1, 2, 5]"], {"window": ()}, "a size for each spatial axis"),
        (["f64[1, 2, 5]"], {"window": (0,)}, "1 or more"),
        (["f64[1, 2, 5]"], {"window": (2,), "padding": ((-1, 0),)}, "padding is 0 or more"),
        (["f64[1, 2]"], {"window": (2,)}, "takes [N, C, spatial...]"),
        (["i32[1, 2, 3]"], {"window": (2,)}, "does not take i32"),
    ],
)
def test_wrong_windows_are_refused_with_a_reason(types, attrs, says):
    with pytest.raises(Error) as error:
        op_func("avg_pool", *types, **attrs)
    assert says in str(error.value)
