"""Windows that slide, and pooling over them."""

import numpy as np
import pytest
from checks import apply, check_derivatives, check_infer_raises_only_errors, check_op, close, legal, op_func, run

from rlxc.errors import Error
from rlxc.ir.interp import interpret
from rlxc.ir.types import REALS, DType
from rlxc.passes.gradient import grad_with_loss

REDUCTIONS = {"reduce_window_sum": np.sum, "reduce_window_max": np.max, "reduce_window_min": np.min}


@pytest.mark.parametrize("name", ["sliding_windows", "overlap_add", *REDUCTIONS])
def test_the_rules_agree_on_all_samples(name):
    check_op(name, orders=2)


@pytest.mark.parametrize("name", ["sliding_windows", "overlap_add", *REDUCTIONS])
def test_infer_raises_nothing_but_errors(name):
    check_infer_raises_only_errors(name, np.random.default_rng(1))


def pooled(reduce, x, neutral, window, strides, padding, dilation):
    """The definition, as a loop."""
    x = np.pad(x, padding, constant_values=neutral)
    spans = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
    shape = [max(0, (n - span) // s + 1) for n, span, s in zip(x.shape, spans, strides, strict=True)]
    out = np.zeros(shape, x.dtype)
    for o in np.ndindex(*shape):
        at = tuple(slice(i * s, i * s + span, d) for i, s, span, d in zip(o, strides, spans, dilation, strict=True))
        out[o] = reduce(x[at])
    return out


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", REDUCTIONS)
def test_random_windows_are_their_loops(name, seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    x = rng.normal(size=rng.integers(1, 6, rank))
    pick = lambda low, high: tuple(int(v) for v in rng.integers(low, high, rank))  # noqa: E731
    window, strides, dilation = pick(1, 4), pick(1, 4), pick(1, 3)
    padding = tuple(zip(pick(0, 3), pick(0, 3), strict=True))
    attrs = {"window": window, "strides": strides, "padding": padding, "dilation": dilation}
    neutral = {"reduce_window_sum": 0.0, "reduce_window_max": -np.inf, "reduce_window_min": np.inf}[name]
    want = pooled(REDUCTIONS[name], x, neutral, window, strides, padding, dilation)
    close(apply(name, x, **attrs), want)
    func = op_func(name, f"f64{list(x.shape)}", **attrs)
    close(run(legal(func), x), want)
    if np.isfinite(want).all():
        check_derivatives(func, [x], rng, 2)


@pytest.mark.parametrize("dtype", REALS)
def test_pooling_of_each_dtype(dtype):
    x = np.random.default_rng(0).integers(0, 9, (2, 6)).astype(DType(dtype).numpy)
    for name, reduce in REDUCTIONS.items():
        want = reduce(x.astype(np.float64).reshape(2, 3, 2), axis=2)
        for f in (func := op_func(name, f"{dtype}[2, 6]", window=(1, 2), strides=(1, 2)), legal(func)):
            close(run(f, x), want.astype(x.dtype))


def test_ties_within_a_window_share_the_gradient():
    func = op_func("reduce_window_max", "f64[4]", window=(2,), strides=(2,))
    _, dx = interpret(grad_with_loss(func), [np.array([1.0, 1.0, 2.0, 3.0]), np.array([4.0, 5.0])])
    close(dx, [2, 2, 0, 5])


def test_attributes_must_fit():
    for name, type, attrs in [
        ("reduce_window_max", "f64[4]", {"window": (2, 2)}),
        ("reduce_window_max", "f64[4]", {"window": (0,)}),
        ("reduce_window_max", "f64[4]", {"window": (2,), "padding": ((-1, 0),)}),
        ("reduce_window_sum", "bool[4]", {"window": (2,)}),
        ("sliding_windows", "f64[4]", {"axes": (1,), "window": (2,)}),
        ("overlap_add", "f64[4, 2]", {"axes": (0,), "sizes": (4,)}),
    ]:
        with pytest.raises(Error):
            op_func(name, type, **attrs)
