"""The pool of threads in a process: how many there are, forks, callers at once, idleness, the end of the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from threading import Thread

import numpy as np
import pytest

import rlxc
from rlxc.codegen.thread_pool import has_pool
from rlxc.runtime.compile import compile_func
from rlxc.runtime.threads import pool_address

pytestmark = pytest.mark.skipif(pool_address() is None, reason="there is no pool of threads on this system")

PRELUDE = """
import os, sys, time, threading
import numpy as np
import rlxc
from rlxc.runtime import threads

def tasks():
    return len(os.listdir("/proc/self/task"))

text = "func @f(%x: f32[400, 300]) -> f32[400, 300] { %y = softmax %x {axis = -1} return %y }"
x = np.random.default_rng(1).standard_normal((400, 300)).astype(np.float32)
before = tasks()
"""


def run(script: str, **env: str) -> str:
    """What a new process prints; it must end well."""
    inherited = {k: v for k, v in os.environ.items() if k != "RLXC_NUM_THREADS"}
    env = {**inherited, "OPENBLAS_NUM_THREADS": "1", **env}
    done = subprocess.run([sys.executable, "-c", PRELUDE + textwrap.dedent(script)], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_with_one_thread_none_is_ever_started():
    run("f = rlxc.compile(text); f(x); assert rlxc.num_threads() == 1 and tasks() == before", RLXC_NUM_THREADS="1")


def test_threads_are_started_by_the_first_call_that_has_use_for_them():
    script = """
    assert rlxc.num_threads() == 3
    f = rlxc.compile(text)
    rlxc.compile("func @g(%x: f32[3]) -> f32[3] { return %x }")(np.zeros(3, np.float32))
    assert tasks() == before, "a small function needs no threads"
    f(x)
    assert tasks() == before + 2
    rlxc.set_num_threads(1)
    assert tasks() == before
    f(x)
    assert tasks() == before
    rlxc.set_num_threads(2)
    f(x)
    assert tasks() == before + 1
    """
    run(script, RLXC_NUM_THREADS="3")


def test_there_are_as_many_threads_as_processors_that_the_process_may_use():
    run("os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); f = rlxc.compile(text); f(x); assert rlxc.num_threads() == 1 and tasks() == before")
    run("assert rlxc.num_threads() == len(os.sched_getaffinity(0))")


def test_a_forked_child_starts_its_own_workers():
    script = """
    f = rlxc.compile(text)
    want = f(x)
    stop = False
    def work():
        while not stop:
            f(x)
    others = [threading.Thread(target=work, daemon=True) for _ in range(2)]  # forks happen while the pool is in use
    for t in others:
        t.start()
    for _ in range(8):
        child = os.fork()
        if child == 0:
            threads.wake_after(0)
            ok = all(np.array_equal(f(x), want) for _ in range(50))
            os._exit(0 if ok and tasks() == 3 else 1)
        assert os.waitpid(child, 0)[1] == 0
    stop = True
    for t in others:
        t.join()
    """
    run(script, RLXC_NUM_THREADS="3")


def test_a_forked_child_compiles_although_a_thread_of_its_parent_did():
    script = """
    from rlxc.runtime import jit
    with jit._without_needless_passes():
        child = os.fork()
        if child == 0:
            import signal
            signal.alarm(20)
            g = rlxc.compile("func @g(%x: f32[8]) -> f32[8] { %y = add %x, %x return %y }")
            os._exit(0 if (g(np.ones(8, np.float32)) == 2).all() else 1)
        assert os.waitpid(child, 0)[1] == 0
    """
    run(script, RLXC_CACHE="0")


@pytest.mark.parametrize(
    "wait", ["", "time.sleep(0.05)", "threading.Thread(target=lambda: [f(x) for _ in range(10**6)], daemon=True).start(); time.sleep(0.02)"]
)
def test_the_interpreter_ends_while_workers_sleep_spin_or_work(wait):
    for _ in range(2):
        out = run(f"import atexit\nf = rlxc.compile(text)\natexit.register(lambda: print(f(x).sum() > 0))\nf(x)\n{wait}", RLXC_NUM_THREADS="3")
        assert out == "True\n", "a call at exit is served"


def test_workers_that_have_nothing_to_do_use_no_time():
    script = """
    f = rlxc.compile(text)
    for _ in range(20):
        f(x)
    time.sleep(0.01)
    used = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - used < 0.05
    """
    run(script, RLXC_NUM_THREADS="4")


def test_a_thousand_calls_from_eight_threads_are_right(eager_workers):
    eager_workers(3)
    func = rlxc.parse("func @f(%x: f32[64, 500]) -> (f32[64, 500], f32[]) { %y = softmax %x {axis = -1} %s = reduce_sum %y {axes = [0, 1]} return %y, %s }")[
        "f"
    ]
    call = compile_func(func, threads=3, share_all=True)
    rng = np.random.default_rng(2)
    inputs = [rng.standard_normal((64, 500)).astype(np.float32) for _ in range(8)]
    want = [[r.tobytes() for r in call(x)] for x in inputs]
    wrong = []

    def work(k: int) -> None:
        for _ in range(125):
            if [r.tobytes() for r in call(inputs[k])] != want[k]:
                wrong.append(k)

    callers = [Thread(target=work, args=(k,)) for k in range(8)]
    for t in callers:
        t.start()
    for t in callers:
        t.join()
    assert not wrong


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_a_number_of_threads_is_a_positive_integer(count):
    with pytest.raises(rlxc.ArgumentError, match="positive integer"):
        rlxc.set_num_threads(count)


def test_a_wrong_environment_is_an_error_of_one_line():
    script = "try:\n    rlxc.num_threads()\nexcept rlxc.ArgumentError as error:\n    print(error.message)"
    assert run(script, RLXC_NUM_THREADS="many") == "RLXC_NUM_THREADS is a positive integer, not 'many'\n"


def test_other_systems_have_no_pool():
    assert has_pool("x86_64", "Linux")
    assert has_pool("aarch64", "Linux")
    assert not has_pool("arm64", "Darwin")
    assert not has_pool("AMD64", "Windows")
