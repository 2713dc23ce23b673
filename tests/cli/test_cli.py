"""The command line: output, exit codes, help."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import rlxc
from rlxc import cli
from rlxc.cli import main

FFN = """rlx 0.1

// A layer.
func @f(%x: f64[B, 3], param %w: f64[3]) -> f64[] {
  %y = mul %x, %w
  %s = sin %y
  %l = reduce_sum %s {axes = [0, 1]}
  return %l
}
"""
TWO = (
    FFN
    + """
func @scale(%x: f64[3], %k: f64[3]) -> f64[3] {
  %y = mul %x, %k
  return %y
}
"""
)
X = np.array([[1.0, 2, 3], [4, 5, 6]])
W = np.array([0.5, 1.0, 2.0])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.rlx").write_text(FFN)
    (tmp_path / "two.rlx").write_text(TWO)
    (tmp_path / "empty.rlx").write_text("")
    np.save("x.npy", X)
    np.savez("all.npz", x=X, w=W)
    from rlxc.runtime.params import write_arrays

    write_arrays("w.safetensors", {"w": W})
    return tmp_path


class Stdin(io.StringIO):
    pass


def rlxc_main(capsys, *argv):
    code = main(list(argv))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


# --- run ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs",
    [
        ["--input", "x=@x.npy", "--params", "w.safetensors"],
        ["--input", "x=@all.npz", "--input", "w=@all.npz:w"],
        ["--input", "x=f64[2, 3]:[[1, 2, 3], [4, 5, 6]]", "--input", "%w=[0.5, 1, 2]"],
        ["--input", "x=@x.npy", "--params", "all.npz", "--interpret"],
        ["--input", "x=@x.npy", "--params", "all.npz", "--dim", "B=2"],
    ],
)
def test_run_takes_arrays_in_every_form(here, capsys, inputs):
    code, out, _ = rlxc_main(capsys, "run", "f.rlx", *inputs)
    assert code == 0
    name, _, value = out.partition(" = ")
    assert name == "%l: f64[]"
    assert float(value) == pytest.approx(np.sin(X * W).sum(), rel=1e-14)


def test_run_writes_results_and_compares_them(here, capsys):
    both = ["f.rlx@f", "--input", "x=random", "--dim", "B=4", "--input", "w=0.5", "--grad", "w,x"]
    assert rlxc_main(capsys, "run", *both, "--output", "@out.npz") == (0, "", "")
    with np.load("out.npz") as out:
        assert sorted(out) == ["dw", "dx", "l"]
        assert out["dx"].shape == (4, 3)
        np.savez("near.npz", **{k: v + 1e-3 for k, v in out.items()})
    code, _, err = rlxc_main(capsys, "run", *both, "--interpret", "--expect", "@out.npz")
    assert (code, err.count("ok")) == (0, 3)
    code, _, err = rlxc_main(capsys, "run", *both, "--expect", "@near.npz")
    assert code == 1
    assert "12 of 12 elements differ" in err
    assert rlxc_main(capsys, "run", *both, "--expect", "near.npz", "--atol", "0.01")[0] == 0


def test_run_reads_the_program_from_stdin(here, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(TWO))
    code, out, _ = rlxc_main(capsys, "run", "-@scale", "--input", "x=[1, 2, 3]", "--input", "k=2")
    assert (code, out) == (0, "%y: f64[3] = [2., 4., 6.]\n")


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["f.rlx"], 1, "misses %x: f64[B, 3], %w: f64[3]"),
        (["f.rlx", "--input", "x=@x.npy"], 1, "misses %w: f64[3]"),
        (["f.rlx", "--input", "z=1"], 1, "no argument %z"),
        (["f.rlx", "--input", "x=@none.npy"], 1, "cannot read none.npy"),
        (["f.rlx", "--input", "x=@all.npz:v"], 1, "holds no array 'v'"),
        (["f.rlx", "--input", "x"], 2, "write NAME=VALUE"),
        (["f.rlx", "--input", "x=f99[2]:1"], 2, "no dtype 'f99'"),
        (["f.rlx", "--input", "x=hello"], 2, "not a number"),
        (["f.rlx", "--input", "w=[1, 2]"], 1, "f64[3], not f64[2]"),
        (["f.rlx", "--input", "w=i32[3]:[1, 2, 3]", "--input", "x=@x.npy"], 1, "%w is f64[3], not i32[3]"),
        (["f.rlx", "--input", "w=1", "--input", "w=2"], 2, "given twice"),
        (["f.rlx", "--input", "x=random", "--input", "w=1"], 1, "dimension B"),
        (["f.rlx", "--dim", "B"], 2, "NAME=SIZE"),
        (["f.rlx", "--dim", "C=2"], 2, "no dimension named C"),
        (["f.rlx", "--params", "x.npy"], 1, "no array for param %w"),
        (["f.rlx", "--grad", "z"], 1, "no argument %z"),
        (["f.rlx", "--seed", "-1"], 2, "'-1' is not a whole number"),
        (["empty.rlx"], 1, "there is no function"),
        (["two.rlx"], 2, "which function is meant"),
        (["two.rlx@nothing"], 1, "no function @nothing"),
        (["none.rlx"], 1, "cannot read none.rlx"),
        (["."], 1, "cannot read ."),
        (["f.rlx", "--inptu", "x=1"], 2, "did you mean --input?"),
        (["f.rlx", "more"], 2, "does not take the argument 'more'"),
        (["--rtol", "x", "f.rlx"], 2, "is not a tolerance"),
        (["f.rlx", "--cpu", "z80"], 2, "invalid choice: 'z80'"),
        ([], 2, "required: FILE"),
    ],
)
def test_run_says_what_is_wrong(here, capsys, argv, code, says):
    got, out, err = rlxc_main(capsys, "run", *argv)
    assert says in err
    assert (got, out) == (code, "")


# --- IR to IR ----------------------------------------------------------------------------------------------------------


def test_opt_runs_passes_and_shows_them(here, capsys):
    code, out, err = rlxc_main(capsys, "opt", "f.rlx", "-p", "legalize,cse,dce", "--print-ir-changed", "--timing=json")
    assert code == 0
    assert rlxc.parse(out)["f"].ops[0].prim.name == "broadcast"
    assert err.count("// IR after") == 1
    assert [r["pass"] for r in json.loads(err.splitlines()[-1])] == ["legalize", "cse", "dce"]


def test_opt_prints_before_and_after(here, capsys):
    _, _, err = rlxc_main(capsys, "opt", "f.rlx", "-p", "legalize,cse", "--print-ir-before", "cse", "--print-ir-after", "legalize")
    assert [line for line in err.splitlines() if line.startswith("// IR")] == ["// IR after legalize", "// IR before cse"]
    _, _, err = rlxc_main(capsys, "opt", "f.rlx", "-p", "legalize,cse", "--print-ir-before-all", "--print-ir-after-all", "--timing")
    assert err.count("// IR") == 4
    assert "legalize" in err.splitlines()[-2]


def test_opt_without_passes_is_the_canonical_text(here, capsys):
    _, out, _ = rlxc_main(capsys, "opt", "f.rlx")
    assert out == str(rlxc.parse(FFN))
    assert rlxc_main(capsys, "opt", "f.rlx", "-o", "g.rlx") == (0, "", "")
    assert (here / "g.rlx").read_text() == out


@pytest.mark.parametrize(
    ("passes", "says"), [("legalise", "did you mean 'legalize'"), ("cse,", ""), ("cse{x=1}", "no option 'x'"), ("cse dce", "expected ','")]
)
def test_a_wrong_pipeline_is_a_usage_error(here, capsys, passes, says):
    code, _, err = rlxc_main(capsys, "opt", "f.rlx", "-p", passes)
    assert code == (2 if says else 0)
    assert says in err


def test_transforms_write_ir_that_can_be_piped(here, capsys, monkeypatch):
    _, text, _ = rlxc_main(capsys, "grad", "f.rlx", "--wrt", "w")
    assert [str(v.type) for v in rlxc.parse(text)["f.grad"].results] == ["f64[]", "f64[3]"]
    assert "d_output" in rlxc_main(capsys, "grad", "f.rlx", "--wrt", "w", "--with-seed")[1]
    assert "%dw" in rlxc_main(capsys, "jvp", "two.rlx@f", "--wrt", "w")[1]
    _, halves, _ = rlxc_main(capsys, "linearize", "two.rlx", "--fn", "f", "--wrt", "w")
    assert [f.name for f in rlxc.parse(halves)] == ["f.primal", "f.linear"]
    monkeypatch.setattr(sys, "stdin", Stdin(halves))
    _, back, _ = rlxc_main(capsys, "transpose", "-@f.linear")
    assert rlxc.parse(back).funcs[0].results[0].linear
    assert rlxc_main(capsys, "transpose", "two.rlx@scale", "--wrt", "x", "--raw")[0] == 0


@pytest.mark.parametrize("command", ["grad", "jvp", "vjp", "hvp", "jacfwd", "jacrev", "hessian", "linearize"])
def test_transforms_take_positions_sizes_and_further_results(here, capsys, command):
    (here / "g.rlx").write_text("func @g(%x: f64[B], %w: f64[B]) -> (f64[], f64[B]) { %y = mul %x, %w %s = reduce_sum %y {axes = [0]} return %s, %y }")
    code, text, err = rlxc_main(capsys, command, "g.rlx", "--wrt", "1", "--has-aux", "--dim", "B=3")
    assert (code, err) == (0, "")
    assert "B" not in text
    by_name = rlxc_main(capsys, command, "g.rlx", "--wrt", "w", "--has-aux", "--dim", "B=3")[1]
    assert rlxc.parse(by_name) == rlxc.parse(text)
    assert rlxc_main(capsys, command, "g.rlx", "--wrt", "2", "--has-aux")[0] == 1


def test_transpose_of_what_is_not_linear_is_refused_with_a_span(here, capsys):
    code, _, err = rlxc_main(capsys, "transpose", "f.rlx", "--wrt", "w")
    assert code == 1
    assert "f.rlx:6:8" in err
    assert "^" in err


# --- check, fmt --------------------------------------------------------------------------------------------------------


def test_check_finds_what_is_wrong_with_its_place(here, capsys):
    (here / "bad.rlx").write_text(FFN.replace("sin", "sinn"))
    code, out, err = rlxc_main(capsys, "check", "bad.rlx")
    assert (code, out) == (1, "")
    assert "did you mean 'sin'" in err
    assert "bad.rlx:6:" in err
    code, _, err = rlxc_main(capsys, "check", "bad.rlx", "--error-format=json")
    found = json.loads(err.splitlines()[0])
    assert (code, found["code"], found["location"]["line"]) == (1, "RLX0102", 6)


def test_check_refuses_a_function_that_is_not_linear_in_its_lin_arguments(here, capsys):
    (here / "lin.rlx").write_text("func @f(%x: lin f32[2]) -> lin f32[2] {\n  %y = mul %x, %x\n  return %y\n}\n")
    code, _, err = rlxc_main(capsys, "check", "lin.rlx")
    assert code == 1
    assert "product of two linear values" in err


def test_check_compares_derivatives(here, capsys):
    code, _, err = rlxc_main(capsys, "check", "two.rlx", "--grad")
    assert (code, err.count(" ok")) == (0, 4)
    assert rlxc_main(capsys, "check", "f.rlx", "--grad", "--dim", "B=2", "--input", "w=[1, 2, 3]")[0] == 0


def test_check_finds_a_wrong_derivative(here, capsys):
    @rlxc.register
    class WrongSine(rlxc.Elementwise):
        """Its derivative is not this."""

        name = "wrong_sine_of_test_cli"

        def eval(self, x):
            return np.sin(x)

        def partials(self, b, out, x):
            return (b.neg(b.cos(x)),)

    (here / "w.rlx").write_text("func @f(%x: f64[3]) -> f64[3] {\n  %y = wrong_sine_of_test_cli %x\n  return %y\n}\n")
    code, _, err = rlxc_main(capsys, "check", "w.rlx", "--grad")
    assert code == 1
    assert "J v against finite differences, %y" in err
    assert "WRONG" in err


def test_fmt_shows_checks_and_writes(here, capsys):
    messy = FFN.replace("  %y = mul", "%y=mul").replace("// A layer.", "//A layer.")
    (here / "messy.rlx").write_text(messy)
    _, formatted, _ = rlxc_main(capsys, "fmt", "messy.rlx")
    assert "A layer." in formatted
    assert rlxc_main(capsys, "fmt", "--check", "messy.rlx")[0] == 1
    code, out, _ = rlxc_main(capsys, "fmt", "--diff", "messy.rlx")
    assert code == 1
    assert "-%y=mul" in out
    assert rlxc_main(capsys, "fmt", "--write", "messy.rlx")[0] == 0
    assert (here / "messy.rlx").read_text() == formatted
    assert rlxc_main(capsys, "fmt", "--check", "messy.rlx") == (0, "", "")
    assert rlxc_main(capsys, "fmt", "--check", "--write", "messy.rlx")[0] == 2
    assert rlxc_main(capsys, "fmt", "--write", "-")[0] == 2


# --- build -------------------------------------------------------------------------------------------------------------


def test_build_writes_what_is_asked_for(here, capsys):
    code, out, err = rlxc_main(capsys, "build", "f.rlx", "-o", "made", "--dim", "B=4", "--emit", "rlx,loops,llvm,asm,obj")
    assert code == 0, err
    assert out.split() == [f"made{os.sep}f.{suffix}" for suffix in ("rlx", "loops.rlx", "ll", "s", "o")]
    assert rlxc.load("made/f.rlx")["f"].args[0].type.shape == (4, 3)
    loops = rlxc.load("made/f.loops.rlx")
    assert rlxc.parse(str(loops)) == loops
    assert "define" in (here / "made" / "f.ll").read_text()
    assert (here / "made" / "f.o").read_bytes()[:4] == b"\x7fELF"


def test_kernels_are_checked_but_neither_run_nor_differentiated(here, capsys):
    assert main(["build", "f.rlx", "--dim", "B=2", "--emit", "loops"]) == 0
    capsys.readouterr()
    assert rlxc_main(capsys, "check", "f.loops.rlx@f")[0] == 0
    for argv in (["run", "f.loops.rlx@f"], ["grad", "f.loops.rlx@f"], ["build", "f.loops.rlx@f"], ["transpose", "f.loops.rlx@f"]):
        code, _, err = rlxc_main(capsys, *argv)
        assert code == 1
        assert "@f is a kernel" in err
    assert rlxc_main(capsys, "run", "f.loops.rlx")[0] == 1


@pytest.mark.parametrize(("flags", "code", "says"), [(["--emit", "wasm"], 2, "obj"), (["--cpu", "z80", "--dim", "B=1"], 2, "z80"), ([], 2, "--dim B=")])
def test_build_says_what_is_wrong(here, capsys, flags, code, says):
    got, _, err = rlxc_main(capsys, "build", "f.rlx", *flags)
    assert got == code
    assert says in err


# --- reference ---------------------------------------------------------------------------------------------------------


def test_ops_and_passes_are_listed_and_described(capsys):
    _, out, _ = rlxc_main(capsys, "ops")
    assert any(line.startswith("reduce_sum ") for line in out.splitlines())
    _, out, _ = rlxc_main(capsys, "ops", "reduce_sum")
    assert out.startswith("reduce_sum %x {axes: [int, ...]")
    code, _, err = rlxc_main(capsys, "ops", "reduce_sun")
    assert code == 1
    assert "did you mean 'reduce_sum'" in err
    _, out, _ = rlxc_main(capsys, "passes", "linearize")
    assert out.startswith("linearize{wrt: [str, ...] = []")
    assert rlxc_main(capsys, "passes", "linearise")[0] == 1
    assert rlxc_main(capsys, "passes")[1] == rlxc_main(capsys, "opt", "--list-passes")[1]


def test_every_op_and_pass_says_what_it_is():
    from rlxc.commands.reference import REGISTRY, summary
    from rlxc.passes.manager import PASSES

    assert [p.name for p in REGISTRY.all() if not summary(p) and type(p).__module__.startswith("rlxc.")] == []
    assert [p.name for p in PASSES.values() if not p.summary] == []


def test_explain_knows_every_code_that_is_raised(capsys):
    import re
    from pathlib import Path

    root = Path(rlxc.__file__).parent
    used = {code for path in root.rglob("*.py") if path.name != "codes.py" for code in re.findall(r'"(RLX\d{4})"', path.read_text())}
    missing = sorted(code for code in used if main(["explain", code]) != 0)
    capsys.readouterr()
    assert not missing, f"rlxc/codes.py does not explain {', '.join(missing)}"
    assert rlxc_main(capsys, "explain", "RLX9999")[0] == 1
    assert "RLX0201" in rlxc_main(capsys, "explain")[1]


def test_info_names_versions_and_the_processor(capsys):
    facts = json.loads(rlxc_main(capsys, "info", "--json")[1])
    assert facts["rlxc"] == rlxc.__version__
    assert {"llvm", "cpu", "cpu features", "vector width", "cores"} <= set(facts)
    assert rlxc_main(capsys, "info")[1].startswith("rlxc ")


# --- the whole -----------------------------------------------------------------------------------------------------------


def test_help_and_version(capsys):
    code, out, _ = rlxc_main(capsys, "--help")
    assert code == 0
    assert all(name in out for name in cli.COMMANDS)
    assert rlxc_main(capsys, "--version")[1] == f"rlxc {rlxc.__version__}\n"
    assert rlxc_main(capsys)[0] == 0
    for name in cli.COMMANDS:
        assert rlxc_main(capsys, name, "--help")[0] == 0


@pytest.mark.parametrize(("argv", "says"), [(["rnu"], "did you mean 'run'"), (["frobnicate"], "commands are"), (["--frob"], "no flag --frob")])
def test_unknown_words_are_usage_errors(capsys, argv, says):
    code, out, err = rlxc_main(capsys, *argv)
    assert (code, out) == (2, "")
    assert says in err
    code, _, err = rlxc_main(capsys, *argv, "--error-format=json")
    assert code == 2
    assert json.loads(err)["severity"] == "error"


def test_an_internal_error_leaves_a_reproducer(here, capsys, monkeypatch):
    import rlxc.commands.transforms as transforms

    def broken(func, wrt, **options):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(transforms.api, "jvp", broken)
    code, out, err = rlxc_main(capsys, "jvp", "f.rlx")
    assert (code, out) == (3, "")
    assert "internal error: ZeroDivisionError: oh" in err
    (path,) = here.glob("rlxc-reproducer-*.rlx")
    text = path.read_text()
    assert path.name in err
    assert "// rlxc jvp f.rlx" in text
    assert "ZeroDivisionError" in text
    assert rlxc.parse(text) == rlxc.parse(FFN)
    with pytest.raises(ZeroDivisionError):
        main(["jvp", "f.rlx", "--debug"])


def test_debug_shows_the_traceback(here):
    with pytest.raises(rlxc.Error):
        main(["check", "none.rlx", "--debug"])


def test_ctrl_c_is_no_traceback(here, capsys, monkeypatch):
    import rlxc.commands.transforms as transforms

    def interrupted(func, wrt, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(transforms.api, "jvp", interrupted)
    assert rlxc_main(capsys, "jvp", "f.rlx") == (130, "", "interrupted\n")


def command(*argv, **options):
    return subprocess.run([sys.executable, "-m", "rlxc", *argv], capture_output=True, text=True, check=False, **options)


def test_the_module_runs_as_a_process(here):
    done = command("run", "f.rlx", "--input", "x=@x.npy", "--params", "all.npz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("%l: f64[] = ")
    assert command("check", "-", input=FFN.replace("%l\n", "%k\n")).returncode == 1


def test_a_reader_that_goes_away_is_no_error(here):
    writer = subprocess.Popen([sys.executable, "-m", "rlxc", "ops", "--markdown"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer.stdout.read(10)
    writer.stdout.close()
    assert writer.wait(60) == 0
    assert writer.stderr.read() == b""


def test_closed_streams_are_no_defect(here):
    script = f"{sys.executable} -m rlxc opt f.rlx >&- && {sys.executable} -m rlxc check - <&-"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error[RLX0601]: cannot read stdin: it is closed\n")


def test_colors_are_for_terminals_only(here, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for no_color, colored in ((None, True), ("1", False)):
        if no_color:
            monkeypatch.setenv("NO_COLOR", no_color)
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        assert main(["transpose", "f.rlx"]) == 1
        assert ("\x1b[" in terminal.getvalue()) == colored


def test_help_answers_at_once():
    """Processor time counts, and the least of several runs: a busy machine says nothing about the program."""

    def seconds():
        before = os.times()
        assert command("--help").returncode == 0
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(5)) < 0.15


def test_help_imports_nothing_heavy():
    code = "import sys; from rlxc.cli import main; main(['--help']); print([m for m in ('numpy', 'llvmlite', 'lark') if m in sys.modules], file=sys.stderr)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.strip() == "[]"


def test_flags_that_every_command_takes_may_stand_before_it(here, capsys):
    code, _, err = rlxc_main(capsys, "--error-format", "json", "check", "nope.rlx")
    assert code == 1
    assert json.loads(err)["code"] == "RLX0601"
    assert rlxc_main(capsys, "--error-format=json", "check", "f.rlx")[0] == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_no_defect_of_rlxc(here):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "rlxc", "ops"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


def test_nan_and_inf_are_elements(here, capsys):
    (here / "g.rlx").write_text("func @g(%x: f64[4]) -> f64[4] {\n  return %x\n}")
    code, out, _ = rlxc_main(capsys, "run", "g.rlx", "--input", "x=[nan, inf, -inf, 1e3]")
    assert (code, out) == (0, "%x: f64[4] = [  nan,   inf,  -inf, 1000.]\n")


def test_integers_are_compared_exactly(here, capsys):
    (here / "g.rlx").write_text("func @g(%x: i64[]) -> i64[] {\n  return %x\n}")
    np.savez("want.npz", x=np.int64(2**53 + 1))
    assert rlxc_main(capsys, "run", "g.rlx", "--input", f"x={2**53}", "--expect", "want.npz")[0] == 1
    assert rlxc_main(capsys, "run", "g.rlx", "--input", f"x={2**53 + 1}", "--expect", "want.npz")[0] == 0
    assert rlxc_main(capsys, "run", "g.rlx", "--input", "x=1", "--expect", "want.npz", "--rtol", "nan")[0] == 2


def test_arguments_without_names_are_called_by_their_numbers(here, capsys):
    (here / "g.rlx").write_text("func @g(%0: f64[3]) -> f64[3] {\n  %1 = sin %0\n  return %1\n}")
    assert rlxc_main(capsys, "check", "--grad", "g.rlx")[0] == 0
    assert rlxc_main(capsys, "run", "g.rlx", "--input", "0=0")[:2] == (0, "%out0: f64[3] = [0., 0., 0.]\n")
    assert rlxc_main(capsys, "linearize", "g.rlx", "--wrt", "0")[0] == 0


def test_build_writes_inside_its_folder_whatever_the_function_is_called(here, capsys):
    (here / "g.rlx").write_text('func @"../../g"(%x: f64[3]) -> f64[3] {\n  %1 = sin %x\n  return %1\n}')
    assert rlxc_main(capsys, "build", "g.rlx", "-o", "out", "--emit=rlx")[0] == 0
    assert len(list((here / "out").iterdir())) == 1
    assert rlxc_main(capsys, "build", "g.rlx", "--emit=")[0] == 2


def test_an_unknown_pass_to_print_after_is_a_wrong_command_line(here, capsys):
    code, _, err = rlxc_main(capsys, "opt", "f.rlx", "-p", "cse", "--print-ir-after", "cze")
    assert code == 2
    assert "did you mean" in err


def test_a_file_without_functions_has_no_derivative(here, capsys):
    assert rlxc_main(capsys, "check", "--grad", "empty.rlx")[0] == 1
