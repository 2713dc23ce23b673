"""Loads of every second, third or fourth element: whole vectors, of which lanes are picked; nothing outside is touched."""

import numpy as np
import pytest

import rlxc
from rlxc.ir.interp import interpret
from rlxc.passes.pipelines import make_pipeline


@pytest.mark.parametrize("dtype", ["bool", "i8", "f32", "f64"])
@pytest.mark.parametrize("step", [2, 3, 4, 5])
@pytest.mark.parametrize("n", [5, 8, 31, 64, 257])
def test_strided_slices(n, step, dtype):
    size = (n - 1) * step + 1  # the last element read is the last of a row
    x = np.random.default_rng(0).integers(0, 100, (3, size + 1))
    x = x > 50 if dtype == "bool" else x.astype({"i8": "i1", "f32": "f4", "f64": "f8"}[dtype])
    func = rlxc.parse(
        f"func @f(%x: {dtype}[3, {size + 1}]) -> {dtype}[3, {n}] {{ %y = slice %x {{start = [0, 1], stop = [3, {size + 1}], step = [1, {step}]}} return %y }}"
    ).funcs[0]
    for cpu in ("host", "avx2", "plain"):
        np.testing.assert_array_equal(rlxc.compile(func, cpu=cpu)(x), x[:, 1::step])


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize("n", [4, 8, 19, 32, 50])
def test_strided_loads_stay_inside_their_memory(n, step):
    """The interpreter checks the bounds of each access."""
    size = (n - 1) * step + 1
    module = rlxc.parse(f"""kernel @f(%x: mem f32[{size}], %y: mem f32[{n}]) {{
      %s = constant dense<{step}> : index
      for %i in 0..{n} {{ %j = mul %i, %s   %0 = load %x, %j   store %y, %0, %i }} }}""")
    wide = make_pipeline("vectorize{bytes = 16}").run(module)
    assert "shuffle" in str(wide)
    x, y = np.arange(size, dtype=np.float32), np.zeros(n, np.float32)
    interpret(wide.funcs[0], [x, y])
    np.testing.assert_array_equal(y, x[::step])
