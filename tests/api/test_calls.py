"""Calls by the emitted wrapper: what it takes itself, that all else means what it means in Python, and that nothing is leaked or freed too early."""

import copy
import gc
import inspect
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import rlxc
from rlxc.errors import OutOfMemory
from rlxc.runtime import quick
from rlxc.runtime.arguments import Arguments
from rlxc.runtime.compiled import Compiled
from rlxc.runtime.executable import Executable
from rlxc.runtime.python_objects import supported
from rlxc.runtime.workspaces import Workspaces

pytestmark = pytest.mark.skipif(not supported(), reason="this Python has no quick calls")

ADD = """
func @f(%x: f32[2, 3], %y: f32[3], %k: f32[]) -> f32[2, 3] {
  %a = mul %x, %y
  %b = add %a, %k
  return %b
}"""
TWO = "func @two(%x: f64[4]) -> (f64[4], f64[]) {\n  %y = neg %x\n  %s = reduce_sum %x {axes = [0]}\n  return %y, %s\n}"
X, Y, K = np.arange(6, dtype=np.float32).reshape(2, 3), np.float32([1, 2, 3]), np.array(0.5, np.float32)
WANT = X * Y + K


@pytest.fixture(scope="module")
def f():
    return rlxc.compile(ADD)


@pytest.fixture
def quick_only(monkeypatch):
    """No call may take the slow path."""

    def refuse(*_):
        raise AssertionError("the slow path is taken")

    monkeypatch.setattr(Arguments, "bind", refuse)


def counted(monkeypatch):
    """A list that grows with every call that takes the slow path."""
    calls, bind = [], Arguments.bind
    monkeypatch.setattr(Arguments, "bind", lambda *a: calls.append(1) or bind(*a))
    return calls


# What the wrapper takes


@pytest.mark.usefixtures("quick_only")
def test_arrays_that_fit_do_not_pass_through_python(f):
    for y in (f(X, Y, K), f(X, Y, k=K), f(X, k=K, y=Y), f(k=K, y=Y, x=X)):
        assert type(y) is np.ndarray
        assert y.flags.owndata
        assert y.flags.carray
        np.testing.assert_array_equal(y, WANT)


@pytest.mark.usefixtures("quick_only")
def test_results_go_to_arrays_given_as_out(f):
    out = np.zeros((2, 3), np.float32)
    assert f(X, Y, K, out=out) is out
    np.testing.assert_array_equal(out, WANT)
    out[:] = 0
    assert f(out=out, y=Y, x=X, k=K) is out
    np.testing.assert_array_equal(out, WANT)


@pytest.mark.usefixtures("quick_only")
def test_several_results_are_a_tuple_and_out_is_one_too():
    two = rlxc.compile(TWO)
    x = np.arange(4.0)
    y, s = two(x)
    assert type(two(x)) is tuple
    assert type(s) is np.ndarray
    assert s.shape == ()
    assert s == 6
    out = np.zeros(4), np.zeros(())
    assert two(x, out=out) == out
    np.testing.assert_array_equal(out[0], y)
    assert out[1] == 6


@pytest.mark.usefixtures("quick_only")
@pytest.mark.parametrize("dtype", ["bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f16", "f32", "f64", "bf16"])
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 0), (2, 3, 1, 2)])
def test_every_dtype_and_rank(dtype, shape):
    type_ = f"{dtype}[{', '.join(map(str, shape))}]"
    same = rlxc.compile(f"func @same(%x: {type_}) -> {type_} {{\n  return %x\n}}")
    x = np.arange(12).astype(same.func.args[0].type.dtype.numpy)[: int(np.prod(shape))].reshape(shape)
    y = same(x)
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert not np.may_share_memory(x, y)
    np.testing.assert_array_equal(x, y)


@pytest.mark.usefixtures("quick_only")
def test_a_dtype_object_of_its_own_is_as_good():
    one = rlxc.compile("func @f(%x: f64[3]) -> f64[3] {\n  %y = neg %x\n  return %y\n}")
    x = np.arange(3.0).view(np.dtype("f8", copy=True))
    assert x.dtype is not np.dtype("f8")
    np.testing.assert_array_equal(one(x), [0, -1, -2])


@pytest.mark.usefixtures("quick_only")
@pytest.mark.parametrize("number", [0.5, -0.0, 1e-40, float("inf"), float("-inf"), float("nan"), 3.4028235e38, 0.1])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_python_float_stands_for_an_array_of_rank_zero(number, dtype):
    same = rlxc.compile(f"func @same(%x: {dtype}[], %y: {dtype}[]) -> ({dtype}[], {dtype}[]) {{\n  return %x, %y\n}}")
    numpy_dtype = same.func.args[0].type.dtype.numpy
    x, y = same(number, -number)
    assert x.tobytes() == np.array(number, numpy_dtype).tobytes()
    assert y.tobytes() == np.array(-number, numpy_dtype).tobytes()


