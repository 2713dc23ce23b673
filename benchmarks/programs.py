"""Programs to compile, as `.rlx` text: a loss, to be differentiated with respect to its params."""

from __future__ import annotations

import itertools
from collections.abc import Callable


def mlp() -> str:
    """784-512-256-10, relu, softmax cross-entropy, batch 128."""
    sizes = (784, 512, 256, 10)
    params = "".join(f", param %W{i}: f32[{a}, {b}], param %b{i}: f32[{b}]" for i, (a, b) in enumerate(itertools.pairwise(sizes), 1))
    return f"""func @mlp(%x: f32[128, 784], %y: f32[128, 10]{params}) -> f32[] {{
  %l1 = linear %x, %W1, %b1
  %h1 = relu %l1
  %l2 = linear %h1, %W2, %b2
  %h2 = relu %l2
  %l3 = linear %h2, %W3, %b3
  %p = log_softmax %l3
  %q = mul %p, %y
  %s = reduce_sum %q {{axes = [0, 1]}}
  %n = constant dense<-128.0> : f32[]
  %loss = div %s, %n
  return %loss
}}
"""


def ffn() -> str:
    """gelu(x W1 + b1) W2 against a target: 128 x 768 x 3072 x 768."""
    return """func @ffn(%x: f32[128, 768], param %W1: f32[768, 3072], param %b1: f32[3072], param %W2: f32[3072, 768], %t: f32[128, 768]) -> f32[] {
  %a = linear %x, %W1, %b1
  %h = gelu %a
  %y = matmul %h, %W2
  %e = sub %y, %t
  %s = mul %e, %e
  %loss = mean %s
  return %loss
}
"""


BERT = "q: D D, bq: D, k: D D, bk: D, v: D D, bv: D, o: D D, bo: D, g1: D, e1: D, w1: D F, b1: F, w2: F D, b2: D, g2: D, e2: D"


def bert(layers: int, batch: int = 1, D: int = 768, H: int = 12, F: int = 3072, S: int = 128) -> str:
    """Encoder layers: attention, gelu, layer_norm after each residual sum; the mean squared distance from a target."""
    x = f"f32[{batch}, {S}, {D}]"
    params = []
    lines = []
    at = "%x"
    for n in range(layers):
        for part in BERT.split(", "):
            name, shape = part.split(": ")
            sizes = ", ".join(str({"D": D, "F": F}[s]) for s in shape.split())
            params.append(f"param %{name}_{n}: f32[{sizes}]")
        for p in "qkv":
            lines += [
                f"  %l{p}{n} = linear {at}, %{p}_{n}, %b{p}_{n}",
                f"  %r{p}{n} = reshape %l{p}{n} {{shape = [{batch}, {S}, {H}, {D // H}]}}",
                f"  %h{p}{n} = transpose %r{p}{n} {{perm = [0, 2, 1, 3]}}",
            ]
        lines += [
            f"  %a{n} = attention %hq{n}, %hk{n}, %hv{n}",
            f"  %at{n} = transpose %a{n} {{perm = [0, 2, 1, 3]}}",
            f"  %ar{n} = reshape %at{n} {{shape = [{batch}, {S}, {D}]}}",
            f"  %lo{n} = linear %ar{n}, %o_{n}, %bo_{n}",
            f"  %s{n} = add {at}, %lo{n}",
            f"  %n{n} = layer_norm %s{n}, %g1_{n}, %e1_{n}",
            f"  %f{n} = linear %n{n}, %w1_{n}, %b1_{n}",
            f"  %ge{n} = gelu %f{n}",
            f"  %m{n} = linear %ge{n}, %w2_{n}, %b2_{n}",
            f"  %sm{n} = add %n{n}, %m{n}",
            f"  %y{n} = layer_norm %sm{n}, %g2_{n}, %e2_{n}",
        ]
        at = f"%y{n}"
    body = "\n".join(lines)
    return f"""func @bert(%x: {x}, %t: {x}, {", ".join(params)}) -> f32[] {{
{body}
  %e = sub {at}, %t
  %sq = mul %e, %e
  %loss = mean %sq
  return %loss
}}
"""


