"""Where in the user's file an op comes from: the innermost line that is neither rlxc's nor NumPy's."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from functools import lru_cache
from inspect import CO_VARARGS
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

import rlxc
from rlxc.diagnostics import render
from rlxc.errors import UNKNOWN, Error, Loc

_NOT_THE_USERS = tuple(f"{Path(str(package.__file__)).parent}/" for package in (rlxc, np))
_WRAPPERS = (functools.__file__, contextlib.__file__)


def user_location() -> Loc:
    """The place in the user's code that is running now, with columns."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if _is_users(code):
            return _place(code, frame.f_lasti)
        frame = frame.f_back
    return UNKNOWN


def code_of(function: Any) -> CodeType | None:
    """The code of a Python function, through decorators; None for what has none."""
    return _own_code(inspect.unwrap(function))


def _own_code(function: Any) -> CodeType | None:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code if isinstance(code, CodeType) else None


def parameters_of(function: Any, skip: int = 0) -> tuple[str, ...]:
    """The names of what a Python function takes by position, without `self` of a bound method and the first `skip`; through decorators that pass on all."""
    while hasattr(function, "__wrapped__"):
        code = _own_code(function)
        if code is not None and (code.co_argcount or not code.co_flags & CO_VARARGS):
            break
        function = function.__wrapped__
    code = _own_code(function)
    return code.co_varnames[skip + hasattr(function, "__self__") : code.co_argcount] if code is not None else ()


def definition(function: Any) -> Loc:
    """Where a function is defined."""
    code = code_of(function)
    return Loc(code.co_filename, code.co_firstlineno, 1) if code is not None else UNKNOWN


def with_source(error: Error) -> Error:
    """The error with a note that shows the user's line, as a traceback prints it."""
    if not getattr(error, "__notes__", None) and any(d.loc.line for d in error.diagnostics):
        error.add_note(render(error))
    return error


@lru_cache(maxsize=1 << 12)
def _is_users(code: CodeType) -> bool:
    return not code.co_filename.startswith((*_NOT_THE_USERS, "<frozen", "<string>")) and code.co_filename not in _WRAPPERS


@lru_cache(maxsize=1 << 8)
def _positions(code: CodeType) -> tuple[tuple[int | None, ...], ...]:
    return tuple(code.co_positions())


@lru_cache(maxsize=1 << 14)
def _place(code: CodeType, last: int) -> Loc:
    positions = _positions(code)
    line, end_line, column, end_column = positions[last // 2] if last // 2 < len(positions) else (None,) * 4
    if line is None:
        return Loc(code.co_filename, code.co_firstlineno, 1)
    if column is None or end_column is None:
        return Loc(code.co_filename, line, 1)
    return Loc(code.co_filename, line, column + 1, end_line or line, end_column + 1)
