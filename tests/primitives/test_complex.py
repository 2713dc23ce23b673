"""Complex numbers in native code: accuracy, corners, memory layouts, errors. The laws hold for each op; these are what laws do not say."""

import numpy as np
import pytest

import rlxc

INF, NAN = np.inf, np.nan


def unary(op, z, result="c128", **options):
    dtype = {np.dtype(np.complex64): "c64", np.dtype(np.complex128): "c128"}[z.dtype]
    f = rlxc.parse(f"func @f(%z: {dtype}{list(z.shape)}) -> {result}{list(z.shape)} {{ %y = {op} %z return %y }}")
    return rlxc.compile(f, **options)(z)


def binary(op, x, y):
    f = rlxc.parse(f"func @f(%x: c128{list(x.shape)}, %y: c128{list(x.shape)}) -> c128{list(x.shape)} {{ %z = {op} %x, %y return %z }}")
    return rlxc.compile(f)(x, y)


def wide_range(n=400, low=-8, high=8):
    """Numbers of all directions and of many sizes."""
    rng = np.random.default_rng(5)
    return 10 ** rng.uniform(low, high, n) * np.exp(1j * rng.uniform(-np.pi, np.pi, n))


@pytest.mark.parametrize(("op", "low", "high"), [
    ("exp", -3, 1.5), ("log", -150, 150), ("sqrt", -300, 300), ("sin", -3, 1), ("cos", -3, 1), ("tan", -3, 1), ("sinh", -3, 1), ("cosh", -3, 1),
    ("tanh", -8, 3),
    ("asin", -4, 4), ("acos", -3, 4), ("atan", -4, 4), ("asinh", -4, 4), ("acosh", -3, 4),
    ("atanh", -4, 4), ("expm1", -3, 1), ("log1p", -5, 5),
])  # fmt: skip
def test_functions_are_as_exact_as_numpys(op, low, high):
    """The error relative to the number itself, against NumPy in long double."""
    name = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}.get(op, op)
    z = wide_range(low=low, high=high)
    exact = getattr(np, name)(z.astype(np.clongdouble))
    ours = np.max(np.abs(unary(op, z) - exact) / np.abs(exact))
    theirs = np.max(np.abs(getattr(np, name)(z) - exact) / np.abs(exact))
    assert ours < max(8 * theirs, 2e-14), (ours, theirs)


def test_real_arguments_give_what_real_functions_do():
    x = np.array([-2.5, -1.0, -0.0, 0.0, 0.3, 1.0, 700.0])
    for op in ("exp", "sin", "cos", "sinh", "cosh", "tanh", "asinh", "atan"):
        f = rlxc.parse(f"func @f(%x: f64[7]) -> f64[7] {{ %y = {op} %x return %y }}")
        got = unary(op, x.astype(complex))
        np.testing.assert_allclose(got.real, rlxc.compile(f)(x), rtol=1e-14)
        assert not got.imag.any()


def test_quotients_and_sizes_do_not_overflow_on_the_way():
    big = np.array([3e300 + 4e300j, -4e-300 + 3e-300j, 1e308 + 1e308j])
    np.testing.assert_allclose(unary("abs", big, "f64"), [5e300, 5e-300, 1e308 * np.sqrt(2)], rtol=1e-15)
    big[2] /= 4
    np.testing.assert_allclose(binary("div", big, big), 1, rtol=1e-15)
    np.testing.assert_allclose(binary("div", np.ones(3, complex), big[:3]), 1 / big, rtol=1e-14)
    np.testing.assert_allclose(unary("exp", np.array([709.9 + 0.8j, 709.9 + 0.9j])), np.exp(np.array([709.9 + 0.8j, 709.9 + 0.9j])), rtol=1e-12)


def test_branch_cuts_follow_the_sign_of_zero():
    z = np.array([complex(-4, 0.0), complex(-4, -0.0), complex(4, -0.0), complex(0.0, -0.0)])
    for op, name in (("sqrt", "sqrt"), ("log", "log"), ("asin", "arcsin"), ("acos", "arccos"), ("atanh", "arctanh"), ("acosh", "arccosh")):
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(unary(op, z[: 3 + (op == "sqrt")]), getattr(np, name)(z[: 3 + (op == "sqrt")]), rtol=1e-14, err_msg=op)
    np.testing.assert_allclose(unary("angle", z, "f64"), np.angle(z))


