"""Composites: decomposition against eval, eval against other libraries' formulas, derivatives to third order, and the corners."""

import math

import numpy as np
import pytest
from checks import apply, check_derivatives, check_infer_raises_only_errors, check_op, close, draw, legal, op_func, run

from rlxc.errors import Error
from rlxc.ir.interp import interpret
from rlxc.passes.gradient import grad_with_loss, value_and_grad
from rlxc.passes.gradient import jvp as jvp_of

SMOOTH = ["gelu", "silu", "softplus", "softmax", "log_softmax", "logsumexp", "layer_norm", "rms_norm", "group_norm", "batch_norm", "mean", "var", "rope"]
OTHERS = ["relu", "std", "cross_entropy", "attention", "embedding"]


@pytest.mark.parametrize("name", SMOOTH + OTHERS)
def test_the_rules_agree_on_all_samples_in_every_float_dtype(name):
    pytest.importorskip("ml_dtypes")
    check_values(name, ("f64", "f32", "f16", "bf16"))


def check_values(name, dtypes):
    with np.errstate(all="ignore"):
        check_op(name, orders=0, dtypes=dtypes)


@pytest.mark.parametrize("name", SMOOTH + OTHERS)
def test_infer_raises_nothing_but_errors(name):
    check_infer_raises_only_errors(name, np.random.default_rng(2))


CASES = {
    "gelu erf": ("gelu", ["f64[7]"], {}),
    "gelu tanh": ("gelu", ["f64[7]"], {"approximate": "tanh"}),
    "silu": ("silu", ["f64[2, 3]"], {}),
    "relu": ("relu", ["f64[7]"], {}),
    "softplus": ("softplus", ["f64[7]"], {}),
    "softmax": ("softmax", ["f64[2, 4]"], {}),
    "softmax in the middle": ("softmax", ["f64[2, 3, 2]"], {"axis": 1}),
    "log_softmax": ("log_softmax", ["f64[3, 4]"], {"axis": 0}),
    "logsumexp": ("logsumexp", ["f64[2, 3, 2]"], {"axes": (0, 2)}),
    "layer_norm": ("layer_norm", ["f64[2, 5]", "f64[5]", "f64[5]"], {"eps": 0.1}),
    "layer_norm over two": ("layer_norm", ["f64[3, 2, 4]", "f64[3, 4]"], {"axes": (0, 2)}),
    "rms_norm": ("rms_norm", ["f64[2, 5]", "f64[5]"], {}),
    "group_norm": ("group_norm", ["f64[2, 4, 3]", "f64[4]", "f64[4]"], {"groups": 2}),
    "rope": ("rope", ["f64[3, 6]"], {"dims": 4}),
    "mean": ("mean", ["f64[2, 3]"], {"axes": (-1,)}),
    "var": ("var", ["f64[4, 3]"], {"axes": (0,), "ddof": 1}),
    "std": ("std", ["f64[4, 3]"], {"axes": (0,)}),
    "attention": ("attention", ["f64[2, 3, 2]", "f64[2, 4, 2]", "f64[2, 4, 3]"], {}),
    "attention, all at once": (
        "attention",
        ["f64[4, 3, 2]", "f64[2, 4, 2]", "f64[2, 4, 2]", "f64[4, 3, 4]"],
        {"causal": True, "offset": 1, "window": 2, "softcap": 1.5},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_derivatives_are_right_to_third_order(case):
    name, types, attrs = CASES[case]
    rng = np.random.default_rng(0)
    func = op_func(name, *types, **attrs)
    check_derivatives(func, [draw(rng, a.type) for a in func.args], rng, orders=3, rtol=2e-5)


def gradient(name, *arrays, wrt=(0,), **attrs):
    """Gradients of the sum of an op's results."""
    from rlxc.ir.types import TensorType, dtype_of

    arrays = [np.asarray(a) for a in arrays]
    func = op_func(name, *[TensorType(dtype_of(a.dtype), a.shape) for a in arrays], **attrs)
    ct = np.ones(func.results[0].type.shape, arrays[0].dtype)
    return interpret(grad_with_loss(func, wrt), (*arrays, ct))[1:]


def test_relu_has_derivative_0_at_0_and_keeps_nan():
    x = np.array([-1.0, 0.0, -0.0, 2.0, np.nan, -np.inf, np.inf])
    np.testing.assert_array_equal(apply("relu", x), [0, 0, 0, 2, np.nan, 0, np.inf])
    np.testing.assert_array_equal(gradient("relu", x)[0][:4], [0, 0, 0, 1])


def test_softplus_has_its_derivatives_at_0():
    (dx,) = gradient("softplus", np.array([0.0, 700.0, -700.0, np.inf, -np.inf]))
    close(dx, [0.5, 1, math.exp(-700), 1, 0])
    func = op_func("softplus", "f64[1]")
    first = jvp_of(func)
    second = jvp_of(first.with_(results=first.results[1:]), [0])
    close(interpret(second, (np.zeros(1), np.ones(1), np.ones(1)))[1], [0.25])


def test_gelu_keeps_its_relative_precision_far_below_0():
    x = np.array([-5.0, -9.0], np.float32)
    want = np.array([-1.43325785937e-06, -1.0157291679e-18])
    np.testing.assert_allclose(run(legal(op_func("gelu", "f32[2]")), x), want, rtol=3e-5)
    x = np.linspace(-8, 8, 100)
    close(apply("gelu", x, approximate="tanh"), x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), 1e-12)


def test_softmax_of_huge_numbers_and_masked_elements():
    x = np.array([[1e300, 1e300], [-1e300, -np.inf], [0.0, -np.inf]])
    func = legal(op_func("softmax", "f64[3, 2]"))
    np.testing.assert_array_equal(run(func, x), [[0.5, 0.5], [1, 0], [1, 0]])
    (dx,) = gradient("softmax", x)
    assert np.isfinite(dx).all()
    assert np.isnan(run(legal(op_func("softmax", "f64[2]")), np.array([-np.inf, -np.inf]))).all()


def test_logsumexp_of_infinities():
    x = np.array([[-np.inf, -np.inf], [np.inf, 1.0], [np.inf, -np.inf], [np.nan, 1.0], [1e4, 1e4]])
    want = [-np.inf, np.inf, np.inf, np.nan, 1e4 + math.log(2)]
    np.testing.assert_array_equal(run(legal(op_func("logsumexp", "f64[5, 2]", axes=(1,))), x), want)
    np.testing.assert_array_equal(apply("logsumexp", x, axes=(1,)), want)
    close(gradient("logsumexp", x[4:], axes=(1,))[0], [[0.5, 0.5]])


def test_the_gradient_of_cross_entropy_is_softmax_less_one_hot():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 4)) * 3, np.array([0, 3, 1, 1, 2])
    p = apply("softmax", logits)
    close(apply("cross_entropy", logits, labels), -np.log(p[np.arange(5), labels]))
    close(gradient("cross_entropy", logits, labels)[0], p - np.eye(4)[labels])
    func = op_func("cross_entropy", "f64[5, 4]", "i64[5]")
    check_derivatives(func, [logits, labels], rng, 3, rtol=2e-5)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_labels_of_any_integer_dtype_and_their_range(dtype):
    labels = np.array([0, 2, 3, 127 if dtype == "int8" else 200, -1 if dtype[0] == "i" else 250]).astype(dtype)
    got = run(legal(op_func("cross_entropy", "f32[5, 3]", _tensor(labels))), np.zeros((5, 3), np.float32), labels)
    np.testing.assert_allclose(got, [math.log(3)] * 2 + [np.nan] * 3, rtol=1e-6)
    big = np.array([2**32], np.int64)
    assert np.isnan(run(legal(op_func("cross_entropy", "f32[1, 3]", "i64[1]")), np.zeros((1, 3), np.float32), big)).all()


