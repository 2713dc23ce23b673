"""dft: the discrete Fourier transform of complex numbers along one axis, which all transforms are made of."""

from __future__ import annotations

import numpy as np

from rlxc.errors import ShapeError
from rlxc.ir.primitive import Cost, Sample, register
from rlxc.ir.types import COMPLEX, TensorType
from rlxc.primitives.axes import check_axis
from rlxc.primitives.families import LinearMap, require_dtype
from rlxc.primitives.fft.split import transformed
from rlxc.primitives.planes import Planes


@register
class Dft(LinearMap):
    """y[k] = sum over j of x[j] exp(-2 pi i j k / n) along `axis`, of size n; with `inverse`, exp(+2 pi i j k / n). Nothing is divided by n.

    Its transpose is the same with the other sign. Any length takes time n log n: products of small primes go by Stockham's passes in scratch
    memory, long ones by rows and columns, large primes by Bluestein's convolution.
    """

    name = "dft"
    dtypes = COMPLEX
    cost = Cost(flops=40, recompute=False)
    samples = (
        Sample("c128[4]", axis=0),
        Sample("c128[2, 3]", axis=1, inverse=True),
        Sample("c128[3, 2]", axis=0),
        Sample("c128[1]", axis=0),
        Sample("c128[17]", axis=0),
        Sample("c128[0, 2]", axis=1),
    )

    def infer(self, x, *, axis: int, inverse: bool = False):
        require_dtype(self.name, x, COMPLEX)
        check_axis(self.name, x, axis)
        if x.shape[axis] == 0:
            raise ShapeError(f"dft: axis {axis} of {x} has no elements")
        TensorType(x.dtype, (x.shape[axis],)).require_static()
        return x

    def eval(self, x, *, axis, inverse=False):
        wide = x.astype(np.complex128)
        if not x.size:
            return x.copy()
        return np.asarray(np.fft.ifft(wide, axis=axis, norm="forward") if inverse else np.fft.fft(wide, axis=axis)).astype(x.dtype)

    def transpose(self, b, cts, operands, *, axis, inverse):
        return (b.dft(cts[0], axis=axis, inverse=not inverse),)

    def batch(self, b, x, *, batched, axis, inverse):
        return b.dft(x, axis=axis + 1, inverse=inverse)

    def planes(self, b, x, *, axis, inverse):
        shape = x.re.type.shape
        before, after = (int(np.prod(part, dtype=np.int64)) for part in (shape[:axis], shape[axis + 1 :]))
        rows = Planes(*(b.reshape(part, shape=(before, shape[axis], after)) for part in x))
        return Planes(*(b.reshape(part, shape=shape) for part in transformed(b, rows, inverse)))

    def fold(self, b, x, *, axis, inverse):
        """One element."""
        return x if x.type.shape[axis] == 1 else None
