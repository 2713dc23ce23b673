"""Directives in the comments of a test file, matched against a text in order.

    // CHECK: %y = sin            somewhere after the last match
    // CHECK-NEXT: return         on the line after it
    // CHECK-SAME: f32[3]         later on its line
    // CHECK-NOT: cos             nowhere between the matches before and after
    // CHECK-LABEL: func @f       cuts the text into blocks, each checked by itself
    // CHECK-COUNT-3: mul         three times in a row

In a pattern, `{{sin|cos}}` is a regular expression, `[[X:%\\w+]]` one whose match gets a name, and `[[X]]` that text again.
Runs of blanks are one blank. `// ADJOINT: ...` does the same for the prefix ADJOINT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KINDS = ("NEXT", "SAME", "NOT", "LABEL")


class CheckError(AssertionError):
    """A directive that is not met, or makes no sense; the message has the line of the directive and the text at hand."""


@dataclass(frozen=True)
class Directive:
    kind: str  # "", NEXT, SAME, NOT, LABEL
    pattern: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.kind or 'CHECK'}: {self.pattern}"


def directives_of(source: str, prefix: str = "CHECK") -> list[Directive]:
    """The directives in the comments of `source`; raises CheckError for one that does not exist."""
    found: list[Directive] = []
    for number, line in enumerate(source.splitlines(), 1):
        m = re.match(rf"\s*//\s*{prefix}(?:-([A-Z]+)(?:-(\d+))?)?:(.*)", line)
        if not m:
            continue
        kind, count, pattern = m[1] or "", m[2], _blanks(m[3])
        if not pattern:
            raise CheckError(f"line {number}: a directive without a pattern")
        if kind == "COUNT" and count:
            found += [Directive("", pattern, number)] * int(count)
        elif kind and kind not in KINDS:
            raise CheckError(f"line {number}: there is no directive {prefix}-{kind}")
        else:
            found.append(Directive(kind, pattern, number))
    return found


def check(text: str, source: str, prefix: str = "CHECK") -> None:
    """Raise CheckError unless `text` meets every directive in `source`."""
    directives = directives_of(source, prefix)
    if not directives:
        raise CheckError(f"there is no {prefix}: line")
    lines = [_blanks(line) for line in text.splitlines()]
    names: dict[str, str] = {}
    for block, (start, stop) in _blocks(directives, lines, names):
        _check_block(block, lines, start, stop, names)


def _blocks(directives: list[Directive], lines: list[str], names: dict[str, str]) -> list[tuple[list[Directive], tuple[int, int]]]:
    """Directives cut at labels, each with the lines it may match. A label is the first line of its block."""
    cuts: list[tuple[int, int]] = [(0, 0)]
    at = 0
    for i, d in enumerate(directives):
        if d.kind != "LABEL":
            continue
        regex = _regex(d, names)
        hit = next((n for n in range(at, len(lines)) if regex.search(lines[n])), None)
        if hit is None:
            raise _miss(d, "the label is nowhere", lines, at)
        cuts.append((i, hit))
        at = hit + 1
    ends = [*cuts[1:], (len(directives), len(lines))]
    return [(directives[i:j], (n, m)) for (i, n), (j, m) in zip(cuts, ends, strict=True)]


def _check_block(block: list[Directive], lines: list[str], start: int, stop: int, names: dict[str, str]) -> None:
    line, column = start, 0
    matched = False
    unwanted: list[Directive] = []
    for d in block:
        if d.kind == "NOT":
            unwanted.append(d)
            continue
        if d.kind in ("NEXT", "SAME") and not matched:
            raise CheckError(f"{d}\n  there is no match before it")
        regex = _regex(d, names)
        where = _find(d, regex, lines, line, column, stop)
        if where is None:
            raise _miss(d, "no match", lines[:stop], line)
        at, m = where
        _refuse(unwanted, lines, (line, column), (at, m.start()), names)
        unwanted = []
        names.update({k: v for k, v in m.groupdict().items() if v is not None})
        line, column, matched = at, m.end(), True
    _refuse(unwanted, lines, (line, column), (stop, 0), names)


def _find(d: Directive, regex: re.Pattern, lines: list[str], line: int, column: int, stop: int) -> tuple[int, re.Match] | None:
    match d.kind:
        case "NEXT":
            choices = [(line + 1, 0)] if line + 1 < stop else []
        case "SAME":
            choices = [(line, column)]
        case _:
            choices = [(line, column), *((n, 0) for n in range(line + 1, stop))] if line < stop else []
    for n, from_column in choices:
        if m := regex.search(lines[n], from_column):
            return n, m
    return None


def _refuse(unwanted: list[Directive], lines: list[str], start: tuple[int, int], stop: tuple[int, int], names: dict[str, str]) -> None:
    for d in unwanted:
        regex = _regex(d, names)
        for n in range(start[0], min(stop[0] + 1, len(lines))):
            low = start[1] if n == start[0] else 0
            high = stop[1] if n == stop[0] else len(lines[n])
            if regex.search(lines[n][low:high]):
                raise _miss(d, f"found where it must not be: {lines[n]}", lines, n)


def _regex(d: Directive, names: dict[str, str]) -> re.Pattern:
    """The pattern as a regular expression; text outside of {{ }} and [[ ]] stands for itself."""
    out, at = "", 0
    here: set[str] = set()
    for m in re.finditer(r"\{\{(?P<regex>.+?)\}\}(?!\})|\[\[(?P<name>[A-Za-z_]\w*)(?::(?P<define>.+?))?\]\](?!\])", d.pattern):
        out += re.escape(d.pattern[at : m.start()])
        at = m.end()
        if m["regex"]:
            out += f"(?:{m['regex']})"
        elif m["define"]:
            out += f"(?P<{m['name']}>{m['define']})"
            here.add(m["name"])
        elif m["name"] in here:
            out += f"(?P={m['name']})"
        elif m["name"] in names:
            out += re.escape(names[m["name"]])
        else:
            raise CheckError(f"{d}\n  [[{m['name']}]] has not been matched before")
    try:
        return re.compile(out + re.escape(d.pattern[at:]))
    except re.error as error:
        raise CheckError(f"{d}\n  not a regular expression: {error}") from None


def _miss(d: Directive, why: str, lines: list[str], at: int) -> CheckError:
    shown = "\n".join(f"  {'>' if n == at else ' '} {line}" for n, line in enumerate(lines))
    return CheckError(f"{d}\n  {why}, from the marked line on:\n{shown}")


def _blanks(text: str) -> str:
    return re.sub(r"[ \t]+", " ", text).strip()
