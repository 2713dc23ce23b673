"""Libraries from Python: functions as native code for other programs, written as files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rlxc.api import pick
from rlxc.errors import ArgumentError
from rlxc.ir.core import Func
from rlxc.runtime.aot import Library
from rlxc.runtime.compile import options_of
from rlxc.runtime.library_files import NAMED, safe_name, write


def build(
    programs: Any,
    folder: str | os.PathLike[str] = ".",
    *,
    name: str | None = None,
    emit: str | Sequence[str] = ("so", "header"),
    target: str = "",
    weights: Mapping[str, Any] | None = None,
    place: Literal["embedded", "file"] = "embedded",
    **options: Any,
) -> list[Path]:
    """Write functions as native code for other programs, as `rlxc build` does; the files' paths.

    `programs` is a function, as `compile` takes it or as `rlxc.jit(f).lower(*args)` gives it; several of them; or a mapping from the names that they
    are to have. The library is called as the first one unless `name` is given. `emit` is what to write: "rlx", "loops", "llvm", "asm", "obj", "header",
    "static", "so". `target` is another machine. `weights` are arrays for params, which callers then do not pass: "embedded", or in a file to be mapped.
    """
    kinds = [emit] if isinstance(emit, str) else list(emit)
    if unknown := [k for k in kinds if k not in NAMED]:
        raise ArgumentError(f"emit has no kind {unknown[0]!r}", code="RLX0502", help=f"kinds are {', '.join(NAMED)}")
    if place not in ("embedded", "file"):
        raise ArgumentError(f"weights are placed 'embedded' or in a 'file', not {place!r}", code="RLX0502")
    funcs = _named(programs)
    if target:
        options = {"cpu": "plain"} | options
    library = Library(safe_name(name or funcs[0].name), funcs, options_of(options), target, dict(weights or {}), place)
    if place == "file":
        kinds.append("weights")
    return [write(library, kind, Path(folder)) for kind in kinds]


def _named(programs: Any) -> tuple[Func, ...]:
    """The functions to build, under the names they are to have."""
    if isinstance(programs, Mapping):
        funcs = tuple(pick(_func_of(p)).with_(name=name) for name, p in programs.items())
    elif isinstance(programs, list | tuple):
        funcs = tuple(pick(_func_of(p)) for p in programs)
    else:
        funcs = (pick(_func_of(programs)),)
    if not funcs:
        raise ArgumentError("there is no function to build", code="RLX0502")
    return funcs


def _func_of(program: Any) -> Any:
    """The Func of what has one: compiled and lowered functions."""
    func = getattr(program, "func", None)
    return func if isinstance(func, Func) else program
