"""Fourier transforms: accuracy for lengths of every kind, axes, norms, and what they are made of."""

import numpy as np
import pytest

import rlxc
from rlxc.passes.pipelines import make_pipeline
from rlxc.primitives.fft.lengths import convolution_length, factors, halves, is_smooth, radices

RNG = np.random.default_rng(7)
#: a pass or none, odd ones, leftovers of two, a matrix, Bluestein's way (constants, and computed), rows and columns, of smooth lengths and of others
LENGTHS = [1, 3, 8, 13, 16, 32, 45, 128, 243, 1000, 17, 34, 67, 289, 521, 4096, 4100, 8192, 20011]


def numbers(*shape, dtype=np.complex128):
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


def dft(shape, axis=0, *, inverse=False, dtype="c128", **options):
    type_ = f"{dtype}{list(shape)}"
    attrs = f"{{axis = {axis}, inverse = {str(inverse).lower()}}}"
    return rlxc.compile(rlxc.parse(f"func @f(%z: {type_}) -> {type_} {{ %y = dft %z {attrs} return %y }}"), **options)


def far(got, want):
    """The error relative to the norm."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


@pytest.mark.parametrize("n", LENGTHS)
def test_any_length_is_exact(n):
    z = numbers(n)
    assert far(dft([n])(z), np.fft.fft(z)) < 1e-14
    if n < 2000:
        assert far(dft([n], inverse=True)(z), np.fft.ifft(z, norm="forward")) < 1e-14
        assert far(dft([n], dtype="c64")(z.astype(np.complex64)), np.fft.fft(z.astype(np.complex64).astype(complex))) < 1e-6


@pytest.mark.parametrize("shape", [(6, 40), (33, 12), (3, 16, 5), (2, 67, 3), (5, 1, 4), (64, 20)])
def test_any_axis_is_taken(shape):
    z = numbers(*shape)
    for axis in range(len(shape)):
        assert far(dft(shape, axis)(z), np.fft.fft(z, axis=axis)) < 1e-14


@pytest.mark.parametrize("cpu", ["host", "avx2", "plain"])
def test_any_processor_will_do(cpu):
    for n in (48, 81, 67):
        z = numbers(3, n)
        assert far(dft([3, n], 1, cpu=cpu)(z), np.fft.fft(z)) < 1e-14


def test_columns_go_by_blocks():
    """As many columns at once as the cache holds, and a last block that goes back."""
    z = numbers(512, 133)
    assert far(dft([512, 133], 0)(z), np.fft.fft(z, axis=0)) < 1e-14


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_are_shared_by_threads(threads):
    z = numbers(64, 1024)
    got = dft([64, 1024], 1, threads=threads)(z)
    assert far(got, np.fft.fft(z)) < 1e-14
    assert got.tobytes() == dft([64, 1024], 1, threads=1)(z).tobytes()


def test_a_transform_is_one_kernel():
    """Parts are read where they lie, and results go where they belong."""
    f = rlxc.parse("func @f(%z: c128[64, 256]) -> c128[64, 256] { %y = dft %z {axis = 1} return %y }")
    fused = make_pipeline("legalize,planes,simplify,cse,dce,fuse").run(f)["f"]
    assert [op.prim.name for op in fused.ops] == ["fused"]


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_there_and_back(norm):
    body = f'%y = fft %z {{norm = "{norm}"}} %w = ifft %y {{norm = "{norm}"}} return %y, %w'
    z = numbers(12, 10)
    y, w = rlxc.compile(rlxc.parse(f"func @f(%z: c128[12, 10]) -> (c128[12, 10], c128[12, 10]) {{ {body} }}"))(z)
    assert far(y, np.fft.fft2(z, norm=norm)) < 1e-15 * 10
    assert far(w, z) < 1e-15 * 10


@pytest.mark.parametrize("n", [1, 2, 9, 16, 62, 1000])
def test_real_transforms(n):
    x = RNG.normal(size=(3, n))
    half = n // 2 + 1
    f = rlxc.parse(f"func @f(%x: f64[3, {n}]) -> c128[3, {half}] {{ %y = rfft %x {{axes = [1]}} return %y }}")
    assert far(rlxc.compile(f)(x), np.fft.rfft(x)) < 1e-15 * 10
    g = rlxc.parse(f"func @f(%z: c128[3, {half}]) -> f64[3, {n}] {{ %y = irfft %z {{axes = [1], n = {n}}} return %y }}")
    z = numbers(3, half)  # the imaginary parts of the first and, for even n, the last frequency are ignored, as NumPy does
    assert far(rlxc.compile(g)(z), np.fft.irfft(z, n)) < 1e-15 * 10


def test_the_cost_grows_as_n_log_n():
    """In ops of the loop level that a call executes."""

    def work(n):
        return rlxc.runtime.compile.native(rlxc.parse(f"func @f(%z: c128[{n}]) -> c128[{n}] {{ %y = dft %z {{axis = 0}} return %y }}")["f"]).emitted.work["f"]

    assert work(4 * 1024) < 6 * work(1024)
    assert work(64 * 1024) < 12 * work(8 * 1024)


def test_lengths_are_taken_apart():
    for n in (1, 2, 6, 720, 4096, 30030):
        assert np.prod(radices(n), dtype=int) == n if is_smooth(n) else True
        assert np.prod(factors(n), dtype=int) == n
    assert halves(1024) == (32, 32)
    assert halves(2 * 521) == (2, 521)
    for n in (17, 521, 10007):
        assert 2 * n - 1 <= convolution_length(n) < 2.6 * n


def test_what_cannot_be_transformed_is_said():
    for text, says in [
        ("%y = dft %z {axis = 2}", "no axis 2"), ("%y = fft %z {axes = []}", "needs an axis"), ('%y = fft %z {norm = "best"}', "norm"),
        ("%y = rfft %z", "rfft does not take c128"), ("%y = irfft %z {n = 9, axes = [1]}", "n = 9 has 5 frequencies"),
    ]:  # fmt: skip
        with pytest.raises(rlxc.Error, match=says):
            rlxc.parse(f"func @f(%z: c128[3, 4]) -> c128[3, 4] {{ {text} return %z }}")
    with pytest.raises(rlxc.Error, match="no elements"):
        rlxc.parse("func @f(%z: c128[3, 0]) -> c128[3, 0] { %y = dft %z {axis = 1} return %y }")


def test_gradients_through_transforms_are_transforms():
    """A loss on frequencies, by finite differences in the directions of both parts."""
    f = rlxc.parse("""func @f(%z: c128[6], %w: f64[6]) -> f64[] {
      %y = fft %z
      %a = abs %y
      %p = mul %a, %w
      %q = mul %p, %a
      %x = irfft %y {n = 10}
      %c = cos %x
      %s = reduce_sum %q {axes = [0]}
      %t = reduce_sum %c {axes = [0]}
      %l = add %s, %t
      return %l
    }""")["f"]
    z, w, h = numbers(6), RNG.normal(size=6), 1e-5
    value = rlxc.compile(f)
    slope = rlxc.compile(rlxc.grad(f, "z"))(z, w)
    for k in range(6):
        for along in (1, 1j):
            e = along * np.eye(6)[k]
            want = (value(z + h * e, w) - value(z - h * e, w)) / (2 * h)
            assert (np.conj(along) * slope[k]).real == pytest.approx(want, rel=1e-6, abs=1e-8)
