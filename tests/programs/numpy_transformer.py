"""The transformer of examples/characters in plain NumPy with a backward pass by hand, in f64: what the compiled one is measured against.

Each layer gives its result and a function from the result's gradient to those of its input and weights.
"""

import numpy as np


def layer_norm(x, gamma, beta, eps=1e-5):
    inverse = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    n = (x - x.mean(-1, keepdims=True)) * inverse

    def back(d):
        dn = d * gamma
        dx = inverse * (dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True))
        over = tuple(range(d.ndim - 1))
        return dx, {"gamma": (d * n).sum(over), "beta": d.sum(over)}

    return n * gamma + beta, back


def linear(x, w):
    def back(d):
        return d @ w.T, np.tensordot(x, d, ((0, 1), (0, 1)))

    return x @ w, back


def gelu(x):
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))

    def back(d):
        return d * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * c * (1 + 3 * 0.044715 * x**2))

    return 0.5 * x * (1 + t), back


def attention(qkv, heads):
    """Causal self-attention on queries, keys and values side by side: [B, S, 3 D] to [B, S, D]."""
    b, s, d = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    q, k, v = qkv.reshape(b, s, 3, heads, d // heads).transpose(2, 0, 3, 1, 4)
    scale = 1 / np.sqrt(d // heads)
    scores = np.where(np.tri(s, dtype=bool), q @ k.swapaxes(-1, -2) * scale, -np.inf)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    y = (p @ v).transpose(0, 2, 1, 3).reshape(b, s, d)

    def back(dy):
        dy = dy.reshape(b, s, heads, d // heads).transpose(0, 2, 1, 3)
        dp = dy @ v.swapaxes(-1, -2)
        dscores = p * (dp - (dp * p).sum(-1, keepdims=True)) * scale
        parts = np.stack([dscores @ k, dscores.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ dy])
        return parts.transpose(1, 3, 0, 2, 4).reshape(b, s, 3 * d)

    return y, back


def block(x, w, heads):
    n1, back_n1 = layer_norm(x, **w["norm1"])
    qkv, back_qkv = linear(n1, w["qkv"])
    a, back_a = attention(qkv, heads)
    out, back_out = linear(a, w["out"])
    middle = x + out
    n2, back_n2 = layer_norm(middle, **w["norm2"])
    up, back_up = linear(n2, w["up"]["w"])
    g, back_g = gelu(up + w["up"]["b"])
    down, back_down = linear(g, w["down"]["w"])

    def back(d):
        grads = {}
        dg, ddown = back_down(d)
        grads["down"] = {"w": ddown, "b": d.sum((0, 1))}
        dup = back_g(dg)
        dn2, dw = back_up(dup)
        grads["up"] = {"w": dw, "b": dup.sum((0, 1))}
        dx, grads["norm2"] = back_n2(dn2)
        d = d + dx
        da, grads["out"] = back_out(d)
        dn1, grads["qkv"] = back_qkv(back_a(da))
        dx, grads["norm1"] = back_n1(dn1)
        return d + dx, grads

    return middle + down + w["down"]["b"], back


def loss_and_gradients(params, ids, following, heads):
    """The mean cross entropy of the next characters, and its gradients, as a tree like the weights."""
    x = params["characters"][ids] + params["places"][: ids.shape[-1]]
    backs = []
    for w in params["blocks"]:
        x, back = block(x, w, heads)
        backs.append(back)
    n, back_norm = layer_norm(x, **params["norm"])
    logits, back_head = linear(n, params["head"])
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    hit = np.eye(logits.shape[-1])[following]
    loss = -np.mean((log_p * hit).sum(-1))

    grads = {"blocks": [None] * len(backs)}
    dn, grads["head"] = back_head((np.exp(log_p) - hit) / following.size)
    d, grads["norm"] = back_norm(dn)
    for i in reversed(range(len(backs))):
        d, grads["blocks"][i] = backs[i](d)
    grads["places"] = np.zeros_like(params["places"])
    grads["places"][: ids.shape[-1]] = d.sum(0)
    grads["characters"] = np.zeros_like(params["characters"])
    np.add.at(grads["characters"], ids, d)
    return loss, grads


def adamw(params, grads, first, second, step, rate, weight_decay, limit):
    """A step of AdamW on lists of arrays, gradients clipped by their common norm first; new weights and moments."""
    norm = np.sqrt(sum(np.sum(g * g) for g in grads))
    grads = [g * (limit / max(norm, limit)) for g in grads]
    first = [0.9 * m + 0.1 * g for m, g in zip(first, grads, strict=True)]
    second = [0.999 * v + 0.001 * g * g for v, g in zip(second, grads, strict=True)]
    new = []
    for p, m, v in zip(params, first, second, strict=True):
        direction = m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        new.append(p - rate * (direction + weight_decay * p))
    return new, first, second
