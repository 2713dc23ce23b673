"""What cannot be traced is an error that shows the user's line and names the remedy; nothing stays behind."""

import math
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy import array, asarray

import rlxc
from rlxc.tracing.trace import current

X = np.array([1.0, 2.0, 3.0])


def line_of(text):
    """The number of the line of this file that ends with a comment."""
    for number, line in enumerate(Path(__file__).read_text().splitlines(), 1):
        if line.rstrip().endswith(f"# {text}"):
            return number
    raise AssertionError(text)


def branches(x):
    if x > 0:  # here: if
        return x
    return -x


def floats(x):
    return x * math.sin(x[0])  # here: float


def indexes(x):
    return [10, 20, 30][x.astype(int)[0]]  # here: index


def ranges(x):
    return sum(x for _ in range(x.astype(int)[0]))  # here: range


def arrays(x):
    return asarray(x)  # here: asarray


def lists(x):
    return array([x[0], x[1]])  # here: list


def sums(x):
    return np.log([x[0], x[1]])  # here: sum


def shows(x):
    return f"{x[0]:.2f}"  # here: format


def both(x):
    return x[0] > 0 and x[1] > 0  # here: and


@pytest.mark.parametrize(
    ("f", "x", "line", "remedy"),
    [
        (branches, X[0], "here: if", "rlxc.cond"),
        (both, X, "here: and", "rlxc.where"),
        (floats, X, "here: float", "rlxc.numpy"),
        (indexes, X, "here: index", "static"),
        (ranges, X, "here: range", "fori_loop"),
        (arrays, X, "here: asarray", "rlxc.numpy"),
        (lists, X, "here: list", "rlxc.numpy"),
        (sums, X, "here: sum", r"np\.log\(np\.array"),
        (shows, X, "here: format", "print"),
    ],
)
@pytest.mark.parametrize("transform", [rlxc.jit, rlxc.grad, rlxc.vmap, lambda f: lambda x: rlxc.jvp(f, (x,), (x,))], ids=["jit", "grad", "vmap", "jvp"])
def test_what_needs_numbers_shows_the_line_and_names_the_remedy(transform, f, x, line, remedy):
    x = np.stack([x, x]) if transform is rlxc.vmap else x
    with pytest.raises(rlxc.TracingError, match=remedy) as caught:
        transform(f)(x)
    error = caught.value
    assert error.code == "RLX0801"
    assert (error.loc.file, error.loc.line) == (__file__, line_of(line))
    (note,) = error.__notes__
    assert "^^^" in note
    assert current() is None


def test_an_error_of_an_op_is_at_the_users_line_in_its_columns():
    def f(x, y):
        return 1 + x @ y  # here: matmul

    with pytest.raises(rlxc.ShapeError) as caught:
        rlxc.jit(f)(np.ones((2, 3)), np.ones((2, 3)))
    loc = caught.value.loc
    line = Path(__file__).read_text().splitlines()[loc.line - 1]
    assert loc.line == line_of("here: matmul")
    assert line[loc.column - 1 : loc.end_column - 1] == "x @ y"


def test_an_error_of_a_transform_is_at_the_users_line():
    def f(x):
        return np.sort(x)  # here: a vector

    with pytest.raises(rlxc.DifferentiationError) as caught:
        rlxc.grad(f)(X)
    assert caught.value.loc.file == __file__


def test_ops_carry_the_places_they_come_from():
    func = rlxc.trace(lambda x: np.sum(np.sin(x)), X)  # here: sin
    assert {op.loc.line for op in func.ops} == {line_of("here: sin")}
    slope = rlxc.grad(func)
    assert any("linearize" in str(op.loc) and op.loc.line == line_of("here: sin") for op in slope.ops)


def test_a_tracer_that_has_escaped_is_named():
    kept = []

    @rlxc.jit
    def f(x):
        kept.append(x * 2)
        return x

    f(X)
    with pytest.raises(rlxc.TracingError, match="stood for an array while f was traced") as caught:
        rlxc.jit(lambda x: x + kept[0])(X)
    assert caught.value.code == "RLX0802"
    with pytest.raises(rlxc.TracingError, match="is over"):
        kept[0] + 1
    with pytest.raises(rlxc.TracingError, match="is over"):
        rlxc.grad(lambda x: np.sum(x * kept[0]))(X)
    with pytest.raises(rlxc.TracingError, match="is over"):
        f(kept[0])


def test_a_tracer_of_an_inner_function_does_not_leave_it():
    def f(x):
        kept = []
        rlxc.grad(lambda y: kept.append(y * x) or y)(1.0)
        return kept[0]

    with pytest.raises(rlxc.TracingError, match="is over"):
        rlxc.jit(f)(2.0)


def test_a_tracer_of_another_thread_is_refused():
    inside, done = threading.Event(), threading.Event()
    kept = []

    def slow(x):
        kept.append(x)
        inside.set()
        done.wait(10)
        return x

    thread = threading.Thread(target=lambda: rlxc.jit(slow)(X))
    thread.start()
    inside.wait(10)
    try:
        with pytest.raises(rlxc.TracingError, match="another thread"):
            rlxc.jit(lambda x: x + kept[0])(X)
    finally:
        done.set()
        thread.join()


def test_an_unknown_function_and_an_unknown_method_are_named():
    with pytest.raises(rlxc.Unsupported, match=r"np\.linalg\.eig"):
        rlxc.jit(lambda x: np.linalg.eig(x))(np.eye(2))
    with pytest.raises(AttributeError):
        rlxc.jit(lambda x: x.no_such_method())(X)


def test_a_failed_trace_leaves_no_trace():
    def f(x):
        return rlxc.grad(lambda y: 1 / 0)(x[0])

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            rlxc.jit(f)(X)
        assert current() is None


def test_assigning_a_tracer_to_an_array_of_numpys_names_the_remedy():
    def f(x):
        out = np.zeros(3)
        out[0] = x[0]  # here: assigned
        return out

    def rows(x):
        out = np.zeros((2, 3))
        out[1] = x  # here: assigned a row
        return out

    for function, line in ((f, "here: assigned"), (rows, "here: assigned a row")):
        with pytest.raises(rlxc.TracingError, match=r"rlxc.numpy.zeros\(n\), and array = array\.at\[i\]") as caught:
            rlxc.jit(function)(X)
        assert caught.value.loc.line == line_of(line)


def test_what_the_remedy_for_assignments_says_works():
    def f(x):
        array = rlxc.numpy.zeros(3)
        for i in range(3):
            array = array.at[i].set(2 * x[i])
        return array + rlxc.numpy.full((2, 3), x[0]) + rlxc.numpy.ones(3, np.float32) + rlxc.numpy.empty((1, 3)) * 0

    np.testing.assert_array_equal(rlxc.jit(f)(X), np.stack([2 * X + 2, 2 * X + 2]))
    assert type(rlxc.numpy.zeros(3)) is type(rlxc.numpy.full((2,), 1)) is np.ndarray


@pytest.mark.parametrize("method", ["sort", "partition", "fill", "put", "resize"])
def test_methods_that_write_name_what_gives_a_new_array(method):
    with pytest.raises(rlxc.TracingError, match=r"gives a new array"):
        rlxc.jit(lambda x: getattr(x, method)(0))(X)