@pytest.mark.usefixtures("quick_only")
@pytest.mark.parametrize("dtype", ["bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f16", "f32", "f64", "bf16"])
def test_a_number_of_numpy_stands_for_an_array_of_rank_zero(dtype):
    same = rlxc.compile(f"func @same(%x: {dtype}[], %y: {dtype}[]) -> ({dtype}[], {dtype}[]) {{\n  return %x, %y\n}}")
    numbers = np.array([1, 0]).astype(same.func.args[0].type.dtype.numpy)
    assert isinstance(numbers[0], np.generic)
    x, y = same(numbers[0], numbers[1])
    assert (x, y) == (numbers[0], numbers[1])


def test_a_python_float_that_the_dtype_does_not_hold_is_refused(f):
    with pytest.raises(rlxc.ArgumentError, match="does not hold 1e\\+39"):
        f(X, Y, 1e39)
    with pytest.raises(rlxc.ArgumentError, match=r"%y is f32\[3\], not f32\[\]|%y is f32\[3\], not"):
        f(X, 1.0, K)


@pytest.mark.usefixtures("quick_only")
def test_functions_without_arguments():
    nothing = rlxc.compile("func @f() -> f32[2] {\n  %x = constant dense<[1.0, 2.0]> : f32[2]\n  return %x\n}")
    np.testing.assert_array_equal(nothing(), [1, 2])


@pytest.mark.usefixtures("quick_only")
def test_many_arguments_by_position_and_by_name():
    names = [sys.intern(f"a{i}") for i in range(100)]
    args = ", ".join(f"%{n}: f32[]" for n in names)
    text = f"func @f({args}) -> ({', '.join(['f32[]'] * 100)}) {{\n  return {', '.join('%' + n for n in reversed(names))}\n}}"
    many = rlxc.compile(text)
    want = list(range(99, -1, -1))
    arrays = [np.array(i, np.float32) for i in range(100)]
    assert [int(y) for y in many(*arrays)] == want
    assert [int(y) for y in many(*arrays[:40], **dict(zip(names[40:], arrays[40:], strict=True)))] == want
    assert [int(y) for y in many(**dict(reversed(list(zip(names, arrays, strict=True)))))] == want


def test_named_dimensions_are_quick_for_the_sizes_last_met(monkeypatch):
    grow = rlxc.compile("func @f(%x: f32[N]) -> f32[N] {\n  %y = add %x, %x\n  return %y\n}")
    slow = counted(monkeypatch)
    for n, calls in ((3, 1), (3, 1), (5, 2), (5, 2), (3, 3), (3, 3)):
        x = np.arange(n, dtype=np.float32)
        np.testing.assert_array_equal(grow(x), 2 * x)
        assert len(slow) == calls


def test_a_program_with_params_runs_quickly(monkeypatch):
    program = rlxc.Session().compile(ADD.replace("%y: f32", "param %y: f32"))
    program.set_param("y", Y)
    slow = counted(monkeypatch)
    for outs in (program.run({"x": X, "%k": K}), program.run(x=X, k=0.5), program.run({"k": K}, x=X)):
        assert len(outs) == 1
        np.testing.assert_array_equal(outs[0], WANT)
    assert not slow


# Everything else


@pytest.mark.parametrize(
    "x",
    [
        X[::-1],
        np.asfortranarray(X),
        np.broadcast_to(X[:1], (2, 3)),
        np.frombuffer(b"\0" + X.tobytes(), np.float32, 6, 1).reshape(2, 3),
        X.tolist(),
        memoryview(X),
        type("Mine", (np.ndarray,), {})((2, 3), np.float32, X.tobytes()),
    ],
)
def test_what_the_wrapper_leaves_to_python(f, x, monkeypatch):
    slow = counted(monkeypatch)
    np.testing.assert_array_equal(f(x, Y, K), np.asarray(x, np.float32) * Y + K)
    assert slow


