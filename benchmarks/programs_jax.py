"""The losses of programs.py in JAX: name -> function, shapes, and which arguments to differentiate by. Needs jax only."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def linear(x, w, b):
    return x @ w + b


def gelu(x):
    return jax.nn.gelu(x, approximate=False)


def layer_norm(x, g, b):
    mean = jnp.mean(x, -1, keepdims=True)
    var = jnp.mean((x - mean) ** 2, -1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * g + b


def mse(y, t):
    return jnp.mean((y - t) ** 2)


def mlp():
    def loss(x, y, w1, b1, w2, b2, w3, b3):
        h = jax.nn.relu(linear(x, w1, b1))
        h = jax.nn.relu(linear(h, w2, b2))
        return -jnp.sum(jax.nn.log_softmax(linear(h, w3, b3)) * y) / 128

    return loss, [(128, 784), (128, 10), (784, 512), (512,), (512, 256), (256,), (256, 10), (10,)], range(2, 8)


def ffn():
    def loss(x, w1, b1, w2, t):
        return mse(gelu(linear(x, w1, b1)) @ w2, t)

    return loss, [(128, 768), (768, 3072), (3072,), (3072, 768), (128, 768)], range(1, 4)


def bert(layers, D=768, H=12, F=3072, S=128):
    shapes = [(D, D), (D,)] * 4 + [(D,)] * 2 + [(D, F), (F,), (F, D), (D,)] + [(D,)] * 2

    def layer(x, wq, bq, wk, bk, wv, bv, wo, bo, g1, e1, w1, b1, w2, b2, g2, e2):
        q, k, v = (linear(x, w, b).reshape(1, S, H, D // H).transpose(0, 2, 1, 3) for w, b in ((wq, bq), (wk, bk), (wv, bv)))
        a = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / (D // H) ** 0.5) @ v
        x = layer_norm(x + linear(a.transpose(0, 2, 1, 3).reshape(1, S, D), wo, bo), g1, e1)
        return layer_norm(x + linear(gelu(linear(x, w1, b1)), w2, b2), g2, e2)

    def loss(x, t, *ws):
        for n in range(layers):
            x = layer(x, *ws[16 * n : 16 * n + 16])
        return mse(x, t)

    return loss, [(1, S, D)] * 2 + shapes * layers, range(2, 2 + 16 * layers)


def conv2d(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), [(1, 1), (1, 1)])


def conv():
    return lambda x, w, t: mse(conv2d(x, w), t), [(1, 64, 56, 56), (64, 64, 3, 3), (1, 64, 56, 56)], range(2)


def block():
    def norm(x, g, b):
        mean, var = (s(x, (0, 2, 3), keepdims=True) for s in (jnp.mean, jnp.var))
        return (x - mean) * jax.lax.rsqrt(var + 1e-5) * g.reshape(1, -1, 1, 1) + b.reshape(1, -1, 1, 1)

    def loss(x, t, w1, g1, b1, w2, g2, b2):
        h = jax.nn.relu(norm(conv2d(x, w1), g1, b1))
        return mse(jax.nn.relu(norm(conv2d(h, w2), g2, b2) + x), t)

    x, stage = (8, 64, 56, 56), [(64, 64, 3, 3), (64,), (64,)]
    return loss, [x, x, *stage, *stage], (0, *range(2, 8))


def chain():
    def loss(x, y):
        t = jnp.tanh(x * 1.5 + y) * x - 0.25
        t = jnp.maximum(t / (jnp.exp(-t) + 1) * y, -1.0)
        t = jnp.tanh(jnp.log(jnp.sqrt(t * t + 1) * 0.5 + 1) - x)
        return jnp.mean(t * t)

    return loss, [(100000,)] * 2, range(2)


def softmax():
    return lambda x, t: jnp.sum(jax.nn.softmax(x) * t), [(1024, 1024)] * 2, range(1)


def layernorm():
    return lambda x, g, b, t: jnp.sum(layer_norm(x, g, b) * t), [(1024, 768), (768,), (768,), (1024, 768)], range(3)


GRADIENTS = {"mlp": mlp, "ffn": ffn, "bert1": lambda: bert(1), "bert12": lambda: bert(12), "conv": conv, "block": block} | {
    "chain": chain,
    "softmax": softmax,
    "layernorm": layernorm,
}
