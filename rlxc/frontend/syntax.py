"""The pieces that a text is made of, with their places, before names and types mean anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lark import Token

MAX_DEPTH = 64  # of regions, and of lists


@dataclass(slots=True)
class ArgumentSyntax:
    """`param %w: f32[3]`"""

    name: Token
    type: Token
    param: bool


@dataclass(slots=True)
class RegionSyntax:
    """`do (%a: f32[2]) { ... }`"""

    arguments: list[ArgumentSyntax]
    body: list[Any]
    end: Token
    depth: int


@dataclass(slots=True)
class LoopSyntax:
    """`%s = for %i in 0..8 step 2 {parallel} carry (%a = %init) { ... }`"""

    keyword: Token
    results: Token | None
    counter: Token
    range: Token
    step: Token | None
    flags: list[AttributeSyntax]
    carried: list[tuple[Token, Token]]
    body: list[Any]
    end: Token
    depth: int


@dataclass(slots=True)
class AttributeSyntax:
    """`axes = [0, 1]`; no value stands for `true`."""

    name: Token
    value: Any


@dataclass(slots=True)
class AttributesSyntax:
    """`{axes = [0, 1], keep}`"""

    items: list[AttributeSyntax]
    end: Token


@dataclass(slots=True)
class ListSyntax:
    """A list whose elements are not all integers."""

    items: list[Any]
    start: Token
    end: Token
    depth: int


@dataclass(slots=True)
class DenseSyntax:
    """`dense<[1, 2]> : i32[2]`, as the value of an attribute."""

    body: Token
    type: Token


@dataclass(slots=True)
class ResourceSyntax:
    """`resource "weights.npz" "h.0.w"`"""

    keyword: Token
    file: Token
    key: Token

    @property
    def end(self) -> Token:
        return self.key


@dataclass(slots=True)
class FuncSyntax:
    """A function: its head, and statements.

    A statement is a list of tokens (an op, `return` or `yield`, as in the grammar), a LoopSyntax, or a Broken.
    """

    keyword: Token
    name: Token
    arguments: list[ArgumentSyntax]
    results: list[Token]
    body: list[Any]
    end: Token | None


@dataclass(slots=True)
class Broken:
    """A statement that could not be read; what it defines is not to be complained of again."""

    names: list[str]
    ends: bool = False  # it was a `return` or `yield`


@dataclass(slots=True)
class ModuleSyntax:
    """A file; `broken` are the names of functions that could not be read."""

    version: Token | None
    functions: list[FuncSyntax]
    broken: list[str] = field(default_factory=list)
