"""Loops and branches: what they mean, what they refuse, and that native code does it without copies."""

from __future__ import annotations

import time

import numpy as np
import pytest

import rlxc

LENGTHS = [0, 1, 2, 3, 8]


def both(text, *arrays, name="f", **options):
    """Results of the interpreter and of native code, which agree."""
    func = rlxc.parse(text)[name]
    want, got = rlxc.interpret(func, *arrays), rlxc.compile(func, **options)(*arrays)
    for x, y in zip(want if isinstance(want, tuple) else (want,), got if isinstance(got, tuple) else (got,), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-12, atol=1e-300)
    return got


def recurrence(length, reverse):
    return f"""
    func @f(%w: f64[3, 3], %h: f64[3], %k: f64[], %xs: f64[{length}, 3]) -> (f64[3], f64[], f64[{length}, 3], f64[{length}]) {{
      %a, %b, %p, %q = scan %w, %h, %k, %xs {{consts = 1, carries = 2, length = {length}, reverse = {str(reverse).lower()}}}
      do (%v: f64[3, 3], %g: f64[3], %c: f64[], %x: f64[3]) {{
        %0 = contract %v, %g {{spec = "ij,j->i"}}
        %1 = add %0, %x
        %2 = tanh %1
        %s = reduce_sum %2 {{axes = [0]}}
        %d = add %c, %s
        yield %2, %d, %x, %c
      }}
      return %a, %b, %p, %q
    }}"""


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_a_loop_over_the_first_axis(length, reverse):
    rng = np.random.default_rng(length)
    w, h, k, xs = rng.standard_normal((3, 3)), rng.standard_normal(3), np.array(0.5), rng.standard_normal((length, 3))
    last, total, stacked, sums = both(recurrence(length, reverse), w, h, k, xs)
    expected = np.zeros(length)
    for t in range(length - 1, -1, -1) if reverse else range(length):
        h = np.tanh(w @ h + xs[t])
        expected[t], k = k, k + h.sum()
    np.testing.assert_allclose(last, h, rtol=1e-12)
    np.testing.assert_allclose(total, k, rtol=1e-12)
    np.testing.assert_allclose(sums, expected, rtol=1e-12)
    np.testing.assert_array_equal(stacked, xs)


SMALL = """
func @f(%x: f64[3], %m: f64[2, 2], %n: i64[], %w: f64[9], %es: f64[6, 3], %ks: i64[6]) -> (f64[3], f64[2, 2], f64[6, 2], f64[3]) {
  %y, %z, %ys = scan %w, %x, %m, %es, %ks {consts = 1, carries = 2, length = 6}
  do (%u: f64[9], %a: f64[3], %q: f64[2, 2], %e: f64[3], %k: i64[]) {
    %i = constant dense<[2, 0, 1]> : i64[3]
    %b = gather %a, %i {axes = [0], bounds = "clamp"}
    %j = reshape %k {shape = [1]}
    %at = gather %b, %j {axes = [0], bounds = "clamp"}
    %far = dynamic_slice %u, %k {sizes = [2]}
    %s = reduce_sum %b {axes = [0]}
    %p = contract %q, %far {spec = "ij,j->i"}
    %one = sin %at
    %c = concat %p, %one {axis = 0}
    %e0 = constant dense<0.0> : f64[]
    %neg = lt %s, %e0
    %d = cond %neg, %c, %e do (%v: f64[3], %o: f64[3]) {
      %g = add %v, %o
      yield %g
    } do (%v: f64[3], %o: f64[3]) {
      %r = reverse %v {axes = [0]}
      yield %r
    }
    %t = transpose %q {perm = [1, 0]}
    %h = mul %t, %s
    %s1 = reshape %s {shape = [1]}
    %l = concat %s1, %at {axis = 0}
    yield %d, %h, %l
  }
  %v, %left = while %x, %n {consts = 0, bound = 5} do (%a: f64[3], %k: i64[]) {
    %zero = constant dense<0> : i64[]
    %go = gt %k, %zero
    yield %go
  } do (%a: f64[3], %k: i64[]) {
    %one = constant dense<1> : i64[]
    %less = sub %k, %one
    %r = reverse %a {axes = [0]}
    %p = add %r, %r
    yield %p, %less
  }
  return %y, %z, %ys, %v
}"""


