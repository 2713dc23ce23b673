"""Functions with rules of their own, and checkpoints."""

import numpy as np
import pytest
from test_control_derivatives import RNN, close, differences, several

import rlxc
from rlxc.ir.verify import verify
from rlxc.passes.pipelines import make_pipeline

RNG = np.random.default_rng(11)

CHECKPOINT = """func @f(%x: f64[3], %w: f64[3, 3]) -> f64[] {
  %y = checkpoint %x, %w POLICY do (%a: f64[3], %u: f64[3, 3]) {
    %s = sin %a
    %n = named %s {name = "keep"}
    %m = matmul %n, %u
    %e = exp %m
    %t = tanh %e
    yield %t
  }
  %z = mul %y, %x
  %o = reduce_sum %z {axes = [0]}
  return %o
}"""
POLICIES = ["", '{policy = "save"}', '{policy = "contractions"}', '{policy = "named", names = ["keep"]}']
JVP = """func @f(%x: f64[3], %i: i32[]) -> f64[] {
  %y, %j = custom_jvp %x, %i do (%a: f64[3], %k: i32[]) {
    %s = sin %a
    yield %s, %k
  } do (%a1: f64[3], %k1: i32[], %da: f64[3]) {
    %c = cos %a1
    %t = mul %da, %c
    %two = constant dense<2.0> : f64[3]
    %double = mul %t, %two
    yield %double
  }
  %z = mul %y, %x
  %o = reduce_sum %z {axes = [0]}
  return %o
}"""
VJP = """func @f(%x: f64[3], %w: f64[3]) -> f64[] {
  %y = custom_vjp %x, %w do (%a: f64[3], %u: f64[3]) {
    %s = sin %a
    %p = mul %s, %u
    yield %p
  } do (%a1: f64[3], %u1: f64[3]) {
    %s1 = sin %a1
    %p1 = mul %s1, %u1
    %c1 = cos %a1
    yield %p1, %s1, %c1, %u1
  } do (%s2: f64[3], %c2: f64[3], %u2: f64[3], %ct: f64[3]) {
    %q = mul %ct, %u2
    %da = mul %q, %c2
    %dw = mul %ct, %s2
    yield %da, %dw
  }
  %z = mul %y, %x
  %o = reduce_sum %z {axes = [0]}
  return %o
}"""
POINT = [RNG.normal(size=3), RNG.normal(size=(3, 3))]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_checkpoint_changes_no_derivative(policy):
    f = rlxc.parse(CHECKPOINT.replace("POLICY", policy))["f"]
    vectors = [RNG.normal(size=a.shape) for a in POINT]
    gradient, hvp = rlxc.grad(f), rlxc.hvp(f)
    for g in (gradient, hvp):
        verify(g.as_module())
        assert rlxc.parse(str(g.as_module()))[g.name] == g
    close(rlxc.interpret(gradient, *POINT), differences(f, POINT), 1e-8)
    plain = make_pipeline("unwrap").run(f.as_module())["f"]
    close(rlxc.interpret(gradient, *POINT), rlxc.interpret(rlxc.grad(plain), *POINT), 1e-14)
    close(rlxc.compile(gradient)(*POINT), rlxc.interpret(rlxc.grad(plain), *POINT), 1e-12)
    close(rlxc.interpret(hvp, *POINT, *vectors), rlxc.interpret(rlxc.hvp(plain), *POINT, *vectors), 1e-13)


@pytest.mark.parametrize(("policy", "kept"), list(zip(POLICIES, [0, 3, 1, 1], strict=True)))
def test_a_policy_says_what_is_kept(policy, kept):
    f = rlxc.parse(CHECKPOINT.replace("POLICY", policy))["f"]
    forward = rlxc.vjp(f).forward
    (op,) = [op for op in forward.ops if op.prim.name == "checkpoint"]
    assert len(op.results) - 1 == kept
    if "contractions" in policy:
        made = {v: o for o in op.regions[0].ops for v in o.results}
        assert made[op.regions[0].results[1]].prim.name == "contract"


def test_what_is_computed_again_is_not_merged_with_what_was_computed_before():
    gradient = rlxc.value_and_grad(rlxc.parse(CHECKPOINT.replace("POLICY", ""))["f"])
    tidy = make_pipeline("simplify,cse,dce,unwrap,simplify,cse,dce").run(gradient.as_module()).funcs[-1]
    assert [op.prim.name for op in tidy.ops].count("tanh") == 2
    plain = make_pipeline("unwrap,simplify,cse,dce").run(rlxc.parse(CHECKPOINT.replace("POLICY", "")))["f"]
    tidy = make_pipeline("simplify,cse,dce").run(rlxc.value_and_grad(plain).as_module()).funcs[-1]
    assert [op.prim.name for op in tidy.ops].count("tanh") == 1


