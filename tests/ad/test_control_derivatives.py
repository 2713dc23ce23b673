"""Derivatives and vmap of control flow: against differences, each other, and the loop written out."""

import numpy as np
import pytest

import rlxc
from rlxc.ir.verify import verify
from rlxc.passes.pipelines import make_pipeline

RNG = np.random.default_rng(5)

RNN = """func @f(%w: f64[3, 3], %h: f64[3], %x: f64[LENGTH, 3]) -> f64[] {
  %last, %ys = scan %w, %h, %x {consts = 1, carries = 1, length = LENGTH, reverse = REVERSE} do (%u: f64[3, 3], %k: f64[3], %e: f64[3]) {
    %a = matmul %k, %u
    %b = add %a, %e
    %c = tanh %b
    %d = mul %c, %c
    yield %c, %d
  }
  %s = reduce_sum %last {axes = [0]}
  %t = reduce_sum %ys {axes = [0, 1]}
  %z = add %s, %t
  return %z
}"""
COND = """func @f(%x: f64[3], %y: f64[3]) -> f64[] {
  %s = reduce_sum %x {axes = [0]}
  %z = constant dense<THRESHOLD> : f64[]
  %p = gt %s, %z
  %r, %q = cond %p, %x, %y do (%a: f64[3], %b: f64[3]) {
    %c = sin %a
    %d = mul %c, %b
    %e = exp %d
    yield %e, %a
  } do (%a1: f64[3], %b1: f64[3]) {
    %c = mul %b1, %b1
    %t = tanh %c
    %e = mul %t, %a1
    yield %e, %t
  }
  %m = mul %r, %q
  %o = reduce_sum %m {axes = [0]}
  return %o
}"""
SWITCH = """func @f(%i: i32[], %x: f64[3]) -> f64[] {
  %r = switch %i, %x do (%a: f64[3]) { %c = sin %a yield %c } do (%a1: f64[3]) { %c1 = exp %a1 yield %c1 } do (%a2: f64[3]) { yield %a2 }
  %m = mul %r, %r
  %o = reduce_sum %m {axes = [0]}
  return %o
}"""
WHILE = """func @f(%x: f64[], %l: f64[]) -> f64[] {
  %z = constant dense<0> : i64[]
  %n, %y = while %l, %z, %x {consts = 1BOUND} do (%m: f64[], %i: i64[], %v: f64[]) {
    %seven = constant dense<7> : i64[]
    %a = abs %v
    %four = constant dense<4.0> : f64[]
    %small = lt %a, %four
    %early = lt %i, %seven
    %both = and %small, %early
    yield %both
  } do (%m1: f64[], %i1: i64[], %v1: f64[]) {
    %one = constant dense<1> : i64[]
    %j = add %i1, %one
    %q = mul %v1, %m1
    %s = sin %q
    %w = add %v1, %s
    yield %j, %w
  }
  return %y
}"""
GATHER = """func @f(%x: f64[5], %i: i64[4]) -> f64[] {
  %z = constant dense<1.0> : f64[]
  %o = scan %x, %z, %i {consts = 1, carries = 1, length = 4} do (%a: f64[5], %c: f64[], %k: i64[]) {
    %g = gather %a, %k {axes = [0]}
    %h = mul %g, %g
    %m = mul %h, %c
    yield %m
  }
  return %o
}"""
NESTED = """func @f(%w: f64[], %x: f64[4, 3]) -> f64[] {
  %z = constant dense<0.5> : f64[]
  %o = scan %w, %z, %x {consts = 1, carries = 1, length = 4} do (%u: f64[], %c: f64[], %row: f64[3]) {
    %i = scan %u, %c, %row {consts = 1, carries = 1, length = 3} do (%v: f64[], %d: f64[], %e: f64[]) {
      %p = mul %d, %v
      %q = add %p, %e
      %zero = constant dense<0.0> : f64[]
      %pos = gt %q, %zero
      %r = cond %pos, %q do (%q1: f64[]) { %t = sin %q1 yield %t } do (%q2: f64[]) { %n = mul %q2, %q2 yield %n }
      yield %r
    }
    yield %i
  }
  return %o
}"""
MAP = """func @f(%w: f64[3], %x: f64[4, 3]) -> f64[] {
  %y = map %w, %x {consts = 1} do (%u: f64[3], %e: f64[3]) {
    %p = mul %u, %e
    %s = sin %p
    %t = reduce_sum %s {axes = [0]}
    yield %t
  }
  %s = reduce_sum %y {axes = [0]}
  return %s
}"""


