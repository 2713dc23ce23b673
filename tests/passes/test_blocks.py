"""What is large between contractions is computed block by block: the same values, in memory that grows with the rows and not with their square."""

import numpy as np
import pytest

import rlxc
from rlxc.ir.interp import interpret
from rlxc.ir.primitive import lookup
from rlxc.passes.pipelines import make_pipeline
from rlxc.runtime.compile import native

RNG = np.random.default_rng(3)

ATTENTION = """
func @f(%q: f32[2, 4, 24, 8], %k: f32[2, 4, 40, 8], %v: f32[2, 4, 40, 8]) -> f32[2, 4, 24, 8] {{
  %o = attention %q, %k, %v {attrs}
  return %o
}}"""

LAYER = """
func @f(%x: f32[2, 32, 24], %w: f32[24, 72], %p: f32[24, 24]) -> f32[] {
  %h = contract %x, %w {spec = "bsd,de->bse"}
  %q = slice %h {start = [0, 0, 0], stop = [2, 32, 24]}
  %k = slice %h {start = [0, 0, 24], stop = [2, 32, 48]}
  %v = slice %h {start = [0, 0, 48], stop = [2, 32, 72]}
  %qh = reshape %q {shape = [2, 32, 3, 8]}
  %kh = reshape %k {shape = [2, 32, 3, 8]}
  %vh = reshape %v {shape = [2, 32, 3, 8]}
  %qt = transpose %qh {perm = [0, 2, 1, 3]}
  %kt = transpose %kh {perm = [0, 2, 1, 3]}
  %vt = transpose %vh {perm = [0, 2, 1, 3]}
  %o = attention %qt, %kt, %vt
  %ot = transpose %o {perm = [0, 2, 1, 3]}
  %os = reshape %ot {shape = [2, 32, 24]}
  %y = contract %os, %p {spec = "bsd,de->bse"}
  %z = mul %y, %y
  %s = reduce_sum %z {axes = [0, 1, 2]}
  return %s
}"""

TENSORS = "legalize,simplify,cse,dce"


def blocked_ops(func) -> list:
    return [op for op in func.ops if op.prim.by_blocks]


def after(func, passes: str):
    return make_pipeline(passes).run(rlxc.ir.core.Module((func.with_(module=None),))).funcs[-1]


def scalar_loss(func):
    """The sum of squares of the result, so that it can be differentiated."""
    text = str(func.as_module()).replace("return %o", "%z = mul %o, %o  %s = reduce_sum %z {axes = [0, 1, 2, 3]}  return %s")
    return rlxc.parse(text.replace(") -> f32[2, 4, 24, 8]", ") -> f32[]")).funcs[0]


@pytest.mark.parametrize("attrs", ["", "{causal = true}", "{window = 5, offset = 3}", "{softcap = 3.0, scale = 0.2}"])
@pytest.mark.parametrize("l2", [1 << 20, 2048])
def test_attention_and_its_gradient_by_blocks_of_rows(attrs, l2):
    func = rlxc.parse(ATTENTION.format(attrs=attrs)).funcs[0]
    for f in (func, rlxc.value_and_grad(scalar_loss(func))):
        arrays = [RNG.standard_normal(a.type.shape).astype(np.float32) for a in f.args]
        want = interpret(f, arrays)
        by_blocks = after(f, f"{TENSORS},blocks{{l2 = {l2}}}")
        assert len(blocked_ops(by_blocks)) == 1
        for got, right in zip(interpret(by_blocks, arrays), want, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-4)
        for got, right in zip(native(by_blocks).executable()(*arrays), want, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-4)


def test_a_mask_and_grouped_heads():
    text = """
func @f(%q: f32[2, 4, 24, 8], %k: f32[2, 2, 40, 8], %v: f32[2, 2, 40, 8], %m: bool[24, 40]) -> f32[2, 4, 24, 8] {
  %o = attention %q, %k, %v, %m
  return %o
}"""
    func = rlxc.parse(text).funcs[0]
    arrays = [RNG.standard_normal(a.type.shape).astype(np.float32) for a in func.args[:3]] + [RNG.random((24, 40)) < 0.7]
    np.testing.assert_allclose(rlxc.compile(func)(*arrays), rlxc.interpret(func, *arrays), rtol=1e-4, atol=1e-4)


