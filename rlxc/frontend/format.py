"""Layout: `.rlx` text as the printer would write it, with the user's comments, names and paragraphs kept."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lark import Token

from rlxc.frontend.parser import read_module
from rlxc.frontend.syntax import FuncSyntax, LoopSyntax, RegionSyntax
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.printer import VERSION, func_head, loop_head, op_head, op_types, region_head, value_list

_MARK = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|//[^\n]*|\n')


def format_text(text: str, file: str = "<text>") -> str:
    """`text` in canonical layout: one statement a line, all types written. Comments stay with their statement.

    Nothing else changes: parse(format_text(s)) == parse(s), and formatting again changes nothing. At most one empty line is kept
    between statements. Raises Error, as `parse` does, where the text is not right.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    syntax, module = read_module(text, file)
    layout = _Layout(text)
    layout.add(f"rlx {VERSION}", syntax.version.line if syntax.version is not None else 0, "version")
    for function, func in zip(syntax.functions, module.funcs, strict=True):
        layout.function(function, func)
    return layout.text()


@dataclass(slots=True)
class _Line:
    """A line of the result, and the line of the source it began on (0 if on none)."""

    text: str
    source: int
    kind: str = "plain"  # or version, head, close (of a region), end (of a function), comment
    trailing: list[str] = field(default_factory=list)


class _SourceNames:
    """Values are called what they are called in the source."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def give(self, value: Value) -> str:
        return self[value]

    def __getitem__(self, value: Value) -> str:
        loc = value.loc
        return self.lines[loc.line - 1][loc.column - 1 : loc.end_column - 1]


class _Layout:
    """Lines in the making."""

    def __init__(self, source: str) -> None:
        self.source = source.split("\n")
        self.lines: list[_Line] = []
        self.names = _SourceNames(self.source)

    def add(self, text: str, source: int | None, kind: str = "plain") -> None:
        self.lines.append(_Line(text, source or 0, kind))

    def function(self, syntax: FuncSyntax, func: Func) -> None:
        self.add(func_head(func, self.names), syntax.keyword.line, "head")
        self.body(syntax.body, func, "  ")
        assert syntax.end is not None
        if func.results or func.kind == "func":
            self.add(f"  return {value_list(func.results, self.names)}".rstrip(), _end_line(syntax.body, syntax.end))
        self.add("}", syntax.end.line, "end")

    def body(self, body: list[Any], func: Func, indent: str) -> None:
        statements = [s for s in body if not (isinstance(s, list) and s[0].type in ("RETURN", "YIELD"))]
        for statement, op in zip(statements, func.ops, strict=True):
            if isinstance(statement, LoopSyntax):
                self.loop(statement, op, indent)
            else:
                self.op(statement, op, indent)

    def op(self, statement: list[Any], op: Op, indent: str) -> None:
        self.add(indent + op_head(op, self.names), statement[0].line)
        regions = [part for part in statement if isinstance(part, RegionSyntax)]
        for syntax, region in zip(regions, op.regions, strict=True):
            self.lines[-1].text += region_head(region, self.names)
            self.body(syntax.body, region, indent + "  ")
            self.add(f"{indent}  yield {value_list(region.results, self.names)}".rstrip(), _end_line(syntax.body, syntax.end))
            self.add(indent + "}", syntax.end.line, "close")
        self.lines[-1].text += op_types(op)

    def loop(self, syntax: LoopSyntax, op: Op, indent: str) -> None:
        first = syntax.results if syntax.results is not None else syntax.keyword
        (region,) = op.regions
        self.add(indent + loop_head(op, self.names), first.line)
        self.body(syntax.body, region, indent + "  ")
        if region.results:
            self.add(f"{indent}  yield {value_list(region.results, self.names)}", _end_line(syntax.body, syntax.end))
        self.add(indent + "}", syntax.end.line, "close")

    def text(self) -> str:
        """The lines and comments in order, with empty lines where the source has them and around functions."""
        out: list[str] = []
        before: _Line | None = None
        for line in self.with_comments():
            if before is not None and self.is_apart(before, line):
                out.append("")
            out.append(line.text + "".join(f"  {c}" for c in line.trailing if line.kind != "comment"))
            before = line
        return "\n".join(out) + "\n"

    def with_comments(self) -> list[_Line]:
        """All lines, comments among them: one with code before it goes to that code's line, another before the next line of code."""
        merged: list[_Line] = []
        comments = deque(_comments("\n".join(self.source)))
        pending: list[_Line] = []
        for line, following in zip(self.lines, [*self.lines[1:], None], strict=True):
            while comments and comments[0].source < line.source:
                pending.append(comments.popleft())
            merged += [_comment_line(c, line) for c in pending]
            merged.append(line)
            pending = []
            while comments and (following is None or comments[0].source < following.source):
                comment = comments.popleft()
                if comment.trailing:
                    line.trailing.append(comment.text)
                else:
                    pending.append(comment)
        return merged + pending

    def is_apart(self, before: _Line, line: _Line) -> bool:
        """Whether an empty line stands between two lines."""
        if before.kind == "version" or (before.kind == "end" and line.kind in ("head", "comment")):
            return True
        if before.text.endswith("{") or line.kind in ("close", "end"):
            return False
        return line.source > max(before.source, 1) and not self.source[line.source - 2].strip()


def _comment_line(comment: _Line, line: _Line) -> _Line:
    """A comment on a line of its own, as deep as the code that follows (or, before a closing brace, the code in the braces)."""
    indent = line.text[: len(line.text) - len(line.text.lstrip())] + ("  " if line.kind in ("close", "end") else "")
    return _Line(indent + comment.text, comment.source, "comment")


def _comments(text: str) -> Iterator[_Line]:
    """Comments of a text; `trailing` holds something where code stands before it."""
    number, start = 1, 0
    for m in _MARK.finditer(text):
        mark = m.group()
        if mark == "\n":
            number, start = number + 1, m.end()
        elif mark.startswith("//"):
            code = ["code"] if text[start : m.start()].strip() else []
            yield _Line(mark.rstrip(), number, "comment", code)


def _end_line(body: list[Any], end: Token) -> int:
    """The line of a body's `return` or `yield`, or of its closing brace if it has none."""
    last = body[-1] if body else None
    return last[0].line if isinstance(last, list) and last[0].type in ("RETURN", "YIELD") else end.line  # type: ignore[return-value]
