"""Layout: comments, names and paragraphs stay; everything else is as the printer writes it."""

import pytest
from corpus import CORPUS

from rlxc.errors import Error
from rlxc.frontend.format import format_text
from rlxc.frontend.parser import parse

FORMATTED = """rlx 0.1

// Free layout, comments everywhere.
// A file that nobody has formatted.

func @f(%x: f32[2, 3], param %w: f32[3]) -> (f32[2, 3], f32[]) {  // the input  // the head
  // a tab and a comment

  %a = add %x, %w : f32[2, 3]
  %b = mul %a, %a : f32[2, 3]
  // between operands
  %c = reduce_sum %b {axes = [0, 1]} : f32[]  // the sum

  %d = constant dense<[[1.0, 8.0, 3.0], [4.0, -5.0, 6.0]]> : f32[2, 3]  // the first row
  // before the end
  return %b, %c
}  // behind the end

// last words
"""


def test_a_file_in_disorder_is_put_in_order():
    assert format_text(CORPUS["layout"]) == FORMATTED


@pytest.mark.parametrize("name", CORPUS)
def test_the_meaning_stays_and_a_second_time_changes_nothing(name):
    once = format_text(CORPUS[name])
    assert parse(once) == parse(CORPUS[name])
    assert format_text(once) == once
    comments = sum(line.count("//") for line in CORPUS[name].split("\n"))
    assert once.count("//") == comments


@pytest.mark.parametrize("name", [n for n in CORPUS if n != "layout"])
def test_what_is_in_order_stays(name):
    assert format_text(CORPUS[name]) == CORPUS[name]


def test_numbers_as_names_stay():
    text = "rlx 0.1\n\nfunc @f(%7: f32[]) -> f32[] {\n  %3 = sin %7 : f32[]\n  return %3\n}\n"
    assert format_text(text) == text


def test_comments_in_regions_stay_in_them():
    text = """rlx 0.1

kernel @k(%x: mem f32[8]) {  // k
  // before
  for %i in 0..8 {  // loop
    // in the loop
    %v = load %x, %i : f32  // load

    store %x, %v, %i
    // last in the loop
  }  // end of the loop
  // last
}
"""
    assert format_text(text) == text


def test_wrong_files_are_rejected():
    with pytest.raises(Error):
        format_text("func @f() { sinn }")