def check(func, *, count: int = 1, dtype=np.float32) -> None:
    """Native code and the interpreter agree on the function, which goes by blocks, in its default pipeline."""
    arrays = [(RNG.standard_normal(a.type.shape) / 2).astype(dtype) for a in func.args]
    assert len(blocked_ops(after(func, f"{TENSORS},blocks"))) == count
    got = native(func).executable()(*arrays)
    for one, right in zip(got, interpret(func, arrays), strict=True):
        np.testing.assert_allclose(one, right, rtol=2e-4, atol=2e-4)


def attention_of(q: tuple, k: tuple, v: tuple, attrs: str = "", dtype: str = "f32"):
    """The attention of these shapes, and its value and gradient."""
    shapes = ", ".join(f"%{name}: {dtype}{list(shape)}" for name, shape in zip("qkv", (q, k, v), strict=True))
    result = f"{dtype}{[*q[:-1], v[-1]]}"
    text = f"func @f({shapes}) -> {result} {{ %o = attention %q, %k, %v {attrs}  return %o }}"
    squares = f"%z = mul %o, %o  %s = reduce_sum %z {{axes = {list(range(len(q)))}}}  return %s"
    loss = text.replace("return %o", squares).replace(f"-> {result}", f"-> {dtype}[]")
    return rlxc.parse(text).funcs[0], rlxc.value_and_grad(rlxc.parse(loss).funcs[0], ("q", "k", "v"))


@pytest.mark.parametrize("rows", [100, 127, 251])
@pytest.mark.parametrize("attrs", ["", "{causal = true}"])
def test_rows_that_are_left_are_a_block_of_their_own(rows, attrs):
    for func in attention_of((2, rows, 16), (2, rows, 16), (2, rows, 16), attrs):
        check(func)


def test_a_prime_number_of_rows_is_cut_too():
    func, _ = attention_of((2, 509, 16), (2, 509, 16), (2, 509, 16))
    (op,) = blocked_ops(after(func, f"{TENSORS},blocks"))
    assert op.attrs["blocks"][-1] <= 128
    assert len(op.regions) == 2


@pytest.mark.parametrize("size", [32, 80, 128])
def test_sizes_of_heads(size):
    for func in attention_of((2, 150, size), (2, 150, size), (2, 150, size)):
        check(func)


def test_other_numbers_of_keys_and_columns():
    for func in (*attention_of((2, 96, 32), (2, 333, 32), (2, 333, 24)), *attention_of((2, 333, 32), (2, 70, 32), (2, 70, 40))):
        check(func)


def test_double_precision():
    for func in attention_of((2, 130, 32), (2, 130, 32), (2, 130, 32), dtype="f64"):
        check(func, dtype=np.float64)


@pytest.mark.parametrize("attrs", ["", "{causal = true}"])
def test_heads_that_share_keys_and_arrays_without_heads(attrs):
    shared, its_gradient = attention_of((2, 6, 100, 16), (2, 2, 100, 16), (2, 2, 100, 16), attrs)
    check(shared)
    check(its_gradient, count=2)
    for func in attention_of((150, 32), (150, 32), (150, 32), attrs):
        check(func)


@pytest.mark.parametrize(
    ("queries", "keys", "attrs", "mask"),
    [
        (333, 333, "{causal = true}", None),
        (520, 520, "{window = 50}", None),
        (300, 500, "{causal = true, offset = 200}", "bool[300, 1]"),
        (300, 200, "{causal = true, offset = -150, window = 100}", "f32[1, 4, 300, 200]"),
        (300, 200, "{window = 20, offset = -350}", None),
    ],
)
def test_keys_that_a_run_of_queries_may_not_see_are_left_out(queries, keys, attrs, mask):
    (q, k), more = ([1, 4, queries, 16], [1, 2, keys, 16]), f", %m: {mask}" if mask else ""
    text = f"func @f(%q: f32{q}, %k: f32{k}, %v: f32{k}{more}) -> f32{q} {{ %o = attention %q, %k, %v{', %m' if mask else ''} {attrs}  return %o }}"
    loss = text.replace("return %o", "%z = mul %o, %o  %s = reduce_sum %z {axes = [0, 1, 2, 3]}  return %s").replace(f"-> f32{q}", "-> f32[]")
    func, gradient = rlxc.parse(text).funcs[0], rlxc.value_and_grad(rlxc.parse(loss).funcs[0], ("q", "k", "v"))
    arrays = [RNG.random(a.type.shape) < 0.8 if a.type.dtype.is_bool else RNG.standard_normal(a.type.shape).astype(np.float32) for a in func.args]
    for f in (func, gradient):
        for got, right in zip(native(f).executable()(*arrays), interpret(f, arrays), strict=True):
            np.testing.assert_allclose(got, right, rtol=2e-4, atol=2e-4)
    keys_read = [op.operands[1].type.shape[-2] for op in after(func, TENSORS).ops if op.prim.linear_in == (0, 1)]
    assert min(keys_read) < keys


