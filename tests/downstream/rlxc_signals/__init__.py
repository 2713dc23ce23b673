"""Operations on arrays: an exponential moving average with loops of its own, and Bessel functions by a C function of the system's.

`ema` is linear, and its `lower` rule writes loops, which go the way of those of rlxc's own ops. `bessel_j` calls `jn` of libm at its address: rlxc knows
the prototype, and asks for the address when it loads the code.
"""

import ctypes
import ctypes.util

import numpy as np

import rlxc

_libm = ctypes.CDLL(ctypes.util.find_library("m"))
_libm.jn.restype, _libm.jn.argtypes = ctypes.c_double, [ctypes.c_int, ctypes.c_double]
JN = rlxc.foreign("f64 jn(i32, f64)", _libm.jn)


@rlxc.register
class BesselJ(rlxc.Elementwise):
    """The Bessel function of the first kind J_order(x). Its derivative is (J_{order - 1} - J_{order + 1}) / 2."""

    name = "bessel_j"
    dtypes = ("f64",)
    cost = rlxc.Cost(flops=200, recompute=False)
    domain = (0.5, 8.0)
    singular = False
    samples = (rlxc.Sample("f64[3]", order=0), rlxc.Sample("f64[]", order=1), rlxc.Sample("f64[0, 2]", order=2), rlxc.Sample("f64[2]", order=-3))

    def eval(self, x, *, order: int):
        flat = [_libm.jn(order, v) for v in np.ravel(x)]
        return np.array(flat, np.float64).reshape(np.shape(x))

    def partials(self, b, out, x, *, order):
        return (b.mul(b.sub(b.bessel_j(x, order=order - 1), b.bessel_j(x, order=order + 1)), 0.5),)

    def scalar(self, e, x, *, order):
        return JN(e, order, x, steps=200)


@rlxc.register
class Ema(rlxc.LinearMap):
    """The exponential moving average along the last axis: y[k] = (1 - rate) y[k-1] + rate x[k], with y[-1] = 0; with `reverse`, from the end."""

    name = "ema"
    linear_in = (0,)
    dtypes = ("f32", "f64")
    samples = (rlxc.Sample("f64[5]", rate=0.25), rlxc.Sample("f64[2, 3]", rate=0.5, reverse=True), rlxc.Sample("f64[2, 0]", rate=0.5))

    def infer(self, x, *, rate: float, reverse: bool = False):
        if x.rank == 0:
            raise rlxc.ShapeError("ema needs an axis, not a scalar")
        return x

    def eval(self, x, *, rate, reverse):
        y = np.zeros_like(x)
        last = np.zeros(x.shape[:-1], x.dtype)
        keep, take = x.dtype.type(1 - rate), x.dtype.type(rate)
        for k in reversed(range(x.shape[-1])) if reverse else range(x.shape[-1]):
            last = y[..., k] = keep * last + take * x[..., k]
        return y

    def transpose(self, b, cts, operands, *, rate, reverse):
        return (b.ema(cts[0], rate=rate, reverse=not reverse),)

    def batch(self, b, x, *, batched, rate, reverse):
        return b.ema(x, rate=rate, reverse=reverse)

    def lower(self, e, reads, writes, *, rate, reverse):
        (x,), (y,) = reads, writes
        *rows, n = x.type.shape
        dtype = x.type.dtype
        keep, take, zero = (e.constant(number, dtype=dtype) for number in (1 - rate, rate, 0.0))

        def row(index):
            def step(k, last):
                at = [*index, e.index_sub(n - 1, k[0]) if reverse else k[0]]
                last = e.add(e.mul(keep, last), e.mul(take, x(at)))
                y.store(at, last)
                return last

            e.loop((n,), (zero,), step)

        e.for_each(rows, row)