def test_a_function_that_sees_through_a_checkpoint_twice():
    """d(2 x x) at 3 is 12, and its derivative 4."""
    f = rlxc.parse("""func @f(%x: f64[]) -> f64[] {
      %y = checkpoint %x do (%a: f64[]) { %b = mul %a, %a yield %b }
      %z = add %y, %y
      return %z
    }""")["f"]
    assert rlxc.interpret(rlxc.grad(f), np.array(3.0)) == 12.0
    assert rlxc.interpret(rlxc.hessian(f), np.array(3.0)) == 4.0


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 12])
def test_a_scan_in_segments_has_the_same_value_and_gradients(length, reverse):
    text = RNN.replace("LENGTH", str(length)).replace("REVERSE", str(reverse).lower())
    plain = rlxc.parse(text)["f"]
    segments = rlxc.parse(text.replace(f"length = {length},", f"length = {length}, checkpoint = 4,"))["f"]
    at = [RNG.normal(size=(3, 3)), RNG.normal(size=3), RNG.normal(size=(length, 3))]
    gradient = rlxc.value_and_grad(segments)
    verify(gradient.as_module())
    close(rlxc.interpret(gradient, *at), rlxc.interpret(rlxc.value_and_grad(plain), *at))
    ones = [np.ones_like(x) for x in at]
    close(rlxc.interpret(rlxc.hvp(segments), *at, *ones), rlxc.interpret(rlxc.hvp(plain), *at, *ones))


def test_a_scan_in_segments_keeps_one_carry_a_segment():
    text = RNN.replace("LENGTH", "64").replace("REVERSE", "false").replace("length = 64,", "length = 64, checkpoint = 8,")
    split = rlxc.vjp(rlxc.parse(text)["f"], ["w", "h"])
    extra = [str(v.type) for v in split.forward.results[1:]]
    assert extra == ["f64[8, 3]"]


# -- custom_jvp


def test_a_custom_tangent_rule_holds_in_all_modes_and_orders():
    """Its rule says twice the derivative of sin, and that of cos is the usual one."""
    f = rlxc.parse(JVP)["f"]
    x, i = np.array([0.3, 1.0, -2.0]), np.array(3, np.int32)
    want = np.sin(x) + 2 * np.cos(x) * x
    close(rlxc.interpret(rlxc.grad(f), x, i), (want,))
    _, slope = rlxc.interpret(rlxc.jvp(f), x, i, np.ones(3))
    close(slope, want.sum())
    second = 2 * np.cos(x) + 2 * np.cos(x) - 2 * np.sin(x) * x  # the rule is differentiated as it stands
    close(rlxc.interpret(rlxc.hvp(f), x, i, np.ones(3)), second)
    close(rlxc.compile(rlxc.hvp(f))(x, i, np.ones(3)), second)


def test_a_custom_tangent_rule_survives_vmap():
    f = rlxc.parse(JVP)["f"]
    xs, i = RNG.normal(size=(4, 3)), np.array(3, np.int32)
    _, got = rlxc.interpret(rlxc.grad_with_loss(rlxc.vmap(f, (0, None), axis_size=4)), xs, i, np.ones(4))
    close(got, np.sin(xs) + 2 * np.cos(xs) * xs)


# -- custom_vjp


def test_a_custom_pullback_is_used_backwards():
    f = rlxc.parse(VJP)["f"]
    at = [RNG.normal(size=3), RNG.normal(size=3)]
    gradient = rlxc.grad(f)
    verify(gradient.as_module())
    close(rlxc.interpret(gradient, *at), differences(f, at), 1e-8)
    close(rlxc.compile(gradient)(*at), differences(f, at), 1e-8)
    ones = [np.ones(3), np.ones(3)]
    plain = make_pipeline("unwrap").run(f.as_module())["f"]
    close(rlxc.interpret(rlxc.hvp(f), *at, *ones), rlxc.interpret(rlxc.hvp(plain), *at, *ones))


