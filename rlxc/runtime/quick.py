"""A Compiled that Python calls by machine code wherever arrays fit as they are; everything else takes the way through Compiled itself."""

from __future__ import annotations

from functools import cache
from typing import Any

from rlxc.ir.core import Func
from rlxc.runtime.compiled import Compiled, Engine
from rlxc.runtime.python_call import MAX_ARRAYS, Call, CallableType
from rlxc.runtime.python_objects import supported


def compiled(func: Func, engine: Engine) -> Compiled:
    """`func` as a Compiled, the quickest that this Python allows."""
    if not supported() or len(func.args) + len(func.results) > MAX_ARRAYS:
        return Compiled(func, engine)
    made: Compiled = _kind().type(func, engine)
    return made


class Quick(Compiled):
    """The wrapper serves the executable of the sizes last met."""

    _served: Any = None  # an executable
    _call: Call | None = None

    def __new__(cls, *_: Any, **__: Any) -> Quick:
        self = super().__new__(cls)
        _kind().prepare(self)
        return self

    __call__ = Compiled.__call__

    def _make(self, sizes: tuple[int, ...]) -> Any:
        executable = super()._make(sizes)
        if executable is not self._served:
            self._serve(executable)
        return executable

    def _serve(self, executable: Any) -> None:
        call = Call(executable)
        _kind().serve(self, call)
        self._served, self._call = executable, call  # and now the call before may go

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_served": None, "_call": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._only is not None:
            self._serve(self._only)


@cache
def _kind() -> CallableType:
    return CallableType(Quick)
