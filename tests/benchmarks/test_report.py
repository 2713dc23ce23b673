"""Tables, ratios and plots, from results that are made up."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from benchmarks import report, timing
from benchmarks.cases import CASES, find
from benchmarks.gemm_libraries import SHAPES
from benchmarks.gemm_libraries import table_text as gemm_text
from benchmarks.publish import page_text

RIGHT = [{"shape": [], "size": 1.0, "projection": 2.0}]
WRONG = [{"shape": [], "size": 1.5, "projection": 2.0}]


def result(peer, case, seconds, *, threads=1, answer=RIGHT, round=0):
    time = {"median": seconds, "low": seconds, "high": seconds, "samples": 5, "disturbed": False}
    what = {"peer": peer, "case": case, "threads": threads, "version": f"{peer} 1.0", "round": round}
    return what | {"time": time, "cold": seconds * 100, "memory": 5 << 20, "answer": answer}


RESULTS = [
    result("jax", "softmax.fwd", 4e-3),
    result("jax", "softmax.fwd", 3e-3, round=1),
    result("torch", "softmax.fwd", 6e-3),
    result("rlxc", "softmax.fwd", 1.5e-3),
    result("jax", "softmax.grad", 1e-3),
    result("rlxc", "softmax.grad", 2e-3),
    result("jax", "mm64.fwd", 1e-6),
    result("rlxc", "mm64.fwd", 2e-6),
]


def test_a_cell_is_the_best_round_and_a_ratio_the_best_peer():
    table = report.cells(RESULTS)
    assert table["softmax.fwd"] == {"jax": 3e-3, "torch": 6e-3, "rlxc": 1.5e-3}
    assert report.ratios(table) == pytest.approx({"mm64.fwd": 0.5, "softmax.fwd": 2.0, "softmax.grad": 0.5})


def test_a_table_has_a_row_for_each_case_and_their_geometric_mean():
    text = report.table_text(RESULTS)
    lines = text.splitlines()
    row = next(line for line in lines if "softmax.fwd" in line)
    assert [c.strip() for c in row.split("|")[1:-1]] == ["`softmax.fwd`", "3 ms", "6 ms", "**1.5 ms**", "2.00", "5.6 GB/s"]
    rows = text[text.index("### rows") :]
    assert "**1.00**" in rows  # of 2.0 and 0.5
    assert "2 us" in text
    assert all(line.count("|") == lines[2].count("|") for line in text[: text.index("### rows")].splitlines() if line.startswith("|"))


def test_a_wrong_answer_is_marked_and_beats_nobody():
    results = [*RESULTS, result("onnxruntime", "softmax.fwd", 1e-4, answer=WRONG)]
    assert report.ratios(report.cells(results), excluded=report.wrong_answers(results))["softmax.fwd"] == pytest.approx(2.0)
    text = report.table_text(results)
    assert "100 us !" in text
    assert "`softmax.fwd` of onnxruntime: result 0 has elements of size 1.5 instead of 1" in text


def test_an_error_is_told_below_the_table():
    results = [*RESULTS, {"peer": "torch", "case": "mm64.fwd", "threads": 1, "error": "OSError: gone\nmore"}]
    assert "* `mm64.fwd` of torch: OSError: gone" in report.table_text(results)


def test_other_measures():
    assert "300 ms" in report.table_text(RESULTS, "cold")
    assert "5 MiB" in report.table_text(RESULTS, "memory")


def test_speedups_need_runs_with_several_threads():
    assert report.speedups(RESULTS) == ""
    text = report.speedups([*RESULTS, result("rlxc", "softmax.fwd", 1e-3, threads=2)])
    assert "1.50" in text
    assert "mm64" not in text


def test_a_plot_is_svg_with_a_bar_for_each_case():
    root = ET.fromstring(report.plot({"a & b": 2.0, "c": 0.4, "d": 120.0}, "ratios"))
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a & b", "c", "d", "2.00", "0.40", "120.00"} <= set(texts)
    bars = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("fill") != "white"]
    assert len(bars) == 3
    assert all(float(b.get("width")) > 0 for b in bars)
    assert report.plot({}, "nothing") == ""


def test_the_page_says_where_its_numbers_come_from():
    facts = {"processor": "a processor", "cores": 2, "system": "Linux x86_64", "date": "2026-01-01"}
    row = {"shape": "A B 2x2x2", "flops": 16.0, "gflops": {"rlxc": 90.0, "MKL": 45.0}, "peak": 100.0, "share": 0.9, "ratios": {"MKL": 2.0}}
    gemm = {"libraries": ["MKL"], "rows": [row]}
    page = page_text(
        {"machine": facts, "results": RESULTS},
        [result("rlxc", "softmax.fwd", 1e-3, threads=2)],
        gemm,
        [{"case": "mlp.adam", "first": 0.5, "second": 0.01}],
        "python -m benchmarks publish",
    )
    for said in ("a processor", "rlxc 1.0", "in 2 rounds", "python -m benchmarks publish", "## Two threads", "2.0%", "| `A B 2x2x2`", "90%", "**2.00**"):
        assert said in page
    assert gemm_text(gemm) in page


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ([np.ones((2, 3))], None),
        ([np.ones((1, 2, 3))], None),
        ([np.ones((2, 3)) * (1 + 1e-5)], None),
        ([np.ones((3, 2))], "result 0 is [3, 2]"),
        ([np.full((2, 3), 1.1)], "elements of size"),
        ([np.array([[1, 1, 1], [1, 1, -1]])], "projection"),
        ([np.full((2, 3), np.nan)], "elements of size nan"),
        ([np.ones((2, 3)), np.ones(1)], "2 results instead of 1"),
    ],
)
def test_fingerprints_tell_answers_apart(other, said):
    got = timing.difference(timing.fingerprint(other), timing.fingerprint([np.ones((2, 3))]))
    assert got is None if said is None else said in got


def test_measuring_counts_calls():
    calls = []
    seconds = timing.measure(lambda: calls.append(1), 0.01)
    assert seconds["samples"] >= 5
    assert 0 < seconds["low"] <= seconds["median"] <= seconds["high"]
    assert len(calls) > 100  # a short call is timed in groups


def test_cases_are_found_by_group_name_and_beginning():
    assert [c.name for c in find("rows")] == ["softmax.fwd", "softmax.grad", "layernorm.fwd", "layernorm.grad"]
    assert [c.name for c in find("mm64.fwd,xx")] == ["mm64.fwd", "xx.grad"]
    with pytest.raises(SystemExit, match="no case is called nothing"):
        find("nothing")


def test_every_case_names_arrays_that_it_has():
    for case in CASES.values():
        if case.name.startswith(("bert12", "gpt2")):
            continue  # large
        arrays = case.arrays()
        assert set(case.wrt) | set(case.weights) <= set(arrays)
        if sum(a.size for a in arrays.values()) < 1_000_000:  # enough of them to know that they are always the same
            assert all(np.array_equal(a, b) for a, b in zip(arrays.values(), case.arrays().values(), strict=True))
        if case.mode in ("sgd", "adam"):
            assert list(arrays)[-len(case.wrt) :] == list(case.wrt)  # parameters come last


def test_the_shapes_of_gemm_are_26_different_ones():
    assert len(set(SHAPES)) == len(SHAPES) == 26
