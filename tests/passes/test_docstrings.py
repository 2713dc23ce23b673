"""The pictures in the docstrings of passes are true: the left side becomes the right one."""

import inspect
import re

import pytest

import rlxc
from rlxc.passes.manager import PASSES
from rlxc.passes.pipelines import make_pipeline

VALUE = re.compile(r"%\w+")

#: pass -> types of the values that its picture leaves undefined
PICTURES = {
    "cse": {"%x": "f32[3]", "%y": "f32[3]"},
    "dce": {"%x": "f32[3]"},
    "simplify": {"%x": "f32[3]"},
    "legalize": {"%x": "f32[2, 3]", "%bias": "f32[3]"},
}


def picture(doc):
    """The two columns of a docstring's picture; the arrow stands between them."""
    lines = doc.splitlines()
    arrow = next(i for i, line in enumerate(lines) if "=>" in line)
    top, bottom = arrow, arrow
    while "%" in lines[top - 1]:
        top -= 1
    while bottom + 1 < len(lines) and lines[bottom + 1].strip():
        bottom += 1
    at = lines[arrow].index("=>")
    rows = [line.replace("=>", "  ") for line in lines[top : bottom + 1]]
    return [r[:at].strip() for r in rows if r[:at].strip()], [r[at:].strip() for r in rows if r[at:].strip()]


def function(column, types):
    """The ops of a column as a function; it returns its last value, unless it says otherwise."""
    if not column[-1].startswith("return"):
        column = [*column, f"return {VALUE.search(column[-1])[0]}"]
    args = ", ".join(f"{name}: {type}" for name, type in types.items())
    types_of = dict(types) | {VALUE.search(line)[0]: line.rpartition(" : ")[2] for line in column if " : " in line}
    result = types_of[VALUE.findall(column[-1])[-1]]
    return rlxc.parse(f"func @f({args}) -> {result} {{\n" + "\n".join(column) + "\n}")


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_of_a_pass_is_true(name):
    before, after = picture(inspect.getdoc(PASSES[name].run))
    assert make_pipeline(name).run(function(before, PICTURES[name])) == function(after, PICTURES[name])


def test_every_pass_says_what_it_does():
    assert [p.name for p in PASSES.values() if not p.summary] == []
