"""Libraries called from C give the bits of the JIT, touch nothing but their buffers, and serve two threads at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_programs import CC, compile_c, needs_cc, results_in_c

import rlxc
from rlxc.runtime.aot import Library
from rlxc.runtime.compile import Options
from rlxc.runtime.linker import shared_name

ROOT = Path(__file__).parent.parent.parent
RNG = np.random.default_rng(3)
PARAMS = ["w1", "b1", "w2", "b2", "w3", "b3"]


def mlp(batch: int = 32) -> rlxc.Func:
    loss = rlxc.bind(rlxc.load(ROOT / "examples" / "link" / "mlp.rlx")["loss"], B=batch)
    return rlxc.value_and_grad(loss, PARAMS).with_(name="mlp.value_and_grad")


def arrays_for(func: rlxc.Func) -> dict[str, np.ndarray]:
    """Small random numbers of the arguments' types."""
    arrays = {}
    for a, name in zip(func.args, func.arg_names, strict=True):
        numbers = RNG.standard_normal(a.type.shape) * 0.1 if a.type.dtype.is_float else RNG.integers(0, 2, a.type.shape)
        arrays[name] = np.asarray(numbers).astype(a.type.dtype.numpy)
    return arrays


def bits_of_jit(func: rlxc.Func, arrays: dict[str, np.ndarray], **options) -> list[bytes]:
    results = rlxc.compile(func, **options)(**arrays)
    return [r.tobytes() for r in (results if isinstance(results, tuple) else (results,))]


@needs_cc
@pytest.mark.parametrize("linked", ["obj", "static", "so"])
def test_a_gradient_in_c_has_the_bits_of_the_jit(tmp_path, linked):
    func = mlp()
    library = Library("mlp", (func,))
    file = {"obj": "mlp.o", "static": "libmlp.a", "so": "./libmlp.so"}[linked]
    content = {"obj": library.object_code, "static": library.archive, "so": library.shared}[linked]()
    (tmp_path / file).write_bytes(content)
    arrays = arrays_for(func)
    want = bits_of_jit(func, arrays)
    got = results_in_c(tmp_path, library, library.signature.functions[0], arrays, file)
    assert got == [want, want]


@needs_cc
def test_the_library_of_a_gradient_is_small_and_needs_nothing(tmp_path):
    content = Library("mlp", (mlp(),)).shared()
    assert len(content) < 100_000
    (tmp_path / "libmlp.so").write_bytes(content)
    undefined = subprocess.run(["nm", "-D", "--undefined", tmp_path / "libmlp.so"], capture_output=True, text=True, check=True).stdout
    assert undefined == ""


PROGRAMS = {
    "bool_and_bytes": "(%x: u8[7], %y: u8[7]) -> (bool[7], i64[7]) { %a = lt %x, %y %s = convert %x {dtype = i64} return %a, %s }",
    "narrow": "(%x: f16[37], %y: f16[37]) -> (f16[37], f16[]) { %a = mul %x, %y %b = exp %a %s = reduce_sum %b {axes = [0]} return %b, %s }",
    "rem": "(%x: f64[9], %y: f64[9]) -> f64[9] { %a = rem %x, %y return %a }",
    "same_names": "(%int: f32[5]) -> (f32[5], f32[5]) { %y = neg %int return %int, %y }",
    "nothing_in": "() -> f32[3] { %a = constant dense<[1.0, 2.0, 3.0]> : f32[3] return %a }",
    "empty": "(%x: f32[0, 3], %y: f32[4]) -> (f32[0, 3], f32[4]) { %a = neg %x %b = neg %y return %a, %b }",
    "softmax": "(%x: f32[5, 33]) -> f32[5, 33] { %y = softmax %x {axis = 1} return %y }",
    "sort": "(%x: f32[6, 19]) -> f32[6, 19] { %y = sort %x {axis = 1} return %y }",
    "conv": "(%x: f32[2, 3, 9, 9], %w: f32[4, 3, 3, 3]) -> f32[2, 4, 9, 9] { %y = conv %x, %w {padding = [[1, 1], [1, 1]]} return %y }",
}


