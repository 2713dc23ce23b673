"""jit in many threads, after a fork, in a spawned process, and interrupted: right results, or a clean error."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import rlxc

X = np.linspace(0, 1, 64)


@rlxc.jit
def module_function(x):
    return np.sin(x) * 2


def plain(x, n):
    return x * n


class Model:
    def __init__(self, k):
        self.k = k

    @rlxc.jit
    def scaled(self, x):
        return x * self.k


def test_many_threads_compile_once_and_are_right():
    traced = []

    @rlxc.jit
    def f(x, y):
        traced.append(threading.get_ident())
        time.sleep(0.05)
        return np.exp(x) + y

    start = threading.Barrier(8)
    wrong = []

    def work(k):
        start.wait()
        for _ in range(200):
            if not np.allclose(f(X, np.float64(k)), np.exp(X) + k):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert len(traced) == 1
    assert f.cache_info().misses == 1


def test_threads_trace_different_functions_at_once():
    results = {}

    def work(k):
        results[k] = float(rlxc.grad(rlxc.jit(lambda x: x**3 * k))(2.0))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {k: 12.0 * k for k in range(6)}


def test_threads_compile_many_functions_at_once(monkeypatch):
    monkeypatch.setenv("RLXC_CACHE", "0")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    start, wrong = threading.Barrier(8), []

    def work(k):
        start.wait()
        try:
            for n in range(4):
                np.testing.assert_allclose(rlxc.jit(lambda x: x * n + k)(X[: n + 1]), X[: n + 1] * n + k)  # noqa: B023
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_compiles_and_runs_though_another_thread_was_compiling():
    inside, leave = threading.Event(), threading.Event()

    @rlxc.jit
    def f(x):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            leave.wait(20)
        return x * 3

    thread = threading.Thread(target=lambda: f(X[:5]))
    thread.start()
    inside.wait(20)  # which holds the lock of f
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        ok = np.array_equal(f(X), X * 3) and np.allclose(module_function(X), np.sin(X) * 2)
        os._exit(0 if ok else 1)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    np.testing.assert_array_equal(f(X), X * 3)


def test_jitted_functions_are_pickled_by_what_they_are():
    assert pickle.loads(pickle.dumps(module_function)) is module_function
    f = pickle.loads(pickle.dumps(rlxc.jit(plain, static_argnums=1)))
    np.testing.assert_array_equal(f(X, 3), X * 3)
    bound = pickle.loads(pickle.dumps(Model(4.0).scaled))
    np.testing.assert_array_equal(bound(X), X * 4)
    with pytest.raises(Exception, match=r"pickle|lambda|local"):
        pickle.dumps(rlxc.jit(lambda x: x))


def test_a_spawned_process_gets_it():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for f, want in ((module_function, np.sin(X) * 2), (Model(2.0).scaled, X * 2)):
            np.testing.assert_allclose(pool.apply(f, (X,)), want, rtol=1e-15)


LONG = """
import os, signal, threading, time
import numpy as np, rlxc

@rlxc.jit
def f(x):
    for _ in range(40):
        x = np.tanh(x @ x)
    return x

x = np.eye(300) * 0.5
f(x)
threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    end = time.time() + 60
    while time.time() < end:
        f(x)
    print("not interrupted")
except KeyboardInterrupt:
    y = f(x)
    want = x
    for _ in range(40):
        want = np.tanh(want @ want)
    print("right" if np.allclose(y, want) else "wrong")

def tracing(x):
    while True:
        x = x + 1.0
        time.sleep(0.001)

threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    rlxc.jit(tracing)(x)
except KeyboardInterrupt:
    from rlxc.tracing.trace import current
    print(current(), np.array_equal(rlxc.jit(lambda x: x + 1)(x), x + 1))
"""


def test_an_interrupt_in_a_long_call_and_while_tracing_leaves_everything_usable():
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, timeout=120, env=dict(os.environ, RLXC_NUM_THREADS="1"))
    assert done.stdout.split("\n")[:2] == ["right", "None True"], done.stdout + done.stderr
