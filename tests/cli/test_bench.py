"""`rlxc bench`."""

import json

import pytest

from rlxc.cli import main
from rlxc.commands.bench import measure
from rlxc.runtime.threads import num_threads, set_num_threads

TEXT = """
func @f(%x: f32[B, 16], param %w: f32[16, 8]) -> f32[] {
  %y = matmul %x, %w
  %t = tanh %y
  %l = mean %t
  return %l
}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "f.rlx"
    path.write_text(TEXT)
    return str(path)


def test_bench_shows_the_call_and_its_kernels(file, capsys):
    assert main(["bench", file, "--dim", "B=32", "--seconds", "0.02"]) == 0
    out = capsys.readouterr().out
    assert "@f" in out
    assert "GFLOP/s" in out
    assert "of the roofline" in out
    assert any(line.startswith("k0") for line in out.splitlines())


def test_bench_as_json_has_numbers(file, capsys):
    assert main(["bench", file, "--dim", "B=32", "--seconds", "0.02", "--grad", "w", "--json", "--cpu", "plain"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["function"] == "f.grad"
    assert 0 < report["seconds"]["low"] <= report["seconds"]["median"] <= report["seconds"]["high"]
    assert report["flops"] >= 2 * 2 * 32 * 16 * 8  # the product, and the gradient to w
    assert abs(sum(k["share"] for k in report["kernels"]) - 1) < 1e-6
    assert sum(k["flops"] for k in report["kernels"]) >= 2 * 2 * 32 * 16 * 8


def test_bench_writes_a_trace(file, tmp_path, capsys):
    trace = tmp_path / "out.json"
    assert main(["bench", file, "--dim", "B=2", "--seconds", "0.02", "--trace", str(trace)]) == 0
    events = json.loads(trace.read_text())["traceEvents"]
    assert {e["ph"] for e in events} == {"M", "X"}
    assert all(e["dur"] >= 0 for e in events if e["ph"] == "X")


@pytest.fixture
def restored():
    before = num_threads()
    yield
    set_num_threads(before)


@pytest.mark.usefixtures("restored")
def test_bench_counts_the_threads_that_calls_may_use(file, capsys):
    for given, want in (([], 2), (["--threads", "3"], 3)):
        set_num_threads(2)
        assert main(["bench", file, "--dim", "B=2", "--seconds", "0.02", "--json", *given]) == 0
        assert json.loads(capsys.readouterr().out)["machine"]["threads"] == want


def test_what_several_threads_worked_is_not_taken_for_time(monkeypatch):
    monkeypatch.setattr("rlxc.commands.bench.is_undisturbed", lambda cpu, wall: False)
    worked = iter(range(10**9))
    monkeypatch.setattr("time.process_time", lambda: float(next(worked)))  # a second each time it is asked
    assert max(measure(lambda: None, 0.01)) < 0.1


def test_bench_says_what_is_missing(file, capsys):
    assert main(["bench", file, "--seconds", "0.02"]) in (1, 2)
    assert "B" in capsys.readouterr().err
    assert main(["bench", file, "--seconds", "soon"]) == 2
    assert main(["bench", file, "--dim", "B=2", "--threads", "0"]) == 2


def test_build_profiles_what_it_builds(file, tmp_path, capsys):
    assert main(["build", file, "--dim", "B=4", "--grad", "w", "--profile", "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "kernel" in said.err
    assert "roofline" in said.err
    trace = tmp_path / "out" / "f.value_and_grad.trace.json"
    assert any(e["name"] == "@f.value_and_grad" for e in json.loads(trace.read_text())["traceEvents"])
    assert main(["build", file, "--dim", "B=4", "--profile", "--target", "aarch64-linux", "-o", str(tmp_path)]) == 2