def test_small_arrays_are_carried_in_registers():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=3), rng.normal(size=(2, 2)), np.int64(3), rng.normal(size=9), rng.normal(size=(6, 3)), rng.integers(-1, 9, 6)]
    _, _, _, v = both(SMALL, *arrays)
    np.testing.assert_array_equal(v, 8 * arrays[0][::-1])
    names = [f.name for f in rlxc.compile(rlxc.parse(SMALL)["f"]).stages().kernels.funcs]
    assert not any(".b" in name for name in names)  # no body became a kernel of its own


def test_an_array_can_be_mapped_over_and_seen_as_a_whole():
    text = """
    func @f(%x: f64[3]) -> f64[3] {
      %y = map %x, %x {consts = 1} do (%w: f64[3], %e: f64[]) {
        %s = reduce_sum %w {axes = [0]}
        %p = mul %e, %s
        yield %p
      }
      return %y
    }"""
    x = np.array([1.0, 2.0, 4.0])
    np.testing.assert_array_equal(both(text, x), 7 * x)


def test_geometric_growth_has_its_closed_form():
    text = """
    func @f(%x: f64[], %r: f64[]) -> f64[] {
      %y = scan %r, %x {consts = 1, carries = 1, length = 100} do (%k: f64[], %c: f64[]) {
        %n = mul %c, %k
        yield %n
      }
      return %y
    }"""
    assert both(text, np.array(2.0), np.array(1.01)) == pytest.approx(2.0 * 1.01**100, rel=1e-12)