@needs_cc
@pytest.mark.parametrize("cpu", ["host", "plain"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_all_kinds_have_the_bits_of_the_jit(tmp_path, name, cpu):
    func = rlxc.parse(f"func @{name}{PROGRAMS[name]}")[name]
    library = Library("lib", (func,), Options(cpu=cpu))
    (tmp_path / "lib.o").write_bytes(library.object_code())
    arrays = arrays_for(func)
    want = bits_of_jit(func, arrays, cpu=cpu)
    assert results_in_c(tmp_path, library, library.signature.functions[0], arrays, "lib.o", generic=cpu == "host") == [want, want]


@needs_cc
@pytest.mark.parametrize("place", ["embedded", "file"])
def test_weights_need_not_be_passed(tmp_path, place):
    func = mlp(4)
    arrays = arrays_for(func)
    weights = {name: arrays[name] for name in ("w1", "b1", "w3", "b3")}
    library = Library("mlp", (func,), weights=weights, place=place)
    (tmp_path / "mlp.o").write_bytes(library.object_code())
    (tmp_path / "mlp.weights").write_bytes(library.weights_file())
    (f,) = library.signature.functions
    assert [a.name for a in f.passed] == ["x", "labels", "w2", "b2"]
    want = bits_of_jit(func, arrays)
    for generic in (False, True):
        assert results_in_c(tmp_path, library, f, arrays, "mlp.o", generic=generic) == [want, want]


@needs_cc
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_functions_of_libm_are_called_for_remainders_only(tmp_path, dtype):
    def undefined(ops: str) -> str:
        func = rlxc.parse(f"func @f(%x: {dtype}[33]) -> {dtype}[33] {{ {ops} return %y }}")["f"]
        (tmp_path / "f.o").write_bytes(Library("f", (func,)).object_code())
        return subprocess.run(["nm", "-u", tmp_path / "f.o"], capture_output=True, text=True, check=True).stdout

    chain = "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh exp expm1 log log1p erf erfc lgamma digamma cbrt sqrt floor ceil round trunc logistic"
    lines = [f"%{i + 1} = {op} %{i}" for i, op in enumerate(chain.split())]
    assert undefined("%0 = neg %x " + " ".join(lines) + f" %y = pow %x, %{len(lines)}") == ""
    assert undefined("%y = rem %x, %x").split() == ["U", "fmod" if dtype == "f64" else "fmodf"]


@needs_cc
def test_null_pointers_are_refused(tmp_path):
    func = rlxc.parse("func @f(%x: f32[5, 3]) -> f32[5, 3] { %y = softmax %x {axis = 0} return %y }")["f"]
    library = Library("f", (func,))
    assert library.signature.functions[0].workspace > 0, "the test needs a function with a workspace"
    (tmp_path / "f.o").write_bytes(library.object_code())
    (tmp_path / "f.h").write_text(library.header())
    source = """
    #include "f.h"
    int main(void) {
      float x[15] = {1}, y[15];
      char space[F_WORKSPACE_SIZE];
      const void *in[] = {x};
      void *out[] = {y}, *none[] = {NULL};
      int wrong = f(x, y, space) != RLXC_OK || f_call(in, out, space) != RLXC_OK;
      wrong |= f(NULL, y, space) != RLXC_NULL_POINTER || f(x, NULL, space) != RLXC_NULL_POINTER || f(x, y, NULL) != RLXC_NULL_POINTER;
      wrong |= f_call(NULL, out, space) != RLXC_NULL_POINTER || f_call(in, NULL, space) != RLXC_NULL_POINTER;
      wrong |= f_call(in, none, space) != RLXC_NULL_POINTER;
      return wrong;
    }
    """
    assert subprocess.run([compile_c(tmp_path, source, "f.o")], check=False).returncode == 0


@needs_cc
def test_the_header_is_good_c_and_cpp(tmp_path):
    func = mlp(2)
    (tmp_path / "mlp.h").write_text(Library("mlp", (func, func.with_(name="class"))).header())
    for language, standard in (("c", "c99"), ("c++", "c++11")):
        command = [CC, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-include", "mlp.h", "/dev/null"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@needs_cc
def test_the_example_trains_a_network_in_c(tmp_path):
    loss = rlxc.bind(rlxc.load(ROOT / "examples" / "link" / "mlp.rlx")["loss"], B=32)
    library = Library("mlp", (rlxc.value_and_grad(loss, PARAMS).with_(name="loss.value_and_grad"),))
    (tmp_path / "mlp.o").write_bytes(library.object_code())
    (tmp_path / "mlp.h").write_text(library.header())
    path = compile_c(tmp_path, (ROOT / "examples" / "link" / "train.c").read_text(), "mlp.o")
    lines = subprocess.run([path], capture_output=True, text=True, check=True).stdout.splitlines()
    losses = [float(line.split()[-1]) for line in lines]
    assert len(losses) == 6
    assert losses[-1] < losses[0] / 2


@needs_cc
def test_two_libraries_link_into_one_program(tmp_path):
    for name, op in (("first", "neg"), ("second", "abs")):
        func = rlxc.parse(f"func @f(%x: f32[2]) -> f32[2] {{ %y = {op} %x return %y }}")["f"]
        library = Library(name, (func,))
        (tmp_path / f"lib{name}.a").write_bytes(library.archive())
        (tmp_path / f"{name}.h").write_text(library.header())
    source = """
    #include "first.h"
    #include "second.h"
    int main(void) {
      float x[2] = {-1, 2}, y[2], z[2];
      return first_f(x, y, NULL) || second_f(x, z, NULL) || y[0] != 1 || y[1] != -2 || z[0] != 1 || z[1] != 2;
    }
    """
    assert subprocess.run([compile_c(tmp_path, source, "-L.", "-lfirst", "-lsecond")], check=False).returncode == 0


def test_a_shared_library_is_called_as_its_system_calls_it():
    assert shared_name("mlp", Library("mlp", (), target="aarch64-linux-gnu").cpu) == "libmlp.so"
    assert shared_name("mlp", Library("mlp", (), target="x86_64-windows").cpu) == "mlp.dll"
    assert shared_name("mlp", Library("mlp", (), target="aarch64-macos").cpu) == "libmlp.dylib"
