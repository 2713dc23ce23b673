"""Programs on which the laws try control flow: every branch runs, loops of no step and of one, numbers that are carried and are no floats."""

from __future__ import annotations

from rlxc.ir.primitive import Program


def scan(length: int, attrs: str = "") -> Program:
    """A recurrence with a const, two carries, one of them a counter, and elements of an array."""
    return Program(
        f"""func @f(%w: f64[2], %c: f64[2], %n: i64[], %x: f64[{length}, 2]) -> (f64[2], i64[], f64[{length}, 2]) {{
  %last, %count, %ys = scan %w, %c, %n, %x {{consts = 1, carries = 2, length = {length}{attrs}}} do (%u: f64[2], %k: f64[2], %i: i64[], %e: f64[2]) {{
    %one = constant dense<1> : i64[]
    %j = add %i, %one
    %a = mul %k, %u
    %b = add %a, %e
    %t = sin %b
    %y = mul %t, %e
    yield %t, %j, %y
  }}
  return %last, %count, %ys
}}""",
        domain=(-0.7, 0.7),
    )


SCAN = (scan(3), scan(0), scan(1), scan(3, ", reverse = true"), scan(4, ", checkpoint = 2"))

COND = (
    Program("""func @f(%p: bool[], %x: f64[2], %y: f64[2]) -> (f64[2], f64[2]) {
  %q = not %p
  %a = cond %p, %x, %y do (%u: f64[2], %v: f64[2]) { %s = sin %u %m = mul %s, %v yield %m } do (%u1: f64[2], %v1: f64[2]) { %m1 = mul %v1, %v1 yield %m1 }
  %b = cond %q, %x, %y do (%u2: f64[2], %v2: f64[2]) { %e = exp %v2 %m2 = mul %u2, %e yield %m2 } do (%u3: f64[2], %v3: f64[2]) { yield %u3 }
  return %a, %b
}"""),
    Program("""func @f(%x: f64[]) -> f64[] {
  %half = constant dense<0.5> : f64[]
  %p = gt %x, %half
  %y = cond %p, %x do (%u: f64[]) { %s = sin %u yield %s } do (%v: f64[]) { %m = mul %v, %v yield %m }
  return %y
}"""),
)

SWITCH = (
    Program("""func @f(%i: i32[], %x: f64[2], %y: f64[2]) -> (f64[2], f64[2]) {
  %two = constant dense<2> : i32[]
  %j = sub %two, %i
  %a = switch %i, %x, %y do (%u: f64[2], %v: f64[2]) { %s = sin %u yield %s } do (%u1: f64[2], %v1: f64[2]) { %m = mul %u1, %v1 yield %m }
  %b = switch %j, %x do (%w: f64[2]) { yield %w } do (%w1: f64[2]) { %e = exp %w1 yield %e } do (%w2: f64[2]) { %q = mul %w2, %w2 yield %q }
  return %a, %b
}"""),
    Program("func @f(%i: i64[], %x: f64[]) -> f64[] { %y = switch %i, %x do (%u: f64[]) { %s = sin %u yield %s } return %y }"),
)


def while_loop(attrs: str = "") -> Program:
    """As many steps as an argument says."""
    return Program(f"""func @f(%m: f64[2], %n: i64[], %x: f64[2]) -> (i64[], f64[2]) {{
  %left, %y = while %m, %n, %x {{consts = 1{attrs}}} do (%k: f64[2], %i: i64[], %v: f64[2]) {{
    %none = constant dense<0> : i64[]
    %go = gt %i, %none
    yield %go
  }} do (%k1: f64[2], %i1: i64[], %v1: f64[2]) {{
    %one = constant dense<1> : i64[]
    %j = sub %i1, %one
    %q = mul %v1, %k1
    %s = sin %q
    %w = add %v1, %s
    yield %j, %w
  }}
  return %left, %y
}}""")


WHILE = (while_loop(", bound = 2"), while_loop())

MAP = tuple(
    Program(f"""func @f(%w: f64[2], %x: f64[{length}, 2], %n: i32[{length}]) -> (f64[{length}], i32[{length}]) {{
  %y, %m = map %w, %x, %n {{consts = 1}} do (%u: f64[2], %e: f64[2], %i: i32[]) {{
    %p = mul %u, %e
    %s = sin %p
    %t = reduce_sum %s {{axes = [0]}}
    %j = neg %i
    yield %t, %j
  }}
  return %y, %m
}}""")
    for length in (3, 0)
)

CALL = (
    Program("""func @wave(%a: f64[N], %b: f64[]) -> (f64[N], f64[N]) {
  %s = sin %a
  %p = mul %s, %b
  return %p, %a
}
func @f(%x: f64[3], %y: f64[], %z: f64[2]) -> (f64[3], f64[2]) {
  %p, %q = call @wave(%x, %y) : f64[3], f64[3]
  %r, %s = call @wave(%z, %y) : f64[2], f64[2]
  %m = mul %p, %q
  return %m, %r
}"""),
)
