"""What a library of native functions offers to C: functions, their buffers, and where weights lie that no caller passes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlxc.ir.types import DType

ABI = 1  # of the C functions and of the metadata; a reader refuses others
ALIGNMENT = 64  # of the workspace, which a function sees to itself, and of each array of weights


@dataclass(frozen=True, slots=True)
class Buffer:
    """An argument or a result: its name in the program and in C, and what it holds.

    An argument with `data` is embedded in the library, under that symbol; one with an `offset` lies there in the file of weights.
    """

    name: str
    identifier: str
    dtype: DType
    shape: tuple[int, ...]
    param: bool = False
    data: str | None = None
    offset: int | None = None

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.size

    @property
    def type_text(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class CFunction:
    """One function: its name in the program, its symbol, all arguments of its entry, and the bytes of workspace that a caller brings."""

    name: str
    symbol: str
    arguments: tuple[Buffer, ...]
    results: tuple[Buffer, ...]
    workspace: int = 0
    work: int = 0  # a measure of a call's length

    @property
    def passed(self) -> tuple[Buffer, ...]:
        """The arguments that a caller passes."""
        return tuple(a for a in self.arguments if a.data is None and a.offset is None)

    @property
    def maps_weights(self) -> bool:
        """Whether a caller also passes the address of the weights."""
        return any(a.offset is not None for a in self.arguments)


@dataclass(frozen=True, slots=True)
class CLibrary:
    """All functions of a library, what it was compiled for, and its weights: the bytes of the file that callers map, or 0."""

    name: str
    functions: tuple[CFunction, ...]
    version: str
    triple: str
    cpu: str
    features: str
    weights: tuple[Buffer, ...] = ()
    weights_size: int = 0
    foreign: tuple[str, ...] = ()  # prototypes of C functions that whoever links the library has to bring

    @property
    def symbols(self) -> list[str]:
        """Everything the library defines, but for the accessor that all libraries have."""
        each = [s for f in self.functions for s in (f.symbol, f"{f.symbol}_call", f"{f.symbol}_entry", f"{f.symbol}_workspace_size")]
        return [*each, f"{self.name}_metadata"]

    def metadata(self) -> str:
        """The library described as JSON, for programs that load it without its header."""
        facts: dict[str, Any] = {"rlxc": self.version, "abi": ABI, "name": self.name, "triple": self.triple, "cpu": self.cpu, "features": self.features}
        if self.weights_size:
            facts["weights"] = {"file": f"{self.name}.weights", "bytes": self.weights_size, "arrays": [_facts(w) | {"offset": w.offset} for w in self.weights]}
        if self.foreign:
            facts["foreign"] = list(self.foreign)
        facts["functions"] = [
            {
                "name": f.name,
                "symbol": f.symbol,
                "arguments": [_facts(a) | ({"param": True} if a.param else {}) for a in f.passed],
                "maps_weights": f.maps_weights,
                "results": [_facts(r) for r in f.results],
                "workspace": f.workspace,
                "work": f.work,
            }
            for f in self.functions
        ]
        return json.dumps(facts)


def _facts(buffer: Buffer) -> dict[str, Any]:
    return {"name": buffer.name, "dtype": str(buffer.dtype), "shape": list(buffer.shape)}


def lay_out(weights: Sequence[Buffer]) -> tuple[list[int], int]:
    """Where each array lies in a file of weights, and the size of the file."""
    offsets, end = [], 0
    for w in weights:
        offsets.append(end)
        end += -(-w.nbytes // ALIGNMENT) * ALIGNMENT
    return offsets, end
