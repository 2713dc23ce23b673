"""Diagnostics: how they look, as JSON, and the table of codes."""

import re
from pathlib import Path

import pytest

import rlxc
import rlxc.frontend.parser
import rlxc.ir.verify
from rlxc.codes import CODES
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
