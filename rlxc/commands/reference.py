"""`rlxc ops|passes|explain`: what there is, from the docstrings and signatures themselves."""

from __future__ import annotations

import argparse
import inspect
import types
import typing
from difflib import get_close_matches
from typing import Any

import rlxc.runtime.compile  # noqa: F401  (with it, every pass and op)
from rlxc import diagnostics
from rlxc.cli import OK
from rlxc.codes import CODES
from rlxc.errors import UnknownName
from rlxc.ir.attributes import attr_text
from rlxc.ir.primitive import REGISTRY, Primitive
from rlxc.ir.types import BOOL, COMPLEX, FLOATS, INTEGERS
from rlxc.passes.manager import PASSES, Pass, find_pass
from rlxc.passes.pipelines import PIPELINES

RULES = ("legalize", "decompose", "jvp", "transpose", "batch", "element", "lower", "fold")


def ops(args: argparse.Namespace) -> int:
    if args.name:
        print(describe_op(REGISTRY.lookup(args.name)))
    elif args.markdown:
        print(ops_page(), end="")
    else:
        for prim in REGISTRY.all():
            print(f"{prim.name:24} {summary(prim)}")
    return OK


def passes(args: argparse.Namespace) -> int:
    if args.name:
        print(describe_pass(find_pass(args.name)))
    elif args.markdown:
        print(passes_page(), end="")
    else:
        list_passes()
    return OK


def explain(args: argparse.Namespace) -> int:
    if not args.code:
        for code, entry in CODES.items():
            print(f"{code}  {entry.title}")
        return OK
    code = args.code.upper() if args.code.upper().startswith("RLX") else f"RLX{args.code:>04}"
    text = diagnostics.explain(code)
    if text is None:
        near = get_close_matches(code, CODES, 1)
        raise UnknownName(f"there is no code {args.code}", help=f"did you mean {near[0]}?" if near else "`rlxc explain` lists them")
    print(text.rstrip())
    return OK


def list_passes() -> None:
    for p in sorted(PASSES.values(), key=lambda p: p.name):
        print(f"{p.name:24} {p.summary}")
    for name, steps in PIPELINES.items():
        print(f"{name:24} = {','.join(steps)}")


# --- one op ----------------------------------------------------------------------------------------------------------


def summary(prim: Primitive) -> str:
    return (inspect.getdoc(type(prim)) or "").split("\n", 1)[0]


def usage(prim: Primitive) -> str:
    """The op as it is written: `%y = reduce_sum %x {axes = list of integers}`."""
    signature = prim.signature
    text = f"{prim.name} {signature}".rstrip()
    shown = [a for a in signature.attrs if a != prim.inline_attr and not (a == "type" and prim.typed)]
    if prim.inline_attr:
        text = f"{prim.name} <{prim.inline_attr}>" + (f" {signature}" if str(signature) else "")
    if shown:
        text += " {" + ", ".join(_attribute(prim, a) for a in shown) + "}"
    return text + (" : TYPE" if prim.typed else "")


def _attribute(prim: Primitive, name: str) -> str:
    kind = kind_text(prim.signature.attrs[name])
    if name not in prim.signature.defaults:
        return f"{name}: {kind}"
    default = prim.signature.defaults[name]
    return f"{name}: {kind} = {'none' if default is None else attr_text(default)}"


