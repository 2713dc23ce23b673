"""`precision` is a permission: where there is nothing faster than f32 the bits are those of f32, and a remark says so. Small integers multiply exactly."""

from __future__ import annotations

import numpy as np
import pytest

import rlxc
from rlxc.cli import main
from rlxc.runtime.aot import Library
from rlxc.runtime.compile import native, options_of
from rlxc.runtime.cpu import Cpu
from rlxc.runtime.precision import PRECISIONS

LAYER = """func @f(%x: f32[33, 70], %w: f32[70, 40], %b: f32[40]) -> f32[] {
  %h = matmul %x, %w
  %a = add %h, %b
  %t = tanh %a
  %y = contract %t, %w {spec = "mn,kn->mk"}
  %s = mean %y
  return %s
}
"""
RANGES = {"i8": (-128, 127), "u8": (0, 255), "i16": (-1000, 1000)}
CONV = "func @f(%x: f32[1, 8, 12, 12], %w: f32[16, 8, 3, 3]) -> f32[] { %y = conv %x, %w %s = mean %y return %s }"


@pytest.mark.parametrize("precision", PRECISIONS[1:])
@pytest.mark.parametrize("text", [LAYER, CONV])
def test_every_precision_has_the_bits_of_f32_for_all_numbers(text, precision):
    func = rlxc.parse(text)["f"]
    gradient = rlxc.value_and_grad(func)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(a.type.shape).astype(np.float32) for a in func.args]
    want, got = rlxc.compile(gradient), rlxc.compile(gradient, precision=precision)
    for special in (0.0, np.inf, np.nan, np.finfo(np.float32).max, 1e-45):
        arrays[0].flat[5] = special
        for a, b in zip(got(*arrays), want(*arrays), strict=True):
            assert a.tobytes() == b.tobytes()


def test_a_remark_says_once_a_module_what_was_computed_instead():
    f, g = rlxc.parse(LAYER + LAYER.replace("@f", "@g"))
    (said,) = (r for r in native(f, precision="bf16x3", cpu="plain").remarks() if r.kind == "precision")
    assert said.message == "contractions are computed in f32, as with 'highest', although bf16x3 is allowed: the processor has no AMX"
    assert [r for r in native(f).remarks() if r.kind == "precision"] == []
    with rlxc.ir.remarks.collecting() as remarks:
        assert Library("l", (f, g), options_of({"precision": "bf16"})).kernels
    assert [r.kind for r in remarks].count("precision") == 1


def test_the_remark_does_not_say_that_there_is_no_amx_where_there_is():
    cpu = Cpu("sapphirerapids", "+amx-bf16,+amx-tile,+avx512f", 64, 32)
    with rlxc.ir.remarks.collecting() as remarks:
        rlxc.runtime.precision.remark_precision("bf16", cpu)
    assert "not written for AMX yet" in remarks[0].message


@pytest.mark.parametrize(
    ("precision", "help"), [("bf16x4", "did you mean 'bf16x"), ("fast", "there is highest, bf16x6"), (None, "there is highest"), (16, "there is")]
)
def test_another_precision_is_an_error(precision, help):
    for compile in (rlxc.compile, rlxc.Session().compile):
        with pytest.raises(rlxc.PassError, match="there is no precision") as error:
            compile(LAYER, precision=precision)
        assert error.value.code == "RLX0403"
        assert help in error.value.diagnostics[0].help


def test_the_command_line_has_it(tmp_path, capsys):
    path = tmp_path / "layer.rlx"
    path.write_text(LAYER)
    assert main(["build", str(path), "--precision", "bf16x6", "--remarks", "--emit", "obj", "-o", str(tmp_path)]) == 0
    assert "precision: contractions are computed in f32" in capsys.readouterr().err
    inputs = ["--input", "x=random", "--input", "w=random", "--input", "b=ones"]
    printed = []
    for precision in ("highest", "bf16"):
        assert main(["run", str(path), *inputs, "--precision", precision]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert main(["run", str(path), *inputs, "--precision", "bf8"]) == 2
    assert "bf16x6" in capsys.readouterr().err


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 3), (1, 96, 64), (7, 5, 300), (64, 64, 64), (65, 130, 257), (33, 1, 1000)])
@pytest.mark.parametrize(("x_dtype", "w_dtype"), [("i8", "i8"), ("u8", "i8"), ("i16", "i16")])
@pytest.mark.parametrize("spec", ["mk,kn->mn", "mk,nk->mn", "km,kn->mn"])
def test_small_integers_contract_exactly_in_i32(m, n, k, x_dtype, w_dtype, spec):
    sizes = {"m": m, "n": n, "k": k}
    letters = spec.partition("->")[0].split(",")
    shapes = [tuple(sizes[a] for a in part) for part in letters]
    func = rlxc.parse(f"""func @f(%x: {x_dtype}{list(shapes[0])}, %w: {w_dtype}{list(shapes[1])}) -> i32[{m}, {n}] {{
      %a = convert %x {{dtype = i32}}
      %b = convert %w {{dtype = i32}}
      %y = contract %a, %b {{spec = "{spec}"}}
      return %y
    }}""")["f"]
    rng = np.random.default_rng(k)
    arrays = []
    for shape, dtype in zip(shapes, (x_dtype, w_dtype), strict=True):
        low, high = RANGES[dtype]
        a = rng.integers(low, high + 1, shape).astype(rlxc.DType(dtype).numpy)
        a.flat[0] = low
        arrays.append(a)
    want = np.einsum(spec, *(a.astype(np.int64) for a in arrays))
    for f in (rlxc.compile(func), rlxc.compile(func, cpu="plain")):
        np.testing.assert_array_equal(f(*arrays), want)
