"""Whether operations are recorded: blocks of all sorts, and an interrupt wherever it comes."""

import contextlib
import random
import signal
import sys
import threading

import pytest

from rlxc import eager
from rlxc.eager.modes import RECORDING

is_on = eager.is_grad_enabled


def test_the_innermost_block_decides():
    block = eager.no_grad()
    with block:
        assert not is_on()
        with eager.enable_grad():
            assert is_on()
            with block:
                assert not is_on()
            assert is_on()
        assert not is_on()
    assert is_on()
    assert RECORDING.blocks == []


def test_a_block_ends_with_an_error_with_a_generator_and_by_name():
    with pytest.raises(ZeroDivisionError), eager.no_grad():
        1 / 0  # noqa: B018
    assert is_on()

    def numbers():
        with eager.no_grad():
            yield 1
        yield 2

    steps = numbers()
    next(steps)
    assert not is_on()
    next(steps)
    assert is_on()
    with contextlib.ExitStack() as stack:
        block = eager.no_grad()
        stack.enter_context(block)
        stack.enter_context(block)
        assert not is_on()
    assert is_on()
    block.__enter__()
    assert not is_on()
    block.__exit__(None, None, None)
    assert is_on()


def test_a_decorated_function_calls_itself():
    @eager.no_grad()
    def f(n):
        assert not is_on()
        if n:
            f(n - 1)
        assert not is_on()

    f(3)
    assert is_on()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
def test_an_interrupt_leaves_recording_on():
    at = random.Random(0)
    x = eager.tensor(1.0, requires_grad=True)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)

    def work():
        signal.setitimer(signal.ITIMER_REAL, at.uniform(1e-5, 1e-3))
        while True:
            with eager.no_grad():
                y = x * x
            y = y + 1.0

    try:
        for _ in range(800):
            with pytest.raises(KeyboardInterrupt):
                work()
            assert is_on()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_threads_share_a_block():
    """As those do that call one decorated function, or enter one object."""
    x = eager.tensor(2.0, requires_grad=True)
    block = eager.no_grad()
    wrong = []

    @eager.no_grad()
    def inside():
        return (x * x).requires_grad

    def work():
        for _ in range(500):
            with block:
                found = [(x * x).requires_grad, inside()]
            if found != [False, False] or not (x * x).requires_grad:
                wrong.append(found)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert not RECORDING.blocks