def kind_text(annotation: Any) -> str:
    """An attribute's annotation as the reference shows it."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind_text(a) for a in inner if a is not type(None))
    if origin is typing.Literal:
        return " | ".join(f'"{a}"' for a in inner)
    if origin is tuple:
        return f"[{kind_text(inner[0])}, ...]"
    return str(getattr(annotation, "__name__", annotation)).lower()


def describe_op(prim: Primitive) -> str:
    lines = [usage(prim), "", inspect.getdoc(type(prim)) or "", "", f"takes    {dtypes_text(prim)}", f"rules    {', '.join(rules(prim))}"]
    if prim.linear_in:
        lines.append(f"linear   {linear_text(prim)}")
    lines += [f"module   {type(prim).__module__}"]
    return "\n".join(lines)


def dtypes_text(prim: Primitive) -> str:
    """Element types of the first operand, by their kinds where all of a kind are taken."""
    left = list(prim.dtypes)
    words = []
    for word, kind in (("floats", FLOATS), ("integers", INTEGERS), ("bool", (BOOL,)), ("complex", COMPLEX)):
        if set(kind) <= set(left):
            words.append(word)
            left = [d for d in left if d not in kind]
    return ", ".join([*words, *left])


def rules(prim: Primitive) -> list[str]:
    return [r for r in RULES if prim.has_rule(r)]


def linear_text(prim: Primitive) -> str:
    """`in %x and %y together`, or `in %x, and in %y`."""
    names = prim.signature.operands

    def name(i: int) -> str:
        return f"%{names[min(i, len(names) - 1)]}" if names else f"operand {i}"

    groups = [(g,) if isinstance(g, int) else tuple(g) for g in prim.linear_in]
    return ", and ".join(f"in {' and '.join(map(name, g))}{' together' * (len(g) > 1)}" for g in groups)


def ops_page() -> str:
    """The op reference as Markdown, by the module that defines each op."""
    modules: dict[str, list[Primitive]] = {}
    for prim in REGISTRY.all():
        home = type(prim).__module__
        if home.startswith("rlxc."):
            modules.setdefault(home, []).append(prim)
    lines = ["# Ops", "", "Generated by `rlxc ops --markdown > docs/ops.md` from the primitives themselves; a test keeps it up to date.", ""]
    lines += ["Operands in brackets are optional; attributes with `=` have that default. `rlxc ops NAME` shows one op.", ""]
    for home, prims in modules.items():
        lines += [f"## {home.rpartition('.')[2]}", "", _module_summary(home), ""]
        for prim in prims:
            lines += [f"### {prim.name}", "", f"    {usage(prim)}", "", inspect.getdoc(type(prim)) or "", ""]
            facts = [f"Takes {dtypes_text(prim)}"]
            if prim.linear_in:
                facts.append(f"linear {linear_text(prim)}")
            if prim.composite:
                facts.append("made of simpler ops")
            if not prim.differentiable:
                facts.append("its derivative is zero")
            lines += ["; ".join(facts) + ".", ""]
    return "\n".join(lines).rstrip() + "\n"


def _module_summary(home: str) -> str:
    import sys

    return (inspect.getdoc(sys.modules[home]) or "").split("\n", 1)[0]


# --- one pass --------------------------------------------------------------------------------------------------------


def pass_usage(p: Pass) -> str:
    if not p.options:
        return p.name
    parts = []
    for name, parameter in p.options.items():
        kind = kind_text(p.hints.get(name, Any))
        default = parameter.default
        parts.append(f"{name}: {kind}" if default is parameter.empty else f"{name}: {kind} = {attr_text(default)}")
    return f"{p.name}{{{', '.join(parts)}}}"


def describe_pass(p: Pass) -> str:
    return "\n".join([pass_usage(p), "", inspect.getdoc(p.run) or "", "", f"module   {home_of(p)}"])


def home_of(p: Pass) -> str:
    return getattr(getattr(p.run, "on_func", p.run), "__module__", "")


def passes_page() -> str:
    """The pass reference as Markdown."""
    lines = ["# Passes", "", "Generated by `rlxc passes --markdown > docs/passes.md` from the passes themselves; a test keeps it up to date.", ""]
    lines += ["A pipeline is a list of them, as in `rlxc opt f.rlx -p 'legalize,linearize{wrt = [w1]},transpose,dce'`.", "", "## Named pipelines", ""]
    lines += [f"* `{name}` is `{','.join(steps)}`" for name, steps in PIPELINES.items()]
    for p in sorted(PASSES.values(), key=lambda p: p.name):
        if not home_of(p).startswith("rlxc."):
            continue
        first, _, rest = (inspect.getdoc(p.run) or "").partition("\n")
        lines += ["", f"## {p.name}", "", f"    {pass_usage(p)}", "", first]
        if rest.strip():
            lines += ["", *[f"    {line}".rstrip() for line in inspect.cleandoc(rest).splitlines()]]
    return "\n".join(lines).rstrip() + "\n"