def test_two_layers_are_not_an_attention():
    text = """
func @f(%x: f32[512, 64], %w: f32[64, 512], %u: f32[512, 64]) -> f32[512, 64] {
  %h = contract %x, %w {spec = "mk,kn->mn"}
  %a = relu %h
  %y = contract %a, %u {spec = "mk,kn->mn"}
  return %y
}"""
    assert not blocked_ops(after(rlxc.parse(text).funcs[0], f"{TENSORS},blocks"))


MASKED = {
    "chosen by counters": """
  %r = iota {axis = 0} : i32[96, 96]
  %c = iota {axis = 1} : i32[96, 96]
  %see = ge %r, %c
  %sees = broadcast %see {shape = [2, 3, 96, 96], axes = [0, 1]}
  %none = constant dense<-inf> : f32[2, 3, 96, 96]
  %m = select %sees, %s, %none""",
    "added": """
  %r = iota {axis = 0} : i32[96, 96]
  %c = iota {axis = 1} : i32[96, 96]
  %see = ge %r, %c
  %zero = constant dense<0.0> : f32[96, 96]
  %none = constant dense<-inf> : f32[96, 96]
  %add = select %see, %zero, %none
  %adds = broadcast %add {shape = [2, 3, 96, 96], axes = [0, 1]}
  %m = add %s, %adds""",
    "an array": """
  %adds = broadcast %mask {shape = [2, 3, 96, 96], axes = [0, 1]}
  %m = add %s, %adds""",
    "an array that hides whole rows": """
  %adds = broadcast %hides {shape = [2, 3, 96, 96], axes = [0, 1]}
  %m = add %s, %adds""",
}


@pytest.mark.parametrize("way", MASKED)
def test_masks_stay_in_the_blocks(way):
    text = f"""
func @f(%q: f32[2, 3, 96, 32], %k: f32[2, 3, 96, 32], %v: f32[2, 3, 96, 32], %mask: f32[96, 96], %hides: f32[96, 96]) -> f32[2, 3, 96, 32] {{
  %s = contract %q, %k {{spec = "bhsd,bhtd->bhst"}}{MASKED[way]}
  %p = softmax %m
  %o = contract %p, %v {{spec = "bhst,bhtd->bhsd"}}
  return %o
}}"""
    func = rlxc.parse(text).funcs[0]
    assert len(blocked_ops(after(func, f"{TENSORS},blocks"))) == 1
    see = np.tril(np.ones((96, 96), bool))
    hides = see.copy()
    hides[7] = False
    arrays = [RNG.standard_normal((2, 3, 96, 32)).astype(np.float32) for _ in range(3)]
    arrays += [np.where(m, 0, -np.inf).astype(np.float32) for m in (see, hides)]
    want = rlxc.interpret(func, *arrays)
    assert np.isnan(want).any() == ("rows" in way)
    np.testing.assert_allclose(rlxc.compile(func)(*arrays), want, rtol=1e-4, atol=1e-4)


def test_an_infinite_key_and_a_value_that_is_no_number_stay_what_they_are():
    func, _ = attention_of((2, 64, 16), (2, 64, 16), (2, 64, 16))
    q, k, v = (RNG.standard_normal((2, 64, 16)).astype(np.float32) for _ in range(3))
    k[0, 5, 3], v[1, 9, 2] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        want = rlxc.interpret(func, q, k, v)
    np.testing.assert_allclose(rlxc.compile(func)(q, k, v), want, rtol=1e-4, atol=1e-4)


def test_a_derivative_that_comes_later_computes_what_is_large_again():
    func = rlxc.value_and_grad(rlxc.parse(LAYER).funcs[0], ("x", "w", "p"))
    arrays = [RNG.standard_normal(a.type.shape).astype(np.float32) / 4 for a in func.args]
    by_blocks = after(func, f"{TENSORS},blocks{{l2 = 4096}}")
    assert len(blocked_ops(by_blocks)) == 2
    scores = 2 * 3 * 32 * 32
    assert all(v.type.size < scores for op in by_blocks.ops for v in op.results), "no scores outside of blocks"
    for got, right in zip(native(by_blocks).executable()(*arrays), interpret(func, arrays), strict=True):
        np.testing.assert_allclose(got, right, rtol=2e-4, atol=2e-4)


