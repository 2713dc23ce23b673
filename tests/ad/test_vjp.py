"""A function in two: forward with residuals, and the pullback."""

import math

import numpy as np
import pytest

import rlxc
from rlxc.ir.verify import verify


def function(args, body, results):
    return rlxc.parse(f"func @f({args}) -> {results} {{ {body} }}")["f"]


def pull(f, inputs, cotangents, wrt=()):
    """Cotangents of the arguments, through the two functions as they stand in text."""
    split = rlxc.vjp(f, wrt)
    text = str(rlxc.Module((split.forward, split.pullback)))
    module = rlxc.parse(text)
    verify(module)
    arrays = [np.asarray(x, a.type.dtype.numpy) for x, a in zip(inputs, f.args, strict=True)]
    out = rlxc.interpret(module["f.forward"], *arrays)
    out = out if isinstance(out, tuple) else (out,)
    cts = [np.asarray(c, np.float64) for c in cotangents]
    got = rlxc.interpret(module["f.pullback"], *split.kept(arrays, out), *cts)
    return [np.asarray(x).tolist() for x in (got if isinstance(got, tuple) else (got,))]


def test_results_that_share_a_tangent_are_summed():
    f = function("%x: f64[], %c: f64[], %d: f64[]", "%p = add %x, %c %q = add %x, %d return %p, %q", "(f64[], f64[])")
    assert pull(f, [0.5, 1.0, 2.0], [1.0, 10.0], ["x"]) == [11.0]
    f = function("%x: f64[]", "%y = mul %x, %x return %y, %y", "(f64[], f64[])")
    assert pull(f, [3.0], [1.0, 10.0]) == [66.0]


def test_residuals_that_are_arguments_or_results_are_not_returned_again():
    f = function("%x: f64[3], %w: f64[3]", "%a = mul %x, %w %y = exp %a return %y", "f64[3]")
    split = rlxc.vjp(f)
    assert len(split.forward.results) == 1
    assert [(r.kind, r.index) for r in split.residuals] == [("argument", 0), ("argument", 1), ("result", 0)]


def test_inactive_arguments_are_neither_differentiated_nor_kept():
    f = function("%x: f64[], %y: f64[], %z: f64[]", "%a = add %x, %y %b = add %a, %z return %b", "f64[]")
    split = rlxc.vjp(f, ["x", "z"])
    assert (split.residuals, split.pullback.ops) == ((), ())
    assert pull(f, [1.0, 2.0, 3.0], [5.0], ["x", "z"]) == [5.0, 5.0]


def test_a_cotangent_for_one_result_does_not_compute_the_other():
    """split(x) = (x, 2 x) with the cotangent 1 for the second gives 2."""
    f = function("%x: f64[]", "%two = constant dense<2.0> : f64[] %s = mul %x, %two return %x, %s", "(f64[], f64[])")
    assert pull(f, [3.0], [0.0, 1.0]) == [2.0]


def test_integers_have_no_cotangent():
    f = function("%x: f64[], %n: i32[]", "%y = mul %x, %x %m = add %n, %n return %m, %y", "(i32[], f64[])")
    split = rlxc.vjp(f)
    assert split.cotangents == (1,)
    assert [str(v.type) for v in split.pullback.results] == ["f64[]"]
    assert pull(f, [3.0, 4], [1.0]) == [6.0]
    assert len(rlxc.jvp(f).results) == 3  # m, y and dy
    with pytest.raises(rlxc.DifferentiationError, match="no derivative with respect to i32"):
        rlxc.vjp(f, ["n"])
    with pytest.raises(rlxc.DifferentiationError, match="nothing to pull back"):
        rlxc.vjp(f.with_(results=f.results[:1]))


def test_the_identity_and_constants():
    f = function("%x: f64[], %y: f64[]", "%c = constant dense<4.0> : f64[] return %x, %c", "(f64[], f64[])")
    assert pull(f, [2.0, 1.0], [5.0, 7.0]) == [5.0, 0.0]


def test_two_pullbacks_in_one_program_stay_independent():
    f = function("%x: f64[]", "%y = mul %x, %x return %y", "f64[]")
    split = rlxc.vjp(f)
    text = str(rlxc.Module((split.forward, split.pullback))).partition("\n")[2]
    both = rlxc.parse(f"""{text}
    func @both(%x: f64[], %a: lin f64[], %b: lin f64[]) -> (lin f64[], lin f64[]) {{
      %p = call @f.pullback(%x, %a) : lin f64[]
      %q = call @f.pullback(%x, %b) : lin f64[]
      return %p, %q
    }}""")
    inlined = rlxc.run_passes(both, "inline,cse,dce")["both"]
    assert [float(v) for v in rlxc.interpret(inlined, np.array(3.0), np.array(1.0), np.array(10.0))] == [6.0, 60.0]


def test_an_exponential_is_computed_once():
    f = function("%x: f64[]", "%a = exp %x %b = exp %x %y = add %a, %b return %y", "f64[]")
    split = rlxc.vjp(f)
    ops = [op.prim.name for op in (*split.forward.ops, *split.pullback.ops)]
    assert ops.count("exp") == 1
    np.testing.assert_allclose(pull(f, [1.0], [1.0]), [2 * math.e])


def test_a_pullback_can_be_differentiated_again():
    """d/dx of the pullback of x^3 at 2: 6 x = 12."""
    from rlxc.ir.marks import unmarked

    f = function("%x: f64[]", "%a = mul %x, %x %y = mul %a, %x return %y", "f64[]")
    split = rlxc.vjp(f)
    assert [(r.kind, r.index) for r in split.residuals if r.kind == "argument"] == [("argument", 0)]
    pullback = unmarked(split.pullback)
    assert not pullback.is_linear
    gradient = rlxc.grad(rlxc.parse(str(pullback))["f.pullback"])
    assert len(gradient.results) == len(pullback.args)


@pytest.mark.parametrize("n", [200, 2000])
def test_a_chain_has_a_pullback_of_its_length(n):
    ops = "\n".join(f"%v{i} = sin {f'%v{i - 1}' if i else '%x'}" for i in range(n))
    split = rlxc.vjp(function("%x: f64[]", f"{ops}\nreturn %v{n - 1}", "f64[]"))
    assert len(split.pullback.ops) <= 3 * n
