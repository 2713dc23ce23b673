"""The runner, on the peers that are here: this Python's."""

import json
import subprocess
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks.cases import CASES
from benchmarks.peers import PEERS, environment, interpreter
from benchmarks.report import wrong_answers
from benchmarks.runner import Plan, run
from benchmarks.worker import main as work


def test_peers_agree_on_small_cases():
    pythons = {"numpy": sys.executable, "rlxc": sys.executable}
    results = run(Plan([CASES["triv10_np"], CASES["rosen10_vec.grad"]], pythons, rounds=1, seconds=0.01))
    by = {(r["case"], r["peer"]): r for r in results}
    assert wrong_answers(results) == {}
    assert by["triv10_np", "rlxc"]["time"]["median"] > 0
    assert by["rosen10_vec.grad", "numpy"]["skipped"] == "no automatic differentiation"
    assert by["rosen10_vec.grad", "rlxc"]["cold"] > 0


@pytest.mark.parametrize("name", ["mlp.sgd", "mlp.adam", "ffn_tiny.grad", "triv1_np", "softmax.fwd", "depthwise.fwd"])
def test_rlxc_runs_every_mode(name):
    result = work("rlxc", name, 0.001, 1)
    assert "error" not in result
    assert result["time"]["median"] > 0
    if CASES[name].mode in ("sgd", "adam"):
        before, after = result["answer"]
        assert after["size"] < before["size"]  # the loss goes down


def test_a_peer_that_fails_is_asked_once():
    plan = Plan([CASES["triv1"]], {"numpy": "/bin/false"}, rounds=3, seconds=0.01)
    results = run(plan)
    assert len(results) == 1
    assert results[0]["error"].startswith("ended with 1")


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    log = tmp_path / "log.jsonl"
    first = run(Plan([CASES["triv1"]], {"numpy": sys.executable}, rounds=1, seconds=0.01, log=log))
    again = run(Plan([CASES["triv1"]], {"numpy": "/bin/false"}, rounds=1, seconds=0.01, log=log))  # nothing is left to do
    assert again == first


def test_a_run_stops_when_its_time_is_over():
    plan = Plan([CASES["triv1"]], {"numpy": sys.executable}, rounds=3, seconds=0.01, minutes=1e-9)
    assert run(plan) == []


def test_rounds_go_forth_and_back():
    plan = Plan([CASES["triv1"], CASES["xx.grad"]], {"numpy": "", "rlxc": ""}, rounds=2)
    assert [(n, c.name, p) for n, c, p in plan.pairs()][:2] == [(0, "triv1", "numpy"), (0, "triv1", "rlxc")]
    assert [p for n, c, p in plan.pairs() if n == 1][:2] == ["rlxc", "numpy"]


def test_a_peer_without_an_interpreter_is_left_out(capsys, tmp_path):
    assert interpreter("rlxc", {}, None) == sys.executable
    assert interpreter("openvino", {"openvino": str(tmp_path / "python")}, None) in (None, sys.executable)
    folder = tmp_path / "jax" / "lib" / "python3.12" / "site-packages" / "jax"
    folder.mkdir(parents=True)
    python = tmp_path / "jax" / "bin" / "python"
    python.parent.mkdir()
    python.write_text("")
    python.chmod(0o755)
    assert interpreter("jax", {}, str(tmp_path)) == str(python)


def test_each_peer_gets_as_many_threads():
    env = environment("rlxc", 2)
    assert env["RLXC_NUM_THREADS"] == env["OMP_NUM_THREADS"] == "2"
    assert env["RLXC_CACHE"] == "0"
    assert "XLA_FLAGS" in environment("jax", 1)
    assert set(PEERS) >= {"numpy", "jax", "torch", "torch_compile", "onnxruntime", "openvino", "rlxc"}


def test_the_command_line_lists_runs_and_reports(capsys, tmp_path):
    assert command.main(["list"]) == 0
    assert "bert12_b1.grad" in capsys.readouterr().out
    stored = tmp_path / "r.json"
    assert command.main(["run", "--peers", "rlxc", "--cases", "triv1_grad", "--rounds", "1", "--seconds", "0.01", "--output", str(stored)]) == 0
    assert "`triv1_grad`" in capsys.readouterr().out
    assert json.loads(stored.read_text())["machine"]["date"]
    assert command.main(["report", str(stored), "--measure", "cold,memory"]) == 0
    assert "MiB" in capsys.readouterr().out


def test_the_worker_prints_one_line():
    env = environment("rlxc", 1)
    done = subprocess.run([sys.executable, "-m", "benchmarks.worker", "rlxc", "xx.grad", "0.01", "1"], capture_output=True, text=True, env=env, check=True)
    assert json.loads(done.stdout)["case"] == "xx.grad"
