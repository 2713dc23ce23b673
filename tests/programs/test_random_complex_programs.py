"""Random programs of complex numbers: native value and gradient are the interpreter's."""

import numpy as np
import pytest

import rlxc

#: how a value is made of earlier ones: c stands for a complex operand, r for a real one, N for the name of the value, R and C for the sizes
COMPLEX = [
    "add c, c", "sub c, c", "mul c, c", "mul c, c", "tanh c", "conj c", "complex r, r", "dft c {axis = 0}", "dft c {axis = 1}", "cumsum c {axis = 1}",
    "reverse c {axes = [1]}", "convert r {dtype = c128}", 'ifft c {norm = "ortho"}', "reduce_sum c {axes = [1]} ; broadcast N {shape = [R, C], axes = [1]}",
    'contract c, c {spec = "ik,jk->ij"} ; contract N, c {spec = "ij,jk->ik"}', "transpose c {perm = [1, 0]} ; reshape N {shape = [R, C]}",
    "gt r, r ; select N, c, c",
]  # fmt: skip
REAL = ["abs c", "real c", "imag c", "sin r", "mul r, r"]


def program(rng):
    """Text of a function of two complex matrices and a real one, whose result is a real number."""
    rows, columns = int(rng.integers(1, 7)), int(rng.integers(1, 40))
    known = {"c": ["%z", "%w"], "r": ["%x"]}
    lines = []
    for k in range(int(rng.integers(3, 12))):
        kind = "c" if rng.random() < 0.75 else "r"
        recipe = str(rng.choice(COMPLEX if kind == "c" else REAL))
        name = f"%v{k}"
        for i, step in enumerate(recipe.split(" ; ")):
            op, rest = step.split(" ", 1)
            operands, brace, attrs = rest.partition(" {")
            chosen = [f"{name}_{i - 1}" if o == "N" else str(rng.choice(known[o])) for o in operands.split(", ")]
            attrs = attrs.replace("R", str(rows)).replace("C", str(columns))
            lines.append(f"{name}_{i} = {op} {', '.join(chosen)}{brace}{attrs}")
        known[kind].append(lines[-1].split(" ")[0])
    last = lines[-1].split(" ")[0]
    lines += [f"%t = tanh {last}", "%a = abs %t", "%loss = reduce_sum %a {axes = [0, 1]}", "return %loss"]
    shape = f"[{rows}, {columns}]"
    return f"func @f(%z: c128{shape}, %w: c128{shape}, %x: f64{shape}) -> f64[] {{\n  " + "\n  ".join(lines) + "\n}", (rows, columns)


@pytest.mark.parametrize("seed", range(10))
def test_native_values_and_gradients_are_the_interpreted_ones(seed):
    rng = np.random.default_rng(seed)
    text, shape = program(rng)
    f = rlxc.value_and_grad(rlxc.parse(text)["f"])
    z, w = (0.4 * (rng.normal(size=shape) + 1j * rng.normal(size=shape)) for _ in range(2))
    x = 0.4 * rng.normal(size=shape)
    want = rlxc.interpret(f, z, w, x)
    for options in ({}, {"fuse": False}):
        for got, expected in zip(rlxc.compile(f, **options)(z, w, x), want, strict=True):
            size = np.abs(expected).max() + 1e-6
            np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8 * size, err_msg=text)
