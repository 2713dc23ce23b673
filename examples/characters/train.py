"""A small transformer that learns to write like Shakespeare's sonnets, character by character.

    python train.py             300 steps, then some lines of its own

Everything of a step is one compiled function: drawing the batch, the loss, its gradients by all weights, clipping, adamw.
"""

import argparse
import functools
import time
from pathlib import Path

import numpy as np

import rlxc
from rlxc import nn, optim, random

TEXT = (Path(__file__).parent / "sonnets.txt").read_text()
ALPHABET = sorted(set(TEXT))
CORPUS = np.array([ALPHABET.index(c) for c in TEXT], np.int32)

WIDTH, HEADS, LAYERS, CONTEXT, BATCH = 32, 4, 2, 32, 8
OPTIMIZER = optim.adamw(optim.cosine(3e-3, steps=300, end=3e-4, warmup=10), weight_decay=0.01)


def initial(key):
    """Weights as a tree of arrays."""
    names = iter(random.split(key, 3 + 4 * LAYERS))

    def weights(*shape):
        return nn.initializers.normal(next(names), shape, std=0.08)

    def norm():
        return {"gamma": np.ones(WIDTH, np.float32), "beta": np.zeros(WIDTH, np.float32)}

    def block():
        return {
            "norm1": norm(),
            "qkv": weights(WIDTH, 3 * WIDTH),
            "out": weights(WIDTH, WIDTH),
            "norm2": norm(),
            "up": {"w": weights(WIDTH, 4 * WIDTH), "b": np.zeros(4 * WIDTH, np.float32)},
            "down": {"w": weights(4 * WIDTH, WIDTH), "b": np.zeros(WIDTH, np.float32)},
        }

    return {
        "characters": weights(len(ALPHABET), WIDTH),
        "places": weights(CONTEXT, WIDTH),
        "blocks": [block() for _ in range(LAYERS)],
        "norm": norm(),
        "head": weights(WIDTH, len(ALPHABET)),
    }


def logits_of(params, ids):
    """Scores of the next character at each place: ids [..., S] to [..., S, alphabet]."""
    x = nn.embedding(params["characters"], ids) + params["places"][: ids.shape[-1]]
    for block in params["blocks"]:
        x = x + nn.multi_head_attention(nn.layer_norm(x, **block["norm1"]), block["qkv"], block["out"], HEADS, causal=True)
        hidden = nn.gelu(nn.linear(nn.layer_norm(x, **block["norm2"]), **block["up"]), approximate=True)
        x = x + nn.linear(hidden, **block["down"])
    return nn.linear(nn.layer_norm(x, **params["norm"]), params["head"])


def batch_of(key, corpus):
    """Pieces of the text, and the characters that follow."""
    starts = random.randint(key, (BATCH,), 0, len(corpus) - CONTEXT)
    pieces = corpus[starts[:, None] + np.arange(CONTEXT + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def loss_of(params, ids, following):
    return nn.cross_entropy(logits_of(params, ids), following)


@rlxc.jit
def step(params, state, key, corpus):
    """New weights, the optimizer's state, and the loss before."""
    ids, following = batch_of(random.fold_in(key, state.step), corpus)
    loss, grads = rlxc.value_and_grad(loss_of)(params, ids, following)
    params, state = OPTIMIZER.update(optim.clip_by_global_norm(grads, 1.0), state, params)
    return params, state, loss


def train(steps, seed=0):
    """Weights after some steps, and the losses on the way."""
    key, mine = random.split(random.key(seed))
    params = initial(mine)
    state, losses = OPTIMIZER.init(params), []
    for _ in range(steps):
        params, state, loss = step(params, state, key, CORPUS)
        losses.append(float(loss))
    return params, losses


@functools.partial(rlxc.jit, static_argnames="temperature")
def next_character(params, ids, key, temperature):
    return random.categorical(key, logits_of(params, ids)[-1] / temperature)


def write(params, start, count, seed=1, temperature=0.7):
    """`start`, which is as long as the context, and what the model writes after it."""
    ids = [ALPHABET.index(c) for c in start]
    for key in random.split(random.key(seed), count):
        ids.append(int(next_character(params, np.array(ids[-CONTEXT:], np.int32), key, temperature)))
    return "".join(ALPHABET[i] for i in ids)


def main(steps):
    begin = time.perf_counter()
    params, losses = train(steps)
    spent = time.perf_counter() - begin
    for i in range(0, steps, max(steps // 10, 1)):
        print(f"step {i:4}  loss {losses[i]:.3f}")
    print(f"step {steps:4}  loss {losses[-1]:.3f}, {1e3 * spent / steps:.1f} ms a step with compilation\n")
    print(write(params, TEXT[:CONTEXT], 200))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", type=int, nargs="?", default=300)
    main(parser.parse_args().steps)
