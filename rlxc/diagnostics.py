"""Errors as people and tools read them: source lines with the place underlined, JSON, and explanations of codes."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rlxc.codes import CODES
from rlxc.errors import Diagnostic, Error, Loc

_MAX_WIDTH = 160  # of a source line
_RED, _BLUE, _CYAN, _BOLD, _OFF = "\033[1;31m", "\033[1;34m", "\033[1;36m", "\033[1m", "\033[0m"


def render(error: Error, sources: Mapping[str, str] | None = None, color: bool = False) -> str:
    """All diagnostics of `error` for a terminal.

    error[RLX0102]: there is no op 'sinn'
     --> f.rlx:2:8
      |
    2 |   %y = sinn %x
      |        ^^^^
      = help: did you mean 'sin'?

    `sources` maps file names to their texts; a file not among them is read, if it can be.
    """
    lines = _Lines(sources or {})
    blocks = [_block(d, lines, _Paint(color)) for d in error.diagnostics]
    return "\n\n".join(blocks)


def to_json(error: Error) -> str:
    """All diagnostics of `error`, one JSON object a line: code, severity, title, message, location, labels, help."""
    return "\n".join(json.dumps(_plain(d)) for d in error.diagnostics)


def explain(code: str) -> str | None:
    """What a code means, with an example that is wrong and one that is right; None for a code that does not exist."""
    entry = CODES.get(code.upper())
    if entry is None:
        return None
    text = f"{code.upper()}: {entry.title}\n\n{textwrap.fill(entry.explanation, 100)}\n"
    if entry.wrong:
        text += f"\nWrong:\n\n{_indented(entry.wrong)}\n"
    if entry.right:
        text += f"\nRight:\n\n{_indented(entry.right)}\n"
    return text


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").split("\n"))


class _Paint:
    """Puts colors around text, or nothing."""

    def __init__(self, color: bool) -> None:
        self.color = color

    def __call__(self, style: str, text: str) -> str:
        return f"{style}{text}{_OFF}" if self.color and text else text


class _Lines:
    """Source lines by file and number."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = sources
        self.read = lru_cache(maxsize=16)(self._read)

    def _read(self, file: str) -> list[str]:
        text = self.sources.get(file)
        if text is None and not file.startswith("<"):
            try:
                with open(file, encoding="utf-8", errors="replace", newline="") as f:
                    text = f.read()
            except (OSError, ValueError):
                text = None
        return text.removeprefix("\ufeff").split("\n") if text is not None else []

    def get(self, loc: Loc) -> str | None:
        lines = self.read(loc.file)
        return lines[loc.line - 1].rstrip("\r") if 0 < loc.line <= len(lines) else None


def _block(d: Diagnostic, lines: _Lines, paint: _Paint) -> str:
    """One diagnostic: header, place, source with labels, help."""
    out = [paint(_RED, f"{d.severity}[{d.code}]") + paint(_BOLD, f": {_visible(d.message)}")]
    spots = [(d.loc, "", "^"), *((label.loc, label.text, "-") for label in d.labels)]
    shown = [s for s in spots if s[0].line]
    margin = " " * len(str(max((loc.line for loc, _, _ in shown), default=0)))
    if d.loc.line or d.loc.via or d.loc.file != "<unknown>":
        out.append(paint(_BLUE, f"{margin}--> ") + _visible(str(d.loc)))
    here = [s for s in shown if s[0].file == d.loc.file]
    if any(lines.get(loc) is not None for loc, _, _ in here):
        out.append(paint(_BLUE, f"{margin} |"))
        out += _source(here, lines, margin, paint)
    for loc, text, _ in shown:
        if loc.file != d.loc.file:
            out.append(paint(_BLUE, f"{margin} = ") + f"{_visible(str(loc))}: {_visible(text)}")
    if d.help:
        out.append(paint(_BLUE, f"{margin} = ") + paint(_CYAN, "help") + f": {_visible(d.help)}")
    return "\n".join(out)


def _source(spots: list[tuple[Loc, str, str]], lines: _Lines, margin: str, paint: _Paint) -> list[str]:
    """Source lines in order, each with what is to be said of it underneath; `...` where lines are left out."""
    out: list[str] = []
    last = None
    for number in sorted({loc.line for loc, _, _ in spots}):
        on_line = sorted((s for s in spots if s[0].line == number), key=lambda s: (s[2] != "^", s[0].column))
        source = lines.get(on_line[0][0])
        if source is None:
            continue
        if last is not None and number > last + 1:
            out.append(paint(_BLUE, "..."))
        last = number
        start = max(min(s[0].column for s in on_line) - 41, 0) if len(source) > _MAX_WIDTH else 0
        out.append(paint(_BLUE, f"{number:>{len(margin)}} |") + f" {_visible(source[start : start + _MAX_WIDTH])}".rstrip())
        for loc, text, mark in on_line:
            out.append(paint(_BLUE, f"{margin} |") + " " + _underline(source, loc, start, mark, text, paint))
    return out


def _underline(source: str, loc: Loc, start: int, mark: str, text: str, paint: _Paint) -> str:
    """`^^^^ text` under columns of a line; tabs above it are kept, so that it stands where the source does."""
    first = min(max(loc.column - 1, 0), len(source))
    last = loc.end_column - 1 if loc.end_line == loc.line and loc.end_column > loc.column else len(source) if loc.end_line > loc.line else first + 1
    width = max(min(last, start + _MAX_WIDTH) - first, 1)
    lead = "".join("\t" if c == "\t" else " " for c in source[start:first])
    style = _RED if mark == "^" else _BLUE
    return lead + paint(style, mark * width + (f" {_visible(text)}" if text else ""))


def _visible(text: str) -> str:
    """`text` without characters that would move the cursor or change the terminal's mind."""
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


def _plain(d: Diagnostic) -> dict[str, Any]:
    entry = CODES.get(d.code)
    return {
        "code": d.code,
        "severity": d.severity,
        "title": entry.title if entry else None,
        "message": d.message,
        "location": _place(d.loc),
        "labels": [{"location": _place(label.loc), "text": label.text} for label in d.labels],
        "help": d.help,
    }


def _place(loc: Loc) -> dict[str, Any] | None:
    if not loc.line and loc.file == "<unknown>":
        return None
    return {"file": loc.file, "line": loc.line, "column": loc.column, "end_line": loc.end_line, "end_column": loc.end_column, "via": list(loc.via)}
