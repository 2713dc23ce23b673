"""Train the network of digits.rlx on real handwriting, in native code that rlxc makes of it.

The loss is compiled together with its gradient into one function; the step that changes a parameter is another.
Prints the accuracy on images it has not seen, and draws the loss and some predictions if matplotlib is installed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import rlxc

HERE = Path(__file__).parent
OUT = HERE / "out"
EPOCHS, BATCH, RATE, SEED = 40, 64, 0.05, 0


def main() -> int:
    rng = np.random.default_rng(SEED)
    images, labels, held_images, held_labels = read_data(rng)
    program = rlxc.load(HERE / "digits.rlx")

    start = time.perf_counter()
    loss = rlxc.bind(program["loss"], B=BATCH)
    value_and_grad = rlxc.compile(rlxc.value_and_grad(loss, wrt=loss.params))
    step = rlxc.compile(program["step"])
    scores = rlxc.compile(program["scores"])
    params = {a.name: initial(a.type.shape, rng) for a in loss.args if a.param}
    velocity = {name: np.zeros_like(w) for name, w in params.items()}
    print(f"{len(images)} images to learn from, {len(held_images)} held out; compiled in {time.perf_counter() - start:.2f} s")

    losses = []
    start = time.perf_counter()
    for epoch in range(1, EPOCHS + 1):
        order = rng.permutation(len(images))
        for chosen in order[: len(order) // BATCH * BATCH].reshape(-1, BATCH):
            value, *gradients = value_and_grad(images[chosen], labels[chosen], **params)
            losses.append(float(value))
            for name, gradient in zip(params, gradients, strict=True):
                params[name], velocity[name] = step(params[name], velocity[name], gradient, RATE)
        if epoch == 1 or epoch % 5 == 0:
            right = accuracy(scores(held_images, **params), held_labels)
            print(f"epoch {epoch:2}/{EPOCHS}  loss {np.mean(losses[-22:]):.4f}  held-out accuracy {right:.1%}", flush=True)
    seconds = time.perf_counter() - start

    predictions = scores(held_images, **params)
    right = accuracy(predictions, held_labels)
    print(f"{len(losses)} steps in {seconds:.2f} s")
    print(f"accuracy on {len(held_labels)} held-out images: {right:.2%}")
    draw(losses, held_images, held_labels, predictions.argmax(axis=1))
    return 0 if right >= 0.95 else 1


def read_data(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Images (u8[n, 64]) and labels (u8[n]) to learn from, and a fifth of them held out."""
    with np.load(HERE / "digits.npz") as data:
        images, labels = data["images"].reshape(-1, 64), data["labels"]
    order = rng.permutation(len(images))
    held, kept = order[: len(order) // 5], order[len(order) // 5 :]
    return images[kept], labels[kept], images[held], labels[held]


def initial(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Zeros for a bias; for weights, normal ones that keep the size of what goes through them."""
    scale = 0.0 if shape[0] == 1 else np.sqrt(2 / shape[0])
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == labels).mean())


def draw(losses: list[float], images: np.ndarray, labels: np.ndarray, guesses: np.ndarray) -> None:
    """The loss of every step, and a grid of held-out images with what they were taken for, the mistakes first."""
    try:
        import matplotlib
    except ImportError:
        print("no pictures: matplotlib is not installed (pip install 'rlxc[plot]')")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    OUT.mkdir(exist_ok=True)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.semilogy(losses, color="0.75", linewidth=0.8, label="each batch")
    axes.semilogy(np.arange(21, len(losses)), np.convolve(losses, np.ones(22) / 22, "valid"), color="C0", label="mean of 22 batches")
    axes.set(xlabel="step", ylabel="cross entropy", title="Training loss")
    axes.legend()
    figure.savefig(OUT / "loss.png", dpi=120)

    first = np.argsort(guesses == labels, kind="stable")[:40]
    figure, grid = plt.subplots(5, 8, figsize=(8, 6), layout="constrained")
    for cell, i in zip(grid.flat, first, strict=True):
        cell.imshow(images[i].reshape(8, 8), cmap="gray_r")
        cell.axis("off")
        good = guesses[i] == labels[i]
        cell.set_title(f"{guesses[i]}" if good else f"{guesses[i]} (is {labels[i]})", color="black" if good else "C3", fontsize=10)
    figure.suptitle(f"Held-out images and what they were taken for: the {(guesses != labels).sum()} mistakes of {len(labels)} first")
    figure.savefig(OUT / "predictions.png", dpi=120)
    print(f"pictures: {OUT / 'loss.png'}")
    print(f"          {OUT / 'predictions.png'}")


if __name__ == "__main__":
    sys.exit(main())
