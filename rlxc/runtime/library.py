"""load_library: the functions of a library that `rlxc build` made, called on NumPy arrays with all the checks of compiled functions."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rlxc.codegen.c_interface import METADATA
from rlxc.codegen.c_signature import ABI
from rlxc.errors import ArgumentError, FileError, UnknownName, Unsupported
from rlxc.ir.core import Func, Value
from rlxc.ir.names import did_you_mean
from rlxc.ir.types import DType, TensorType
from rlxc.runtime.cpu import missing_features
from rlxc.runtime.executable import Executable
from rlxc.runtime.quick import compiled


def load_library(path: str | os.PathLike[str], name: str | None = None, *, weights: str | os.PathLike[str] | None = None) -> LoadedLibrary:
    """The library at `path`. `name` tells which, where several have been linked into one file.

    `weights` is the file of weights that its functions map, beside the library unless stated. Raises FileError for a file that is not
    such a library, and Unsupported for one that this processor cannot run.
    """
    path = Path(path)
    try:
        shared = _shared(path.resolve())
        accessor = getattr(shared, f"{name}_metadata" if name else METADATA)
    except (OSError, AttributeError) as error:
        raise FileError(f"{path} is not a library made by rlxc build: {error}", code="RLX0607") from None
    accessor.restype = ctypes.c_char_p
    facts = json.loads(accessor())
    if facts["abi"] != ABI:
        raise FileError(f"{path} was made by rlxc {facts['rlxc']}, whose libraries this rlxc does not read", code="RLX0607", help="build it again")
    if lacking := missing_features(facts["features"]):
        raise Unsupported(f"{path} needs instructions that this processor lacks: {', '.join(lacking)}", code="RLX0406", help="build it with --cpu plain")
    mapped = _map(path, facts["weights"], weights) if "weights" in facts else None
    return LoadedLibrary(path, shared, facts, mapped)


class LoadedLibrary:
    """Functions by the names they have in the program or in C: `library["f.value_and_grad"]`, `library.f_value_and_grad`."""

    def __init__(self, path: Path, shared: ctypes.CDLL, facts: dict[str, Any], weights: np.ndarray | None) -> None:
        self.path = path
        self.facts = facts
        self._functions = {f["name"]: _function(shared, f, weights) for f in facts["functions"]}
        self._symbols = {f["symbol"]: f["name"] for f in facts["functions"]}

    def __getitem__(self, name: str) -> Any:
        name = name.removeprefix("@")
        name = name if name in self._functions else self._symbols.get(name, name)
        if name not in self._functions:
            known = ", ".join(f"@{n}" for n in self._functions)
            raise UnknownName(f"{self.path} has no function @{name}", code="RLX0103", help=did_you_mean(name, self._functions, "@") or f"there is {known}")
        return self._functions[name]

    def __getattr__(self, name: str) -> Any:
        if name in self._symbols or name in self._functions:
            return self[name]
        raise AttributeError(f"{self.path} has no function {name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def __repr__(self) -> str:
        return f"<rlxc library {self.path}: {', '.join(map(str, self._functions.values()))}>"


def _shared(path: Path) -> ctypes.CDLL:
    """The library that is in the file now: the loader gives what it has already loaded from a path, so one built again is loaded from a copy."""
    state = path.stat()
    version = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
    if _versions.setdefault(path, version) == version:
        return ctypes.CDLL(os.fspath(path))
    with tempfile.TemporaryDirectory(prefix="rlxc-", ignore_cleanup_errors=True) as folder:
        copy = shutil.copy(path, folder)
        return ctypes.CDLL(os.fspath(copy))


_versions: dict[Path, tuple[int, ...]] = {}  # of the file that was loaded from a path first


@dataclass(frozen=True)
class _Symbols:
    """A shared library where otherwise machine code made here would be."""

    shared: ctypes.CDLL

    def address(self, symbol: str) -> int:
        return int(ctypes.cast(getattr(self.shared, symbol), ctypes.c_void_p).value or 0)


def _function(shared: ctypes.CDLL, facts: dict[str, Any], weights: np.ndarray | None) -> Any:
    """One function as a callable; if it maps weights, they are passed as one more argument."""
    args = [_value(a) for a in facts["arguments"]]
    if facts["maps_weights"]:
        assert weights is not None
        args.append(Value(TensorType(DType("u8"), weights.shape), "weights"))
    func = Func(facts["name"], tuple(args), (), tuple(_value(r) for r in facts["results"]))
    executable = Executable(func, _Symbols(shared), f"{facts['symbol']}_entry", facts["workspace"], work=facts["work"])
    callable_ = compiled(func, lambda _: _Made(executable))
    return partial(callable_, weights=weights) if facts["maps_weights"] else callable_


def _value(facts: dict[str, Any]) -> Value:
    return Value(TensorType(DType(facts["dtype"]), tuple(facts["shape"])), facts["name"], param=facts.get("param", False))


@dataclass(frozen=True)
class _Made:
    """What an engine gives, for a function that is native code already."""

    made: Executable

    def executable(self) -> Executable:
        return self.made


def _map(library: Path, facts: dict[str, Any], file: str | os.PathLike[str] | None) -> np.ndarray:
    path = Path(file) if file is not None else library.parent / facts["file"]
    try:
        mapped = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise FileError(f"cannot map {path}: {getattr(error, 'strerror', None) or error}", help="load_library(..., weights=FILE)") from None
    if mapped.nbytes != facts["bytes"]:
        raise ArgumentError(f"{path} has {mapped.nbytes} bytes; the weights of {library} have {facts['bytes']}", code="RLX0508")
    return np.asarray(mapped)