def test_the_fibonacci_numbers_swap_what_is_carried():
    text = """
    func @f(%a: f64[2], %b: f64[2]) -> (f64[2], f64[2]) {
      %x, %y = scan %a, %b {consts = 0, carries = 2, length = 9} do (%p: f64[2], %q: f64[2]) {
        %s = add %p, %q
        yield %q, %s
      }
      return %x, %y
    }"""
    x, y = both(text, np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    assert (x[0], y[0]) == (34, 55)


@pytest.mark.parametrize("choice", [-3, 0, 1, 2, 9])
def test_an_index_out_of_range_takes_the_nearest_branch(choice):
    text = """
    func @f(%i: i32[], %x: f64[5]) -> f64[5] {
      %y = switch %i, %x do (%a: f64[5]) { %s = sin %a yield %s } do (%a: f64[5]) { yield %a } do (%a: f64[5]) { %e = exp %a yield %e }
      return %y
    }"""
    x = np.linspace(0, 1, 5)
    np.testing.assert_allclose(both(text, np.int32(choice), x), [np.sin, np.positive, np.exp][min(max(choice, 0), 2)](x), rtol=1e-14)


COLLATZ = """
func @f(%n: i64[]) -> i64[] {
  %zero = constant dense<0> : i64[]
  %steps, %m = while %zero, %n {consts = 0BOUND} do (%k: i64[], %m: i64[]) {
    %one = constant dense<1> : i64[]
    %go = gt %m, %one
    yield %go
  } do (%k: i64[], %m: i64[]) {
    %one = constant dense<1> : i64[]
    %two = constant dense<2> : i64[]
    %j = add %k, %one
    %r = rem %m, %two
    %odd = eq %r, %one
    %next = cond %odd, %m do (%a: i64[]) {
      %three = constant dense<3> : i64[]
      %u = constant dense<1> : i64[]
      %b = mul %a, %three
      %c = add %b, %u
      yield %c
    } do (%a: i64[]) {
      %v = constant dense<2> : i64[]
      %c = floor_div %a, %v
      yield %c
    }
    yield %j, %next
  }
  return %steps
}"""


def test_while_ends_when_its_condition_does_not_hold():
    assert [int(both(COLLATZ.replace("BOUND", ""), np.int64(n))) for n in (1, 7, 27)] == [0, 16, 111]


def test_a_bound_ends_a_while():
    assert [int(both(COLLATZ.replace("BOUND", ", bound = 20"), np.int64(n))) for n in (1, 7, 27)] == [0, 16, 20]


@pytest.mark.parametrize("limit", [0.0, 3.0, 5.0, 50.0])
@pytest.mark.parametrize("bound", [0, 1, 2, 5])
def test_a_while_on_arrays_carries_them_in_turn(limit, bound):
    text = f"""
    func @f(%w: f64[3, 3], %x: f64[3], %l: f64[]) -> (f64[3], f64[4]) {{
      %z = constant dense<1.0> : f64[4]
      %a, %b = while %w, %l, %x, %z {{consts = 2, bound = {bound}}} do (%v: f64[3, 3], %m: f64[], %y: f64[3], %c: f64[4]) {{
        %s = reduce_sum %y {{axes = [0]}}
        %go = lt %s, %m
        yield %go
      }} do (%v: f64[3, 3], %m: f64[], %y: f64[3], %c: f64[4]) {{
        %n = contract %v, %y {{spec = "ij,j->i"}}
        %d = add %c, %c
        yield %n, %d
      }}
      return %a, %b
    }}"""
    w, x = np.diag([1.5, 1.5, 1.5]), np.ones(3)
    steps = 0
    while x.sum() < limit and steps < (bound or 1000):
        x, steps = w @ x, steps + 1
    y, c = both(text, w, np.ones(3), np.array(limit))
    np.testing.assert_allclose(y, x, rtol=1e-14)
    np.testing.assert_array_equal(c, np.full(4, 2.0**steps))


UPDATES = """
func @f(%table: f64[N], %at: i64[T], %xs: f64[T]) -> f64[N] {
  %y = scan %table, %at, %xs {consts = 0, carries = 1, length = T} do (%c: f64[N], %i: i64[], %x: f64[]) {
    %d = scatter_add %c, %x, %i {axes = [0]}
    yield %d
  }
  return %y
}"""


def test_updates_of_an_array_that_is_carried_do_not_copy_it():
    """With 1,000 steps on 1,000,000 elements, copies would take seconds."""
    rng = np.random.default_rng(0)
    table, at, xs = rng.standard_normal(1_000_000), rng.integers(0, 1_000_000, 1000), rng.standard_normal(1000)
    f = rlxc.compile(rlxc.parse(UPDATES)["f"])
    want = table.copy()
    np.add.at(want, at, xs)
    np.testing.assert_allclose(f(table, at, xs), want, rtol=1e-14)
    start = time.perf_counter()
    f(table, at, xs)
    assert time.perf_counter() - start < 0.2


def test_a_branch_inside_a_loop_updates_in_place_too():
    text = """
    func @f(%t: f64[N], %at: i64[T]) -> f64[N] {
      %y = scan %t, %at {consts = 0, carries = 1, length = T} do (%c: f64[N], %i: i64[]) {
        %zero = constant dense<0> : i64[]
        %p = gt %i, %zero
        %e = cond %p, %c, %i do (%d: f64[N], %j: i64[]) {
          %one = constant dense<1.0> : f64[]
          %u = scatter_add %d, %one, %j {axes = [0]}
          yield %u
        } do (%d: f64[N], %j: i64[]) {
          yield %d
        }
        yield %e
      }
      return %y
    }"""
    func = rlxc.bind(rlxc.parse(text)["f"], N=1 << 20, T=1000)
    kernels = rlxc.compile(func).stages().kernels
    buffers = [op.result.type for f in kernels.funcs for op in f.walk() if op.prim.name == "alloc"]
    assert sum(t.nbytes for t in buffers) < 1000, "no buffer of a megabyte anywhere"
    at = np.random.default_rng(0).integers(-5, 5, 1000)
    want = np.zeros(1 << 20)
    np.add.at(want, at[at > 0], 1)
    f, table = rlxc.compile(func), np.zeros(1 << 20)
    np.testing.assert_array_equal(f(table, at), want)
    assert min(_timed(f, (table, at)) for _ in range(3)) < 0.1


def test_ten_thousand_steps_compile_like_ten_and_take_nanoseconds_each():
    def make(n):
        return f"""
        func @f(%x: f64[], %a: f64[], %xs: f64[{n}]) -> f64[] {{
          %y = scan %a, %x, %xs {{consts = 1, carries = 1, length = {n}}} do (%k: f64[], %c: f64[], %e: f64[]) {{
            %m = mul %k, %c
            %s = add %m, %e
            yield %s
          }}
          return %y
        }}"""

    sizes = []
    for n in (10, 10_000):
        func = rlxc.parse(make(n))["f"]
        sizes.append(len(rlxc.compile(func).stages().assembly()))
        f, args = rlxc.compile(func), (np.array(0.5), np.array(0.9), np.ones(n))
        f(*args)
        took = min(_timed(f, args) for _ in range(20))
    assert abs(sizes[0] - sizes[1]) < 400
    assert took < 10_000 * 20e-9


def _timed(f, args):
    start = time.perf_counter()
    f(*args)
    return time.perf_counter() - start


def test_a_body_that_several_loops_have_is_compiled_once():
    loop = 'scan %w, {x} {{consts = 1, carries = 1, length = 5}} do (%v: f64[9, 9], %c: f64[9]) {{ %n = contract %v, %c {{spec = "ij,j->i"}} yield %n }}'
    loops = "\n".join(f"%y{i + 1} = {loop.format(x=f'%y{i}')}" for i in range(6))
    text = f"func @f(%w: f64[9, 9], %y0: f64[9]) -> f64[9] {{ {loops}\n return %y6 }}"
    kernels = rlxc.compile(rlxc.parse(text)["f"]).stages().kernels
    assert len(kernels) <= 5


def test_loops_are_known_to_profiles_and_analyses():
    func = rlxc.parse(recurrence(8, False))["f"]
    stages = rlxc.compile(func).stages()
    assert "memory of @f" in str(stages.memory_analysis())
    assert any("scan" in r.message for r in stages.remarks() if r.kind == "kernel")
    from rlxc.runtime.profile import profile

    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 3)), rng.standard_normal(3), np.array(0.5), rng.standard_normal((8, 3))]
    (loop,) = [k for k in profile(func, arrays, seconds=0.05).kernels if k.what == "scan"]
    assert loop.flops >= 8 * 2 * 9


