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
    return Quick(func, engine)


class Quick(Compiled):
    """The wrapper runs the executable for the sizes last met."""

    _call: Call  # see CallableType

    def __new__(cls, *_: Any, **__: Any) -> Quick:
        self: Quick = super().__new__(_kind().type)
        _kind().prepare(self)
        return self

    __call__ = Compiled.__call__

    def _make(self, sizes: tuple[int, ...]) -> Any:
        executable = super()._make(sizes)
        call = getattr(self, "_call", None)
        if call is None or call.executable is not executable:
            self._call = Call(executable)
        return executable

    def __getstate__(self) -> dict[str, Any]:
        return vars(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._only is not None:
            self._call = Call(self._only)


@cache
def _kind() -> CallableType:
    return CallableType(Quick)
