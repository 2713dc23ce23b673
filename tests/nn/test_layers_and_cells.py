"""Layers, recurrent cells, initializers against plain NumPy."""

import numpy as np
import pytest
from test_activations_and_losses import check_gradient, sigmoid, softmax

import rlxc
from rlxc import nn, random

RNG = np.random.default_rng(3)


def some(*shape):
    return RNG.standard_normal(shape)


def convolved(x, w, stride, pads):
    """By the definition, in two spatial axes."""
    x = np.pad(x, ((0, 0), (0, 0), *pads))
    (kh, kw), (h, w_) = w.shape[2:], x.shape[2:]
    rows, columns = (h - kh) // stride + 1, (w_ - kw) // stride + 1
    y = np.zeros((x.shape[0], w.shape[0], rows, columns))
    for i in range(rows):
        for j in range(columns):
            y[:, :, i, j] = np.einsum("nckl,ockl->no", x[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw], w)
    return y


def test_linear_and_embedding():
    x, w, b = some(2, 3, 4), some(4, 5), some(5)
    np.testing.assert_allclose(nn.linear(x, w, b), x @ w + b, rtol=1e-12)
    np.testing.assert_allclose(nn.linear(x, w), x @ w, rtol=1e-12)
    assert nn.linear(x.astype(np.float32), w.astype(np.float32), b.astype(np.float32)).dtype == np.float32
    np.testing.assert_array_equal(nn.embedding(w, np.array([[3, 0], [1, 1]])), w[[[3, 0], [1, 1]]])
    check_gradient(nn.linear, x, w, b)


def test_normalizations():
    x, g, b = some(2, 6, 3), some(3), some(3)
    middle = x - x.mean(-1, keepdims=True)
    np.testing.assert_allclose(nn.layer_norm(x, g, b), middle / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * g + b, rtol=1e-10)
    np.testing.assert_allclose(nn.layer_norm(x, beta=b), middle / np.sqrt(x.var(-1, keepdims=True) + 1e-5) + b, rtol=1e-10)
    np.testing.assert_allclose(nn.rms_norm(x, g), x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * g, rtol=1e-10)
    grouped = x.reshape(2, 2, 9)
    normed = ((grouped - grouped.mean(-1, keepdims=True)) / np.sqrt(grouped.var(-1, keepdims=True) + 1e-5)).reshape(x.shape)
    np.testing.assert_allclose(nn.group_norm(x, groups=2), normed, rtol=1e-10)
    np.testing.assert_allclose(nn.instance_norm(x), (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5), rtol=1e-10)


def test_batch_norm_with_statistics_of_its_own_and_of_the_batch():
    x, m, v, g, b = some(4, 3, 5), some(3), np.abs(some(3)) + 0.5, some(3), some(3)

    def column(t):
        return t[:, None]

    np.testing.assert_allclose(nn.batch_norm(x, m, v, g, b), (x - column(m)) / np.sqrt(column(v) + 1e-5) * column(g) + column(b), rtol=1e-10)
    y, mean, var = nn.batch_norm(x, m, v, g, b, train=True, momentum=0.8)
    now, spread = x.mean((0, 2)), x.var((0, 2))
    np.testing.assert_allclose(y, (x - column(now)) / np.sqrt(column(spread) + 1e-5) * column(g) + column(b), rtol=1e-10)
    np.testing.assert_allclose(mean, 0.8 * m + 0.2 * now)
    np.testing.assert_allclose(var, 0.8 * v + 0.2 * x.var((0, 2), ddof=1))


@pytest.mark.parametrize(("stride", "padding", "pads"), [(1, 0, ((0, 0), (0, 0))), (2, "same", ((1, 1), (0, 1))), (1, ((1, 0), (2, 1)), ((1, 0), (2, 1)))])
def test_convolution(stride, padding, pads):
    x, w, b = some(2, 3, 5, 6), some(4, 3, 3, 3), some(4)
    np.testing.assert_allclose(nn.conv(x, w, b, stride=stride, padding=padding), convolved(x, w, stride, pads) + b[:, None, None], rtol=1e-10)


def test_transposed_convolution_is_the_transpose():
    x, w = some(1, 2, 7), some(3, 2, 3)
    y = nn.conv(x, w, stride=2, padding=1)
    ct = some(*y.shape)
    back = nn.conv_transpose(ct, w, stride=2, padding=1)
    assert np.sum(y * ct) == pytest.approx(np.sum(x * back))


def test_pooling():
    x = some(1, 2, 4, 6)
    windows = x.reshape(1, 2, 2, 2, 3, 2)
    np.testing.assert_allclose(nn.max_pool(x, 2), windows.max((3, 5)))
    np.testing.assert_allclose(nn.avg_pool(x, 2), windows.mean((3, 5)))
    assert nn.max_pool(x, 3, stride=1, padding="same").shape == x.shape


