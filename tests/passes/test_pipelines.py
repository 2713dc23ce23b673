"""Pipelines as text: what they mean, and errors with their place in the text."""

import pytest

import rlxc.passes  # noqa: F401  (makes the passes known)
from rlxc.errors import PassError
from rlxc.passes.manager import PASSES
from rlxc.passes.pipelines import PIPELINES, parse_pipeline


def steps(text):
    return [(p.name, options) for p, options in parse_pipeline(text)]


def test_passes_come_in_the_order_written():
    assert steps("legalize, cse ,dce") == [("legalize", {}), ("cse", {}), ("dce", {})]


def test_an_empty_pipeline_has_no_passes():
    assert steps(" ") == []


@pytest.mark.parametrize("wrt", ["[w1, b1]", '["w1", "b1"]', "[%w1, %b1]", "[ w1,b1, ]"])
def test_lists_of_names_are_spelled_several_ways(wrt):
    assert steps(f"linearize{{wrt = {wrt}}},transpose") == [("linearize", {"wrt": ("w1", "b1")}), ("transpose", {})]


def test_a_single_name_stands_for_a_list_of_one():
    assert steps("linearize{wrt=w1}") == [("linearize", {"wrt": ("w1",)})]


def test_functions_are_named_with_or_without_their_sign():
    assert steps("linearize{func=@f}") == steps('linearize{func="f"}') == [("linearize", {"func": "f"})]


def test_a_named_pipeline_is_a_step_and_hands_its_options_on():
    assert [name for name, _ in steps("default")] == list(PIPELINES["default"])
    assert ("grad_with_loss", {"wrt": ("x",)}) in steps("grad{wrt=x}")


def test_every_named_pipeline_is_made_of_known_passes():
    for names in PIPELINES.values():
        assert all(name in PASSES for name in names)


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "says"),
    [
        ("cse,linearise", "RLX0402", 1, 5, "did you mean 'linearize'"),
        ("cse,\n  legalise", "RLX0402", 2, 3, "did you mean 'legalize'"),
        ("linearize{wtr=w1}", "RLX0403", 1, 11, "did you mean 'wrt'"),
        ("linearize{wrt=3}", "RLX0403", 1, 11, "'wrt' is"),
        ("cse{", "RLX0405", 1, 5, "found the end"),
        ("cse dce", "RLX0405", 1, 5, "expected ','"),
        ("cse,$", "RLX0405", 1, 5, "'$'"),
        ("linearize{wrt=x, wrt=y}", "RLX0405", 1, 18, "twice"),
        ("linearize{wrt=[x", "RLX0405", 1, 17, "expected ',' or ']'"),
        ("linearize{wrt=[[x]]}", "RLX0405", 1, 16, "do not nest"),
        ('linearize{wrt="x', "RLX0405", 1, 15, "unexpected"),
        ("grad{max_ops=3}", "RLX0403", 1, 6, "no option 'max_ops'"),
        ("{}", "RLX0405", 1, 1, "name of a pass"),
        ("=", "RLX0405", 1, 1, "name of a pass"),
    ],
)
def test_a_wrong_pipeline_is_refused_at_its_place(text, code, line, column, says):
    with pytest.raises(PassError) as caught:
        parse_pipeline(text)
    error = caught.value
    assert (error.code, error.loc.line, error.loc.column) == (code, line, column)
    assert says in str(error)