def test_names_that_are_equal_but_not_the_same_string(f):
    np.testing.assert_array_equal(f(X, Y, **{"".join(["%", "k"]): K}), WANT)
    np.testing.assert_array_equal(f(X, Y, **{"".join(["k", ""]) + "": K}), WANT)


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f(),
        lambda f: f(X, Y),
        lambda f: f(X, Y, K, K),
        lambda f: f(X, Y, K, k=K),
        lambda f: f(X, Y, q=K),
        lambda f: f(X, Y, x=X),
        lambda f: f(X, Y, K, q=K),
        lambda f: f(X.astype(">f4"), Y, K),
        lambda f: f(X.astype("f8"), Y, K),
        lambda f: f(X.T, Y, K),
        lambda f: f(X[0], Y, K),
        lambda f: f(np.ma.array(X), Y, K),
        lambda f: f(None, Y, K),
        lambda f: f(X, Y, 10**40),
        lambda f: f(X, Y, np.float64(1)),
        lambda f: f(X, Y, K, out=X.copy().T),
        lambda f: f(X, Y, K, out=np.zeros((2, 3))),
        lambda f: f(X, Y, K, out=np.broadcast_to(np.float32(0), (2, 3))),
        lambda f: f(X, Y, K, out=()),
        lambda f: f(X, Y, K, out=(np.zeros((2, 3), np.float32),) * 2),
        lambda f: f(X, Y, K, out=3),
    ],
)
def test_a_wrong_call_says_the_same_as_without_the_wrapper(f, call):
    plain = Compiled(f.func, f._engine)
    said = []
    for g in (plain, f):
        with pytest.raises(rlxc.ArgumentError) as caught:
            call(g)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_out_that_overlaps_an_argument_or_another_result(f):
    x = X.copy()
    assert f(x, Y, K, out=x) is x
    np.testing.assert_array_equal(x, WANT)
    memory = np.zeros(9, np.float32)
    memory[:6] = X.ravel()
    f(memory[:6].reshape(2, 3), Y, K, out=memory[3:].reshape(2, 3))
    np.testing.assert_array_equal(memory[3:].reshape(2, 3), WANT)
    both = rlxc.compile("func @g(%x: f32[2]) -> (f32[2], f32[2]) {\n  %y = neg %x\n  return %x, %y\n}")
    with pytest.raises(rlxc.ArgumentError, match="shares memory"):
        both(Y[:2], out=(memory[:2], memory[1:3]))
    a = np.zeros(2, np.float32)
    with pytest.raises(rlxc.ArgumentError, match="shares memory"):
        both(Y[:2], out=(a, a))
    with pytest.raises(rlxc.ArgumentError, match="a tuple of 2"):
        both(Y[:2], out=a)
    assert both(Y[:2], out=[memory[:2], memory[2:4]])[0].base is memory


def test_out_may_be_none_a_list_or_strided(f):
    np.testing.assert_array_equal(f(X, Y, K, out=None), WANT)
    out = np.zeros((2, 3), np.float32)
    assert f(X, Y, K, out=[out]) is out
    assert f(X, Y, K, out=(out,)) is out
    wide = np.zeros((2, 6), np.float32)
    f(X, Y, K, out=wide[:, ::2])
    np.testing.assert_array_equal(wide[:, ::2], WANT)


def test_results_that_do_not_fit_into_memory():
    huge = rlxc.compile("func @huge(%x: f32[]) -> f32[100000000000] {\n  %y = broadcast %x {shape = [100000000000], axes = [0]}\n  return %y\n}")
    for _ in range(3):
        with pytest.raises(OutOfMemory, match="do not fit into memory"):
            huge(np.float32(1))
        with pytest.raises(OutOfMemory, match="do not fit into memory"):
            huge(np.array(1, np.float32))


SCRATCH = """
func @scratch(%x: f64[300, 40]) -> (f64[300, 40], f64[300]) {
  %s = sort %x {axis = 0}
  %t = cumsum %s {axis = 0}
  %u = sort %t {axis = 1}
  %v = reduce_sum %u {axes = [1]}
  return %u, %v
}"""


