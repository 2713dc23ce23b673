"""Pipelines as text: `legalize,linearize{wrt = [w1, b1]},transpose,fuse{max_ops = 64}`, and the ones that have a name.

pipeline = step, {",", step}           option = name, "=", value
step     = name, ["{", options, "}"]   value  = number | true | false | string | name | @name | %name | "[", values, "]"
"""

from __future__ import annotations

import json
import re
import typing
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from rlxc.errors import UNKNOWN, Error, Loc, PassError
from rlxc.passes.manager import PASSES, Pass, Pipeline, find_pass

Step = tuple[Pass, dict[str, Any]]

#: Pipelines that have a name. Options of such a pipeline go to those of its passes that have them.
PIPELINES: dict[str, tuple[str, ...]] = {
    "default": ("inline", "legalize", "simplify", "cse", "dce"),
    "grad": ("inline", "legalize", "simplify", "grad_with_loss", "legalize", "simplify", "cse", "dce"),
}


def parse_pipeline(text: str) -> list[Step]:
    """The passes that `text` asks for, with their options; raises PassError with the place in `text`."""
    return _Reader(text).pipeline()


def make_pipeline(text: str, **settings: Any) -> Pipeline:
    """The pipeline that `text` spells; `settings` are those of `Pipeline` (verify, observe)."""
    return Pipeline(parse_pipeline(text), **settings)


_TOKEN = re.compile(
    r"""\s*(?: (?P<number>[-+]?(?:0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))(?![\w.])
             | (?P<name>[@%]?[A-Za-z_][\w.-]*)
             | (?P<string>"(?:[^"\\\n]|\\.)*")
             | (?P<mark>[{}\[\],=]) )""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


class _Reader:
    """One token after another, and errors at their places."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.token = self._next()

    def pipeline(self) -> list[Step]:
        steps: list[Step] = []
        while self.token.kind != "end":
            steps += self.step()
            if self.token.text == ",":
                self.take()
            elif self.token.kind != "end":
                raise self.error("expected ',' between passes")
        return steps

    def step(self) -> list[Step]:
        name = self.expect("name", "the name of a pass")
        options = self.options() if self.token.text == "{" else {}
        if name.text in PIPELINES and name.text not in PASSES:
            return self._named(name, options)
        try:
            found = find_pass(name.text)
        except PassError as error:
            near = get_close_matches(name.text, (*PASSES, *PIPELINES), 1)
            help = f"did you mean '{near[0]}'?" if near else error.diagnostics[0].help
            raise PassError(error.message, code=error.code, loc=self.place(name), help=help) from None
        return [(found, self._complete(found, options))]

    def _named(self, name: _Token, options: dict[str, tuple[_Token, Any]]) -> list[Step]:
        passes = [find_pass(p) for p in PIPELINES[name.text]]
        for key, (token, _) in options.items():
            if not any(key in p.options for p in passes):
                raise PassError(f"pipeline {name.text} has no option '{key}'", code="RLX0403", loc=self.place(token))
        return [(p, self._complete(p, {k: v for k, v in options.items() if k in p.options})) for p in passes]

    def _complete(self, step: Pass, options: dict[str, tuple[_Token, Any]]) -> dict[str, Any]:
        whole: dict[str, Any] = {}
        for key, (token, value) in options.items():
            if typing.get_origin(step.hints.get(key)) is tuple and not isinstance(value, tuple):
                value = (value,)
            try:
                whole |= step.complete({key: value})
            except Error as error:
                raise error.at(self.place(token)) from None
        return whole

    def options(self) -> dict[str, tuple[_Token, Any]]:
        self.take()
        options: dict[str, tuple[_Token, Any]] = {}
        while self.token.text != "}":
            key = self.expect("name", "the name of an option, or '}'")
            if key.text in options:
                raise PassError(f"option '{key.text}' is given twice", code="RLX0405", loc=self.place(key))
            self.expect("=", f"'=' and a value for option '{key.text}'")
            options[key.text] = (key, self.value())
            if self.token.text == ",":
                self.take()
            elif self.token.text != "}":
                raise self.error("expected ',' or '}'")
        self.take()
        return options

    def value(self) -> Any:
        token = self.token
        if token.text == "[":
            return self._list()
        self.take()
        match token.kind:
            case "number":
                return _number(token.text)
            case "string":
                try:
                    return json.loads(token.text)
                except ValueError:
                    raise self.error("this string has a wrong escape", token) from None
            case "name":
                return {"true": True, "false": False}.get(token.text, token.text.lstrip("@%"))
        raise self.error("expected a value", token)

    def _list(self) -> tuple:
        """Lists do not nest: no pass takes such."""
        self.take()
        values = []
        while self.token.text != "]":
            if self.token.text == "[":
                raise self.error("lists do not nest here")
            values.append(self.value())
            if self.token.text == ",":
                self.take()
            elif self.token.text != "]":
                raise self.error("expected ',' or ']'")
        self.take()
        return tuple(values)

    def expect(self, what: str, said: str) -> _Token:
        if what not in (self.token.kind, self.token.text):
            raise self.error(f"expected {said}")
        return self.take()

    def take(self) -> _Token:
        token = self.token
        if token.kind != "end":
            self.token = self._next()
        return token

    def _next(self) -> _Token:
        rest = self.text[self.at :]
        if not rest.strip():
            return _Token("end", "", len(self.text), len(self.text))
        m = _TOKEN.match(self.text, self.at)
        if not m:
            start = self.at + len(rest) - len(rest.lstrip())
            bad = _Token("bad", self.text[start], start, start + 1)
            raise PassError(f"unexpected {bad.text!r} in a pipeline", code="RLX0405", loc=self.place(bad))
        self.at = m.end()
        kind = m.lastgroup or "bad"
        return _Token(kind, m[kind], m.start(kind), m.end(kind))

    def error(self, message: str, token: _Token | None = None) -> PassError:
        token = token or self.token
        found = f"'{token.text}'" if token.text else "the end"
        return PassError(f"{message}, found {found}", code="RLX0405", loc=self.place(token))

    def place(self, token: _Token) -> Loc:
        if token is None:
            return UNKNOWN
        line = self.text.count("\n", 0, token.start) + 1
        column = token.start - (self.text.rfind("\n", 0, token.start) + 1) + 1
        return Loc("<pipeline>", line, column, line, column + token.end - token.start)


def _number(text: str) -> int | float:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    if digits.startswith("0x"):
        return sign * int(digits, 16)
    if digits.isdecimal() and len(digits) < 30:
        return sign * int(digits)
    return float(text)
