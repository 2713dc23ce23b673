"""Results that are freed are not given back to the system after every call."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
import rlxc

f = rlxc.compile("func @f(%x: f32[100000]) -> (f32[100000], f32[100000]) { %y = exp %x %z = add %y, %x return %y, %z }")
x = np.ones(100000, np.float32)
for _ in range(20):
    f(x)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    f(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that learns")
def test_pages_of_results_are_used_again():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000  # of 19,600 pages
