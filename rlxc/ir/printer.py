"""Module to text. What is printed parses back to an equal module, and canonical text prints as itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from rlxc.ir.attributes import Dense, Symbol, attr_text
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.names import symbol_text, value_text

VERSION = "0.1"


def print_module(module: Module) -> str:
    """The whole module, version line first, functions apart by an empty line."""
    return "\n\n".join([f"rlx {VERSION}", *(print_func(f) for f in module.funcs)]) + "\n"


def print_func(func: Func) -> str:
    """One function, without a version line."""
    names = _Names()
    lines = [func_head(func, names)]
    _body(func, names, "  ", lines)
    if func.results or func.kind == "func":
        lines.append(f"  return {value_list(func.results, names)}".rstrip())
    lines.append("}")
    return "\n".join(lines)


def value_names(func: Func) -> dict[Value, str]:
    """What the text of a function without regions calls its values."""
    names = _Names()
    return {v: names[v] for v in (*func.args, *(v for op in func.ops for v in op.results))}


def print_op(op: Op) -> str:
    """One op, with its operands under the names they wish for."""
    lines: list[str] = []
    names = _Names()
    _op(op, names, "", lines)
    return "\n".join(lines)


class Names(Protocol):
    """What values are called: `give` where one is defined, `[value]` where it is used."""

    def give(self, value: Value) -> str: ...

    def __getitem__(self, value: Value) -> str: ...


class _Names:
    """Gives each value a name of its own: the wished one, else that with a number, else a number."""

    def __init__(self) -> None:
        self.given: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.repeats: dict[str, int] = {}
        self.unnamed = 0

    def __getitem__(self, value: Value) -> str:
        name = self.given.get(value)
        return name if name is not None else self.give(value)

    def give(self, value: Value) -> str:
        wish = value.name
        if wish is None:
            name = f"%{self.unnamed}"
            self.unnamed += 1
        elif wish not in self.taken:
            self.taken.add(wish)
            name = value_text(wish)
        else:
            count = self.repeats.get(wish, 0)
            while True:
                count += 1
                if f"{wish}_{count}" not in self.taken:
                    break
            self.repeats[wish] = count
            self.taken.add(f"{wish}_{count}")
            name = value_text(f"{wish}_{count}")
        self.given[value] = name
        return name


def func_head(func: Func, names: Names) -> str:
    """`func @f(%x: f32[3]) -> f32[3] {`"""
    return f"{func.kind} {symbol_text(func.name)}({_arguments(func, names)}){_results(func)} {{"


def region_head(region: Func, names: Names) -> str:
    """` do (%x: f32[3]) {`"""
    return f" do ({_arguments(region, names)}) {{"


def op_head(op: Op, names: Names) -> str:
    """`%y = add %x, %w {...}`, an op up to its regions and types."""
    operands = value_list(op.operands, names)
    text = ""
    if op.results:
        text = ", ".join([names.give(v) for v in op.results]) + " = "
    text += op.prim.name
    inline = op.attrs.get(op.prim.inline_attr) if op.prim.inline_attr else None
    if inline is not None:
        text += " " + attr_text(inline)
    if isinstance(inline, Symbol):
        text += f"({operands})"
    elif operands:
        text += " " + operands
    return text + _attributes(op) if op.attrs else text


def op_types(op: Op) -> str:
    """` : f32[3]`"""
    types = ", ".join([v.signature for v in op.results])
    return " : " + types if types else ""


def loop_head(op: Op, names: Names) -> str:
    """`%s = for %i in 0..128 step 16 {parallel} carry (%a = %init) {`"""
    (region,) = op.regions
    counter, *carried = region.args
    text = ""
    if op.results:
        text += ", ".join([names.give(v) for v in op.results]) + " = "
    inits = [names[v] for v in op.operands]
    text += f"for {names.give(counter)} in {op.attrs['start']}..{op.attrs['stop']}"
    if op.attrs["step"] != 1:
        text += f" step {op.attrs['step']}"
    text += _attributes(op, hidden=("start", "stop", "step"))
    if carried:
        text += " carry (" + ", ".join(f"{names.give(a)} = {init}" for a, init in zip(carried, inits, strict=True)) + ")"
    return text + " {"


def value_list(values: Iterable[Value], names: Names) -> str:
    return ", ".join([names[v] for v in values])


def _arguments(func: Func, names: Names) -> str:
    return ", ".join([f"{'param ' if a.param else ''}{names.give(a)}: {a.signature}" for a in func.args])


def _results(func: Func) -> str:
    if not func.results:
        return ""
    text = ", ".join(v.signature for v in func.results)
    return f" -> {text}" if len(func.results) == 1 else f" -> ({text})"


def _body(func: Func, names: Names, indent: str, lines: list[str]) -> None:
    for op in func.ops:
        _op(op, names, indent, lines)


def _op(op: Op, names: Names, indent: str, lines: list[str]) -> None:
    if op.prim.syntax == "for":
        return _loop(op, names, indent, lines)
    lines.append(indent + op_head(op, names))
    for region in op.regions:
        lines[-1] += region_head(region, names)
        _body(region, names, indent + "  ", lines)
        lines.append(f"{indent}  yield {value_list(region.results, names)}".rstrip())
        lines.append(indent + "}")
    lines[-1] += op_types(op)


def _loop(op: Op, names: Names, indent: str, lines: list[str]) -> None:
    (region,) = op.regions
    lines.append(indent + loop_head(op, names))
    _body(region, names, indent + "  ", lines)
    if region.results:
        lines.append(f"{indent}  yield {value_list(region.results, names)}")
    lines.append(indent + "}")


def _attributes(op: Op, hidden: tuple[str, ...] = ()) -> str:
    """Attributes that differ from their defaults, in the order of declaration."""
    defaults = op.prim.signature.defaults
    parts = []
    for key, value in op.attrs.items():
        if key == op.prim.inline_attr or key in hidden or (key == "type" and op.prim.typed):
            continue
        if key in defaults and _same(defaults[key], value):
            continue
        parts.append(f"{key} = {attr_text(value)}{f' : {value.type}' if isinstance(value, Dense) else ''}")
    return f" {{{', '.join(parts)}}}" if parts else ""


def _same(a: object, b: object) -> bool:
    return type(a) is type(b) and a == b and str(a) == str(b)
