"""Diagnostics: how they look, as JSON, and the table of codes."""

import json
import re
from pathlib import Path

import pytest

import rlxc
import rlxc.frontend.parser
import rlxc.ir.verify
from rlxc.codes import CODES
from rlxc.diagnostics import explain, render, to_json
from rlxc.errors import Error
from rlxc.frontend.parser import parse


def codes_of(run):
    try:
        run()
    except Error as error:
        return [d.code for d in error.diagnostics]
    return []


@pytest.mark.parametrize("code", [c for c, entry in CODES.items() if entry.wrong])
def test_each_wrong_example_gives_just_its_code(code):
    entry = CODES[code]
    run = (lambda: parse(entry.wrong)) if entry.language == "rlx" else (lambda: exec(entry.wrong, {"rlxc": rlxc}))
    assert codes_of(run) == [code]


@pytest.mark.parametrize("code", [c for c, entry in CODES.items() if entry.right])
def test_each_right_example_is_right(code):
    entry = CODES[code]
    if entry.language == "rlx":
        rlxc.ir.verify.verify(parse(entry.right))
    else:
        exec(entry.right, {"rlxc": rlxc})


def test_every_code_that_is_raised_is_explained():
    package = Path(rlxc.__file__).parent
    raised = {code for path in package.rglob("*.py") if path.name != "codes.py" for code in re.findall(r"\bRLX0\d{3}\b", path.read_text())}
    assert raised <= set(CODES) | {"RLX0012"}


def test_codes_are_in_order():
    assert list(CODES) == sorted(CODES)


SOURCE = """func @f(%x: f32[3], %w: f32[4]) -> f32[3] {
\t%y = add %x,\t%w
  %z = sinn %x

  return %w
}
"""

RENDERED = """error[RLX0201]: add: shapes do not fit: f32[3] and f32[4]
 --> f.rlx:2:7
  |
1 | func @f(%x: f32[3], %w: f32[4]) -> f32[3] {
  |         -- %x: f32[3]
  |                     -- %w: f32[4]
2 | \t%y = add %x,\t%w
  | \t     ^^^^^^^^^^
  = help: shapes are aligned at the right; sizes must be equal or 1

error[RLX0102]: there is no op 'sinn'
 --> f.rlx:3:8
  |
3 |   %z = sinn %x
  |        ^^^^
  = help: did you mean 'sin'?

error[RLX0215]: @f returns f32[4] here, and its head says f32[3]
 --> f.rlx:5:10
  |
1 | func @f(%x: f32[3], %w: f32[4]) -> f32[3] {
  |                     -- %w defined here
...
5 |   return %w
  |          ^^"""


@pytest.fixture
def error():
    with pytest.raises(Error) as caught:
        parse(SOURCE, "f.rlx")
    return caught.value


def test_diagnostics_show_the_source(error):
    assert render(error, {"f.rlx": SOURCE}) == RENDERED


def test_without_the_source_the_place_is_shown(error):
    assert render(error).splitlines()[:2] == ["error[RLX0201]: add: shapes do not fit: f32[3] and f32[4]", " --> f.rlx:2:7"]


def test_colors_change_nothing_else(error):
    colored = render(error, {"f.rlx": SOURCE}, color=True)
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == RENDERED


def test_as_json_each_diagnostic_is_one_line(error):
    objects = [json.loads(line) for line in to_json(error).splitlines()]
    assert [o["code"] for o in objects] == ["RLX0201", "RLX0102", "RLX0215"]
    assert objects[1] == {
        "code": "RLX0102",
        "severity": "error",
        "title": "there is no such op",
        "message": "there is no op 'sinn'",
        "location": {"file": "f.rlx", "line": 3, "column": 8, "end_line": 3, "end_column": 12, "via": []},
        "labels": [],
        "help": "did you mean 'sin'?",
    }


def test_characters_that_would_move_the_cursor_are_not_shown():
    source = "func @f() {\n  \x1b[2J\n}"
    with pytest.raises(Error) as caught:
        parse(source, "f.rlx")
    assert "\x1b" not in render(caught.value, {"f.rlx": source})


NEAR = {
    "an op": ("%y = redoce_sum %x {axes = [0]}", "did you mean 'reduce_sum'?"),
    "a value": ("%wide = sin %x %z = sin %wid", "did you mean '%wide'?"),
    "an attribute": ("%y = reduce_sum %x {axis = [0]}", "did you mean 'axes'?"),
    "a function": ("%y = call @other_finc(%x)", "did you mean '@other_func'?"),
    "a dtype": ("%y = convert %x {dtype = float64}", "did you mean 'f64'?"),
    "a type": ("%y = constant dense<1.0> : float32[3]", "did you mean 'f32'?"),
    "a choice": ('%y = gelu %x {approximate = "tan"}', "did you mean 'tanh'?"),
}


@pytest.mark.parametrize("case", NEAR)
def test_near_misses_are_suggested(case):
    body, help = NEAR[case]
    with pytest.raises(Error) as caught:
        parse(f"func @other_func(%x: f32[3]) {{\n{body}\nreturn }}")
    assert caught.value.diagnostics[0].help == help


def test_explanations_have_both_examples():
    text = explain("rlx0105")
    assert text.startswith("RLX0105: there is no such value here\n")
    assert "Wrong:" in text
    assert "Right:" in text
    assert explain("RLX9999") is None
