"""Program: a compiled model whose parameters are set once, and which is then run on inputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from rlxc.errors import ArgumentError
from rlxc.ir.types import TensorType
from rlxc.runtime.arguments import fit
from rlxc.runtime.compiled import Compiled
from rlxc.runtime.params import read_arrays


class Program:
    """A compiled function that keeps the arrays of its parameters.

    Every argument marked `param` is set once, by `set_param` or `load_params`; `run` takes the others. Other arguments may be set as well.
    """

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.func = compiled.func
        self._names = dict.fromkeys(self.func.arg_names)
        self.params: dict[str, np.ndarray] = {}

    def set_param(self, name: str, array: Any) -> None:
        """Set a parameter; a flat array is taken for one of as many elements. The array is copied."""
        arg = self.func.arg(name)
        type_ = arg.type
        assert isinstance(type_, TensorType)
        if isinstance(array, np.ndarray) and array.ndim == 1 and type_.is_static and array.size == type_.size:
            array = array.reshape([int(n) for n in type_.shape])
        name = name.removeprefix("%")
        self.params[name] = np.array(fit(array, arg, f"@{self.func.name}: %{name}"), copy=True)

    def load_params(self, path: str | os.PathLike[str]) -> None:
        """Set every parameter from a `.npz` or `.safetensors` file, which may hold other arrays as well."""
        arrays = read_arrays(path)
        for name in self.func.params:
            if name not in arrays:
                near = get_close_matches(name, arrays, 1)
                raise ArgumentError(f"{os.fspath(path)} has no array for param %{name}", code="RLX0508", help=f"did you mean {near[0]!r}?" if near else None)
            self.set_param(name, arrays[name])

    def run(self, inputs: Mapping[str, Any] | None = None, /, **named: Any) -> list[np.ndarray]:
        """Results for `inputs`, by argument name in a dictionary or as keywords; always a list of arrays."""
        given = {**self.params, **_by_name(inputs, self.func.name), **named}
        if given.keys() == self._names.keys():
            arrays = [given[name] for name in self._names]
        else:
            self._require_params(given)
            arrays = self.compiled.arguments.in_order((), given)
        results = self.compiled(*arrays)
        return list(results) if isinstance(results, tuple) else [results]

    def _require_params(self, given: Mapping[str, Any]) -> None:
        missing = [name for name in self.func.params if name not in given]
        if missing:
            wanted = ", ".join(f"%{name}: {self.func.arg(name).type}" for name in missing)
            raise ArgumentError(f"@{self.func.name} has params that are not set: {wanted}", code="RLX0508", help=f"program.set_param({missing[0]!r}, array)")

    def __repr__(self) -> str:
        return f"<rlxc program {self.compiled!r}>"


def _by_name(inputs: Mapping[str, Any] | None, func: str) -> dict[str, Any]:
    if inputs is None:
        return {}
    if not isinstance(inputs, Mapping):
        raise ArgumentError(f"@{func}: inputs are a dictionary of arrays by argument name, not {type(inputs).__name__}", code="RLX0502")
    return {name.removeprefix("%"): array for name, array in inputs.items()}
