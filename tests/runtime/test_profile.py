"""Times of kernels, the roofline, and the names that perf shows."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np

import rlxc
from rlxc.runtime import jit, perf
from rlxc.runtime.compile import native
from rlxc.runtime.profile import profile
from rlxc.runtime.roofline import Roofline, measure_roofline

TEXT = """
func @f(%x: f32[64, 64], %w: f32[64, 64]) -> f32[64, 64] {
  %a = matmul %x, %w
  %b = matmul %a, %w
  %c = matmul %b, %w
  return %c
}
"""
FUNC = rlxc.parse(TEXT)["f"]
X = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)


def test_a_profile_has_every_kernel_and_its_work():
    made = profile(FUNC, [X, X], seconds=0.02)
    assert len(made.kernels) == 3
    assert {k.what for k in made.kernels} == {"contract"}
    assert all(k.flops == 2 * 64**3 and k.bytes == 3 * 64 * 64 * 4 for k in made.kernels)
    assert all(0 < k.seconds < 1 for k in made.kernels)


def test_ticks_are_calibrated_to_seconds():
    """All kernels together take about as long as the calls; the machine may be busy, but not a hundred times."""
    import time

    made = profile(FUNC, [X, X], seconds=0.05)
    run = rlxc.compile(FUNC)
    run(X, X)
    start = time.perf_counter()
    for _ in range(20):
        run(X, X)
    call = (time.perf_counter() - start) / 20
    assert call / 100 < made.seconds < call * 100


def test_a_profiled_function_computes_the_same():
    (*results, times) = rlxc.compile(FUNC, profile=True)(X, X)
    np.testing.assert_array_equal(results[0], rlxc.compile(FUNC)(X, X))
    assert times.shape == (4,)
    assert (np.diff(times) > 0).all()


def test_a_function_without_kernels_has_a_profile():
    func = rlxc.parse("func @f(%x: f32[0]) -> f32[0] { %y = add %x, %x return %y }")["f"]
    assert profile(func, [np.zeros(0, np.float32)], seconds=0.02).seconds >= 0


def test_a_trace_is_json_with_an_event_for_each_kernel():
    trace = json.loads(json.dumps(profile(FUNC, [X, X], seconds=0.02).chrome_trace()))
    calls = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["name"] == "@f"]
    kernels = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["name"].startswith("f.k")]
    assert len(kernels) == 3 * len(calls)
    inside = [k for k in kernels if calls[0]["ts"] <= k["ts"] and k["ts"] + k["dur"] <= calls[0]["ts"] + calls[0]["dur"] + 1e-3]
    assert len(inside) == 3
    assert all(e["args"]["flops"] == 2 * 64**3 for e in kernels)


def test_the_roofline_is_the_larger_of_two_times():
    roof = Roofline({"f32": 100.0}, {10: 40.0, 1000: 20.0})
    assert roof.least_seconds(200, 5, "f32") == 2.0
    assert roof.least_seconds(0, 8) == 0.2
    assert roof.least_seconds(0, 500) == 25.0
    assert roof.bandwidth_of(10**6) == 20.0  # larger than what was measured
    assert roof.least_seconds(200, 5, threads=2) == 1.0


def test_the_roofline_of_this_machine_is_plausible():
    for level in ("host", "plain"):
        roof = measure_roofline(level)
        assert 1e8 < roof.peak["f64"] < roof.peak["f32"] < 1e13
        assert all(1e8 < rate < 1e13 for rate in roof.bandwidth.values())


def test_symbols_of_an_object_file_have_addresses_and_sizes():
    made = native(FUNC)
    symbols = {s.name: s for s in perf.functions(made.object_code())}
    if not symbols:
        return  # no ELF
    assert {"rlxc.f", "rlxc.entry.f", "rlxc.f.k0"} <= set(symbols)
    ends = sorted((s.offset, s.offset + s.size) for s in symbols.values() if s.section == symbols["rlxc.f"].section)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))  # no two overlap


def test_what_is_no_object_file_has_no_symbols():
    assert list(perf.functions(b"")) == []
    assert list(perf.functions(b"MZ" + bytes(100))) == []


def test_perf_finds_kernels_by_name():
    """The map lists the entry at the address at which it is called."""
    program = f"""
import os, rlxc
from rlxc.runtime import jit
addresses = []
load = jit.load
def listen(obj, symbols, *rest):
    loaded = load(obj, symbols, *rest)
    addresses.append((symbols[0], loaded.address(symbols[0])))
    return loaded
jit.load = listen
rlxc.compile({TEXT!r})
path = f"/tmp/perf-{{os.getpid()}}.map"
lines = dict(reversed(line.split()[::2]) for line in open(path)) if os.path.exists(path) else None
print(lines is None or all(int(lines[name], 16) == address for name, address in addresses if name in lines))
print(lines is None or "rlxc.f.k0" in lines)
if lines is not None: os.remove(path)
"""
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "RLXC_PERF": "1"}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_without_the_variable_no_map_is_written():
    obj = native(FUNC).object_code()
    jit.load(obj, ["rlxc.entry.f"])
    assert os.environ.get("RLXC_PERF") is None
    assert not os.path.exists(f"/tmp/perf-{os.getpid()}.map")