def _tensor(a):
    from rlxc.ir.types import TensorType, dtype_of

    return TensorType(dtype_of(a.dtype), a.shape)


def test_more_classes_than_the_labels_can_count():
    labels = np.array([5], np.int8)
    func = legal(op_func("cross_entropy", "f32[1, 1000]", "i8[1]"))
    close(run(func, np.zeros((1, 1000), np.float32), labels), [math.log(1000)], 1e-6)


def test_ignored_labels_have_neither_loss_nor_gradient():
    labels = np.array([1, -100, 7])
    logits = np.arange(9.0).reshape(3, 3)
    got = run(legal(op_func("cross_entropy", "f64[3, 3]", "i64[3]", ignore_index=-100)), logits, labels)
    assert got[1] == 0
    assert np.isnan(got[2])
    assert (gradient("cross_entropy", logits, labels, ignore_index=-100)[0][1] == 0).all()


def plain_attention(q, k, v, allowed, scale, bias=0.0):
    """Attention row by row, on [S, D], [T, D], [T, E]."""
    out = np.zeros((q.shape[0], v.shape[1]))
    for i in range(q.shape[0]):
        keys = [j for j in range(k.shape[0]) if allowed[i, j]]
        if keys:
            s = np.array([scale * (q[i] @ k[j]) for j in keys]) + (np.broadcast_to(bias, allowed.shape)[i, keys])
            p = np.exp(s - s.max())
            out[i] = p / p.sum() @ v[keys]
    return out


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 1, 2])
@pytest.mark.parametrize("offset", [0, 2, -1])
def test_attention_row_by_row(causal, window, offset):
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(4, 2)), rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    allowed = np.ones((4, 5), bool)
    for i, j in np.ndindex(4, 5):
        allowed[i, j] = (not causal or j <= i + offset) and (window is None or abs(i + offset - j) < window)
    attrs = {"causal": causal, "window": window, "offset": offset}
    func = op_func("attention", "f64[4, 2]", "f64[5, 2]", "f64[5, 3]", **attrs)
    want = plain_attention(q, k, v, allowed, 1 / math.sqrt(2))
    close(apply("attention", q, k, v, **attrs), want)
    close(run(legal(func), q, k, v), want)
    check_derivatives(func, [q, k, v], rng, 1)