WRONG = [
    ("scan %k, %xs {consts = 0, carries = 1, length = 7} do (%c: f64[], %x: f64[3]) { yield %c }", "first axis is to have the length, 7"),
    ("scan %k, %xs {consts = 0, carries = 1, length = 8} do (%c: f32[], %x: f64[3]) { yield %c }", "%c of its body is f32[], and is given f64[]"),
    ("scan %k, %xs {consts = 0, carries = 1, length = 8} do (%c: f64[]) { yield %c }", "its body takes (f64[]), and is given (f64[], f64[3])"),
    ("scan %k, %xs {consts = 0, carries = 1, length = 8} do (%c: f64[], %x: f64[3]) { yield %x }", "yields %x, which is f64[3], and carries f64[]"),
    ("scan %k, %xs {consts = 0, carries = 1, length = 8} do (%c: f64[], %x: f64[3]) { }", "its body yields nothing, and carries (f64[])"),
    ("scan %k, %xs {consts = 3, carries = 1, length = 8} do (%c: f64[], %x: f64[3]) { yield %c }", "3 consts and 1 carries of 2 operands"),
    ("scan %k, %xs {consts = 0, carries = 1, length = -8} do (%c: f64[], %x: f64[3]) { yield %c }", "not negative"),
    ("cond %k, %k do (%c: f64[]) { yield %c } do (%c: f64[]) { yield %c }", "the predicate is a bool[], not f64[]"),
    ("cond %p, %k do (%c: f64[]) { yield %c }", "cond has 2 regions (then, else), not 1"),
    ("cond %p, %k do (%c: f64[]) { yield %c } do (%c: f64[]) { %d = convert %c {dtype = f32} yield %d }", "which is f32[], and the then yields f64[]"),
    ("switch %k, %k do (%c: f64[]) { yield %c }", "the index is an i32[] or i64[]"),
    ("while %k {consts = 0} do (%c: f64[]) { yield %c } do (%c: f64[]) { yield %c }", "its condition yields f64[], not bool[]"),
    ("map %k, %k {consts = 1} do (%c: f64[], %d: f64[]) { yield %c }", "the first axes of what is mapped over have one size"),
    ("map %xs {consts = 0} do (%x: f64[3]) { %m = add %x, %k yield %m }", "%k is outside of this body, which sees its arguments only"),
]


