"""Transposing through tiles: every shape, dtype and order of axes gives what the interpreter gives."""

import itertools

import numpy as np
import pytest

import rlxc
from rlxc.ir.interp import interpret
from rlxc.ir.types import DType
from rlxc.passes.pipelines import make_pipeline
from rlxc.passes.schedule.transpose_lanes import part_of, transposed

SHAPES = [(4, 4), (5, 67), (16, 300), (129, 64), (3, 200), (1, 50), (33, 17, 20), (7, 40, 5), (2, 3, 40, 21)]


@pytest.mark.parametrize("cpu", ["host", "avx2", "plain"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_transposes_with_elementwise_ops(shape, cpu):
    rng = np.random.default_rng(0)
    perms = list(itertools.permutations(range(len(shape))))
    dtypes = ("f32", "f64", "i16", "bool")
    for perm, dtype in itertools.product(perms, dtypes) if len(shape) == 2 else zip(perms, itertools.cycle(dtypes), strict=False):
        to = [shape[p] for p in perm]
        x = rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(DType(dtype).numpy)
        y = rng.integers(0, 2 if dtype == "bool" else 100, to).astype(x.dtype)
        op = "xor" if dtype == "bool" else "add"
        func = rlxc.parse(
            f"""func @f(%x: {dtype}{list(shape)}, %y: {dtype}{to}) -> ({dtype}{to}, {dtype}{to}) {{
              %t = transpose %x {{perm = {list(perm)}}}
              %z = {op} %t, %y
              %c = transpose %x {{perm = {list(perm)}}}
              return %z, %c }}"""
        ).funcs[0]
        for got, want in zip(rlxc.compile(func, cpu=cpu)(x, y), rlxc.interpret(func, x, y), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (6, 8), (37, 41), (4, 100), (100, 5)], ids=str)
def test_a_kernel_that_reads_and_writes_across_is_the_same_through_tiles(rows, columns):
    text = f"""kernel @f(%x: mem f32[{columns}, {rows}], %s: mem f32[{rows}], %y: mem f32[{columns}, {rows}], %z: mem f32[{rows}, {columns}]) {{
      for %i in 0..{rows} {{
        %b = load %s, %i
        for %j in 0..{columns} {{
          %0 = load %x, %j, %i
          %1 = mul %0, %b
          store %y, %1, %j, %i
          store %z, %1, %i, %j
        }}
      }}
    }}"""
    module = rlxc.parse(text)
    tiled = make_pipeline("block-transposes{bytes = 32, l1 = 256},vectorize{bytes = 32}").run(module)
    assert "shuffle" in str(tiled)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(a.type.shape).astype(np.float32) for a in module.funcs[0].args]
    want, got = [a.copy() for a in arrays], [a.copy() for a in arrays]
    interpret(module.funcs[0], want)
    interpret(tiled.funcs[0], got)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bytes_each", [1, 2, 4, 8])
@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_a_square_of_vectors_is_transposed(n, bytes_each):
    class Lanes:
        def __init__(self, numbers):
            self.numbers = numbers
            self.type = self
            self.lanes = len(numbers)

    class Shuffles:
        def shuffle(self, x, y, lanes):
            return Lanes(np.concatenate([x.numbers, y.numbers])[list(lanes)])

    square = np.arange(n * n).reshape(n, n)
    part = part_of(bytes_each, n)
    for at in range(0, n, part):
        got = transposed(Shuffles(), [Lanes(column[at : at + part]) for column in square])
        np.testing.assert_array_equal([v.numbers for v in got], square.T[at : at + part])