def test_infinite_parts_that_the_language_page_speaks_of():
    z = np.array([complex(INF, NAN), complex(NAN, -INF), complex(3, INF)])
    assert np.isposinf(unary("abs", z, "f64")).all()
    assert unary("exp", np.array([complex(-INF, 3), complex(-INF, INF), complex(-INF, NAN)])).tolist() == [0, 0, 0]
    assert unary("exp", np.array([complex(INF, 0)]))[0] == complex(INF, 0)
    assert np.isposinf(unary("sqrt", np.array([complex(2, INF)])).real).all()
    assert unary("tanh", np.array([complex(INF, 1), complex(-INF, 0)])).real.tolist() == [1, -1]
    for op in ("exp", "log", "sqrt", "sin", "tanh", "asin"):
        assert np.isnan(unary(op, np.array([complex(NAN, NAN)])).real).all(), op
    product = binary("mul", np.array([complex(INF, NAN)]), np.array([2 + 0j]))
    assert np.isnan([product.real, product.imag]).all()


def test_powers():
    x = np.array([0, 0, 0, 2j, -1 + 1j, -8, 1j])
    n = np.array([0, 2, 1 + 1j, 3, 0.5 - 2j, 1 / 3, 1j])
    with np.errstate(all="ignore"):
        want = np.power(x, n)
    np.testing.assert_allclose(binary("pow", x, n)[[0, 1, 3, 4, 5, 6]], want[[0, 1, 3, 4, 5, 6]], rtol=1e-13, atol=1e-15)
    assert np.isnan(binary("pow", np.zeros(1, complex), np.array([-1.5 + 0j])).real).all()


