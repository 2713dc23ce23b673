"""Every registered primitive obeys every law."""

import warnings

import pytest

import rlxc.primitives  # noqa: F401  (registers the built-in ones)
from rlxc.ir.attributes import Symbol
from rlxc.ir.primitive import REGISTRY, lookup
from rlxc.testing import check_primitive

# Ops that hold or call functions are no function of their operands alone; .rlx files test them.
PRIMITIVES = [
    p for p in REGISTRY.all() if type(p).__module__.startswith("rlxc.") and Symbol not in p.signature.attrs.values() and not hasattr(p, "infer_regions")
]


@pytest.mark.parametrize("name", [p.name for p in PRIMITIVES])
def test_the_laws_hold(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check_primitive(name)
    assert report.checked["infer tells what eval gives"]
    prim = lookup(name)
    if prim.differentiable and {"f32", "f64"} & set(prim.dtypes) and prim.signature.operands:
        assert report.checked["the tangent is the derivative"], f"no sample of {name} can be differentiated"


def test_every_primitive_has_samples():
    assert [p.name for p in PRIMITIVES if not p.samples] == []


def test_every_primitive_says_what_it_does():
    assert [p.name for p in PRIMITIVES if not (type(p).__doc__ or "").strip()] == []
