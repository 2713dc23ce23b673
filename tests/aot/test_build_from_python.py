"""`rlxc.build`: functions of Python as libraries."""

import numpy as np
import pytest

import rlxc

X, K = np.array([0.0, 1.0, 3.0, 6.0]), np.array([1.0, 2.0, 3.0])


def energy(x, k):
    return 0.5 * np.sum(k * np.diff(x) ** 2)


def test_functions_of_one_library_have_the_names_they_are_given(tmp_path):
    functions = {"energy": rlxc.jit(energy).lower(X, K), "energy_slope": rlxc.jit(rlxc.grad(energy)).lower(X, K)}
    paths = rlxc.build(functions, tmp_path, emit=("so", "header", "rlx"))
    assert [p.name for p in paths] == ["libenergy.so", "energy.h", "energy.rlx"]
    library = rlxc.load_library(paths[0])
    assert library.energy(X, K) == energy(X, K)
    np.testing.assert_allclose(library.energy_slope(X, K), [-1, -3, -5, 9], rtol=1e-15)
    assert "int energy_slope(const double *x, const double *k" in paths[1].read_text()
    assert [f.name for f in rlxc.load(paths[2])] == ["energy", "energy_slope"]


def test_arrays_that_a_function_closes_over_are_in_its_code(tmp_path):
    w = np.arange(12.0).reshape(3, 4)
    (path,) = rlxc.build({"product": rlxc.jit(lambda x: w @ x).lower(X)}, tmp_path, emit="so")
    library = rlxc.load_library(path)
    np.testing.assert_allclose(library.product(X), w @ X)


def test_a_func_with_weights_in_a_file_for_another_machine(tmp_path):
    f = rlxc.parse("func @f(%x: f32[4], param %w: f32[4]) -> f32[4] {\n  %y = mul %x, %w\n  return %y\n}")["f"]
    paths = rlxc.build([f, rlxc.jvp(f, "x")], tmp_path, emit="obj", target="aarch64-linux", weights={"w": np.ones(4, np.float32)}, place="file")
    assert [p.name for p in paths] == ["f.o", "f.weights"]
    assert np.frombuffer(paths[1].read_bytes()[:16], np.float32).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: rlxc.build(energy, d), "rlxc.jit compiles Python functions"),
        (lambda d: rlxc.build([], d), "no function to build"),
        (lambda d: rlxc.build(rlxc.jit(energy).lower(X, K), d, emit="exe"), "no kind 'exe'"),
        (lambda d: rlxc.build(rlxc.jit(energy).lower(X, K), d, place="attic"), "'attic'"),
        (lambda d: rlxc.build("func @f(%x: f32[B]) -> f32[B] { return %x }", d), "dimension B"),
    ],
)
def test_what_cannot_be_built_is_refused_and_writes_nothing(call, words, tmp_path):
    with pytest.raises(rlxc.Error, match=words):
        call(tmp_path)
    assert not list(tmp_path.iterdir())
