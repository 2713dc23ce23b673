"""Native functions for other native code: an address, and numbers in, number out."""

from __future__ import annotations

import ctypes
import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import rlxc

PRODUCT = "func @f(%x: f64[]) -> f64[] { %a = sin %x %b = exp %x %y = mul %a, %b return %y }"
DOT = "func @f(%x: f64[3], %w: f64[3], %s: f64[]) -> f64[] { %a = mul %x, %w %d = reduce_sum %a {axes = [0]} %y = mul %d, %s return %y }"


def numbers(*xs: float) -> ctypes.Array:
    return (ctypes.c_double * len(xs))(*xs)


def test_one_number_makes_double_of_double():
    f = rlxc.compile(PRODUCT)
    g = f.executable().scalar_function()
    for x in (0.0, -1.5, 2.25, float("nan")):
        np.testing.assert_equal(g(x), float(f(x)))


def test_several_numbers_come_one_after_another_and_others_are_fixed():
    f = rlxc.compile(DOT).executable()
    assert f.scalar_function()(7, numbers(1, 2, 3, 4, 5, 6, 10)) == 320
    assert np.isnan(f.scalar_function()(6, numbers(1, 2, 3, 4, 5, 6)))
    w = np.array([1.0, 2.0, 3.0])
    g = f.scalar_function(w=w, s=2.0)
    assert g(3, numbers(1, 1, 1)) == 12
    w[0] = 5  # an array that fits as it is, is not copied
    assert g(3, numbers(1, 1, 1)) == 20
    assert f.scalar_function(x=[1, 1, 1], w=w)(0.5) == 5


def test_a_scalar_function_keeps_what_it_needs():
    g = rlxc.compile(PRODUCT).executable().scalar_function()
    gc.collect()
    np.testing.assert_allclose(g(1.0), np.sin(1.0) * np.exp(1.0), rtol=1e-15)


def test_scipy_integrates_native_functions():
    integrate = pytest.importorskip("scipy.integrate")
    f = rlxc.compile(PRODUCT).executable().lowlevel_callable()
    assert f.signature == "double (double)"
    np.testing.assert_allclose(integrate.quad(f, 0, 1)[0], 0.9093306736314786, rtol=1e-14)
    g = rlxc.compile(DOT).executable().lowlevel_callable(w=[1, 2, 3], s=1)
    assert g.signature == "double (int, double *)"
    np.testing.assert_allclose(integrate.nquad(g, [[0, 1]] * 3)[0], 3)


def test_the_workspace_of_a_scalar_function_is_its_own():
    """Several threads may call it at once."""
    f = rlxc.compile("func @f(%x: f64[300]) -> f64[] { %c = sort %x {axis = 0} %d = cumsum %c {axis = 0} %y = reduce_max %d {axes = [0]} return %y }")
    g = f.executable().scalar_function()
    inputs = [np.random.default_rng(i).standard_normal(300) for i in range(16)]
    want = [float(f(x)) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda x: g(300, x.ctypes.data_as(ctypes.POINTER(ctypes.c_double))), inputs * 20))
    assert got == want * 20


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("func @f(%x: f32[]) -> f64[] { %y = convert %x {dtype = f64} return %y }", "%x is f32"),
        ("func @f(%x: f64[2]) -> f64[2] { %y = neg %x return %y }", "a scalar function returns"),
        ("func @f(%x: f64[]) -> (f64[], f64[]) { return %x, %x }", "a scalar function returns"),
        ("func @f(%x: f64[9999]) -> f64[] { %c = sort %x {axis = 0} %y = reduce_sum %c {axes = [0]} return %y }", "too many for the stack"),
    ],
)
def test_functions_that_are_not_scalar_are_refused(text, says):
    with pytest.raises(rlxc.Unsupported, match=says):
        rlxc.compile(text).executable().scalar_function()


def test_an_address_takes_buffers_as_libraries_do():
    f = rlxc.compile("func @f(%x: f32[B, 5]) -> (f32[B, 5], f32[B]) { %y = softmax %x {axis = 0} %s = reduce_sum %x {axes = [1]} return %y, %s }")
    executable = f.executable(B=3)
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(executable.address)
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    y, s = np.empty((3, 5), np.float32), np.empty(3, np.float32)
    space = np.empty(executable.workspace_size + 1, np.uint8)
    pointers = [(ctypes.c_void_p * len(a))(*(b.ctypes.data for b in a)) for a in ([x], [y, s])]
    assert call(*pointers, space.ctypes.data + 1) == 0
    for got, want in zip((y, s), f(x), strict=True):
        np.testing.assert_array_equal(got, want)


def test_an_executable_of_named_dimensions_asks_for_their_sizes():
    f = rlxc.compile("func @f(%x: f64[N]) -> f64[] { %y = reduce_sum %x {axes = [0]} return %y }")
    with pytest.raises(rlxc.ShapeError, match="named dimensions: N"):
        f.executable()
    assert f.executable(N=2).scalar_function()(2, numbers(1, 2)) == 3