def rnn(length, reverse=False):
    return RNN.replace("LENGTH", str(length)).replace("REVERSE", str(reverse).lower())


CASES = {
    "scan": (rnn(5), [(3, 3), (3,), (5, 3)]),
    "scan backwards": (rnn(5, True), [(3, 3), (3,), (5, 3)]),
    "scan of one step": (rnn(1), [(3, 3), (3,), (1, 3)]),
    "scan of no step": (rnn(0), [(3, 3), (3,), (0, 3)]),
    "cond, then": (COND.replace("THRESHOLD", "-100.0"), [(3,), (3,)]),
    "cond, else": (COND.replace("THRESHOLD", "100.0"), [(3,), (3,)]),
    "switch": (SWITCH, [np.array(1, np.int32), (3,)]),
    "switch out of range": (SWITCH, [np.array(7, np.int32), (3,)]),
    "while": (WHILE.replace("BOUND", ", bound = 7"), [np.array(0.7), np.array(1.3)]),
    "while in blocks": (WHILE.replace("BOUND", ", bound = 70"), [np.array(0.7), np.array(1.3)]),
    "gather in a loop": (GATHER, [(5,), np.array([0, 1, 1, 4])]),
    "nested loops": (NESTED, [(), (4, 3)]),
    "map": (MAP, [(3,), (4, 3)]),
}


def several(out):
    return tuple(out) if isinstance(out, tuple | list) else (out,)


def point(shapes):
    return [s if isinstance(s, np.ndarray) else RNG.normal(size=s) for s in shapes]


def differences(f, at, step=1e-6):
    """Central differences of a scalar function by each float argument."""
    gradients = []
    for k, x in enumerate(at):
        if x.dtype.kind != "f":
            continue
        d = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            ahead, behind = [a.copy() for a in at], [a.copy() for a in at]
            ahead[k][i] += step
            behind[k][i] -= step
            d[i] = (rlxc.interpret(f, *ahead) - rlxc.interpret(f, *behind)) / (2 * step)
        gradients.append(d)
    return gradients


@pytest.fixture(params=CASES)
def case(request):
    text, shapes = CASES[request.param]
    return rlxc.parse(text)["f"], point(shapes)