def test_a_workspace_that_does_not_fit_into_memory(monkeypatch):
    def no_memory(self):
        raise OutOfMemory("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Workspaces, "new", no_memory)
        scratch = rlxc.compile(SCRATCH)
        x = np.ones((300, 40))
        references = sys.getrefcount(x)
        for _ in range(3):
            with pytest.raises(OutOfMemory, match="no room"):
                scratch(x)
        out = np.ones((300, 40)), np.ones(300)
        kept = [sys.getrefcount(y) for y in out]
        with pytest.raises(OutOfMemory, match="no room"):
            scratch(x, out=out)
        assert sys.getrefcount(x) == references
        assert [sys.getrefcount(y) for y in out] == kept


def test_a_workspace_is_used_again():
    scratch = rlxc.compile(SCRATCH)
    spare = scratch._only.workspaces.spare
    x = np.random.default_rng(0).standard_normal((300, 40))
    want = scratch(x)
    assert len(spare) == 1
    first = spare[0]
    assert first.__array_interface__["data"][0] % 64 == 0
    for _ in range(10):
        for got, y in zip(scratch(x), want, strict=True):
            np.testing.assert_array_equal(got, y)
    assert len(spare) == 1
    assert spare[0] is first


def test_without_the_wrapper_everything_is_the_same(monkeypatch):
    monkeypatch.setattr(quick, "supported", lambda: False)
    plain = rlxc.compile(ADD)
    assert type(plain) is Compiled
    np.testing.assert_array_equal(plain(X, Y, K), WANT)


def test_a_callable_describes_itself_as_without_the_wrapper(f):
    plain = Compiled(f.func, f._engine)
    assert isinstance(f, rlxc.Compiled)
    assert callable(f)
    assert repr(f) == repr(plain)
    assert inspect.signature(f) == inspect.signature(plain)
    assert inspect.getdoc(f) == inspect.getdoc(plain)
    np.testing.assert_array_equal(f.__call__(X, Y, K), WANT)


# Lifetimes


def test_no_references_are_lost_or_kept(f):
    two = rlxc.compile(TWO)
    x = np.arange(4.0)
    out, outs, dtype = np.zeros((2, 3), np.float32), (np.zeros(4), np.zeros(())), np.dtype("f4")
    watched = [f, two, X, Y, K, x, out, outs, *outs, dtype, np.dtype("f8"), None]
    wrong = X.T

    def use():
        f(X, Y, K)
        f(X, Y, k=K)
        f(X, Y, K, out=out)
        f(X[::-1], Y, 1)
        two(x)
        two(x, out=outs)
        for bad in ((), (wrong, Y, K), (X, Y, K, K)):
            with pytest.raises(rlxc.ArgumentError):
                f(*bad)
        with pytest.raises(rlxc.ArgumentError):
            f(X, Y, K, out=x)

    use()
    gc.collect()
    before = [sys.getrefcount(thing) for thing in watched]
    for _ in range(200):
        use()
    gc.collect()
    after = [sys.getrefcount(thing) for thing in watched]
    assert [a - b for a, b in zip(after, before, strict=True) if abs(a - b) > 20] == []
    references = [sys.getrefcount(y) for y in [f(X, Y, K), *two(x), np.zeros(3)]]
    assert len(set(references)) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_hundred_thousand_calls_leave_no_memory_behind():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    big = rlxc.compile("func @f(%x: f32[256]) -> (f32[256], f32[256]) {\n  %y = neg %x\n  return %x, %y\n}")
    x = np.ones(256, np.float32)
    out = np.ones(256, np.float32), np.ones(256, np.float32)
    for _ in range(1000):
        big(x)
    before = resident()
    for _ in range(50_000):
        big(x)
        big(x, out=out)
    assert resident() - before < 10 << 20  # of 100 MB that were given out


def test_machine_code_goes_with_the_callable():
    f = rlxc.compile(ADD)
    alive = [weakref.ref(f), weakref.ref(f._only), weakref.ref(f._call), weakref.ref(f._only.loaded)]
    f(X, Y, K)
    gc.disable()
    try:
        del f
        assert [r() for r in alive] == [None] * 4
    finally:
        gc.enable()
    f = rlxc.compile(ADD)
    f.itself, f._call.owner = f, f
    alive = weakref.ref(f)
    del f
    gc.collect()
    assert alive() is None


def test_sizes_not_used_for_long_are_given_up_while_others_run():
    grow = rlxc.compile("func @f(%x: f32[N]) -> f32[N] {\n  %y = add %x, %x\n  return %y\n}")
    grow(np.ones(1, np.float32))
    first = weakref.ref(grow._call)
    for n in range(2, 70):
        grow(np.ones(n, np.float32))
    gc.collect()
    assert first() is None
    np.testing.assert_array_equal(grow(np.ones(1, np.float32)), [2])


def test_a_copy_is_a_callable_of_its_own():
    f = rlxc.compile(ADD)
    g = copy.copy(f)
    assert type(g) is type(f)
    assert repr(g) == repr(f)
    del f
    gc.collect()
    np.testing.assert_array_equal(g(X, Y, K), WANT)
    named = copy.copy(rlxc.compile("func @f(%x: f32[N]) -> f32[N] {\n  %y = add %x, %x\n  return %y\n}"))
    np.testing.assert_array_equal(named(Y), 2 * Y)


def test_attributes_that_make_no_sense_do_no_harm(f):
    g = copy.copy(f)
    for nonsense in (None, 3, "x", Call := object()):
        g._call = nonsense
        np.testing.assert_array_equal(g(X, Y, K), WANT)
    del g._call, Call
    np.testing.assert_array_equal(g(X, Y, K), WANT)


# Threads, signals, processes


def in_threads(work, n=8):
    failures = []

    def run(i):
        try:
            work(i)
        except BaseException as error:  # threads have nobody to raise to
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


@pytest.mark.parametrize("is_long", [0, 1])
def test_a_thousand_calls_from_eight_threads(is_long):
    scratch = rlxc.compile(SCRATCH)
    scratch._call.is_long = is_long
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal((300, 40)) for _ in range(8)]
    wants = [scratch(x) for x in inputs]

    def work(i):
        out = np.zeros((300, 40)), np.zeros(300)
        for call in range(125):
            got = scratch(inputs[i], out=out) if call % 2 else scratch(inputs[i])
            for a, b in zip(got, wants[i], strict=True):
                np.testing.assert_array_equal(a, b)

    in_threads(work)
    assert len(scratch._only.workspaces.spare) <= 8