def test_grouped_heads_share_their_keys():
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(2, 6, 3, 4)), rng.normal(size=(2, 2, 5, 4)), rng.normal(size=(2, 2, 5, 4))
    bias = rng.normal(size=(6, 1, 5))
    got = run(legal(op_func("attention", "f64[2, 6, 3, 4]", "f64[2, 2, 5, 4]", "f64[2, 2, 5, 4]", "f64[6, 1, 5]")), q, k, v, bias)
    for n, h in np.ndindex(2, 6):
        close(got[n, h], plain_attention(q[n, h], k[n, h // 3], v[n, h // 3], np.ones((3, 5), bool), 0.5, bias[h]))


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_query_that_sees_nothing_gives_0_and_no_gradient(kind):
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(2, 3)), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    seen = np.array([[False] * 4, [True, False, True, True]])
    mask = seen if kind == "bool" else np.where(seen, 0.0, -np.inf)
    func = op_func("attention", "f64[2, 3]", "f64[4, 3]", "f64[4, 3]", _tensor(mask))
    got = run(legal(func), q, k, v, mask)
    close(got, plain_attention(q, k, v, seen, 1 / math.sqrt(3)))
    assert (got[0] == 0).all()
    dq, dk, dv = gradient("attention", q, k, v, mask, wrt=(0, 1, 2))
    assert (dq[0] == 0).all()
    assert all(np.isfinite(g).all() for g in (dq, dk, dv))


def test_layer_norm_of_a_constant_row_and_far_from_0():
    x = np.array([[1e8, 1e8 + 1, 1e8 + 2], [5.0, 5.0, 5.0]])
    got = run(legal(op_func("layer_norm", "f64[2, 3]", eps=0.0 + 1e-12)), x)
    close(got[0], [-math.sqrt(1.5), 0, math.sqrt(1.5)], 1e-6)
    assert (got[1] == 0).all()
    assert np.isfinite(gradient("layer_norm", x)[0]).all()


def test_half_floats_are_computed_inside_in_f32():
    x = np.full((1, 4096), 100.0, np.float16)
    x[0, ::2] = -100
    for name, attrs in (("layer_norm", {}), ("rms_norm", {}), ("var", {"axes": (1,)}), ("mean", {}), ("softmax", {}), ("logsumexp", {})):
        got = run(legal(op_func(name, "f16[1, 4096]", **attrs)), x)
        close(got, apply(name, x, **attrs), 2e-3)
        assert got.dtype == np.float16
        assert np.isfinite(got).all(), name


def test_batch_norm_and_group_norm_by_their_formulas():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 3, 3))
    mean, var, gamma, beta = rng.normal(size=4), rng.random(4), rng.normal(size=4), rng.normal(size=4)
    at = (slice(None), None, None)
    want = (x - mean[at]) / np.sqrt(var[at] + 1e-5) * gamma[at] + beta[at]
    close(apply("batch_norm", x, mean, var, gamma, beta), want)
    got = apply("group_norm", x, gamma, beta, groups=4, eps=0.0)
    close(got.mean((2, 3)), np.broadcast_to(beta, (2, 4)))
    close(got.std((2, 3)), np.broadcast_to(np.abs(gamma), (2, 4)))


def test_named_dimensions_pass_through_where_nothing_is_counted():
    assert str(op_func("softmax", "f32[B, 3]").results[0].type) == "f32[B, 3]"
    assert str(op_func("mean", "f32[B, 3]", axes=(1,)).results[0].type) == "f32[B]"
    for name, types in (
        ("layer_norm", ["f32[B, 3]", "f32[3]"]),
        ("cross_entropy", ["f32[B, 3]", "i32[B]"]),
        ("attention", ["f32[B, S, 4]", "f32[B, S, 4]", "f32[B, S, 4]"]),
        ("gelu", ["f32[B]"]),
    ):
        func = legal(op_func(name, *types))
        assert "B" in str(func.results[0].type)
    with pytest.raises(Error, match="dimension B"):
        legal(op_func("mean", "f32[B, 3]"))


