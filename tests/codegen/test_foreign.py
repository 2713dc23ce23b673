"""C functions that native code calls by name: their prototypes, where their addresses come from, and what is kept of them (nothing)."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import rlxc
from rlxc.ir.foreign import find_foreign, read_prototype
from rlxc.ir.interp import interpret
from rlxc.runtime.aot import Library
from rlxc.runtime.compile import native


@ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p, ctypes.c_int64)
def norm2(x, n):
    values = np.ctypeslib.as_array((ctypes.c_double * n).from_address(x)) if n else np.zeros(0)
    return float(np.sqrt((values * values).sum()))


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_float)
def fill(x, n, value):
    np.ctypeslib.as_array((ctypes.c_float * n).from_address(x))[:] = value


NORM2 = rlxc.foreign("f64 norm2(ptr, i64)", norm2)
FILL = rlxc.foreign("void fill(ptr, i32, f32)", lambda: fill)

NORMS = """
kernel @norms(%x: mem f64[4, 3], %y: mem f64[4]) {
  %n = constant dense<3> : i64
  for %i in 0..4 {
    %row = part %x, %i : mem f64[3]
    %r = foreign %row, %n {function = "f64 norm2(ptr, i64)"} : f64
    store %y, %r, %i
  }
}
"""


@rlxc.register
class RowNorms(rlxc.Primitive):
    """The norm of each row, by a C function."""

    name = "test_row_norms"
    dtypes = ("f64",)

    def infer(self, x):
        return x.with_shape(x.shape[:-1])

    def eval(self, x):
        return np.sqrt((x * x).sum(-1))

    def lower(self, e, reads, writes):
        (x,), (y,) = reads, writes
        n = x.type.shape[-1]
        row = e.alloc(x.type.dtype, (n,))

        def one(index):
            e.for_each((n,), lambda k: row.store(k, x([*index, *k])))
            y.store(index, NORM2(e, row, n, steps=2 * n))

        e.for_each(y.type.shape, one)


def test_a_kernel_calls_a_c_function_on_parts_of_memory():
    kernel = rlxc.parse(NORMS)["norms"]
    assert rlxc.parse(str(kernel.as_module()))["norms"] == kernel
    x = np.arange(12.0).reshape(4, 3)
    y = np.zeros(4)
    interpret(kernel, [x, y])
    np.testing.assert_allclose(y, np.linalg.norm(x, axis=1))


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (3, 0), (0, 3)])
def test_an_op_is_lowered_to_calls_of_a_c_function(shape):
    text = f"func @f(%x: f64[{', '.join(map(str, shape))}]) -> f64[{', '.join(map(str, shape[:-1]))}] {{ %h = exp %x %y = test_row_norms %h return %y }}"
    x = np.random.default_rng(0).normal(size=shape)
    func = rlxc.parse(text)["f"]
    np.testing.assert_allclose(rlxc.compile(func)(x), rlxc.interpret(func, x), rtol=1e-14)
    made = native(func)
    assert made.emitted.foreign == (("f64 norm2(ptr, i64)",) if 0 not in shape[:-1] else ())


def test_steps_of_a_call_count_as_work():
    few, many = (native(rlxc.parse(f"func @f(%x: f64[8, {n}]) -> f64[8] {{ %y = test_row_norms %x return %y }}")["f"]) for n in (10, 1000))
    assert many.emitted.work["f"] > 20 * few.emitted.work["f"]


def test_a_function_is_given_as_an_address_a_ctypes_function_a_capsule_or_what_gives_one():
    libm = ctypes.CDLL(None)
    address = ctypes.cast(libm.abs, ctypes.c_void_p).value
    capsule_new = ctypes.pythonapi.PyCapsule_New
    capsule_new.restype, capsule_new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    for source in (address, libm.abs, capsule_new(address, b"int (int)", None), lambda: libm.abs):
        assert rlxc.foreign("i32 test_abs(i32)", source).address == address
    assert find_foreign("i32 test_abs(i32)").prototype == read_prototype("i32  test_abs( i32 )")


@pytest.mark.parametrize("text", ["norm2(ptr)", "f64 norm2(f16)", "ptr make(i64)", "f64 2x(ptr)", "f64 norm2(ptr", "f64 norm2(ptr,)"])
def test_what_is_no_prototype_is_refused(text):
    with pytest.raises(rlxc.AttrError):
        rlxc.foreign(text, 0)


def test_what_is_no_function_is_refused():
    with pytest.raises(rlxc.RuleError, match="not str"):
        rlxc.foreign("f64 norm3(ptr)", "libnorm.so")
    with pytest.raises(rlxc.RuleError, match="gives NoneType"):
        assert rlxc.foreign("f64 norm3(ptr)", lambda: None).address
    with pytest.raises(rlxc.RuleError, match="address is 0"):
        assert rlxc.foreign("f64 norm3(ptr)", 0).address


def test_operands_must_fit_the_prototype():
    wrong = NORMS.replace("foreign %row, %n", "foreign %n, %row")
    with pytest.raises(rlxc.DTypeError, match=r"f64 norm2\(ptr, i64\) does not take i64 as operand 1"):
        rlxc.parse(wrong)


def test_a_function_that_this_process_does_not_have_is_an_error():
    kernel = rlxc.parse(NORMS.replace("norm2", "nobody_has_this"))["norms"]
    with pytest.raises(rlxc.UnknownName, match="no C function 'nobody_has_this'"):
        interpret(kernel, [np.zeros((4, 3)), np.zeros(4)])


def test_a_function_of_another_prototype_is_an_error():
    kernel = rlxc.parse(NORMS.replace("f64 norm2(ptr, i64)", "f64 norm2(ptr, i32)").replace(": i64", ": i32"))["norms"]
    with pytest.raises(rlxc.DTypeError, match="this process has f64 norm2"):
        interpret(kernel, [np.zeros((4, 3)), np.zeros(4)])


def test_a_call_without_a_result_stores_what_it_is_told():
    kernel = rlxc.parse("""
