"""A process that is forked while other threads compile: the child has none of them, and waits for none."""

import os
import subprocess
import sys

import pytest

FORKS = """
import gc, itertools, os, signal, threading, time
import numpy as np, rlxc
from rlxc import eager

numbers, stop = itertools.count(3), threading.Event()

def work():
    while not stop.is_set():
        n = next(numbers)
        rlxc.jit(lambda x: np.sin(x) * n)(np.ones(n))
        np.sum(np.sin(eager.tensor(np.ones(n), requires_grad=True))).backward()

rlxc.jit(np.sin)(np.ones(2))  # loads modules: a fork while another thread imports leaves the child a locked module, in any Python program
np.sum(np.sin(eager.tensor(np.ones(2), requires_grad=True))).backward()
threads = [threading.Thread(target=work) for _ in range(2)]
for t in threads: t.start()
time.sleep(0.3)
codes = []
for n in range(3):
    child = os.fork()
    if not child:
        signal.alarm(60)
        x = eager.tensor(np.ones(1000 + n), requires_grad=True)
        np.sum(x * x).backward()
        right = np.all(x.grad.numpy() == 2) and np.all(rlxc.jit(lambda x: x * 3 + n)(np.ones(7)) == 3 + n)
        os._exit(0 if right and gc.isenabled() else 1)
    codes.append(os.waitpid(child, 0)[1])
stop.set()
for t in threads: t.join()
assert codes == [0, 0, 0], codes
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_compiles_though_threads_of_its_parent_were_compiling():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, timeout=200, env=dict(os.environ, RLXC_CACHE="0"))
    assert (done.returncode, done.stderr) == (0, "")
