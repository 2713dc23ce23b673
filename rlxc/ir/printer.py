"""Module to text. What is printed parses back to an equal module, and canonical text prints as itself."""

from __future__ import annotations

from collections.abc import Iterable

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
    args = ", ".join(_argument(a, names) for a in func.args)
    lines = [f"{func.kind} {symbol_text(func.name)}({args}){_results(func)} {{"]
    _body(func, names, "  ", lines)
    if func.results or func.kind == "func":
        lines.append(f"  return {_values(func.results, names)}".rstrip())
    lines.append("}")
    return "\n".join(lines)


def print_op(op: Op) -> str:
    """One op, with its operands under the names they wish for."""
    lines: list[str] = []
    names = _Names()
    _op(op, names, "", lines)
    return "\n".join(lines)


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


def _argument(arg: Value, names: _Names) -> str:
    return f"{'param ' if arg.param else ''}{names.give(arg)}: {arg.signature}"


def _results(func: Func) -> str:
    if not func.results:
        return ""
    text = ", ".join(v.signature for v in func.results)
    return f" -> {text}" if len(func.results) == 1 else f" -> ({text})"


def _values(values: Iterable[Value], names: _Names) -> str:
    return ", ".join([names[v] for v in values])


def _body(func: Func, names: _Names, indent: str, lines: list[str]) -> None:
    for op in func.ops:
        _op(op, names, indent, lines)


def _op(op: Op, names: _Names, indent: str, lines: list[str]) -> None:
    if op.prim.syntax == "for":
        return _for(op, names, indent, lines)
    operands = _values(op.operands, names)
    text = indent
    if op.results:
        text += ", ".join([names.give(v) for v in op.results]) + " = "
    text += op.prim.name
    inline = op.attrs.get(op.prim.inline_attr) if op.prim.inline_attr else None
    if inline is not None:
        text += " " + attr_text(inline)
    if isinstance(inline, Symbol):
        text += f"({operands})"
    elif operands:
        text += " " + operands
    if op.attrs:
        text += _attributes(op)
    types = ", ".join([v.signature for v in op.results])
    lines.append(text)
    for region in op.regions:
        _region(region, names, indent, lines)
    if types:
        lines[-1] += " : " + types


def _region(region: Func, names: _Names, indent: str, lines: list[str]) -> None:
    args = ", ".join(_argument(a, names) for a in region.args)
    lines[-1] += f" do ({args}) {{"
    _body(region, names, indent + "  ", lines)
    lines.append(f"{indent}  yield {_values(region.results, names)}".rstrip())
    lines.append(indent + "}")


def _for(op: Op, names: _Names, indent: str, lines: list[str]) -> None:
    """`%s = for %i in 0..128 step 16 carry (%a = %init) {` ... `yield %b` ... `}`"""
    (region,) = op.regions
    counter, *carried = region.args
    text = indent
    if op.results:
        text += ", ".join([names.give(v) for v in op.results]) + " = "
    inits = [names[v] for v in op.operands]
    text += f"for {names.give(counter)} in {op.attrs['start']}..{op.attrs['stop']}"
    if op.attrs["step"] != 1:
        text += f" step {op.attrs['step']}"
    text += _attributes(op, hidden=("start", "stop", "step"))
    if carried:
        text += " carry (" + ", ".join(f"{names.give(a)} = {init}" for a, init in zip(carried, inits, strict=True)) + ")"
    lines.append(text + " {")
    _body(region, names, indent + "  ", lines)
    if region.results:
        lines.append(f"{indent}  yield {_values(region.results, names)}")
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