def test_threads_that_call_with_sizes_of_their_own():
    grow = rlxc.compile("func @f(%x: f32[N]) -> (f32[N], f32[]) {\n  %y = add %x, %x\n  %s = reduce_sum %y {axes = [0]}\n  return %y, %s\n}")

    def work(i):
        for call in range(100):
            x = np.arange(1 + (i + call // 10) % 5, dtype=np.float32)
            y, s = grow(x)
            np.testing.assert_array_equal(y, 2 * x)
            assert s == 2 * x.sum()

    in_threads(work)


LONG = """
func @long(%x: f64[400, 400]) -> f64[400, 400] {
  %a = exp %x
  %b = matmul %a, %x
  return %b
}"""


def test_calls_are_long_by_the_work_they_do(f):
    long = rlxc.compile(LONG)
    assert isinstance(long._only, Executable)
    assert long._only.is_long
    assert not f._only.is_long


@pytest.mark.parametrize("is_long", [0, 1])
def test_other_threads_run_during_a_long_call_only(is_long):
    long = rlxc.compile(LONG)
    long._call.is_long = is_long
    x = np.zeros((400, 400))
    out = np.zeros((400, 400))
    steps, stop, interval = [0], [], sys.getswitchinterval()

    def work():
        while not stop:
            steps[0] += 1
            time.sleep(1e-5)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        sys.setswitchinterval(1000)  # whoever has the GIL keeps it, unless it gives it up
        before = steps[0]
        for _ in range(500 if is_long else 20):
            long(x, out=out)
            if steps[0] != before:
                break
        assert (steps[0] != before) == bool(is_long)
    finally:
        sys.setswitchinterval(interval)
        stop.append(1)
        thread.join()


def test_an_interrupt_is_raised_after_the_call():
    long = rlxc.compile(LONG)
    x = np.zeros((400, 400))
    timer = threading.Timer(0.05, signal.raise_signal, [signal.SIGINT])

    def call_on():
        timer.start()
        while True:
            long(x)

    with pytest.raises(KeyboardInterrupt):
        call_on()
    np.testing.assert_array_equal(long(x), 0)


def run_python(code):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_interpreter_ends_while_daemon_threads_call():
    run_python(
        f"""
import threading, time, numpy as np, rlxc
long = rlxc.compile({LONG!r})
x = np.zeros((400, 400))
def work():
    while True:
        long(x)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
"""
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_calls_on():
    said = run_python(
        f"""
import os, threading, numpy as np, rlxc
scratch = rlxc.compile({SCRATCH!r})
x = np.random.default_rng(0).standard_normal((300, 40))
want = scratch(x)[0]
stop = []
def work():
    while not stop:
        scratch(x)
t = threading.Thread(target=work)
t.start()
for _ in range(5):
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(scratch(x)[0], want) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.append(1)
t.join()
print("ok")
"""
    )
    assert said == "ok\n"


def doubled(f, x):
    return f(x)


def test_a_compiled_function_is_pickled_as_what_it_computes():
    for dims in ("3", "N"):
        f = rlxc.compile(f"func @f(%x: f32[{dims}]) -> f32[{dims}] {{\n  %y = add %x, %x\n  return %y\n}}", vectorize=False)
        x = np.ones(3, np.float32)
        f(x)
        again = pickle.loads(pickle.dumps(f))
        assert again.func == f.func
        assert again(x).tolist() == [2, 2, 2]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(doubled, (f, x)).tolist() == [2, 2, 2]
    assert copy.deepcopy(f)(x).tolist() == [2, 2, 2]