def close(got, want, tolerance=1e-12):
    for a, b in zip(several(got), several(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_gradients_are_those_of_differences(case):
    f, at = case
    gradient = rlxc.grad(f)
    verify(gradient.as_module())
    assert rlxc.parse(str(gradient.as_module()))[gradient.name] == gradient
    want = differences(f, at)
    close(rlxc.interpret(gradient, *at), want, 1e-7)
    vectors = [RNG.normal(size=w.shape) for w in want]
    _, slope = rlxc.interpret(rlxc.jvp(f), *at, *vectors)
    close(slope, sum((w * v).sum() for w, v in zip(want, vectors, strict=True)), 1e-7)


def test_forward_over_reverse_is_reverse_over_reverse(case):
    f, at = case
    gradient = rlxc.grad(f)
    vectors = [RNG.normal(size=v.type.shape) for v in gradient.results]
    hvp = rlxc.hvp(f)
    verify(hvp.as_module())
    split = rlxc.vjp(gradient)
    verify(rlxc.Module((split.forward, split.pullback)))
    out = several(rlxc.interpret(split.forward, *at))
    close(rlxc.interpret(hvp, *at, *vectors), rlxc.interpret(split.pullback, *split.kept(at, out), *vectors))


@pytest.mark.parametrize("name", ["scan", "cond, then", "while", "nested loops"])
def test_hessians_are_the_same_all_ways(name):
    text, shapes = CASES[name]
    f, at = rlxc.parse(text)["f"], point(shapes)
    hessian = rlxc.hessian(f)
    verify(hessian.as_module())
    want = rlxc.interpret(hessian, *at)
    close(rlxc.interpret(rlxc.jacrev(rlxc.jacrev(f)), *at), want)
    close(rlxc.interpret(rlxc.jacfwd(rlxc.jacfwd(f)), *at), want)
    close(rlxc.compile(hessian)(*at), want)


def test_forward_mode_goes_through_a_loop_once():
    """Values and tangents are carried together: one loop, also of the second order."""
    f = rlxc.parse(WHILE.replace("BOUND", "").replace("return %y", "%c = cos %y %m = mul %c, %x return %m"))["f"]
    forward = rlxc.jvp(f, ["x"])
    twice = rlxc.jvp(forward, ["x"])
    at = [np.array(0.7), np.array(1.3)]
    for g, more in ((forward, [1.0]), (twice, [1.0, 1.0])):
        verify(g.as_module())
        assert sum(op.prim.control for op in make_pipeline("simplify,cse,dce").run(g.as_module()).funcs[-1].ops) == 1
        close(rlxc.interpret(g, *at, *map(np.array, more))[0], rlxc.interpret(f, *at))
    slope = rlxc.interpret(forward, *at, np.array(1.0))[1]
    close(slope, differences(f, at)[0], 1e-7)
    bounded = rlxc.parse(WHILE.replace("BOUND", ", bound = 9").replace("return %y", "%c = cos %y %m = mul %c, %x return %m"))["f"]
    close(rlxc.interpret(twice, *at, np.array(1.0), np.array(1.0))[-1], rlxc.interpret(rlxc.hessian(bounded, "x"), *at))


def test_a_jacobian_through_a_loop_without_a_bound():
    f = rlxc.parse(WHILE.replace("BOUND", ""))["f"]
    at = [np.array(0.7), np.array(1.3)]
    jacobian = rlxc.jacfwd(f)
    close(rlxc.interpret(jacobian, *at), differences(f, at), 1e-7)
    many = [np.array([0.7, 0.1, -2.0]), np.array([1.3, 1.0, 0.5])]
    got = rlxc.compile(rlxc.vmap(jacobian, axis_size=3))(*many)
    for i in range(3):
        close((got[0][i], got[1][i]), rlxc.interpret(jacobian, *(x[i] for x in many)))


def test_vmap_is_the_loop(case):
    f, at = case
    many = [np.stack([x + (0.3 * i if x.dtype.kind == "f" else i) for i in range(3)]) for x in at]
    for g in (f, rlxc.grad(f)):
        batched = rlxc.vmap(g, axis_size=3)
        verify(batched.as_module())
        got = several(rlxc.interpret(batched, *many))
        for i in range(3):
            close(tuple(a[i] for a in got), rlxc.interpret(g, *[x[i] for x in many]))


def test_vmap_over_some_arguments_is_the_loop():
    f = rlxc.parse(rnn(5))["f"]
    w, h, x = point([(3, 3), (4, 3), (5, 4, 3)])
    got = rlxc.interpret(rlxc.vmap(rlxc.grad(f), (None, 0, 1), (0, 0, 1), axis_size=4), w, h, x)
    for i in range(4):
        want = rlxc.interpret(rlxc.grad(f), w, h[i], x[:, i])
        close((got[0][i], got[1][i], got[2][:, i]), want)


def loops(func):
    tidy = make_pipeline("simplify,cse,dce").run(func.as_module())[func.name]
    return [op for op in tidy.ops if op.prim.control]


def test_a_scan_keeps_the_carry_and_the_output_and_no_coefficients():
    """Of tanh its result is kept, and 1 - y y computed from it."""
    forward, _ = loops(rlxc.grad(rlxc.parse(rnn(5))["f"]))
    assert [str(v.type) for v in forward.results if v.type.rank == 2] == ["f64[5, 3]", "f64[5, 3]"]


def test_what_does_not_change_from_step_to_step_is_computed_once_and_not_stacked():
    f = rlxc.parse("""func @f(%w: f64[3], %x: f64[5, 3]) -> f64[] {
      %z = constant dense<0.0> : f64[]
      %o = scan %w, %z, %x {consts = 1, carries = 1, length = 5} do (%u: f64[3], %c: f64[], %e: f64[3]) {
        %g = exp %u
        %p = mul %g, %e
        %s = reduce_sum %p {axes = [0]}
        %n = add %c, %s
        yield %n
      }
      return %o
    }""")["f"]
    gradient = make_pipeline("simplify,cse,dce").run(rlxc.grad(f).as_module()).funcs[-1]
    assert [op.prim.name for op in gradient.ops if not op.prim.control].count("exp") == 1
    assert not any(op.prim.name == "exp" for top in gradient.ops for r in top.regions for op in r.ops)
    assert len(loops(rlxc.value_and_grad(f))[0].results) == 1  # the loop itself gives no more than it did


def test_slices_of_xs_are_forwarded():
    f = rlxc.parse("""func @f(%w: f64[], %x: f64[5]) -> f64[] {
      %z = constant dense<0.0> : f64[]
      %o = scan %w, %z, %x {consts = 1, carries = 1, length = 5} do (%u: f64[], %c: f64[], %e: f64[]) {
        %p = mul %u, %e
        %n = add %c, %p
        yield %n
      }
      return %o
    }""")["f"]
    (backward,) = loops(rlxc.grad(f, "w"))
    assert f.args[1] in backward.operands


def test_a_gather_in_a_loop_adds_to_one_array_in_place():
    (_, backward) = loops(rlxc.grad(rlxc.parse(GATHER)["f"]))
    (body,) = backward.regions
    names = [op.prim.name for op in body.ops]
    assert "scatter_add" in names
    assert not any(str(op.result.type) == "f64[5]" for op in body.ops if op.prim.name != "scatter_add")
    scatter = next(op for op in body.ops if op.prim.name == "scatter_add")
    assert scatter.operands[0] in body.args
    assert scatter.result in body.results


@pytest.mark.parametrize("cut", ["dynamic_slice %a, %k {sizes = [1]}", "slice %a {start = [1], stop = [2]}"])
def test_a_slice_in_a_loop_adds_to_a_part(cut):
    f = rlxc.parse(f"""func @f(%x: f64[100], %i: i64[4]) -> f64[] {{
      %z = constant dense<1.0> : f64[]
      %o = scan %x, %z, %i {{consts = 1, carries = 1, length = 4}} do (%a: f64[100], %c: f64[], %k: i64[]) {{
        %g = {cut}
        %h = reshape %g {{shape = []}}
        %m = mul %h, %c
        yield %m
      }}
      return %o
    }}""")["f"]
    for backward in loops(rlxc.grad(f))[1:]:
        whole = [op for op in backward.regions[0].ops if str(op.result.type) == "f64[100]"]
        assert all(op.prim.name == "dynamic_update_slice" for op in whole)
    at = [RNG.normal(size=100), np.array([0, 1, 1, 99])]
    close(rlxc.interpret(rlxc.grad(f), *at), differences(f, at), 1e-7)


def test_a_loop_without_a_bound_has_forward_derivatives_only():
    f = rlxc.parse(WHILE.replace("BOUND", ""), "loop.rlx")["f"]
    at = [np.array(0.7), np.array(1.3)]
    dx, dl = differences(f, at)
    _, slope = rlxc.interpret(rlxc.jvp(f), *at, np.array(1.0), np.array(-2.0))
    close(slope, dx - 2 * dl, 1e-7)
    with pytest.raises(rlxc.DifferentiationError, match="while") as caught:
        rlxc.grad(f)
    assert "loop.rlx:3:" in str(caught.value)
    assert "bound = N" in str(caught.value)
    assert "scan" in str(caught.value)


def test_linearity_is_followed_into_loops():
    good = """func @f(%dx: lin f64[], %c: f64[3]) -> lin f64[] {
      %y = scan %dx, %c {consts = 0, carries = 1, length = 3} do (%d: lin f64[], %e: f64[]) {
        %p = mul %d, %e : lin f64[]
        yield %p
      } : lin f64[]
      return %y
    }"""
    assert rlxc.interpret(rlxc.linear_transpose(rlxc.parse(good)["f"]), np.array([1.0, 2.0, 3.0]), np.array(1.0)) == 6.0
    wrong = good.replace("mul %d, %e", "add %d, %e")
    with pytest.raises(rlxc.LinearityError, match="affine"):
        rlxc.linear_transpose(rlxc.parse(wrong)["f"])


def test_geometric_growth_has_its_closed_form():
    f = rlxc.parse("""func @f(%r: f64[], %x: f64[]) -> f64[] {
      %y = scan %r, %x {consts = 1, carries = 1, length = 50} do (%q: f64[], %v: f64[]) {
        %w = mul %q, %v
        yield %w
      }
      return %y
    }""")["f"]
    r, x = np.array(1.01), np.array(2.0)
    value, dr, dx = rlxc.interpret(rlxc.value_and_grad(f), r, x)
    close((value, dr, dx), (2 * 1.01**50, 2 * 50 * 1.01**49, 1.01**50))
    close(rlxc.interpret(rlxc.hessian(f), r, x), (2 * 50 * 49 * 1.01**48, 50 * 1.01**49, 50 * 1.01**49, 0.0))


MIXED = """func @f(%x: f64[3], %w: f64[5, 3]) -> f64[3] {
  %z = constant dense<0> : i64[]
  %one = constant dense<1.0> : f64[]
  %n, %c, %y = LOOP do (%v: f64[5, 3], %i: i64[], %k: f64[], %d: f64[3]) {
    %zero = constant dense<0> : i64[]
    %r = dynamic_slice %v, %i, %zero {sizes = [1, 3]}
    %row = reshape %r {shape = [3]}
    %s = sin %row
    %p = mul %s, %d
    %kk = broadcast %k {shape = [3], axes = [0]}
    %q = mul %p, %kk
    %half = constant dense<0.5> : f64[]
    %h = mul %k, %half
    %large = gt %k, %half
    %e, %h1 = cond %large, %q, %h do (%q1: f64[3], %g1: f64[]) { yield %q1, %g1 } do (%q2: f64[3], %g2: f64[]) { %m = neg %q2 yield %m, %g2 }
    %o = constant dense<1> : i64[]
    %j = add %i, %o
    yield %j, %h1, %e
  }
  return %y
}"""
LOOPS = [
    "scan %w, %z, %one, %x {consts = 1, carries = 3, length = 4}",
    """while %w, %z, %one, %x {consts = 1, bound = 9} do (%v0: f64[5, 3], %i0: i64[], %k0: f64[], %d0: f64[3]) {
      %four = constant dense<4> : i64[]
      %go = lt %i0, %four
      yield %go
    }""",
]


@pytest.mark.parametrize("loop", LOOPS, ids=["scan", "while"])
def test_a_loop_that_also_carries_what_is_not_linear_has_a_transpose(loop):
    """A counter, say: it is carried by a loop of its own, which gives the linear one what it needs."""
    f = rlxc.parse(MIXED.replace("LOOP", loop))["f"]
    transposed = rlxc.linear_transpose(f, "x")
    verify(transposed.as_module())
    x, w, ct = RNG.normal(size=3), RNG.normal(size=(5, 3)), RNG.normal(size=3)
    back = rlxc.interpret(transposed, w, ct)
    np.testing.assert_allclose(back @ x, rlxc.interpret(f, x, w) @ ct, rtol=1e-12)
    close(rlxc.compile(transposed)(w, ct), back)


def test_a_rule_with_a_loop_of_its_own():
    """A custom_jvp whose tangent is computed by a loop that carries a constant too: (2 cos x)^3."""
    f = rlxc.parse("""func @f(%x: f64[3]) -> f64[] {
      %y = custom_jvp %x do (%a: f64[3]) { %s = sin %a yield %s } do (%b: f64[3], %db: f64[3]) {
        %z = constant dense<1.0> : f64[]
        %i, %o = scan %b, %z, %db {consts = 1, carries = 2, length = 3} do (%c: f64[3], %k: f64[], %d: f64[3]) {
          %co = cos %c
          %kk = broadcast %k {shape = [3], axes = [0]}
          %q = mul %kk, %d
          %e = mul %co, %q
          %two = constant dense<2.0> : f64[]
          %kn = mul %k, %two
          yield %kn, %e
        }
        yield %o
      }
      %r = reduce_sum %y {axes = [0]}
      return %r
    }""")["f"]
    x = np.array([0.1, 0.2, 0.3])
    close(rlxc.interpret(rlxc.grad(f), x), (8 * np.cos(x) ** 3,))
    close(rlxc.interpret(rlxc.hvp(f), x, np.ones(3)), (-24 * np.cos(x) ** 2 * np.sin(x),))
