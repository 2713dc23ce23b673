"""The matcher of CHECK lines, on texts of its own."""

import filecheck
import pytest
from filecheck import CheckError

TEXT = """\
func @f {
  %a = sin %x
  %b = cos %a
  return %b
}
func @g {
  %a = sin %x
  return %a
}
"""


def passes(*lines):
    filecheck.check(TEXT, "\n".join(f"// {line}" for line in lines))


def fails(*lines, says=""):
    with pytest.raises(CheckError) as caught:
        passes(*lines)
    assert says in str(caught.value)


def test_checks_match_in_order():
    passes("CHECK: sin", "CHECK: cos", "CHECK: return %b")
    fails("CHECK: cos", "CHECK: func @f")


def test_two_checks_may_match_one_line_from_left_to_right():
    passes("CHECK: %a =", "CHECK: sin")
    passes("CHECK: %b", "CHECK: %a", "CHECK: return %b")


def test_next_is_the_very_next_line():
    passes("CHECK: sin", "CHECK-NEXT: cos")
    fails("CHECK: func @f", "CHECK-NEXT: cos", says="no match")


def test_next_needs_something_before():
    fails("CHECK-NEXT: sin", says="no match before it")


def test_same_is_the_rest_of_the_line():
    passes("CHECK: %b =", "CHECK-SAME: cos")
    fails("CHECK: %b =", "CHECK-SAME: return")
    fails("CHECK: cos", "CHECK-SAME: %b")


def test_not_holds_between_its_neighbours():
    passes("CHECK: sin", "CHECK-NOT: func", "CHECK: return %b")
    fails("CHECK: sin", "CHECK-NOT: cos", "CHECK: return %b", says="must not be")


def test_not_at_the_end_reaches_to_the_end():
    passes("CHECK: func @g", "CHECK-NOT: cos")
    fails("CHECK: func @f", "CHECK-NOT: func @g")


def test_not_at_the_beginning_reaches_from_the_beginning():
    fails("CHECK-NOT: sin", "CHECK: cos")
    passes("CHECK-NOT: cos", "CHECK: sin")


def test_labels_keep_checks_inside_their_block():
    passes("CHECK-LABEL: func @f", "CHECK: cos", "CHECK-LABEL: func @g", "CHECK-NOT: cos")
    fails("CHECK-LABEL: func @f", "CHECK: return %a", "CHECK-LABEL: func @g")
    fails("CHECK-LABEL: func @h", says="the label is nowhere")


def test_count_is_that_many_matches():
    passes("CHECK-COUNT-2: sin")
    fails("CHECK-COUNT-3: sin")


def test_braces_hold_a_regular_expression():
    passes("CHECK: {{s[a-z]n}} %x")
    passes("CHECK: {{^}}func @{{[fg]}} {")
    fails("CHECK: {{tan|cot}}")
    fails("CHECK: {{(}}", says="not a regular expression")


def test_text_outside_braces_stands_for_itself():
    fails("CHECK: s.n")


def test_names_stand_for_what_they_matched():
    passes("CHECK: [[A:%[a-z]+]] = sin", "CHECK-NEXT: [[B:%[a-z]]] = cos [[A]]", "CHECK-NEXT: return [[B]]")
    fails("CHECK: [[A:%[a-z]+]] = sin", "CHECK: return [[A]]", "CHECK: cos")


def test_a_name_can_be_used_on_the_line_that_makes_it():
    filecheck.check("mul %q, %q", "// CHECK: mul [[X:%\\w+]], [[X]]")
    with pytest.raises(CheckError):
        filecheck.check("mul %q, %r", "// CHECK: mul [[X:%\\w+]], [[X]]")


def test_a_name_that_was_never_matched_is_an_error():
    fails("CHECK: [[Z]]", says="[[Z]] has not been matched before")


def test_blanks_do_not_matter():
    passes("CHECK:    %a   =   sin")


def test_a_directive_that_does_not_exist_is_an_error():
    fails("CHECK-NXT: sin", says="no directive CHECK-NXT")


def test_a_file_without_checks_is_an_error():
    fails("nothing here", says="no CHECK: line")


def test_other_prefixes_are_apart():
    filecheck.check(TEXT, "// CHECK: nowhere\n// OTHER: sin", prefix="OTHER")


def test_the_message_shows_the_directive_and_the_text():
    fails("CHECK: tan", says="line 1: CHECK: tan")
    fails("CHECK: tan", says="%a = sin %x")
