"""The character-level transformer of the examples: compiled training follows training in NumPy with a backward pass by hand."""

import math
import runpy
from pathlib import Path

import numpy as np
from numpy_transformer import adamw, loss_and_gradients

from rlxc import random
from rlxc.tracing.pytree import flatten, unflatten

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "characters" / "train.py"))


def rate_of(step):
    """The example's schedule: 10 steps up, then half a cosine down to a tenth at 300."""
    if step < 10:
        return 3e-3 * (step + 1) / 11
    return 3e-4 + 2.7e-3 * 0.5 * (1 + math.cos(math.pi * min((step - 10) / 290, 1.0)))


def losses_in_numpy(steps):
    key, mine = random.split(random.key(0))
    leaves, tree = flatten(EXAMPLE["initial"](mine))
    weights = [w.astype(np.float64) for w in leaves]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    losses = []
    for step in range(steps):
        ids, following = EXAMPLE["batch_of"](random.fold_in(key, step), EXAMPLE["CORPUS"])
        loss, grads = loss_and_gradients(unflatten(tree, weights), ids, following, EXAMPLE["HEADS"])
        flat, form = flatten(grads)
        assert form == tree
        weights, first, second = adamw(weights, flat, first, second, step + 1, rate_of(step), 0.01, 1.0)
        losses.append(loss)
    return losses


def test_fifty_steps_are_those_of_numpy():
    _, losses = EXAMPLE["train"](50)
    want = losses_in_numpy(50)
    assert np.max(np.abs(np.array(losses) - want)) < 1e-3
    assert np.mean(want[-5:]) < 0.72 * want[0]


def test_the_whole_step_is_one_compiled_function():
    step = EXAMPLE["step"]
    EXAMPLE["train"](1)
    before = step.cache_info()
    EXAMPLE["train"](3)
    after = step.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses, after.currsize) == (3, 0, 1)


def test_it_writes_characters_of_its_alphabet():
    params, _ = EXAMPLE["train"](1)
    text = EXAMPLE["write"](params, EXAMPLE["TEXT"][: EXAMPLE["CONTEXT"]], 5)
    assert len(text) == EXAMPLE["CONTEXT"] + 5
    assert set(text) <= set(EXAMPLE["ALPHABET"])