def test_attention_and_heads():
    x, wqkv, wo = some(2, 5, 8), some(8, 24), some(8, 8)
    q, k, v = (t.reshape(2, 5, 2, 4).transpose(0, 2, 1, 3) for t in np.split(x @ wqkv, 3, -1))
    scores = np.where(np.tri(5, dtype=bool), q @ k.swapaxes(-1, -2) / 2, -np.inf)
    each = softmax(scores) @ v
    np.testing.assert_allclose(nn.attention(q, k, v, causal=True), each, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(nn.attention(q, k, v, np.tri(5, dtype=bool)), each, rtol=1e-9, atol=1e-12)
    joined = each.transpose(0, 2, 1, 3).reshape(2, 5, 8) @ wo
    np.testing.assert_allclose(nn.multi_head_attention(x, wqkv, wo, 2, causal=True), joined, rtol=1e-9, atol=1e-12)
    check_gradient(lambda x, w: nn.multi_head_attention(x, w, wo, 2, causal=True), x, wqkv)


def test_dropout_is_off_outside_of_training():
    x, key = some(100, 100), random.key(1)
    assert nn.dropout(x, key, 0.25, train=False) is not None
    np.testing.assert_array_equal(nn.dropout(x, key, 0.25, train=False), x)
    y = nn.dropout(x, key, 0.25)
    assert 0.22 < np.mean(y == 0) < 0.28
    np.testing.assert_allclose(y[y != 0], (x / 0.75)[y != 0])


def test_recurrent_cells():
    x, h, c, wx, wh, b = some(2, 3), some(2, 4), some(2, 4), some(3, 16), some(4, 16), some(16)
    np.testing.assert_allclose(nn.rnn_cell(x, h, wx[:, :4], wh[:, :4], b[:4]), np.tanh(x @ wx[:, :4] + h @ wh[:, :4] + b[:4]))
    i, f, g, o = np.split(x @ wx + h @ wh + b, 4, -1)
    new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    got = nn.lstm_cell(x, (h, c), wx, wh, b)
    np.testing.assert_allclose(got[0], sigmoid(o) * np.tanh(new_c), rtol=1e-10)
    np.testing.assert_allclose(got[1], new_c, rtol=1e-10)
    gx, gh = wx[:, :12], wh[:, :12]
    rx, zx, nx = np.split(x @ gx + b[:12], 3, -1)
    rh, zh, nh = np.split(h @ gh + b[4:], 3, -1)
    z = sigmoid(zx + zh)
    np.testing.assert_allclose(nn.gru_cell(x, h, gx, gh, b[:12], b[4:]), (1 - z) * np.tanh(nx + sigmoid(rx + rh) * nh) + z * h, rtol=1e-10)


@pytest.mark.parametrize(("name", "options"), [("rnn", {}), ("lstm", {"checkpoint": 3}), ("gru", {"reverse": True})])
def test_a_sequence_is_its_cells_one_after_the_other(name, options):
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[name]
    weights = [0.5 * some(3, 4 * gates), 0.5 * some(4, 4 * gates), some(4 * gates), *([some(4 * gates)] if name == "gru" else [])]
    xs, h = some(8, 2, 3), some(2, 4)
    start = (h, some(2, 4)) if name == "lstm" else h

    def whole(xs, *weights):
        ys, last = getattr(nn, name)(xs, start, *weights, **options)
        return np.sum(ys * np.cos(np.arange(64.0)).reshape(8, 2, 4)) + np.sum(last[0] ** 2 if name == "lstm" else last**2)

    def unrolled(xs, *weights):
        state, ys = start, [None] * 8
        for t in reversed(range(8)) if options.get("reverse") else range(8):
            state = getattr(nn, f"{name}_cell")(xs[t], state, *weights)
            ys[t] = state[0] if name == "lstm" else state
        return np.sum(np.stack(ys) * np.cos(np.arange(64.0)).reshape(8, 2, 4)) + np.sum(ys[0 if options.get("reverse") else -1] ** 2)

    both = [rlxc.jit(rlxc.value_and_grad(f, argnums=tuple(range(1 + len(weights)))))(xs, *weights) for f in (whole, unrolled)]
    assert both[0][0] == pytest.approx(both[1][0], rel=1e-12)
    for g, want in zip(both[0][1], both[1][1], strict=True):
        np.testing.assert_allclose(g, want, rtol=1e-10, atol=1e-12)


def test_initializers_have_their_variance():
    key = random.key(5)
    for name, want in [("glorot_uniform", 2 / 700), ("glorot_normal", 2 / 700), ("he_normal", 2 / 300), ("he_uniform", 2 / 300), ("lecun_normal", 1 / 300)]:
        w = getattr(nn.initializers, name)(key, (300, 400))
        assert w.dtype == np.float32
        assert np.var(w) == pytest.approx(want, rel=0.03), name
    assert np.var(nn.initializers.he_normal(key, (64, 16, 3, 3), image=True)) == pytest.approx(2 / 144, rel=0.05)


def test_layers_are_traced_in_one_function():
    def f(x, w):
        return np.sum(nn.gelu(nn.layer_norm(nn.linear(x, w))))

    func = rlxc.trace(f, "f32[2, 3]", "f32[3, 4]")
    assert [op.prim.name for op in func.ops] == ["linear", "layer_norm", "gelu", "reduce_sum"]


def test_layers_take_tensors_of_the_eager_tape():
    from rlxc import eager

    x = eager.tensor(some(2, 3), requires_grad=True)
    w = some(3, 4)
    nn.cross_entropy(nn.linear(x, w), np.array([1, 3])).backward()
    want = rlxc.grad(lambda x: nn.cross_entropy(x @ w, np.array([1, 3])))(x.numpy() if not x.requires_grad else x.detach().numpy())
    np.testing.assert_allclose(x.grad, want, rtol=1e-12)


def test_layers_under_vmap_and_jit():
    x, w = some(4, 2, 3), some(3, 5)
    each = rlxc.jit(rlxc.vmap(lambda x: nn.softmax(nn.linear(x, w))))(x)
    np.testing.assert_allclose(each, softmax(x @ w), rtol=1e-12)
