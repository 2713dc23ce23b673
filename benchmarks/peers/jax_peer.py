"""JAX on the CPU: every case is one jitted function. A training step gives its arrays back to be written over."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.peers.base import Peer


class Ops:
    exp, log, sqrt, sin, tanh = (staticmethod(f) for f in (jnp.exp, jnp.log, jnp.sqrt, jnp.sin, jnp.tanh))
    maximum, matmul, transpose, reshape = (staticmethod(f) for f in (jnp.maximum, jnp.matmul, jnp.transpose, jnp.reshape))
    sigmoid, relu, mean = (staticmethod(f) for f in (jax.nn.sigmoid, jax.nn.relu, jnp.mean))

    def gelu(self, x):
        return jax.nn.gelu(x, approximate=False)

    def gelu_tanh(self, x):
        return jax.nn.gelu(x, approximate=True)

    def linear(self, x, w, bias):
        return x @ w + bias

    def sum(self, x, axis=None):
        return jnp.sum(x, axis=axis)

    def argmax(self, x):
        return jnp.argmax(x, -1)

    def cumsum(self, x):
        return jnp.cumsum(x, -1)

    def softmax(self, x):
        return jax.nn.softmax(x, -1)

    def layernorm(self, x, gain, bias):
        d = x - x.mean(-1, keepdims=True)
        return d * lax.rsqrt((d * d).mean(-1, keepdims=True) + 1e-5) * gain + bias

    def attention(self, q, k, v):
        """`jax.nn.dot_product_attention` computes the same, for arrays with the heads behind the positions."""
        scores = jnp.einsum("bhsd,bhtd->bhst", q, k) * q.shape[-1] ** -0.5
        return jnp.einsum("bhst,bhtd->bhsd", jax.nn.softmax(scores, -1), v)

    def xent(self, logits, targets):
        return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(logits, -1), -1))

    def conv2d(self, x, w, groups=1):
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", feature_group_count=groups)

    def batchnorm(self, x, gain, bias):
        axes, channels = (0, 2, 3), (1, -1, 1, 1)
        d = x - x.mean(axes, keepdims=True)
        return d * lax.rsqrt((d * d).mean(axes, keepdims=True) + 1e-5) * gain.reshape(channels) + bias.reshape(channels)

    def concat(self, xs, axis):
        return jnp.concatenate(xs, axis)

    def take(self, table, ids):
        return jnp.take(table, ids, axis=0)

    def rows(self, x, start, stop):
        return x[start:stop]

    def cols(self, x, start, stop):
        return x[:, start:stop]

    def zeros(self, shape):
        return jnp.zeros(shape, jnp.float32)

    def to_f32(self, i):
        return i.astype(jnp.float32)

    def scan(self, step, carry, xs, n):
        return lax.scan(step, carry, xs)

    def fori(self, n, body, x):
        return lax.fori_loop(0, n, body, x)


class Jax(Peer):
    xp = Ops()

    def version(self):
        return f"JAX {jax.__version__}"

    def start(self):
        jax.block_until_ready(jax.jit(lambda x: x + 1)(jnp.zeros(3)))

    def put(self, array):
        return jax.block_until_ready(jax.device_put(np.array(array)))

    def forward(self, case, function, args):
        jitted = jax.jit(function)
        if case.from_numpy:
            return lambda: np.asarray(jitted(*args))
        return lambda: jax.block_until_ready(jitted(*args))

    def gradient(self, function, args, wrt):
        jitted = jax.jit(jax.value_and_grad(function, argnums=tuple(wrt)))
        return lambda: jax.block_until_ready(jitted(*args))

    def training(self, mode, function, args, wrt):
        first = wrt[0]
        data, params = args[:first], tuple(args[first:])

        def loss(params, *data):
            return function(*data, *params)

        def sgd(state, *data):
            value, grads = jax.value_and_grad(loss)(state, *data)
            return tuple(p - 0.1 * g for p, g in zip(state, grads, strict=True)), value

        def adam(state, *data):
            params, means, squares, steps = state
            value, grads = jax.value_and_grad(loss)(params, *data)
            steps = steps + 1
            means = tuple(0.9 * m + 0.1 * g for m, g in zip(means, grads, strict=True))
            squares = tuple(0.999 * v + 0.001 * g * g for v, g in zip(squares, grads, strict=True))
            one, two = 1 - 0.9**steps, 1 - 0.999**steps
            params = tuple(p - 1e-3 * (m / one) / (jnp.sqrt(v / two) + 1e-8) for p, m, v in zip(params, means, squares, strict=True))
            return (params, means, squares, steps), value

        zeros = [tuple(jnp.zeros_like(p) for p in params) for _ in range(2)]
        state = params if mode == "sgd" else (params, *zeros, jnp.float32(0))
        step = jax.jit({"sgd": sgd, "adam": adam}[mode], donate_argnums=0)

        def run():
            nonlocal state
            state, value = step(state, *data)
            jax.block_until_ready(state)
            return value

        return run


peer = Jax
