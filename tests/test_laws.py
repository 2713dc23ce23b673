"""Every registered primitive obeys every law, and docs/derivatives.md says which of them say something of it."""

import warnings

import law_table
import pytest

import rlxc
import rlxc.primitives  # registers the built-in ones
from rlxc.ir.primitive import REGISTRY, lookup
from rlxc.passes.linearize import linearize
from rlxc.testing import check_primitive
from rlxc.testing.cases import cases_of

ALL = [p for p in REGISTRY.all() if type(p).__module__.startswith("rlxc.")]
PRIMITIVES = [p for p in ALL if p.name != "custom_pullback"]  # which cannot be computed


@pytest.mark.parametrize("name", [p.name for p in PRIMITIVES])
def test_the_laws_hold(name, request):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check_primitive(name, every_dtype=request.config.getoption("--all-settings"))
    assert report.checked["infer tells what eval gives"]
    law_table.compare(name, law_table.row(lookup(name), report), bless=request.config.getoption("--bless"))


def test_a_custom_pullback_is_text_and_has_a_transpose(request):
    case = cases_of(lookup("custom_vjp"))[0]
    _, linear = linearize(case.func, (0, 1)).functions("f")
    assert "custom_pullback" in [op.prim.name for op in linear.ops]
    text = str(linear.as_module())
    assert str(rlxc.parse(text)) == text
    assert rlxc.parse(text) == linear.as_module()
    assert "custom_backward" in [op.prim.name for op in rlxc.linear_transpose(linear).ops]
    law_table.compare("custom_pullback", law_table.line("custom_pullback", law_table.CUSTOM_PULLBACK), bless=request.config.getoption("--bless"))


def test_the_table_has_all_primitives(request):
    wanted = sorted(p.name for p in ALL)
    if request.config.getoption("--bless"):
        law_table.set_names(wanted)
    assert law_table.names() == wanted


def test_every_primitive_has_samples():
    assert [p.name for p in PRIMITIVES if not p.samples] == []


def test_every_primitive_says_what_it_does():
    assert [p.name for p in PRIMITIVES if not (type(p).__doc__ or "").strip()] == []
