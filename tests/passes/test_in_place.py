"""Kernels that write over what they read compute what they would in memory of their own."""

from __future__ import annotations

import numpy as np
import pytest

import rlxc
from rlxc.runtime.compile import native

BODIES = {
    "elementwise": ["%a = exp %h", "%b = mul %a, %h", "%c = add %b, %x"],
    "two results": [
        "%a = tanh %h",
        "%b = mul %h, %h",
        '%d = contract %a, %b {spec = "mk,nk->mn"}',
        '%e = contract %d, %x {spec = "mk,kn->mn"}',
        "%c = add %b, %e",
    ],
    "softmax": ["%c = softmax %h"],
    "layer_norm": ["%g = slice %x {start = [0, 0], stop = [1, N]}", "%r = reshape %g {shape = [N]}", "%c = layer_norm %h, %r, %r"],
    "a sum beside": ["%s = reduce_sum %h {axes = [1]}", "%a = exp %x", "%b = mul %h, %a", "%t = broadcast %s {shape = [M, N], axes = [1]}", "%c = sub %b, %t"],
    "epilogue": [
        '%p = contract %h, %w {spec = "mk,kn->mn"}',
        '%q = contract %p, %w {spec = "mk,kn->mn"}',
        "%a = tanh %h",
        "%r = mul %q, %p",
        "%c = add %r, %a",
    ],
    "updates": ["%a = scatter_add %h, %u, %i {axes = [0]}", "%b = scatter_max %a, %u, %i {axes = [0]}", "%c = dynamic_update_slice %b, %u, %at, %at"],
    "shared": ["%a = neg %h", "%b = scatter_set %h, %u, %i {axes = [0]}", "%c = mul %a, %b"],
}


def program(body: list[str], m: int, n: int) -> str:
    first = ['%first = contract %x, %w {spec = "mk,kn->mn"}', "%h = scatter_add %first, %u, %i {axes = [0]}"]
    lines = [*first, *body, '%y = contract %c, %w {spec = "mk,kn->mn"}', "return %y"]
    text = "\n".join(lines).replace("M", str(m)).replace("N", str(n))
    return f"func @f(%x: f32[{m}, {n}], %w: f32[{n}, {n}], %u: f32[2, {n}], %i: i64[2], %at: i64[]) -> f32[{m}, {n}] {{\n{text}\n}}"


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize(("m", "n"), [(6, 64), (5, 128), (4, 7)])
@pytest.mark.parametrize("name", BODIES)
def test_in_place_is_as_good_as_a_copy(name, m, n, fuse):
    rng = np.random.default_rng(0)
    x, w, u = (rng.uniform(-1, 1, shape).astype(np.float32) / 4 for shape in ((m, n), (n, n), (2, n)))
    func = rlxc.parse(program(BODIES[name], m, n)).funcs[0]
    arrays = (x, w, u, np.array([3, 1]), np.array(1))
    got = rlxc.compile(func, fuse=fuse)(*arrays)
    np.testing.assert_allclose(got, rlxc.interpret(func, *arrays), rtol=2e-5, atol=2e-6)


def overwritten(text: str) -> list:
    """Arguments of kernels that are read and written."""
    found = []
    for kernel in native(rlxc.parse(text).funcs[0]).kernels.funcs[:-1]:
        accesses = [op for op in kernel.walk() if not op.regions]
        stored = {op.operands[0] for op in accesses if op.prim.has_effect}
        loaded = {op.operands[0] for op in accesses if op.operands and not op.prim.has_effect}
        found += [a for a in kernel.args if a in stored & loaded]
    return found


@pytest.mark.parametrize("name", ["elementwise", "softmax", "layer_norm", "epilogue", "updates", "a sum beside"])
def test_memory_is_taken_over(name):
    assert overwritten(program(BODIES[name], 6, 64))


def test_rows_whose_vectors_do_not_come_out_even_are_not_overwritten():
    """The last step of a loop may go back and compute some elements again, if it reads what it has not written."""
    assert [a.name for a in overwritten(program(BODIES["softmax"], 6, 100))] == ["first", "c"]  # by the scatter; and c has the exponentials in it before


def test_an_argument_of_the_caller_is_never_written():
    text = "func @f(%x: f32[64], %u: f32[2], %i: i64[2]) -> f32[64] {\n%a = scatter_add %x, %u, %i {axes = [0]}\n%b = cumsum %a {axis = 0}\nreturn %b\n}"
    x = np.zeros(64, np.float32)
    rlxc.compile(text)(x, np.ones(2, np.float32), np.array([1, 2]))
    assert not x.any()
