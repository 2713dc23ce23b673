"""Slice: every step-th element from start to stop along each axis."""

from __future__ import annotations

from rlxc.errors import AttrError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import ANY, Dim
from rlxc.primitives.axes import check_one_per_axis, replaced, scalar
from rlxc.primitives.families import require_dtype
from rlxc.primitives.shape import Movement


@register
class Slice(Movement):
    """Elements `start`, `start + step`, ... below `stop` of each axis; `step` is 1 unless given.

    0 <= start <= stop <= size: nothing counts from the end, and nothing is clipped. A named dimension is taken whole
    (start 0, the dimension itself as stop, step 1).
    """

    name = "slice"
    index_map = True
    samples = (
        Sample("f64[5]", start=(1,), stop=(4,)),
        Sample("f64[5]", start=(0,), stop=(5,), step=(2,)),
        Sample("f64[6, 4]", start=(1, 0), stop=(6, 4), step=(2, 3)),
        Sample("f64[5]", start=(4,), stop=(5,), step=(7,)),
        Sample("f64[4, 3]", start=(2, 1), stop=(2, 3)),
        Sample("f64[0, 2]", start=(0, 1), stop=(0, 2)),
        Sample("f64[]", start=(), stop=()),
    )

    def infer(self, x, *, start: tuple[int, ...], stop: tuple[int | Dim, ...], step: tuple[int, ...] | None = None):
        require_dtype(self.name, x, ANY)
        step = _steps(start, step)
        check_one_per_axis(self.name, x, start=start, stop=stop, step=step)
        shape = []
        for axis, (n, i, j, s) in enumerate(zip(x.shape, start, stop, step, strict=True)):
            if s < 1:
                raise AttrError(f"slice: step {s} along axis {axis} of {x}", help="a step is at least 1; use reverse to go backwards")
            if isinstance(n, Dim) or isinstance(j, Dim):
                if (n, 0, 1) != (j, i, s):
                    raise AttrError(f"slice: {i} to {j} step {s} of axis {axis} of {x}", help="a named dimension can only be taken whole")
                shape.append(n)
            elif not 0 <= i <= j <= n:
                raise AttrError(f"slice: {i} to {j} is not inside axis {axis} of {x}", help="0 <= start <= stop <= size")
            else:
                shape.append(-((i - j) // s))
        return x.with_shape(shape)

    def eval(self, x, *, start, stop, step=None):
        return x[tuple(slice(i, j, s) for i, j, s in zip(start, stop, _steps(start, step), strict=True))]

    def transpose(self, b, cts, operands, *, start, stop, step=None):
        ct = cts[0]
        shape = operands[0].type.shape
        low, high, interior = [], [], []
        for n, m, i, s in zip(shape, ct.type.shape, start, _steps(start, step), strict=True):
            width = 0 if isinstance(n, Dim) or m == 0 else (m - 1) * s + 1
            low.append(i)
            high.append(0 if isinstance(n, Dim) else n - i - width)
            interior.append(s - 1 if width > 1 else 0)
        return (b.pad(ct, scalar(b, 0, ct), low=tuple(low), high=tuple(high), interior=tuple(interior)),)

    def batch(self, b, x, *, batched, start, stop, step=None):
        return b.slice(x, start=(0, *start), stop=(x.type.shape[0], *stop), step=None if step is None else (1, *step))

    def element(self, e, index, x, *, start, stop, step=None):
        return x([e.index_add(e.index_mul(i, s), first) for i, first, s in zip(index, start, _steps(start, step), strict=True)])

    def fold(self, b, x, *, start, stop, step=None):
        """All of x; a slice of a slice."""
        step = _steps(start, step)
        if stop == x.type.shape and not any(start) and all(s == 1 for s in step):
            return x
        inner = b.producer(x)
        if inner is None or not isinstance(inner.prim, Slice):
            return None
        first, jump = inner.attrs["start"], _steps(start, inner.attrs["step"])
        whole = inner.operands[0].type.shape
        end = tuple(j if isinstance(j, Dim) else min(f + j * s, n) for f, j, s, n in zip(first, stop, jump, whole, strict=True))
        begin = tuple(0 if isinstance(j, Dim) else min(f + i * s, j) for f, i, s, j in zip(first, start, jump, end, strict=True))
        return b.slice(inner.operands[0], start=begin, stop=end, step=tuple(s * t for s, t in zip(jump, step, strict=True)))

    def in_shape(self, b, op, shape):
        """Every step-th element of all is that of what is read, in any shape."""
        stride = stride_of(op)
        if stride is None or not shape:
            return None
        first, step = stride
        whole = (*shape[:-1], shape[-1] * step)
        x = b.reshape(op.operands[0], shape=whole)
        return b.slice(x, start=(*(0 for _ in shape[:-1]), first), stop=whole, step=(*(1 for _ in shape[:-1]), step))


def _steps(start, step):
    return (1,) * len(start) if step is None else step


def slice_axis(b, x, axis, start, stop):
    """Elements `start` to `stop` of one axis of x, and everything of the others."""
    shape = x.type.shape
    return b.slice(x, start=replaced((0,) * len(shape), axis, start), stop=replaced(shape, axis, stop))


def stride_of(op):
    """(first, step) where `op` takes every step-th element of all, in row-major order; else None."""
    if not isinstance(op.prim, Slice) or op.attrs["step"] is None:
        return None
    (x,) = op.operands
    if not x.type.is_static or not x.type.size:
        return None
    start, stop, steps = (op.attrs[key] for key in ("start", "stop", "step"))
    if not start or any(start[:-1]) or any(s != 1 for s in steps[:-1]) or stop != x.type.shape or x.type.shape[-1] % steps[-1] or start[-1] >= steps[-1]:
        return None
    return start[-1], steps[-1]
