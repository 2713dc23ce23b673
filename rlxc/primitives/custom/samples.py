"""Programs on which the laws try functions with a word on their derivatives: the rules they bring are right, so that differences agree with them."""

from __future__ import annotations

from rlxc.ir.primitive import Program

CUSTOM_JVP = (
    Program("""func @f(%x: f64[2], %n: i32[], %y: f64[2]) -> (f64[2], i32[]) {
  %r, %k = custom_jvp %x, %n, %y do (%a: f64[2], %i: i32[], %b: f64[2]) {
    %s = sin %a
    %p = mul %s, %b
    yield %p, %i
  } do (%a1: f64[2], %i1: i32[], %b1: f64[2], %da: f64[2], %db: f64[2]) {
    %c = cos %a1
    %cb = mul %c, %b1
    %ta = mul %da, %cb
    %s1 = sin %a1
    %tb = mul %db, %s1
    %t = add %ta, %tb
    yield %t
  }
  return %r, %k
}"""),
)

CUSTOM_VJP = (
    Program("""func @f(%x: f64[2], %y: f64[2]) -> f64[2] {
  %r = custom_vjp %x, %y do (%a: f64[2], %b: f64[2]) {
    %s = sin %a
    %p = mul %s, %b
    yield %p
  } do (%a1: f64[2], %b1: f64[2]) {
    %s1 = sin %a1
    %p1 = mul %s1, %b1
    %c1 = cos %a1
    %m1 = mul %c1, %b1
    yield %p1, %m1, %s1
  } do (%m: f64[2], %q: f64[2], %ct: f64[2]) {
    %da = mul %ct, %m
    %db = mul %ct, %q
    yield %da, %db
  }
  return %r
}"""),
)

CUSTOM_BACKWARD = (
    Program("""func @f(%r: f64[2], %ct: f64[2]) -> f64[2] {
  %x = custom_backward %r, %ct {residuals = 1} do (%a: f64[2], %d: f64[2]) {
    %s = sin %a
    %p = mul %s, %d
    yield %p
  }
  return %x
}"""),
)

CHECKPOINT = tuple(
    Program(f"""func @f(%x: f64[2], %w: f64[2, 2]) -> (f64[2], f64[2]) {{
  %y, %z = checkpoint %x, %w {{{attrs}}} do (%a: f64[2], %u: f64[2, 2]) {{
    %s = sin %a
    %m = matmul %s, %u
    %k = named %m {{name = "m"}}
    %e = exp %k
    yield %e, %s
  }}
  return %y, %z
}}""")
    for attrs in ('policy = "recompute"', 'policy = "save"', 'policy = "contractions"', 'policy = "named", names = ["m"]')
)