def test_a_custom_pullback_need_not_be_linear():
    """Clipping: the gradient is what the rule makes of it, also through vjp, whose pullback is verified."""
    text = """func @f(%x: f64[3]) -> f64[] {
      %y = custom_vjp %x do (%a: f64[3]) { yield %a } do (%b: f64[3]) { yield %b } do (%ct: f64[3]) {
        %lo = constant dense<-1.0> : f64[]
        %hi = constant dense<1.0> : f64[]
        %c = clamp %lo, %ct, %hi
        yield %c
      }
      %z = mul %y, %y
      %s = reduce_sum %z {axes = [0]}
      return %s
    }"""
    f = rlxc.parse(text)["f"]
    x = np.array([0.25, 3.0, -3.0])
    close(rlxc.interpret(rlxc.grad(f), x), ([0.5, 1.0, -1.0],))
    split = rlxc.vjp(f)
    out = several(rlxc.interpret(split.forward, x))
    close(rlxc.interpret(split.pullback, *split.kept([x], out), np.array(1.0)), ([0.5, 1.0, -1.0],))
    text = str(rlxc.Module((split.forward, split.pullback)))
    assert rlxc.parse(text)["f.pullback"] == split.pullback


def test_a_custom_pullback_survives_vmap():
    f = rlxc.parse(VJP)["f"]
    xs, w = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    for g in (rlxc.vmap(rlxc.grad(f), (0, None)), rlxc.vmap(rlxc.hvp(f), (0, None, 0, None))):
        more = [np.ones((4, 3)), np.ones(3)] if len(g.args) == 4 else []
        inner = rlxc.hvp(f) if more else rlxc.grad(f)
        got = several(rlxc.interpret(g, xs, w, *more))
        for i in range(4):
            close(tuple(a[i] for a in got), rlxc.interpret(inner, xs[i], w, *(m if m.ndim == 1 else m[i] for m in more)))
    _, dx, dw = rlxc.interpret(rlxc.grad_with_loss(rlxc.vmap(f, (0, None), axis_size=4)), xs, w, np.ones(4))
    each = [rlxc.interpret(rlxc.grad(f), x, w) for x in xs]
    close((dx, dw), (np.stack([e[0] for e in each]), sum(e[1] for e in each)))


@pytest.mark.parametrize("transform", [rlxc.jvp, rlxc.jacfwd])
def test_forward_mode_says_that_a_custom_pullback_has_none(transform):
    f = rlxc.parse(VJP, "f.rlx")["f"]
    with pytest.raises(rlxc.DifferentiationError, match="reverse mode only") as caught:
        transform(f)
    assert "f.rlx:2:" in str(caught.value)
    assert "custom_jvp" in str(caught.value)


@pytest.mark.parametrize("text", [JVP, VJP])
def test_rules_do_not_speak_of_constants(text):
    """`consts` operands: the function is differentiated by them as it is written, here by what it multiplies with."""
    if text is JVP:
        at = [np.array([0.3, 1.0, -2.0]), np.array(3, np.int32), np.array([2.0, 3.0, 4.0])]
        text = text.replace("%x: f64[3], %i: i32[]", "%x: f64[3], %i: i32[], %w: f64[3]").replace("custom_jvp %x, %i", "custom_jvp %w, %x, %i {consts = 1}")
        text = text.replace("(%a: f64[3]", "(%u: f64[3], %a: f64[3]").replace("(%a1: f64[3]", "(%u1: f64[3], %a1: f64[3]")
        text = text.replace("yield %s, %k", "%su = mul %s, %u  yield %su, %k").replace("%two = constant dense<2.0> : f64[3]", "%two = add %u1, %u1")
        want = np.sin(at[0]) * at[2] + 2 * at[2] * np.cos(at[0]) * at[0]
        hessian = 2 * at[2] * (2 * np.cos(at[0]) - np.sin(at[0]) * at[0])
    else:
        at = [np.array([0.3, 1.0, -2.0]), np.array([2.0, 3.0, 4.0])]
        text = text.replace("custom_vjp %x, %w", "custom_vjp %w, %x {consts = 1}").replace("yield %da, %dw", "yield %da")
        text = text.replace("(%a: f64[3], %u: f64[3])", "(%u: f64[3], %a: f64[3])").replace("(%a1: f64[3], %u1: f64[3])", "(%u1: f64[3], %a1: f64[3])")
        want = np.sin(at[0]) * at[1] + at[1] * np.cos(at[0]) * at[0]
        hessian = None
    f = rlxc.parse(text)["f"]
    assert rlxc.parse(str(f))["f"] == f
    gradient = rlxc.grad(f, ["x", "w"])
    verify(gradient.as_module())
    for run in (rlxc.interpret, lambda g, *xs: rlxc.compile(g)(*xs)):
        close(run(gradient, *at), (want, np.sin(at[0]) * at[0]))
        close(run(rlxc.grad(f, "w"), *at), (np.sin(at[0]) * at[0],))
        close(run(rlxc.vmap(rlxc.grad(f, "w"), [None] * (len(at) - 1) + [0]), *at[:-1], np.stack([at[-1]] * 2)), (np.stack([np.sin(at[0]) * at[0]] * 2),))
    close(rlxc.interpret(rlxc.jvp(f, "w"), *at, np.ones(3))[-1], (np.sin(at[0]) * at[0]).sum())  # a custom_vjp too: its rule is not asked
    if hessian is not None:
        close(rlxc.interpret(rlxc.hvp(f, "x"), *at, np.ones(3)), hessian)


