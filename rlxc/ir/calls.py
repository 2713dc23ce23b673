"""Calls: which function an op calls, whether operands fit it, and which functions call themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rlxc.errors import ShapeError, VerifyError
from rlxc.ir.attributes import Symbol
from rlxc.ir.core import Func, Op
from rlxc.ir.types import Dim, TensorType


def callee_of(op: Op) -> str | None:
    """Name of the function that `op` calls, if it is a call: its attribute `callee`."""
    callee = op.attrs.get("callee")
    return str(callee) if isinstance(callee, Symbol) else None


def call_types(name: str, arguments: Sequence[Any], results: Sequence[Any], operands: Sequence[Any]) -> tuple[Any, ...]:
    """Result types of calling `@name` on operands of given types; its named dimensions take the sizes they meet.

    A callee `(f32[B, 3]) -> f32[B]` called on `f32[4, 3]` gives `f32[4]`. Raises VerifyError or ShapeError where operands do not fit.
    """
    if len(operands) != len(arguments):
        raise VerifyError(f"@{name} takes {_operands(len(arguments))}, not {len(operands)}", code="RLX0211", help=_signature(name, arguments, results))
    sizes: dict[Dim, Any] = {}
    for i, (expected, given) in enumerate(zip(arguments, operands, strict=True), 1):
        if not _fits(expected, given, sizes):
            bound = f" with {', '.join(f'{k} = {v}' for k, v in sizes.items())}" if sizes else ""
            raise ShapeError(f"@{name} takes {expected}{bound} as argument {i}, not {given}", code="RLX0218", help=_signature(name, arguments, results))
    return tuple(_bind(t, sizes) for t in results)


def _fits(expected: Any, given: Any, sizes: dict[Dim, Any]) -> bool:
    if not (isinstance(expected, TensorType) and isinstance(given, TensorType)):
        return expected == given
    if expected.dtype != given.dtype or expected.rank != given.rank:
        return False
    return all((sizes.setdefault(n, m) if isinstance(n, Dim) else n) == m for n, m in zip(expected.shape, given.shape, strict=True))


def _bind(type: Any, sizes: dict[Dim, Any]) -> Any:
    if not isinstance(type, TensorType) or not sizes:
        return type
    return type.with_shape(sizes.get(n, n) if isinstance(n, Dim) else n for n in type.shape)


def _operands(n: int) -> str:
    return f"{n} operand{'s' * (n != 1)}"


def _signature(name: str, arguments: Sequence[Any], results: Sequence[Any]) -> str:
    gives = ", ".join(map(str, results))
    return f"it is @{name}({', '.join(map(str, arguments))})" + (f" -> {gives if len(results) == 1 else f'({gives})'}" if results else "")


def find_recursion(funcs: Iterable[Func]) -> list[tuple[Op, list[str]]]:
    """For each cycle of calls, the op that closes it and the functions it goes through: `[f, g, f]`."""
    calls = {f.name: [(op, name) for op in f.walk() if (name := callee_of(op)) is not None] for f in funcs}
    done: set[str] = set()
    cycles = []
    for start in calls:
        if start in done:
            continue
        path, waiting = [start], [iter(calls[start])]
        on_path = {start}
        while path:
            op, name = next(waiting[-1], (None, ""))
            if op is None:
                waiting.pop()
                on_path.discard(path[-1])
                done.add(path.pop())
            elif name in on_path:
                cycles.append((op, [*path[path.index(name) :], name]))
            elif name in calls and name not in done:
                path.append(name)
                on_path.add(name)
                waiting.append(iter(calls[name]))
    return cycles
