"""The table in docs/derivatives.md: what was tried on an op, and holds. `pytest -n0 --bless tests/test_laws.py` writes its rows."""

from __future__ import annotations

import re
from pathlib import Path

from rlxc.ir.primitive import Primitive
from rlxc.testing import Report
from rlxc.testing.laws import NO_DERIVATIVE, NO_FLOATS, ONE_WAY, TOO_LATE

PAGE = Path(__file__).parent.parent / "docs" / "derivatives.md"
HOLDS, MISSING = "✓", "MISSING"
COLUMNS = {
    "jvp": "the tangent is the derivative",
    "transpose": "the transposed tangent map is its adjoint",
    "vmap": "batching is a loop",
    "third order": "the third derivative is right",
    "eager": "eager tensors compute the same, and have the compiled gradients",
    "text": "its text parses back to the same",
}
VALUES = "eager tensors compute the same"  # where there is no gradient
REASONS = {NO_FLOATS: "none", NO_DERIVATIVE: "zero", ONE_WAY["RLX0309"]: "reverse", TOO_LATE: "later"}
# Made by linearize from `custom_vjp`, by which its rules are tried: it cannot be computed, only transposed.
CUSTOM_PULLBACK = ["linear", "linear", "linear", "linear", "linear", HOLDS]
ROW = re.compile(r"^\| `(\w+)` \|.*\n", re.MULTILINE)


def row(prim: Primitive, report: Report) -> str:
    return line(prim.name, [_cell(prim, report, column, law) for column, law in COLUMNS.items()])


def line(name: str, cells: list[str]) -> str:
    return f"| `{name}` | {' | '.join(cells)} |\n"


def _cell(prim: Primitive, report: Report, column: str, law: str) -> str:
    if column == "eager" and report.checked.get(VALUES):
        return HOLDS
    zero = not prim.differentiable and column in ("jvp", "transpose", "third order")
    if report.checked.get(law) and not zero:
        return HOLDS
    reasons = report.skipped.get(COLUMNS["jvp"] if zero else law, set())
    words = [REASONS.get(reason, MISSING) for reason in reasons] or [MISSING]
    return next((word for word in (MISSING, "zero") if word in words), words[0])


def compare(name: str, want: str, *, bless: bool) -> None:
    """Whether the page has this row, and no gap in it; `bless` writes it."""
    assert MISSING not in want, f"{name}: no sample tries all of {', '.join(COLUMNS)}: {want}"
    text = PAGE.read_text()
    if bless:
        text = _with_row(text, name, want)
        PAGE.write_text(text)
    assert [m[0] for m in ROW.finditer(text) if m[1] == name] == [want], "run: pytest -n0 --bless tests/test_laws.py"


def names() -> list[str]:
    return [m[1] for m in ROW.finditer(PAGE.read_text())]


def set_names(wanted: list[str]) -> None:
    """Drop the rows of other ops."""
    PAGE.write_text(ROW.sub(lambda m: m[0] if m[1] in wanted else "", PAGE.read_text()))


def _with_row(text: str, name: str, want: str) -> str:
    rows = {m[1]: m[0] for m in ROW.finditer(text)} | {name: want}
    head = re.search(r"^\| op \|.*\n.*\n", text, re.MULTILINE).end()
    return text[:head] + "".join(rows[n] for n in sorted(rows)) + ROW.sub("", text[head:])