# -- rules that are wrong


@pytest.mark.parametrize(
    ("text", "old", "new", "says"),
    [
        (JVP, "yield %double", "yield %double, %t", "its rule yields 2 values, not 1"),
        (JVP, "yield %double", "yield", "its rule yields 0 values, not 1"),
        (JVP, "yield %double", "%half = reshape %double {shape = [3, 1]} yield %half", r"its rule yields f64\[3, 1\] where f64\[3\]"),
        (JVP, "yield %double", "%half = convert %double {dtype = f32} yield %half", r"its rule yields f32\[3\] where f64\[3\]"),
        (JVP, "%k1: i32[], %da", "%da", r"its rule takes \(f64\[3\], f64\[3\]\), not \(f64\[3\], i32\[\], f64\[3\]\)"),
        (VJP, "yield %da, %dw", "yield %da", "its backward rule yields 1 values, not 2"),
        (VJP, "yield %p1, %s1, %c1, %u1", "yield %s1, %c1, %u1", "its backward rule takes"),
        (VJP, "yield %da, %dw", "%o = reduce_sum %dw {axes = [0]} yield %da, %o", r"its backward rule yields f64\[\] where f64\[3\]"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_with_its_place(text, old, new, says):
    with pytest.raises(rlxc.RuleError, match=says) as caught:
        rlxc.parse(text.replace(old, new), "rule.rlx")
    assert "custom_" in str(caught.value)
    assert "rule.rlx:" in str(caught.value)


def test_a_tangent_rule_that_is_not_linear_is_refused():
    f = rlxc.parse(JVP.replace("mul %t, %two", "mul %t, %da"))["f"]
    with pytest.raises(rlxc.LinearityError, match="custom_jvp: its jvp rule is not linear"):
        rlxc.grad(f)


@pytest.mark.parametrize(
    "op",
    [
        "%y = checkpoint %x {again = 2} do (%a: f64[]) { yield %a }",
        "%y = checkpoint %x {again = -1} do (%a: f64[]) { yield %a }",
        '%y = checkpoint %x {policy = "none"} do (%a: f64[]) { yield %a }',
        "%y = custom_jvp %x {consts = 2} do (%a: f64[]) { yield %a } do (%b: f64[]) { yield %b }",
        "%y = custom_jvp %x {consts = -1} do (%a: f64[]) { yield %a } do (%b: f64[], %c: f64[]) { yield %c }",
        "%y = custom_backward %x {residuals = 3} do (%a: f64[]) { yield %a }",
        "%y = custom_pullback %x {residuals = 3, active = [0]} do (%a: f64[]) { yield %a }",
        "%y = custom_pullback %x {residuals = 0, active = [4]} do (%a: f64[]) { yield %a }",
        "%y = custom_pullback %x {residuals = 0, active = [0, 0]} do (%a: f64[]) { yield %a }",
    ],
)
def test_attributes_that_do_not_fit_are_refused(op):
    with pytest.raises(rlxc.AttrError) as caught:
        rlxc.parse(f"func @f(%x: f64[]) -> f64[] {{\n  {op}\n  return %y\n}}", "a.rlx")
    assert "a.rlx:2:" in str(caught.value)


@pytest.mark.parametrize(("names", "kept"), [("", 2), (', names = ["a"]', 1), (', names = ["b"]', 1), (', names = ["c"]', 0)])
def test_the_policy_named_keeps_those_of_its_names_or_all(names, kept):
    f = rlxc.parse(
        f"""func @f(%x: f64[7]) -> f64[] {{
          %y = checkpoint %x {{policy = "named"{names}}} do (%v: f64[7]) {{
            %s = sin %v
            %p = named %s {{name = "a"}}
            %t = exp %p
            %q = named %t {{name = "b"}}
            %u = sin %q
            yield %u
          }}
          %l = reduce_sum %y {{axes = [0]}}
          return %l
        }}"""
    )["f"]
    report = rlxc.residuals(f)
    assert sum(k.kind == "residual" for k in report.entries) == kept
    x = np.linspace(0.1, 1, 7)
    np.testing.assert_allclose(rlxc.compile(rlxc.grad(f))(x), np.cos(np.exp(np.sin(x))) * np.exp(np.sin(x)) * np.cos(x), rtol=1e-13)
