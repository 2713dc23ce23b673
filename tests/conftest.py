"""Options of the test run, and test files in `.rlx`."""

import os
import signal
import threading

import numpy as np
import pytest
from hypothesis import settings
from rlx_files import RlxFile

from rlxc.ir.primitive import REGISTRY
from rlxc.runtime import threads

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore interrupts; some tests are about them

os.environ["RLXC_CACHE"] = "0"  # tests compile, and never write into the user's cache; those of the cache turn it on


def pytest_addoption(parser):
    parser.addoption("--bless", action="store_true", help="write expected output anew instead of comparing with it")
    parser.addoption("--programs", type=int, default=None, metavar="N", help="random programs to try for each property")
    parser.addoption("--all-settings", action="store_true", help="try primitives on all samples in all dtypes, and at all settings of the compiler")
    parser.addoption("--mutants", type=int, default=500, metavar="N", help="mutated files that the parser is tried on")


def pytest_collect_file(parent, file_path):
    if file_path.suffix == ".rlx" and "rlx" in file_path.parent.parts:
        return RlxFile.from_parent(parent, path=file_path)
    return None


@pytest.fixture(autouse=True)
def _primitives_of_a_test_go_with_it():
    """What a test registers is unknown to the next one."""
    before = {level: set(prims) for level, prims in REGISTRY.levels.items()}
    yield
    for level, prims in REGISTRY.levels.items():
        for name in set(prims) - before[level]:
            if not type(prims[name]).__module__.startswith("rlxc."):
                del prims[name]


@pytest.fixture(autouse=True)
def _numbers_of_a_test_are_its_own(request):
    """The generator of a module starts anew with each test: what a test draws does not depend on those that ran before it."""
    numbers = getattr(request.module, "RNG", None)
    if isinstance(numbers, np.random.Generator):
        numbers.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.fixture
def eager_workers():
    """Sets how many threads there are, and lets them take part in loops of any length; what was before comes back."""
    before = threads.num_threads()

    def use(count):
        threads.set_num_threads(count)
        threads.wake_after(0)

    yield use
    threads.set_num_threads(before)
    threads.wake_after(threads.PATIENCE_NS)
