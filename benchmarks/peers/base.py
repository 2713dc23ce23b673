"""What the worker asks of a peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.cases import Case

Run = Callable[[], Any]


class Unsupported(Exception):
    """The peer cannot do this case; the message says why."""


class Ops:
    """A namespace of ops, not all of which the peer may have."""

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"no {name}")


class Peer:
    """`xp` is the namespace that cases are written with: its ops, and their meaning, are those of `benchmarks.tracing.Namespace`."""

    xp: Any = None
    tracing_calls = 1  # the first calls that compile something

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def version(self) -> str:
        raise NotImplementedError

    def start(self) -> None:
        """Whatever happens once a process, and is no part of compiling a case."""

    def put(self, array: np.ndarray) -> Any:
        """The array as the peer holds it."""
        return array

    def numpy(self, result: Any) -> np.ndarray:
        return np.asarray(result)

    def prepare(self, case: Case, arrays: dict[str, np.ndarray]) -> list[Any]:
        """The arguments, made before anything is timed."""
        return list(arrays.values()) if case.from_numpy else [self.put(a) for a in arrays.values()]

    def build(self, case: Case, names: Sequence[str], args: list[Any]) -> Run:
        """A call of the case that ends when its results are there."""
        function = case.function(self.xp)
        wrt = [names.index(name) for name in case.wrt]
        match case.mode:
            case "fwd":
                return self.forward(case, function, args)
            case "grad":
                return self.gradient(function, args, wrt)
            case mode:
                return self.training(mode, function, args, wrt)

    def forward(self, case: Case, function: Callable, args: list[Any]) -> Run:
        raise Unsupported("no forward mode")

    def gradient(self, function: Callable, args: list[Any], wrt: list[int]) -> Run:
        raise Unsupported("no automatic differentiation")

    def training(self, mode: str, function: Callable, args: list[Any], wrt: list[int]) -> Run:
        """Steps of `sgd` (rate 0.1) or `adam` (rate 1e-3), each from where the one before ended; returns the loss."""
        raise Unsupported("no automatic differentiation")


def flatten(results: Any) -> list[Any]:
    """Results of any nesting in one list."""
    if isinstance(results, list | tuple):
        return [leaf for r in results for leaf in flatten(r)]
    return [results]
