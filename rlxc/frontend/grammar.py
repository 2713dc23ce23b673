"""Text to syntax: the grammar, what its rules build, and errors on the way."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput

import rlxc
from rlxc.errors import Loc, ParseError, Report
from rlxc.frontend.literals import clip
from rlxc.frontend.recovery import Recovery, first_token
from rlxc.frontend.syntax import (
    MAX_DEPTH,
    ArgumentSyntax,
    AttributesSyntax,
    AttributeSyntax,
    DenseSyntax,
    FuncSyntax,
    ListSyntax,
    LoopSyntax,
    ModuleSyntax,
    RegionSyntax,
    ResourceSyntax,
)
from rlxc.ir.printer import VERSION

READABLE = (VERSION,)  # versions of the language
MAX_LIST = 65_536  # elements of a list in an attribute


class _Build(Transformer):
    """The actions of the grammar: one method a rule, called as the rule is read, so that no tree is built."""

    def nothing(self, children: list) -> list:
        return []

    def append(self, children: list) -> list:
        children[0].append(children[1])
        return children[0]

    def op(self, children: list) -> list:
        return children

    def terminator(self, children: list) -> list:
        return children

    def module(self, children: list) -> ModuleSyntax:
        version = children[0] if isinstance(children[0], Token) else None
        return ModuleSyntax(version, children[-1])

    def function(self, children: list) -> FuncSyntax:
        (keyword, name, arguments, *results), body, end = children
        return FuncSyntax(keyword, name, arguments, [t for t in results if t.type == "TYPE"], body, end)

    def head(self, children: list) -> list:
        return children

    def arguments(self, children: list) -> list:
        return children

    def argument(self, children: list) -> ArgumentSyntax:
        return ArgumentSyntax(children[-2], children[-1], len(children) == 3)

    def region(self, children: list) -> RegionSyntax:
        arguments, body, end = children
        return RegionSyntax(arguments, body, end, _depth(body))

    def loop(self, children: list) -> LoopSyntax:
        results = children.pop(0) if children[0].type == "RESULTS" else None
        keyword, counter, range_ = children[:3]
        step, flags, carried = None, [], []
        for part in children[3:-2]:
            match part:
                case Token():
                    step = part
                case AttributesSyntax():
                    flags = part.items
                case list():
                    carried = part
        return LoopSyntax(keyword, results, counter, range_, step, flags, carried, children[-2], children[-1], _depth(children[-2]))

    def carry(self, children: list) -> list:
        return list(zip(children[0::2], children[1::2], strict=True))

    def attributes(self, children: list) -> AttributesSyntax:
        return AttributesSyntax(children[:-1], children[-1])

    def flags(self, children: list) -> AttributesSyntax:
        return AttributesSyntax(children[1:-1], children[-1])

    def attribute(self, children: list) -> AttributeSyntax:
        return AttributeSyntax(children[0], children[1] if len(children) == 2 else None)

    def dense(self, children: list) -> DenseSyntax:
        return DenseSyntax(*children)

    def resource(self, children: list) -> ResourceSyntax:
        return ResourceSyntax(*children)

    def nested(self, children: list) -> ListSyntax:
        items = children[1] if len(children) == 3 else []
        depth = 1 + max((i.depth for i in items if type(i) is ListSyntax), default=0)
        if depth > MAX_DEPTH:
            raise TooLarge(children[0], f"lists nest deeper than {MAX_DEPTH}")
        return ListSyntax(items, children[0], children[-1], depth)

    def first(self, children: list) -> list:
        return children

    def more(self, children: list) -> list:
        children[0].append(children[1])
        if len(children[0]) > MAX_LIST:
            raise TooLarge(children[0][0], f"a list of more than {MAX_LIST} elements")
        return children[0]


def _depth(body: list) -> int:
    """How deep regions nest, counting the one with this body."""
    deepest = 0
    for statement in body:
        if type(statement) is LoopSyntax:
            deepest = max(deepest, statement.depth)
        elif type(statement) is list:
            for part in statement:
                if type(part) is RegionSyntax:
                    deepest = max(deepest, part.depth)
    return deepest + 1


@lru_cache(maxsize=1)
def grammar() -> Lark:
    """The parser of `rlx.lark`, made at first use."""
    return Lark(grammar_path().read_text(encoding="utf-8"), parser="lalr", lexer="contextual", transformer=_Build(), start="module", maybe_placeholders=False)


def grammar_path() -> Path:
    """The grammar beside the package (a checkout), or inside it (a wheel)."""
    package = Path(rlxc.__file__).parent
    return next((p for p in (package.parent / "grammars" / "rlx.lark", package / "grammars" / "rlx.lark") if p.exists()), package / "grammars" / "rlx.lark")


def read_syntax(text: str, file: str, report: Report) -> ModuleSyntax:
    """The syntax of a file; what cannot be read goes to `report`, and is left out."""
    check_version(text, file)
    recovery = Recovery(text, file, report)
    try:
        syntax = grammar().parse(text, on_error=recovery)
    except UnexpectedInput:
        return ModuleSyntax(None, [f for f in recovery.functions if isinstance(f, FuncSyntax)], recovery.broken)
    except TooLarge as error:
        report.add(ParseError(error.message, code="RLX0006", loc=recovery.loc(error.position), help="a constant can be as long: dense<...>"))
        return ModuleSyntax(None, [])
    syntax.broken = recovery.broken  # type: ignore[attr-defined]
    return syntax  # type: ignore[return-value]


_VERSION_LINE = re.compile(r"(?:\s|//[^\n]*)*rlx[ \t]+([^\s{}()@%/]+)")


def check_version(text: str, file: str) -> None:
    """Raise ParseError if the file says that it is of a version that this rlxc does not know."""
    m = _VERSION_LINE.match(text)
    if m is None or m[1] in READABLE:
        return
    line = text.count("\n", 0, m.start(1)) + 1
    column = m.start(1) - text.rfind("\n", 0, m.start(1))
    message = f"this rlxc does not read version {clip(m[1])} of the language"
    raise ParseError(message, code="RLX0002", loc=Loc(file, line, column, line, column + len(m[1])), help=f"it reads {', '.join(READABLE)}")


class TooLarge(Exception):
    """A list that is too long or too deep: reading ends there."""

    def __init__(self, first: Any, message: str) -> None:
        self.position = first_token(first).start_pos
        self.message = message
