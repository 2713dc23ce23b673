"""Readers: an element of a value, computed where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rlxc.errors import Error, RuleError
from rlxc.ir.core import Op, Value
from rlxc.ir.emitter import Emitter, Index, Memory


class Reader:
    """An element of a value at an index: computed where it is asked for, once for each index in a scope."""

    def __init__(self, readers: Readers, value: Value, read: Callable[[Sequence[Index]], Value]) -> None:
        self.readers = readers
        self.value = value
        self.type = value.type
        self.read = read

    def __call__(self, index: Sequence[Index]) -> Value:
        e = self.readers.e
        key = (self.value, tuple(index))
        for scope in e.scopes:
            if key in scope.memo:
                return scope.memo[key]
        result = self.read(index)
        e.scopes[e.depth_of.get(result, 0)].memo[key] = result
        return result


class Readers:
    """Readers of the values of a region."""

    def __init__(self, e: Emitter) -> None:
        self.e = e
        self.of: dict[Value, Any] = {}

    def __getitem__(self, value: Value) -> Any:
        return self.of[value]

    def bind(self, value: Value, reader: Any) -> None:
        self.of[value] = reader

    def bind_memory(self, values: Sequence[Value], memory: Sequence[Memory]) -> None:
        """Read values from memory. What may be written as well is read once for each index in a scope: before it is replaced."""
        for value, place in zip(values, memory, strict=True):
            self.of[value] = place if place.value in self.e.read_only else Reader(self, value, place)

    def define(self, op: Op) -> None:
        """Read the result of `op` by its element rule."""

        def read(index: Sequence[Index]) -> Value:
            self.e.loc = op.loc
            operands = [self.of[v] for v in op.operands]
            try:
                out: Value = op.prim.ask("element", self.e, list(index), *operands, **op.attrs)
                if isinstance(out, Value) and out.type.dtype != op.result.type.dtype:
                    raise RuleError(f"{op.prim.name}: its scalar or element rule gave {out.type}, not {op.result.type.dtype}")
                return out
            except Error as error:
                raise error.at(op.loc) from error.__cause__

        self.of[op.result] = Reader(self, op.result, read)
