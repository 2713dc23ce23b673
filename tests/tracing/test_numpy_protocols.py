"""NumPy's functions on tracers give what they give on arrays: numbers, shapes, dtypes."""

import copy

import numpy as np
import pytest
from traced import agree

import rlxc
import rlxc.numpy as rnp
from rlxc.numpy import elementwise

X = np.array([[0.25, -0.5, 0.75], [0.5, 0.125, -0.9]])
Y = np.array([[1.5, 2.0, -0.5], [0.25, -3.0, 1.0]])
UFUNCS = sorted((u for u in (*elementwise._DIRECT, *elementwise._ROUNDING, *elementwise._LOGICAL) if u.types), key=lambda u: u.__name__)
#: dtypes of operands; the Python numbers are weak
PAIRS = [
    (np.float32, np.float32), (np.float32, np.float64), (np.float32, 2.5), (np.float32, 2), (np.int32, 2),
    (np.int32, 2.5), (np.int64, np.float32), (np.uint8, np.int8), (np.int8, 3), (bool, bool), (bool, 2), (np.float16, np.int8),
]  # fmt: skip


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_a_ufunc_has_numpys_results_and_dtypes(ufunc):
    for pair in PAIRS if ufunc.nin == 2 else [(a,) for a in (np.float32, np.float64, np.int32, np.int8, bool)]:
        arrays = [np.abs(v * 3).astype(d) if isinstance(d, type) else d for v, d in zip((X, Y), pair, strict=False)]
        try:
            with np.errstate(all="ignore"):
                want = ufunc(*arrays)
        except TypeError:
            with pytest.raises(rlxc.Error):
                rlxc.trace(lambda *xs: ufunc(*xs), *arrays)
            continue
        func = rlxc.trace(lambda *xs: ufunc(*xs), *arrays)
        with np.errstate(all="ignore"):
            got = rlxc.interpret(func, *arrays)
        assert (got.dtype, got.shape) == (want.dtype, want.shape), pair
        np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=2e-3 if want.dtype == np.float16 else 1e-5, err_msg=str(pair))