def test_memory_grows_with_the_rows_and_not_with_their_square():
    def workspace(rows: int) -> int:
        text = ATTENTION.format(attrs="").replace("24, 8", f"{rows}, 8").replace("40, 8", f"{rows}, 8")
        return native(rlxc.value_and_grad(scalar_loss_of(text, rows))).emitted.workspace["f.grad"]

    def scalar_loss_of(text: str, rows: int):
        text = text.replace("return %o", "%z = mul %o, %o  %s = reduce_sum %z {axes = [0, 1, 2, 3]}  return %s")
        return rlxc.parse(text.replace(f") -> f32[2, 4, {rows}, 8]", ") -> f32[]")).funcs[0]

    assert workspace(4096) < 5 * workspace(1024)


def test_the_text_of_blocked_ops_is_read_back():
    func = rlxc.value_and_grad(rlxc.parse(LAYER).funcs[0], ("x", "w", "p"))
    for passes in (f"{TENSORS},blocks", f"{TENSORS},blocks,fuse"):
        module = make_pipeline(passes).run(rlxc.ir.core.Module((func.with_(module=None),)))
        assert rlxc.parse(str(module)) == module


@pytest.mark.parametrize(
    "why",
    [
        '%s = contract %x, %y {spec = "bmk,bnk->bmn"}  %z = contract %s, %y {spec = "bmn,bnk->bmk"}  return %z, %s',
        '%s = contract %x, %y {spec = "bmk,bnk->bmn"}  %z = contract %s, %y {spec = "bmn,bnk->bmk"}  %t = cumsum %s {axis = 1}  return %z, %t',
    ],
)
def test_nothing_is_done_where_what_is_large_is_wanted(why):
    func = rlxc.parse(f"func @f(%x: f32[2, 16, 4], %y: f32[2, 16, 4]) -> (f32[2, 16, 4], f32[2, 16, 16]) {{ {why} }}").funcs[0]
    assert not blocked_ops(after(func, f"{TENSORS},blocks"))


def test_two_that_wait_for_results_of_each_other_are_not_both_written_by_blocks():
    text = """
func @f(%x: f32[2, 32, 8], %y: f32[2, 32, 8], %v: f32[2, 32, 8]) -> (f32[2, 32, 8], f32[2, 32, 8]) {
  %s = contract %x, %y {spec = "bmk,bnk->bmn"}
  %t = contract %y, %x {spec = "bmk,bnk->bmn"}
  %s1 = contract %s, %v {spec = "bmn,bnk->bmk"}
  %t1 = contract %t, %v {spec = "bmn,bnk->bmk"}
  %s2 = contract %s, %t1 {spec = "bmn,bnk->bmk"}
  %t2 = contract %t, %s1 {spec = "bmn,bnk->bmk"}
  return %s2, %t2
}"""
    check(rlxc.parse(text).funcs[0])


def test_layers_are_looked_at_once_each(monkeypatch):
    """The axes of an op are traced for the spaces it may belong to, not for all there are."""
    contract = type(lookup("contract"))
    rule = contract.trace_axes
    traced = []

    def counted(self, *args, **attrs):
        traced.append(self)
        return rule(self, *args, **attrs)

    monkeypatch.setattr(contract, "trace_axes", counted)

    def count(layers: int) -> int:
        at, lines = "%x", []
        for i in range(layers):
            lines.append(f'%s{i} = contract {at}, %x {{spec = "bmk,bnk->bmn"}}  %p{i} = softmax %s{i}')
            lines.append(f'%o{i} = contract %p{i}, {at} {{spec = "bmn,bnk->bmk"}}  %c{i} = cumsum %o{i} {{axis = 2}}')
            at = f"%c{i}"
        text = f"func @f(%x: f32[2, 16, 4]) -> f32[] {{ {'  '.join(lines)}  %l = reduce_sum {at} {{axes = [0, 1, 2]}}  return %l }}"
        tidy = after(rlxc.value_and_grad(rlxc.parse(text).funcs[0], ("x",)), TENSORS)
        traced.clear()
        assert len(blocked_ops(after(tidy, "blocks"))) > layers
        return len(traced)

    assert count(24) <= 4.2 * count(6)
