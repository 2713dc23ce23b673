"""Canonical text: what a function or op computes, without names and locations. For comparing and hashing, not for reading.

Two texts are equal exactly when the programs are the same. Large constants are written as digests.
"""

from __future__ import annotations

import hashlib
from typing import Any

from rlxc.ir.attributes import Dense, Resource, Symbol, float_text
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.types import Dim, DType


def canonical_text(func: Func) -> str:
    """The function without its name and those of its values."""
    return _Canonical().func(func)


def canonical_op(op: Op) -> str:
    """The op without its operands: equal for two that compute the same from operands of the same types."""
    writer = _Canonical()
    takes = ",".join([v.signature for v in op.operands])
    return "\n".join([f"{op.prim.name}{writer.attributes(op)}({takes}):{writer.types(op)}", *map(writer.func, op.regions)])


class _Canonical:
    """Numbers values in the order in which they are met."""

    def __init__(self) -> None:
        self.numbers: dict[Value, str] = {}

    def func(self, func: Func) -> str:
        lines: list[str] = []
        self._func(func, lines)
        return "\n".join(lines)

    def _func(self, func: Func, lines: list[str]) -> None:
        """Regions nest only as deep as loops do, so recursion is safe here."""
        lines.append(",".join([f"{self.number(a)}:{a.signature}" for a in func.args]))
        numbers = self.numbers
        for op in func.ops:
            operands = ",".join([numbers.get(v) or self.number(v) for v in op.operands])
            results = ",".join([self.number(v) for v in op.results])
            attrs = self.attributes(op) if op.attrs else ""
            lines.append(f"{results}={op.prim.name}{attrs}({operands}):{self.types(op)}")
            for region in op.regions:
                lines.append("{")
                self._func(region, lines)
                lines.append("}")
        lines.append("return " + ",".join([self.number(v) for v in func.results]))

    def number(self, v: Value) -> str:
        return self.numbers.setdefault(v, str(len(self.numbers)))

    def types(self, op: Op) -> str:
        return ",".join([v.signature for v in op.results])

    def attributes(self, op: Op) -> str:
        return "{" + ",".join([f"{key}={attr_digest(op.attrs[key])}" for key in sorted(op.attrs)]) + "}" if op.attrs else ""


def attr_digest(value: Any) -> str:
    """Text that is equal exactly when two attributes are the same, bit for bit."""
    kind = type(value)
    if kind is int or kind is bool or kind is str or value is None:
        return repr(value)
    if kind is tuple or kind is list:
        return "[" + ",".join([attr_digest(v) for v in value]) + "]"
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, DType | Dim | Symbol):
        return f"{kind.__name__} {str(value)!r}"
    if isinstance(value, Dense):
        data = value.array.tobytes()
        text = data.hex() if len(data) <= 64 else hashlib.sha256(data).hexdigest()
        return f"dense {value.type} {'splat ' if value.is_splat else ''}{text}"
    if isinstance(value, Resource):
        return f"resource {value.file!r} {value.key!r}"
    return f"{kind.__name__} {value}"
