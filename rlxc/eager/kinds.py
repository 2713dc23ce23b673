"""Kind: all that a rule depends on in an operand. There is one object for each, so that tables of rules are looked up by identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlxc.eager.executor import Executor

LARGE = 1 << 16  # bytes


class Kind:
    """A class of variables, a type, and whether derivatives flow through it.

    `add` sums two values of this kind; `inactive` is the kind of the same values when derivatives do not flow.
    """

    __slots__ = ("active", "add", "cls", "inactive", "is_large", "leaf", "type")

    cls: type
    type: Any
    active: bool
    is_large: bool  # so that a third contribution is better added to the sum of two in place
    inactive: Kind
    add: Callable[[Any, Any], Any]
    leaf: LeafRule

    def __init__(self, cls: type, type: Any, active: bool) -> None:
        self.cls = cls
        self.type = type
        self.active = active
        self.is_large = getattr(type, "nbytes", 0) >= LARGE
        self.add = self._first_add
        self.leaf = LeafRule(self)
        self.inactive = kind_of(cls, type, False) if active else self

    @property
    def executor(self) -> Executor:
        return self.cls.executor  # type: ignore[attr-defined, no-any-return]

    def _first_add(self, x: Any, y: Any) -> Any:
        self.add = self.executor.adder(self.type)
        return self.add(x, y)

    def __repr__(self) -> str:
        return f"{self.type}{' (requires grad)' if self.active else ''}"


class LeafRule:
    """What stands for a rule at the end of the tape: nothing is to be computed there."""

    __slots__ = ("kind",)

    def __init__(self, kind: Kind) -> None:
        self.kind = kind


class Scalar:
    """The kind of a Python number among operands: its dtype is that of the others, by NumPy's promotion (NEP 50)."""

    __slots__ = ("example", "python")

    active = False

    def __init__(self, python: type) -> None:
        self.python = python
        self.example = python(1)  # which NumPy promotes as any other

    @property
    def inactive(self) -> Scalar:
        return self

    def __repr__(self) -> str:
        return self.python.__name__


_KINDS: dict[tuple[type, Any, bool], Kind] = {}
SCALARS: dict[type, Scalar] = {python: Scalar(python) for python in (bool, int, float, complex)}


class Position(int):
    """A whole number that is an operand, where others are known while tracing: an index."""

    _kind = Scalar(int)


SCALARS[Position] = Position._kind


def kind_of(cls: type, type: Any, active: bool) -> Kind:
    """The one kind of variables of a class, of a type, that are active or not."""
    key = (cls, type, active)
    kind = _KINDS.get(key)
    return kind if kind is not None else _KINDS.setdefault(key, Kind(cls, type, active))