def conv() -> str:
    """One 3 x 3 convolution, 64 channels, 56 x 56."""
    return """func @conv(param %x: f32[1, 64, 56, 56], param %w: f32[64, 64, 3, 3], %t: f32[1, 64, 56, 56]) -> f32[] {
  %y = conv %x, %w {padding = [[1, 1], [1, 1]]}
  %e = sub %y, %t
  %s = mul %e, %e
  %loss = mean %s
  return %loss
}
"""


def block(batch: int = 8) -> str:
    """A residual block: convolution, batch statistics, relu, twice."""
    x = f"f32[{batch}, 64, 56, 56]"
    w, c = "f32[64, 64, 3, 3]", "f32[64]"

    def stage(i: int, at: str) -> str:
        return f"""  %c{i} = conv {at}, %w{i} {{padding = [[1, 1], [1, 1]]}}
  %m{i} = mean %c{i} {{axes = [0, 2, 3]}}
  %mr{i} = reshape %m{i} {{shape = [1, 64, 1, 1]}}
  %d{i} = sub %c{i}, %mr{i}
  %dd{i} = mul %d{i}, %d{i}
  %v{i} = mean %dd{i} {{axes = [0, 2, 3]}}
  %eps{i} = constant dense<1e-5> : f32[]
  %ve{i} = add %v{i}, %eps{i}
  %i{i} = rsqrt %ve{i}
  %k{i} = mul %i{i}, %g{i}
  %kr{i} = reshape %k{i} {{shape = [1, 64, 1, 1]}}
  %br{i} = reshape %b{i} {{shape = [1, 64, 1, 1]}}
  %z{i} = mul %d{i}, %kr{i}
  %n{i} = add %z{i}, %br{i}
"""

    args = ", ".join(f"param %w{i}: {w}, param %g{i}: {c}, param %b{i}: {c}" for i in (1, 2))
    return f"""func @block(param %x: {x}, %t: {x}, {args}) -> f32[] {{
{stage(1, "%x")}  %h = relu %n1
{stage(2, "%h")}  %r = add %n2, %x
  %o = relu %r
  %e = sub %o, %t
  %s = mul %e, %e
  %loss = mean %s
  return %loss
}}
"""


def chain() -> str:
    """20 elementwise ops on 100,000 numbers."""
    ops = (
        "%a = mul %x, %c1; %b = add %a, %y; %c = tanh %b; %d = mul %c, %x; %e = sub %d, %c2; %f = neg %e; %g = exp %f; "
        "%h = add %g, %c3; %i = div %e, %h; %j = mul %i, %y; %k = max %j, %c4; %l = mul %k, %k; %m = add %l, %c3; "
        "%n = sqrt %m; %o = mul %n, %c5; %p = add %o, %c3; %q = log %p; %r = sub %q, %x; %s = tanh %r; %z = mul %s, %s; %loss = mean %z"
    )
    numbers = "".join(f"  %c{i} = constant dense<{c}> : f32[]\n" for i, c in enumerate((1.5, 0.25, 1.0, -1.0, 0.5), 1))
    body = "\n".join("  " + op for op in ops.split("; "))
    return f"func @chain(param %x: f32[100000], param %y: f32[100000]) -> f32[] {{\n{numbers}{body}\n  return %loss\n}}\n"


def softmax() -> str:
    return """func @softmax(param %x: f32[1024, 1024], %t: f32[1024, 1024]) -> f32[] {
  %p = softmax %x
  %q = mul %p, %t
  %loss = reduce_sum %q {axes = [0, 1]}
  return %loss
}
"""


def layernorm() -> str:
    return """func @layernorm(param %x: f32[1024, 768], param %g: f32[768], param %b: f32[768], %t: f32[1024, 768]) -> f32[] {
  %n = layer_norm %x, %g, %b
  %q = mul %n, %t
  %loss = reduce_sum %q {axes = [0, 1]}
  return %loss
}
"""


#: name -> text
GRADIENTS: dict[str, Callable[[], str]] = {
    "mlp": mlp,
    "ffn": ffn,
    "bert1": lambda: bert(1),
    "bert12": lambda: bert(12),
    "conv": conv,
    "block": block,
    "chain": chain,
    "softmax": softmax,
    "layernorm": layernorm,
}
