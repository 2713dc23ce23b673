"""An attribute that is computed when it is first asked for, without a lock.

Before Python 3.12 `functools.cached_property` has a lock for each attribute, which all objects share: threads that compile would wait for one
another, and a child that is forked meanwhile would wait for ever. Here threads that come together compute it twice, and one result is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):
    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        made = self._compute(instance)
        return vars(instance).setdefault(self._name, made)