CASES = [
    lambda x, y: x + y,
    lambda x, y: 2 - x * 3.0 / y,
    lambda x, y: x @ y.T,
    lambda x, y: np.square(x),
    lambda x, y: x**2 + y**3,
    lambda x, y: 2.0**x,
    lambda x, y: x % y,
    lambda x, y: x // y,
    lambda x, y: abs(-x),
    lambda x, y: np.add(x, y, dtype=np.float32),
    lambda x, y: np.sum(x),
    lambda x, y: np.sum(x, axis=0),
    lambda x, y: np.sum(x, axis=(0, -1), keepdims=True),
    lambda x, y: np.add.reduce(x, axis=1),
    lambda x, y: np.mean(x, axis=1),
    lambda x, y: x.mean(),
    lambda x, y: np.var(x, axis=0, ddof=1),
    lambda x, y: x.std(1),
    lambda x, y: np.max(x, axis=-1),
    lambda x, y: np.amin(x),
    lambda x, y: np.prod(x, axis=1, keepdims=True),
    lambda x, y: np.any(x > 0.6, axis=1),
    lambda x, y: np.all(x > -1),
    lambda x, y: np.argmax(x, axis=1),
    lambda x, y: np.argmin(x),
    lambda x, y: np.cumsum(x, axis=1),
    lambda x, y: np.cumprod(x),
    lambda x, y: np.sort(x, axis=1),
    lambda x, y: np.argsort(y, axis=0),
    lambda x, y: np.reshape(x, (3, -1)),
    lambda x, y: x.reshape(3, 2),
    lambda x, y: np.ravel(x),
    lambda x, y: np.transpose(x),
    lambda x, y: x.T,
    lambda x, y: np.swapaxes(x[None], 0, 2),
    lambda x, y: np.moveaxis(x[None], 0, -1),
    lambda x, y: np.expand_dims(x, (0, 2)),
    lambda x, y: np.squeeze(x[None, :, None]),
    lambda x, y: np.broadcast_to(x[:, :1], (2, 4)),
    lambda x, y: np.concatenate([x, y], axis=1),
    lambda x, y: np.concatenate([x, y], axis=None),
    lambda x, y: np.stack([x, y], axis=1),
    lambda x, y: tuple(np.split(x, 3, axis=1)),
    lambda x, y: tuple(np.split(x, [1], axis=1)),
    lambda x, y: np.flip(x, 1),
    lambda x, y: np.repeat(x, 2, axis=1),
    lambda x, y: np.take(x, [0, 2], axis=1),
    lambda x, y: np.diagonal(x),
    lambda x, y: np.trace(x, 1),
    lambda x, y: np.where(x > 0, x, y),
    lambda x, y: np.where(x > 0, 1, 0.5),
    lambda x, y: np.clip(x, -0.3, 0.3),
    lambda x, y: x.clip(0, None),
    lambda x, y: np.round(x, 1),
    lambda x, y: np.nan_to_num(x * np.inf),
    lambda x, y: np.isnan(x),
    lambda x, y: np.isfinite(x),
    lambda x, y: np.dot(x, y.T),
    lambda x, y: np.dot(x[None], y.T),
    lambda x, y: np.dot(x[0], y[0]),
    lambda x, y: np.inner(x, y),
    lambda x, y: np.outer(x, y),
    lambda x, y: np.vdot(x, y),
    lambda x, y: np.tensordot(x, y, axes=2),
    lambda x, y: np.tensordot(x, y, axes=([1], [1])),
    lambda x, y: np.einsum("ij,kj->ik", x, y),
    lambda x, y: np.einsum("ii->i", x[:, :2]),
    lambda x, y: np.einsum("ii", x[:, :2]),
    lambda x, y: np.einsum("...j,...j", x, y),
    lambda x, y: np.einsum("i...,i...->...", x, y),
    lambda x, y: np.linalg.norm(x),
    lambda x, y: np.linalg.norm(x, axis=1, keepdims=True),
    lambda x, y: np.linalg.norm(x, 1, axis=1),
    lambda x, y: np.linalg.norm(x, 3, axis=1),
    lambda x, y: np.linalg.norm(x, np.inf),
    lambda x, y: np.linalg.norm(x, 1),
    lambda x, y: np.linalg.norm(x[0], np.inf),
    lambda x, y: np.zeros_like(x),
    lambda x, y: np.full_like(x, 2, dtype=np.int32),
    lambda x, y: np.ones_like(x) + np.float32(1),
    lambda x, y: np.float64(2) * x,
    lambda x, y: np.arange(3.0) * x,
    lambda x, y: x.astype(np.int32) * 2,
    lambda x, y: x.astype("float32") * np.pi,
    lambda x, y: x.astype("float32") * np.float64(np.pi),
    lambda x, y: np.maximum(x, 0),
    lambda x, y: [1.0, 2.0, 3.0] * x,
    lambda x, y: (x > 0) & (y > 0) | ~(x < y),
    lambda x, y: x.astype(int) << 2,
    lambda x, y: sum(row.sum() for row in x),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_function_of_numpys_means_the_same_on_tracers(number):
    agree(CASES[number], X, Y)


def test_rlxc_numpy_is_the_same_table_and_takes_arrays():
    func = rlxc.trace(lambda x: rnp.sin(x) + rnp.array([x[0], 1.0]) * rnp.pi, "f64[2]")
    assert "sin" in str(func)
    np.testing.assert_array_equal(rnp.sin(X), np.sin(X))
    assert isinstance(rnp.sin(X), np.ndarray)


def test_a_function_that_is_not_there_is_named():
    with pytest.raises(rlxc.Unsupported, match=r"np.linalg.eig is not defined") as caught:
        rlxc.trace(lambda x: np.linalg.eig(x), "f64[2, 2]")
    assert caught.value.loc.file == __file__


def test_results_cannot_be_written_to_arrays():
    with pytest.raises(rlxc.Unsupported, match="out="):
        rlxc.trace(lambda x: np.add(x, 1, out=X[0]), "f64[3]")


def test_a_number_that_the_dtype_does_not_hold_is_an_error():
    with pytest.raises(rlxc.ArgumentError, match="u8 does not hold 300"):
        rlxc.trace(lambda x: x + 300, "u8[3]")


def test_bf16_is_promoted_like_f16_and_with_it_to_f32():
    def dtype(f, *types):
        return str(rlxc.trace(f, *types).results[0].type.dtype)

    assert dtype(lambda x: x * 2.0 + 1, "bf16[3]") == "bf16"
    assert dtype(lambda x, y: x * y, "bf16[3]", "f16[3]") == "f32"
    assert dtype(lambda x, y: x * y, "bf16[3]", "f32[3]") == "f32"
    assert dtype(lambda x, y: x * y, "bf16[3]", "i8[3]") == "bf16"
    assert dtype(lambda x: np.exp(x), "bf16[3]") == "bf16"


METHODS = """
x.sum(0, np.float32); x.sum(0, None, None, True); x.sum(initial=2.0); x.sum(1, where=b, initial=1.0); x.mean(1, None, None, True); x.mean(where=b)
x.std(0, None, None, 1); x.var(0, np.float32, None, 1, True); x.max(initial=0.5); x.min(1, where=b, initial=3.0); x.any(0); x.all(1, keepdims=True)
x.argmax(0, keepdims=True); x.cumsum(0, np.float32); x.cumprod(1); x.argsort(-1, "stable"); x.clip(min=0); x.ravel("F"); x.flatten("F")
x.reshape(3, 2, order="F"); x.take([0, 20], mode="clip"); x.repeat(2, 1); x.trace(1, dtype=np.float32)
x.dot(x.T); x.astype("f4", "C", "same_kind"); x.prod(0, initial=2.0); x.copy("F")
copy.deepcopy(x) + copy.copy(x); np.sort(x[0]).searchsorted(0.5); divmod(x, 2)[1]; round(x[0, 0], 1); x.__array_namespace__().sin(x); x.to_device(x.device)
"""


def test_methods_take_what_those_of_arrays_take():
    texts = [t.strip() for line in METHODS.strip().splitlines() for t in line.split(";")]
    functions = [eval(f"lambda x, b: {t}", {"np": np, "copy": copy}) for t in texts]
    got = rlxc.jit(lambda x, b: [f(x, b) for f in functions])(X, X > 0)
    for text, f, g in zip(texts, functions, got, strict=True):
        want = np.asarray(f(X, X > 0))
        assert (g.shape, g.dtype) == (want.shape, want.dtype), text
        np.testing.assert_allclose(g, want, rtol=1e-6 if want.dtype.itemsize == 4 else 1e-14, err_msg=text)


DTYPES = ("?", "i1", "i4", "i8", "u1", "u8", "f2", "f4", "f8", "c8")
MIXED = (np.add, np.divide, np.equal, np.less, np.ldexp, np.arctan2, lambda x, y: np.stack([x, y]), lambda x, y: np.concatenate([x, [y]]), np.dot, np.outer)


@pytest.mark.parametrize("f", MIXED, ids=lambda f: getattr(f, "__name__", "f"))
def test_mixed_dtypes_and_python_numbers_are_numpys(f):
    arrays = [np.array([3], d) for d in DTYPES]
    for x in arrays:
        for y in (*arrays, 2, 2.5, True, 1j):
            y = y[0] if isinstance(y, np.ndarray) and f in MIXED[-4:-2] else y
            x_ = x[0] if f is MIXED[-4] else x
            try:
                want = f(x_, y)
            except (TypeError, ValueError):
                continue
            try:
                func = rlxc.trace(f, x_, y)
            except rlxc.DTypeError:
                assert f is np.less  # complex numbers have no order here
                assert want.dtype == bool
                continue
            got = rlxc.interpret(func, x_, y)
            assert (got.shape, got.dtype) == (want.shape, want.dtype), (x.dtype, y)
            np.testing.assert_allclose(got, want, rtol=1e-3)


def test_signed_numbers_are_compared_with_unsigned_ones_as_they_are():
    x, y = np.array([-1, 5, 2**62, 7, -(2**63)]), np.array([2**64 - 1, 5, 2**63, 3, 0], np.uint64)
    for f in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal):
        assert rlxc.jit(f)(x, y).tolist() == f(x, y).tolist()
        assert rlxc.jit(f)(y, x).tolist() == f(y, x).tolist()