kernel @k(%x: mem f32[5]) {
  %n = constant dense<4> : i32
  %v = constant dense<2.5> : f32
  foreign %x, %n, %v {function = "void fill(ptr, i32, f32)"}
}""")["k"]
    x = np.zeros(5, np.float32)
    interpret(kernel, [x])
    assert x.tolist() == [2.5, 2.5, 2.5, 2.5, 0.0]


PACKAGE = """
import ctypes, os, numpy as np, rlxc

@ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
def twice(x):
    return float(os.environ["FACTOR"]) * x

TWICE = rlxc.foreign("f64 test_twice(f64)", twice)

@rlxc.register
class Twice(rlxc.Elementwise):
    name = "test_twice"
    dtypes = ("f64",)
    operands = ("x",)

    def eval(self, x):
        return 2.0 * x

    def scalar(self, e, x):
        return TWICE(e, x)
"""


def test_code_from_the_cache_finds_the_function_of_its_own_process(tmp_path):
    (tmp_path / "twice_package.py").write_text(PACKAGE)
    program = textwrap.dedent("""
        import twice_package, rlxc, numpy as np
        f = rlxc.compile("func @f(%x: f64[2]) -> f64[2] { %y = test_twice %x return %y }")
        print(f(np.array([1.0, 2.0])), rlxc.cache_info().hits)
    """)
    environment = {"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}", "RLXC_CACHE_DIR": str(tmp_path / "cache")}
    said = [
        subprocess.run([sys.executable, "-c", program], env={**environment, "FACTOR": factor}, capture_output=True, text=True, check=True).stdout
        for factor in ("2", "3")
    ]
    assert said == ["[2. 4.] 0\n", "[3. 6.] 1\n"]


def test_a_library_says_what_it_must_be_linked_with_and_is_not_linked_without():
    func = rlxc.parse("func @f(%x: f64[4, 3]) -> f64[4] { %y = test_row_norms %x return %y }")["f"]
    library = Library("norms", (func,))
    assert "/* Link with what defines\n *   f64 norm2(ptr, i64)\n */" in library.header()
    assert "declare double @norm2(ptr, i64)" in library.llvm()
    with pytest.raises(rlxc.Unsupported, match=r"calls C functions that it does not hold: f64 norm2\(ptr, i64\)"):
        library.shared()