@pytest.mark.parametrize(
    ("name", "types", "attrs", "says"),
    [
        ("softmax", ["f64[2]"], {"axis": 1}, "f64[2] has no axis 1"),
        ("mean", ["i32[2]"], {}, "does not take i32[2]"),
        ("layer_norm", ["f64[2, 3]", "f64[2]"], {}, "gamma is f64[2], but should be f64[3]"),
        ("layer_norm", ["f64[2, 3]"], {"eps": -1.0}, "eps is 0 or more"),
        ("layer_norm", ["f64[2, 3]"], {"axis": 1}, "did you mean 'axes'"),
        ("cross_entropy", ["f64[2, 3]", "f64[2]"], {}, "does not take f64[2]"),
        ("cross_entropy", ["f64[2, 3]", "i64[3]"], {}, "do not fit logits"),
        ("attention", ["f64[2, 3]", "f64[4, 2]", "f64[4, 3]"], {}, "do not fit"),
        ("attention", ["f64[3, 2, 3]", "f64[2, 4, 3]", "f64[2, 4, 3]"], {}, "no multiple"),
        ("attention", ["f64[2, 3]", "f64[4, 3]", "f64[4, 3]", "bool[3, 4]"], {}, "does not broadcast"),
        ("attention", ["f64[2, 3]", "f64[4, 3]", "f64[4, 3]", "i32[2, 4]"], {}, "a mask is bool or f64"),
        ("gelu", ["f64[2]"], {"approximate": "tan"}, "did you mean 'tanh'"),
        ("var", ["f64[2]"], {"ddof": -1}, "ddof is 0 or more"),
        ("rope", ["f64[2, 3]"], {}, "an even number of elements"),
        ("rope", ["f64[2, 4]", "i32[3]"], {}, "do not broadcast"),
    ],
)
def test_wrong_operands_are_refused_with_a_reason(name, types, attrs, says):
    with pytest.raises(Error) as error:
        op_func(name, *types, **attrs)
    assert says in str(error.value)


def test_rope_turns_by_the_difference_of_positions():
    """The product of two turned vectors depends on how far apart they stand, and lengths stay."""
    rng = np.random.default_rng(0)
    for attrs in ({}, {"interleaved": True}):
        q, k = (np.broadcast_to(rng.normal(size=8), (5, 8)) for _ in range(2))
        scores = run(legal(op_func("rope", "f64[5, 8]", **attrs)), q) @ apply("rope", k, **attrs).T
        for i in range(4):
            close(np.diagonal(scores, i), np.full(5 - i, scores[0, i]))
        close(np.linalg.norm(apply("rope", q, **attrs), axis=-1), np.linalg.norm(q, axis=-1))
    close(apply("rope", np.array([[1.0, 2, 3, 4]]), np.array([0])), [[1, 2, 3, 4]])
    turned = apply("rope", np.array([[1.0, 2, 3, 4]]), np.array([1]))
    c, s, c2, s2 = math.cos(1), math.sin(1), math.cos(0.01), math.sin(0.01)
    close(turned, [[c - 3 * s, 2 * c2 - 4 * s2, 3 * c + s, 4 * c2 + 2 * s2]])


def test_the_seed_of_the_parity_test():
    """loss = sum(gelu(x w1 + b1) w2): value and gradients against finite differences, in f64."""
    from rlxc.ir.builder import Builder
    from rlxc.ir.core import Func, Value
    from rlxc.ir.types import parse_type

    b = Builder()
    args = [Value(parse_type(t), n) for t, n in (("f64[2, 3]", "x"), ("f64[3, 4]", "w1"), ("f64[4]", "b1"), ("f64[4, 2]", "w2"))]
    x, w1, b1, w2 = args
    loss = b.reduce_sum(b.matmul(b.gelu(b.add(b.matmul(x, w1), b1)), w2), axes=(0, 1))
    func = Func("ffn", tuple(args), tuple(b.ops), (loss,))
    arrays = [0.1 + 0.07 * np.arange(6.0), -0.2 + 0.05 * np.arange(12.0), 0.01 * np.arange(1.0, 5.0), 0.05 + 0.03 * np.arange(8.0)]
    arrays = [a.reshape(v.type.shape) for a, v in zip(arrays, args, strict=True)]
    value, *grads = interpret(value_and_grad(func, ["w1", "b1", "w2"]), arrays)
    close(value, run(func, *arrays))
    for i, g in enumerate(grads, 1):
        for at in np.ndindex(g.shape):
            h = np.zeros_like(arrays[i])
            h[at] = 1e-6
            up, down = (run(func, *[a + s * h if j == i else a for j, a in enumerate(arrays)]) for s in (1, -1))
            close(g[at], (up - down) / 2e-6, 1e-7)