@pytest.mark.parametrize(("op", "message"), WRONG, ids=[m for _, m in WRONG])
def test_what_does_not_fit_is_said_where_it_is(op, message):
    text = f"func @f(%k: f64[], %p: bool[], %xs: f64[8, 3]) {{\n  %y = {op}\n  return\n}}"
    with pytest.raises(rlxc.Error) as caught:
        rlxc.parse(text)
    assert message in str(caught.value)
    assert caught.value.loc.line == 2


def test_bodies_are_interpreted_with_the_functions_they_call():
    text = """
    func @twice(%x: f64[N]) -> f64[N] {
      %y = add %x, %x
      return %y
    }
    func @f(%x: f64[3]) -> f64[3] {
      %y = scan %x {consts = 0, carries = 1, length = 4} do (%c: f64[3]) {
        %d = call @twice(%c)
        yield %d
      }
      return %y
    }"""
    np.testing.assert_array_equal(both(text, np.ones(3)), np.full(3, 16.0))
    assert str(rlxc.interpret(rlxc.parse(text)["f"], np.ones(3))) == str(np.full(3, 16.0))


def test_a_body_has_names_of_its_own():
    text = """
    func @f(%x: f64[3], %y: f64[3]) -> f64[3] {
      %z = scan %y, %x {consts = 1, carries = 1, length = 2} do (%y: f64[3], %x: f64[3]) {
        %z = mul %x, %y
        yield %z
      }
      return %z
    }"""
    np.testing.assert_array_equal(both(text, np.full(3, 2.0), np.full(3, 5.0)), np.full(3, 50.0))
    module = rlxc.parse(text)
    assert rlxc.parse(str(module)) == module
    assert str(rlxc.parse(str(module))) == str(module)


@pytest.mark.parametrize("dtype", ["c128", "i32", "bool", "f16"])
def test_carries_of_any_dtype(dtype):
    step = {"c128": "%a = mul %z, %z", "i32": "%a = add %z, %x", "bool": "%a = xor %z, %x", "f16": "%b = add %z, %x\n %a = tanh %b"}[dtype]
    text = f"""
    func @f(%z: {dtype}[64], %xs: {dtype}[5, 64]) -> ({dtype}[64], {dtype}[5, 64]) {{
      %l, %ys = scan %z, %xs {{consts = 0, carries = 1, length = 5}} do (%z: {dtype}[64], %x: {dtype}[64]) {{
        {step}
        yield %a, %z
      }}
      return %l, %ys
    }}"""
    rng = np.random.default_rng(0)
    made = {"c128": lambda *s: rng.uniform(-1, 1, s) + 1j * rng.uniform(-1, 1, s), "i32": lambda *s: rng.integers(-9, 9, s, np.int32)}
    made |= {"bool": lambda *s: rng.integers(0, 2, s).astype(bool), "f16": lambda *s: rng.uniform(-1, 1, s).astype(np.float16)}
    func, arrays = rlxc.parse(text)["f"], (made[dtype](64), made[dtype](5, 64))
    for got, want in zip(rlxc.compile(func)(*arrays), rlxc.interpret(func, *arrays), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.astype(complex), want.astype(complex), rtol=1e-12 if dtype != "f16" else 2e-3)


def test_threads_share_the_loops_in_bodies_and_give_the_same_bits():
    text = """
    func @f(%w: f32[256, 256], %h: f32[256, 256]) -> f32[256, 256] {
      %l = scan %w, %h {consts = 1, carries = 1, length = 3} do (%w: f32[256, 256], %h: f32[256, 256]) {
        %a = matmul %h, %w
        %t = tanh %a
        yield %t
      }
      return %l
    }"""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((256, 256), dtype=np.float32) / 16 for _ in range(2)]
    func = rlxc.parse(text)["f"]
    np.testing.assert_array_equal(rlxc.compile(func, threads=2)(*arrays), rlxc.compile(func, threads=1)(*arrays))
    assert "parallel = true" in str(rlxc.compile(func, threads=2).stages().kernels)
