"""load_library calls a shared library by name with the checks of compiled functions; rlxc build makes it from the command line."""

from __future__ import annotations

import ctypes
import json
import shutil

import numpy as np
import pytest

import rlxc
from rlxc.cli import main
from rlxc.runtime.aot import Library
from rlxc.runtime.params import write_arrays

needs_linker = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang", "ld"))), reason="there is no linker")

PROGRAM = """
func @scores(%x: f32[B, 3], param %w: f32[3, 2], param %b: f32[2]) -> f32[B, 2] {
  %y = linear %x, %w, %b
  return %y
}

func @loss(%x: f32[B, 3], param %w: f32[3, 2], param %b: f32[2]) -> f32[] {
  %y = call @scores(%x, %w, %b)
  %e = exp %y
  %loss = mean %e
  return %loss
}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.rlx").write_text(PROGRAM)
    return tmp_path


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in (("x", (4, 3)), ("w", (3, 2)), ("b", 2))}


def build(*flags: str) -> None:
    assert main(["build", "model.rlx", "--dim", "B=4", *flags]) == 0


@needs_linker
def test_functions_are_called_by_either_name_and_give_the_bits_of_the_jit(here):
    build("--fn", "loss", "--grad", "w,b", "--primal", "--emit", "so")
    library = rlxc.load_library("libmodel.so")
    assert list(library) == ["loss", "loss.value_and_grad"]
    loss = rlxc.bind(rlxc.load("model.rlx")["loss"], B=4)
    given = arrays()
    want = rlxc.compile(rlxc.value_and_grad(loss, ["w", "b"]))(**given)
    for f in (library["loss.value_and_grad"], library["@loss.value_and_grad"], library.model_loss_value_and_grad):
        for got, expected in zip(f(**given), want, strict=True):
            np.testing.assert_array_equal(got, expected, strict=True)
    assert library["loss"](**given) == want[0]


@needs_linker
def test_arrays_are_checked_as_those_of_compiled_functions(here):
    build("--fn", "scores", "--emit", "so")
    scores = rlxc.load_library("libmodel.so")["scores"]
    given = arrays()
    out = np.empty((4, 2), np.float32)
    assert scores(*given.values(), out=out) is out
    with pytest.raises(rlxc.ArgumentError, match=r"%x is f32\[4, 3\], not f64"):
        scores(**{**given, "x": np.zeros((4, 3))})
    with pytest.raises(rlxc.ArgumentError, match=r"not f32\[5, 3\]"):
        scores(**{**given, "x": np.zeros((5, 3), np.float32)})
    with pytest.raises(rlxc.ArgumentError, match="misses %b"):
        scores(given["x"], given["w"])


@needs_linker
@pytest.mark.parametrize("how", ["--embed-weights", "--map-weights"])
@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_weights_of_a_file_need_not_be_passed(here, how, kind, capsys):
    given = arrays()
    write_arrays(f"weights.{kind}", {"w": given["w"], "b": given["b"], "other": given["x"]})
    build("--fn", "loss", "--emit", "so,header", how, f"weights.{kind}")
    assert ("model.weights" in capsys.readouterr().out) == (how == "--map-weights")
    loss = rlxc.load_library("libmodel.so")["loss"]
    want = rlxc.compile(rlxc.load("model.rlx")["loss"])(**given)
    assert loss(given["x"]) == want
    assert loss(x=given["x"]) == want
    if how == "--map-weights":
        changed = arrays(1)
        text = (here / "model.h").read_text()
        whole = bytearray((here / "model.weights").read_bytes())
        for name in ("w", "b"):
            offset = int(text.split(f"MODEL_WEIGHTS_{name.upper()}_OFFSET ")[1].split()[0])
            whole[offset : offset + changed[name].nbytes] = changed[name].tobytes()
        (here / "other.weights").write_bytes(whole)
        other = rlxc.load_library("libmodel.so", weights="other.weights")["loss"]
        np.testing.assert_array_equal(other(given["x"]), rlxc.compile(rlxc.load("model.rlx")["loss"])(given["x"], changed["w"], changed["b"]))
        (here / "short.weights").write_bytes(whole[:64])
        with pytest.raises(rlxc.ArgumentError, match="64 bytes"):
            rlxc.load_library("libmodel.so", weights="short.weights")
        (here / "model.weights").unlink()
        with pytest.raises(rlxc.FileError, match="cannot map"):
            rlxc.load_library("libmodel.so")


@needs_linker
def test_a_library_that_was_built_again_is_loaded_anew(here):
    results = []
    libraries = []
    for op in ("add", "mul", "sub"):
        (here / "twice.rlx").write_text(f"func @twice(%x: f32[2]) -> f32[2] {{ %y = {op} %x, %x return %y }}")
        assert main(["build", "twice.rlx", "--emit", "so"]) == 0
        libraries.append(rlxc.load_library("libtwice.so"))
        results.append([library.twice(np.full(2, 3, np.float32))[0] for library in libraries])
    assert results == [[6], [6, 9], [6, 9, 0]]
    assert rlxc.load_library("libtwice.so").twice(np.ones(2, np.float32))[0] == 0


@needs_linker
def test_functions_are_attributes_by_either_name(here):
    build("--fn", "scores", "--emit", "so")
    library = rlxc.load_library("libmodel.so")
    assert library.scores is library["scores"] is library.model_scores
    with pytest.raises(AttributeError, match="has no function nope"):
        library.nope  # noqa: B018


@needs_linker
def test_what_a_library_says_of_itself(here):
    build("--fn", "scores,loss", "--emit", "so", "--name", "my-net")
    shared = ctypes.CDLL(str(here / "libmy-net.so"))
    shared.my_net_metadata.restype = ctypes.c_char_p
    facts = json.loads(shared.my_net_metadata())
    assert facts["rlxc"] == rlxc.__version__
    scores, loss = facts["functions"]
    assert scores["symbol"] == "my_net_scores"
    assert scores["arguments"][1] == {"name": "w", "dtype": "f32", "shape": [3, 2], "param": True}
    assert loss["results"] == [{"name": "loss", "dtype": "f32", "shape": []}]
    assert len(rlxc.load_library("libmy-net.so", "my_net")) == 2


@needs_linker
def test_a_library_that_is_built_again_does_not_disturb_who_uses_it(here):
    build("--fn", "loss", "--emit", "so")
    loss = rlxc.load_library("libmodel.so")["loss"]
    before = loss(**arrays())
    build("--fn", "scores", "--emit", "so")
    assert loss(**arrays()) == before
    assert [p.name for p in here.iterdir() if p.name.endswith(".part")] == []


@needs_linker
def test_files_that_are_no_library_are_refused(here):
    with pytest.raises(rlxc.FileError, match="not a library made by rlxc"):
        rlxc.load_library("missing.so")
    (here / "text.so").write_text("nothing")
    with pytest.raises(rlxc.FileError, match="not a library made by rlxc"):
        rlxc.load_library("text.so")
    build("--fn", "loss", "--emit", "so")
    with pytest.raises(rlxc.FileError, match="not a library made by rlxc"):
        rlxc.load_library("libmodel.so", "other")
    library = rlxc.load_library("libmodel.so")
    with pytest.raises(rlxc.UnknownName, match="no function @los"):
        library["los"]
    with pytest.raises(AttributeError):
        library.scores  # noqa: B018


@needs_linker
def test_a_library_for_instructions_that_are_not_there_is_refused(here, monkeypatch):
    build("--fn", "loss", "--emit", "so")
    monkeypatch.setattr("rlxc.runtime.library.missing_features", lambda features: ["avx9"])
    with pytest.raises(rlxc.Unsupported, match="avx9"):
        rlxc.load_library("libmodel.so")


def test_every_kind_of_file_is_written(here, capsys):
    kinds = {
        "rlx": "model.rlx",
        "loops": "model.loops.rlx",
        "llvm": "model.ll",
        "asm": "model.s",
        "obj": "model.o",
        "header": "model.h",
        "static": "libmodel.a",
    }
    build("--fn", "loss,scores", "-o", "made", "--emit", ",".join(kinds))
    assert [line.split("/")[-1] for line in capsys.readouterr().out.split()] == list(kinds.values())
    assert (here / "made" / "libmodel.a").read_bytes().startswith(b"!<arch>\n")
    assert [f.name for f in rlxc.load("made/model.rlx")] == ["loss", "scores"]


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--fn", "loss", "--emit", "rlx"], 2, "overwritten"),
        (["--fn", "loss", "--primal"], 2, "--grad"),
        (["--fn", "loss", "--embed-weights", "w.npz", "--map-weights", "w.npz"], 2, "not both"),
        (["--fn", "loss", "--embed-weights", "other.npz"], 1, "params are b, w"),
        (["--fn", "loss", "--embed-weights", "wrong.npz"], 1, "%w"),
        (["--fn", "loss,nothing"], 1, "@nothing"),
        (["--fn", "loss,scores", "--dim", "C=3"], 2, "dimension named C"),
        (["--fn", "loss", "--target", "pdp11"], 1, "pdp11"),
        ([], 2, "which function"),
    ],
)
def test_build_says_what_is_wrong(here, capsys, flags, code, says):
    write_arrays("w.npz", arrays())
    write_arrays("other.npz", {"x": np.zeros(3)})
    write_arrays("wrong.npz", {"w": np.zeros((2, 2), np.float32)})
    assert main(["build", "model.rlx", "--dim", "B=4", *flags]) == code
    assert says in capsys.readouterr().err


def test_functions_whose_names_are_one_in_c_are_refused():
    f = rlxc.parse("func @f(%x: f32[2]) -> f32[2] { %y = neg %x return %y }")["f"]
    with pytest.raises(rlxc.Unsupported, match="called model_f_x in C"):
        Library("model", (f.with_(name="f.x"), f.with_(name="f x"))).header()
    with pytest.raises(rlxc.Unsupported, match="called model_f_call in C"):
        Library("model", (f, f.with_(name="f.call"))).header()


def test_names_that_c_does_not_tell_apart_are_refused_or_changed():
    f = rlxc.parse("func @f(%x: f32[1], %X: f32[3], %WORKSPACE: f32[3], %int: f32[3]) -> f32[3] { return %X }")["f"]
    assert "int model_f(const float *x, const float *X_, const float *WORKSPACE_, const float *int_, float *X_2" in Library("model", (f,)).header()
    f = rlxc.parse("func @f(%g_x: f32[2]) -> f32[2] { return %g_x }")["f"]
    with pytest.raises(rlxc.Unsupported, match="called MODEL_F_G_X_SIZE in C"):
        Library("model", (f, rlxc.parse("func @f_g(%x: f32[3]) -> f32[3] { return %x }")["f_g"])).header()


def test_the_same_library_has_the_same_bytes():
    loss = rlxc.bind(rlxc.parse(PROGRAM)["loss"], B=4)
    first, second = (Library("model", (loss,), weights={"w": arrays()["w"]}) for _ in range(2))
    assert first.archive() == second.archive()
    assert first.header() == second.header()
