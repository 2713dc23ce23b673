"""A Compiled that Python calls by machine code wherever arrays fit as they are; everything else takes the way through Compiled itself."""

from __future__ import annotations

import inspect
from functools import cache, partial
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


class Quick(Compiled):  # the wrapper runs the executable for the sizes last met
    __doc__ = Compiled.__doc__
    __signature__ = inspect.signature(partial(Compiled.__call__, None))  # type: ignore[arg-type]

    _call: Call  # see CallableType
    _calls: dict[tuple[int, ...], Call]  # by the sizes of named dimensions

    def __new__(cls, *_: Any, **__: Any) -> Quick:
        kind = _kind()
        self: Quick = super().__new__(kind.type)
        kind.prepare(self)
        self._calls = {}
        return self

    __call__ = Compiled.__call__

    def _make(self, sizes: tuple[int, ...]) -> Any:
        executable = super()._make(sizes)
        self._call = self._call_of(executable, sizes)
        return executable

    def _call_of(self, executable: Any, sizes: tuple[int, ...]) -> Call:
        call = self._calls.get(sizes)
        if call is None or call.executable is not executable:
            call = self._calls[sizes] = Call(executable)
            for gone in self._calls.keys() - self._made.keys():
                self._calls.pop(gone, None)
        return call

    def __reduce__(self) -> tuple[Any, ...]:
        return compiled, (self.func, self._engine)

    def __copy__(self) -> Quick:
        """A callable of its own that runs the same native code."""
        other = Quick.__new__(Quick)
        vars(other).update({**vars(self), "_calls": {}})
        if self._only is not None:
            other._call = Call(self._only)
        return other

    def __deepcopy__(self, memo: Any) -> Quick:
        return self.__copy__()


@cache
def _kind() -> CallableType:
    return CallableType(Quick)