def test_running_products_and_products():
    z = wide_range(97, -0.1, 0.1)
    f = rlxc.parse("func @f(%z: c128[97]) -> (c128[97], c128[97], c128[]) { %a = cumprod %z {axis = 0} %b = cumprod %z {axis = 0, reverse = true} "
                   "%c = reduce_prod %z {axes = [0]} return %a, %b, %c }")  # fmt: skip
    for got, want in zip(rlxc.compile(f)(z), (np.cumprod(z), np.cumprod(z[::-1])[::-1], np.prod(z)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13)


@pytest.mark.parametrize(("dtype", "rtol"), [("c64", 1e-5), ("c128", 1e-13)])
def test_products_of_matrices(dtype, rtol):
    rng = np.random.default_rng(1)
    x, y = ((rng.normal(size=s) + 1j * rng.normal(size=s)).astype(np.complex64 if dtype == "c64" else np.complex128) for s in ((70, 45), (45, 33)))
    f = rlxc.parse(f"func @f(%x: {dtype}[70, 45], %y: {dtype}[45, 33]) -> {dtype}[70, 33] {{ %z = matmul %x, %y return %z }}")
    np.testing.assert_allclose(rlxc.compile(f)(x, y), x @ y, rtol=rtol, atol=100 * rtol)


def test_arrays_of_any_layout_are_taken_and_filled():
    f = rlxc.compile(rlxc.parse("func @f(%z: c128[4, 6]) -> c128[4, 6] { %y = mul %z, %z return %y }"))
    z = wide_range(24, -1, 1).reshape(4, 6)
    for layout in (np.asfortranarray(z), np.repeat(z, 2, 1)[:, ::2], z[::-1, ::-1].copy()[::-1, ::-1]):
        np.testing.assert_array_equal(f(layout), f(z))
    out = np.zeros((4, 12), complex)[:, ::2]
    assert f(z, out=out) is out
    np.testing.assert_array_equal(out, f(z))
    inside = np.zeros(25 * 16 + 8, np.uint8)[8 : 8 + 24 * 16].view(np.complex128).reshape(4, 6)  # aligned to 8 bytes
    inside[...] = z
    np.testing.assert_array_equal(f(inside), f(z))
    assert rlxc.compile(rlxc.parse("func @g(%z: c64[]) -> c64[] { %y = conj %z return %y }"))(1 + 2j) == 1 - 2j


def test_arguments_that_are_not_complex_are_refused_or_converted():
    f = rlxc.compile(rlxc.parse("func @f(%z: c128[2]) -> c128[2] { %y = conj %z return %y }"))
    assert f([1, 2j]).tolist() == [1, -2j]
    with pytest.raises(rlxc.Error, match="is c128"):
        f(np.zeros(2))
    with pytest.raises(rlxc.Error, match="is c128"):
        f(np.zeros(2, np.complex64))
    g = rlxc.compile(rlxc.parse("func @f(%z: f64[2]) -> f64[2] { %y = neg %z return %y }"))
    with pytest.raises(rlxc.Error, match="does not hold"):
        g([1.0, 2j])


@pytest.mark.parametrize(("text", "says"), [
    ("%y = max %z, %z", "max does not take c128"), ("%y = lt %z, %z", "lt does not take c128"), ("%y = sort %z {axis = 0}", "sort does not take c128"),
    ("%y = floor %z", "floor does not take c128"), ("%y = convert %z {dtype = f64}", "convert does not make f64 of c128"),
    ("%y = reduce_max %z {axes = [0]}", "reduce_max does not take c128"), ("%y = argmax %z {axis = 0}", "argmax does not take c128"),
    ("%y = iota {axis = 0} : c128[2]", "iota does not take c128"), ("%y = relu %z", "relu does not take c128"),
])  # fmt: skip
def test_what_has_no_meaning_for_complex_numbers_says_so(text, says):
    with pytest.raises(rlxc.Error, match=says):
        rlxc.parse(f"func @f(%z: c128[2]) -> c128[2] {{ {text} return %z }}")


def test_complex_constants_read_back_bit_for_bit():
    text = "dense<[(1.5, -0.0), (nan, -inf), (1e-45, nan(0x7fc00001))]>"
    module = rlxc.parse(f"func @f() -> c64[3] {{ %c = constant {text} : c64[3] return %c }}")
    assert text in str(module)
    assert rlxc.parse(str(module)) == module
    got = rlxc.compile(module["f"])()
    assert got.tobytes() == np.array([(1.5, -0.0), (NAN, -INF), (1e-45, NAN)], np.float32).tobytes()[:20] + np.array(0x7FC00001, np.uint32).tobytes()


def test_an_op_without_planes_is_an_error_with_its_place():
    class Swap(rlxc.Primitive):
        """Real and imaginary part exchanged."""

        name = "swap_parts"
        dtypes = ("c128",)

        def infer(self, z):
            return z

        def eval(self, z):
            return z.imag + 1j * z.real

    rlxc.register(Swap)
    f = rlxc.parse("func @f(%z: c128[2]) -> c128[2] {\n  %y = swap_parts %z\n  return %y\n}")["f"]
    assert rlxc.interpret(f, np.array([1, 2j])).tolist() == [1j, 2]
    with pytest.raises(rlxc.Error, match="swap_parts has no planes rule") as error:
        rlxc.compile(f)(np.array([1, 2j]))
    assert error.value.diagnostics[0].loc.line == 2


def test_results_are_the_same_for_any_number_of_threads():
    z = wide_range(200_000, -1, 1)
    f = rlxc.parse("func @f(%z: c128[200000]) -> (c128[200000], c128[]) { %y = exp %z %s = reduce_sum %y {axes = [0]} return %y, %s }")
    one, two = (rlxc.compile(f, threads=n)(z) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("n", [1, 2, 7, 8, 15, 29, 33, 64, 101])
@pytest.mark.parametrize("dtype", ["c64", "c128"])
def test_lengths_that_are_no_multiple_of_a_vector(n, dtype):
    """Reductions and stores whose last step is written for itself, or goes back."""
    z = wide_range(n, -0.5, 0.5).astype(np.complex64 if dtype == "c64" else np.complex128)
    part = {"c64": "f32", "c128": "f64"}[dtype]
    f = rlxc.parse(f"""func @f(%z: {dtype}[{n}]) -> ({dtype}[{n}], {part}[], {dtype}[], {part}[{n}], {dtype}[{n}]) {{
      %y = mul %z, %z
      %a = abs %y
      %s = reduce_sum %a {{axes = [0]}}
      %t = reduce_sum %y {{axes = [0]}}
      %c = conj %z
      return %y, %s, %t, %a, %c
    }}""")
    for got, want in zip(rlxc.compile(f)(z), (z * z, np.abs(z * z).sum(), (z * z).sum(), np.abs(z * z), z.conj()), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5 if dtype == "c64" else 1e-13)
