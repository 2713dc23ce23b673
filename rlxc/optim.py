"""Optimizers as pairs of functions on trees of arrays, so that a whole training step can be one compiled function.

    opt = rlxc.optim.adamw(rlxc.optim.cosine(3e-4, steps=1000))
    state = opt.init(params)

    @rlxc.jit
    def step(params, state, batch):
        loss, grads = rlxc.value_and_grad(loss_of)(params, batch)
        params, state = opt.update(grads, state, params)
        return params, state, loss

Moments have the dtype of their parameter. A learning rate is a number, or a schedule: a function of the step, which counts from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rlxc.tracing.immediate import immediate
from rlxc.tracing.pytree import tree_leaves, tree_map

__all__ = [
    "Optimizer", "State", "adam", "adamw", "clip_by_global_norm", "constant", "cosine", "exponential", "global_norm", "linear", "momentum", "rmsprop", "sgd",
]  # fmt: skip

Schedule = Callable[[Any], Any]
Rate = float | Schedule


class State(NamedTuple):
    """How many steps were done, and the moments of the gradients: trees like the parameters, or None."""

    step: Any
    first: Any = None
    second: Any = None


class Optimizer(NamedTuple):
    """`init(params)` gives a state; `update(grads, state, params)` gives new parameters and the next state."""

    init: Callable[[Any], State]
    update: Callable[[Any, State, Any], tuple[Any, State]]


def sgd(rate: Rate, *, weight_decay: float = 0.0) -> Optimizer:
    """p - rate g."""

    def init(params: Any) -> State:
        return State(_first_step())

    @immediate
    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        new = tree_map(lambda p, g: p - _rate(rate, state, p) * _decayed(g, p, weight_decay), params, grads)
        return new, State(state.step + 1)

    return Optimizer(init, update)


def momentum(rate: Rate, beta: float = 0.9, *, nesterov: bool = False, weight_decay: float = 0.0) -> Optimizer:
    """p - rate v, with v = beta v + g; nesterov: p - rate (g + beta v). (Sutskever et al., ICML 2013.)"""

    def init(params: Any) -> State:
        return State(_first_step(), tree_map(np.zeros_like, params))

    @immediate
    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        grads = tree_map(lambda p, g: _decayed(g, p, weight_decay), params, grads)
        first = tree_map(lambda v, g: beta * v + g, state.first, grads)
        moves = tree_map(lambda v, g: g + beta * v, first, grads) if nesterov else first
        return tree_map(lambda p, v: p - _rate(rate, state, p) * v, params, moves), State(state.step + 1, first)

    return Optimizer(init, update)


def rmsprop(rate: Rate, decay: float = 0.9, *, eps: float = 1e-8) -> Optimizer:
    """p - rate g / (sqrt(v) + eps), with v the running mean of g². (Tieleman & Hinton, 2012.)"""

    def init(params: Any) -> State:
        return State(_first_step(), None, tree_map(np.zeros_like, params))

    @immediate
    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        second = tree_map(lambda v, g: decay * v + (1 - decay) * g * g, state.second, grads)
        new = tree_map(lambda p, g, v: p - _rate(rate, state, p) * g / (np.sqrt(v) + eps), params, grads, second)
        return new, State(state.step + 1, None, second)

    return Optimizer(init, update)


def adam(rate: Rate, b1: float = 0.9, b2: float = 0.999, *, eps: float = 1e-8) -> Optimizer:
    """p - rate m / (sqrt(v) + eps), with m and v the running means of g and g², corrected for their start at 0. (Kingma & Ba, arXiv:1412.6980.)"""
    return adamw(rate, b1, b2, eps=eps, weight_decay=0.0)


def adamw(rate: Rate, b1: float = 0.9, b2: float = 0.999, *, eps: float = 1e-8, weight_decay: float = 1e-2) -> Optimizer:
    """`adam`, and p is diminished by rate weight_decay p besides. (Loshchilov & Hutter, arXiv:1711.05101.)"""

    def init(params: Any) -> State:
        return State(_first_step(), tree_map(np.zeros_like, params), tree_map(np.zeros_like, params))

    @immediate
    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        count = (state.step + 1).astype(np.float64)
        first = tree_map(lambda m, g: b1 * m + (1 - b1) * g, state.first, grads)
        second = tree_map(lambda v, g: b2 * v + (1 - b2) * g * g, state.second, grads)
        of_first, of_second = 1 / (1 - np.power(b1, count)), 1 / (1 - np.power(b2, count))

        def moved(p: Any, m: Any, v: Any) -> Any:
            direction = m * _like(of_first, p) / (np.sqrt(v * _like(of_second, p)) + eps)
            return p - _rate(rate, state, p) * (direction + weight_decay * p if weight_decay else direction)

        return tree_map(moved, params, first, second), State(state.step + 1, first, second)

    return Optimizer(init, update)


def _first_step() -> Any:
    return np.zeros((), np.int32)


def _rate(rate: Rate, state: State, p: Any) -> Any:
    """The learning rate of this step, in the dtype of the parameter."""
    return _like(rate(state.step), p) if callable(rate) else rate


def _like(number: Any, p: Any) -> Any:
    return number.astype(p.dtype) if hasattr(number, "astype") else number


def _decayed(g: Any, p: Any, weight_decay: float) -> Any:
    return g + weight_decay * p if weight_decay else g


# -- gradients


@immediate
def global_norm(tree: Any) -> Any:
    """The root of the sum of the squares of all elements."""
    return np.sqrt(sum([np.sum(x * x) for x in tree_leaves(tree)]))


@immediate
def clip_by_global_norm(grads: Any, limit: float) -> Any:
    """Gradients made shorter where their norm is above the limit."""
    norm = global_norm(grads)
    scale = limit / np.maximum(norm, limit)
    return tree_map(lambda g: g * _like(scale, g), grads)


# -- schedules: functions of the step


def constant(rate: float) -> Schedule:
    """The same rate at each step."""
    return lambda step: np.full_like(step, rate, dtype=np.float64)


def linear(rate: float, *, steps: int, end: float = 0.0, warmup: int = 0) -> Schedule:
    """Up from 0 in `warmup` steps, then down to `end` at `steps`, on straight lines."""
    return _warmed_up(rate, warmup, lambda part: rate + (end - rate) * part, steps)


def cosine(rate: float, *, steps: int, end: float = 0.0, warmup: int = 0) -> Schedule:
    """Up from 0 in `warmup` steps on a straight line, then down to `end` at `steps` as half a cosine. (Loshchilov & Hutter, arXiv:1608.03983.)"""
    return _warmed_up(rate, warmup, lambda part: end + (rate - end) * 0.5 * (1 + np.cos(math.pi * part)), steps)


def exponential(rate: float, *, decay: float, every: int = 1, warmup: int = 0) -> Schedule:
    """rate decay^(step / every), after a straight line up from 0 in `warmup` steps."""
    return _warmed_up(rate, warmup, lambda past: rate * np.power(decay, past / every), None)


def _warmed_up(rate: float, warmup: int, after: Schedule, steps: int | None) -> Schedule:
    def schedule(step: Any) -> Any:
        count = (step if hasattr(step, "astype") else np.asarray(step)).astype(np.float64)
        past = np.maximum(count - warmup, 0.0)
        value = after(past if steps is None else np.minimum(past / max(steps - warmup, 1), 1.0))
        return np.where(count < warmup, rate * (count + 1) / (warmup + 1), value) if warmup else value

    return schedule
