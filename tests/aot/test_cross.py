"""Object code for other machines: its format, its symbols, and that nothing is asked of it that is not in libm or libc."""

from __future__ import annotations

import struct

import pytest

import rlxc
from benchmarks import programs
from rlxc.runtime.aot import Library
from rlxc.runtime.compile import Options
from rlxc.runtime.cross import machine

#: target -> the first bytes of its object files
TARGETS = {
    "aarch64-linux-gnu": b"\x7fELF\x02\x01\x01",
    "x86_64-linux": b"\x7fELF\x02\x01\x01",
    "x86_64-windows": b"\x64\x86",
    "x86_64-w64-mingw32": b"\x64\x86",
    "aarch64-windows": b"\x64\xaa",
    "aarch64-macos": b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01",
    "x86_64-macos": b"\xcf\xfa\xed\xfe\x07\x00\x00\x01",
    "wasm32": b"\0asm\x01\0\0\0",
}
PROGRAMS = {
    "gradient": "(%x: f32[8, 20], %w: f32[20, 16], %b: f32[16]) -> f32[] { %h = linear %x, %w, %b %a = tanh %h %s = mean %a return %s }",
    "row": "(%x: f32[5, 33]) -> f32[5, 33] { %y = softmax %x {axis = 1} %z = layer_norm %y return %z }",
    "narrow": "(%x: f16[37], %y: bf16[37]) -> (f16[37], bf16[37]) { %a = exp %x %b = sin %y return %a, %b }",
    "gather": "(%x: f32[9, 4], %i: i32[7]) -> (f32[7, 4], i64[9]) { %y = take %x, %i {axis = 0} %z = argmax %x {axis = 1} return %y, %z }",
    "doubles": "(%x: f64[5], %y: f64[5]) -> (f64[5], f64[]) { %a = pow %x, %y %b = erf %a %s = reduce_sum %b {axes = [0]} return %b, %s }",
    "integers": "(%x: i8[19], %y: u64[19]) -> (i8[19], f32[19]) { %a = add %x, %x %b = convert %y {dtype = f32} return %a, %b }",
    "conv": "(%x: f32[2, 3, 9, 9], %w: f32[4, 3, 3, 3]) -> f32[2, 4, 9, 9] { %y = conv %x, %w {padding = [[1, 1], [1, 1]]} return %y }",
}


def program(name: str) -> rlxc.Func:
    func = rlxc.parse(f"func @{name}{PROGRAMS[name]}")[name]
    return rlxc.value_and_grad(func, ["w", "b"]) if name == "gradient" else func


# Every program for every machine; systems differ in the format of the file, and in what they have for conversions.
MACHINES = ("aarch64-linux-gnu", "x86_64-linux", "wasm32")
PAIRS = [(target, name) for target in TARGETS for name in (PROGRAMS if target in MACHINES else ("gradient", "integers"))]


@pytest.mark.parametrize(("target", "name"), PAIRS)
def test_object_code_has_the_format_of_its_target(target, name):
    library = Library("model", (program(name),), Options(cpu="plain"), target)
    code = library.object_code()
    assert code.startswith(TARGETS[target])
    for symbol in library.signature.symbols:
        assert symbol.encode() in code
    if target == "aarch64-linux-gnu":
        assert struct.unpack_from("<HH", code, 16) == (1, 183), "a relocatable file for AArch64"


BERT, BLOCK = programs.bert(1, D=96, H=3, F=160, S=40), programs.block(2)
WHOLE = {"bert arm": (BERT, "aarch64-linux"), "bert wasm": (BERT, "wasm32"), "block windows": (BLOCK, "x86_64-windows"), "block": (BLOCK, "")}


@pytest.mark.parametrize(("text", "target"), WHOLE.values(), ids=WHOLE)
def test_whole_networks_and_their_gradients_compile_for_other_machines(text, target):
    func = rlxc.parse(text).funcs[0]
    gradient = rlxc.value_and_grad(func, [a.name for a in func.args if a.name.startswith("w")][:4])
    library = Library("model", (func, gradient), Options(cpu="plain"), target)
    assert len(library.object_code()) > 20_000


@pytest.mark.parametrize("level", ["avx512", "avx2", "plain"])
def test_levels_of_another_machine_do_not_depend_on_this_one(level):
    wide = {"avx512": "zmm", "avx2": "ymm", "plain": "xmm"}
    text = Library("model", (program("row"),), Options(cpu=level), "x86_64-linux").assembly()
    assert wide[level] in text
    assert not any(register in text for other, register in wide.items() if list(wide).index(other) < list(wide).index(level))


def test_neon_and_wasm_use_their_vectors():
    assert "v0.4s" in Library("model", (program("gradient"),), Options(cpu="plain"), "aarch64-linux").assembly()
    assert "f32x4.mul" in Library("model", (program("gradient"),), Options(cpu="plain"), "wasm32").assembly()


def test_workspace_sizes_are_as_wide_as_pointers():
    assert 'define dso_local i32 @"model_row_workspace_size"()' in Library("model", (program("row"),), target="wasm32").llvm()
    assert 'define dso_local i64 @"model_row_workspace_size"()' in Library("model", (program("row"),), target="aarch64-linux").llvm()


def test_functions_are_exported_where_that_needs_a_word():
    assert 'define dllexport i32 @"model_row"' in Library("model", (program("row"),), target="x86_64-windows").llvm()
    assert '"wasm-export-name"="model_row"' in Library("model", (program("row"),), target="wasm32").llvm()


@pytest.mark.parametrize(("level", "target"), [("plain", "pdp11"), ("avx2", "aarch64-linux"), ("z80", "wasm32"), ("plain", "x86_64-pc-linux-windows")])
def test_machines_that_rlxc_does_not_know_are_refused(level, target):
    with pytest.raises(rlxc.Error) as error:
        machine(level, target)
    assert error.value.code == "RLX0406"


def test_static_libraries_of_macos_and_shared_ones_of_wasm_are_refused():
    with pytest.raises(rlxc.Unsupported, match="own tools"):
        Library("model", (program("row"),), target="aarch64-macos").archive()
    with pytest.raises(rlxc.Unsupported, match="WebAssembly"):
        Library("model", (program("row"),), target="wasm32").shared()


def test_the_package_ziglang_links_where_the_system_does_not(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("shutil.which", lambda name: None)
    commands = []

    def run(command, **_):
        commands.append(command)
        raise FileNotFoundError(2, "no such file")

    monkeypatch.setattr("subprocess.run", run)
    for target in ("aarch64-linux-gnu", "aarch64-macos", "x86_64-w64-mingw32"):
        with pytest.raises(rlxc.Unsupported, match="cannot run"):
            Library("model", (program("row"),), target=target).shared()
    assert [c[1:6] for c in commands] == [["-m", "ziglang", "cc", "-target", t] for t in ("aarch64-linux-gnu", "aarch64-macos", "x86_64-windows-gnu")]


def test_without_a_linker_there_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(rlxc.MissingExtra, match=r"no linker for .*"):
        Library("model", (program("row"),)).shared()
