"""Pad: a border of one value, and gaps between the elements."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError, ShapeError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import ANY, Dim, DType, TensorType
from rlxc.primitives.axes import check_one_per_axis, scalar
from rlxc.primitives.families import is_linear, require_dtype, same_dtype, with_batch_axis
from rlxc.primitives.shape import Movement
from rlxc.primitives.slice import slice_axis


@register
class Pad(Movement):
    """x with `low` elements before, `high` after, and `interior` between any two along each axis, all equal to the scalar `value`."""

    name = "pad"
    index_map = True
    linear_in = ((0, 1),)
    samples = (
        Sample("f64[3], f64[]", low=(1,), high=(2,)),
        Sample("f64[2, 3], f64[]", low=(1, 0), high=(0, 2), interior=(1, 2)),
        Sample("f64[1], f64[]", low=(0,), high=(0,), interior=(3,)),
        Sample("f64[0, 2], f64[]", low=(2, 0), high=(0, 1), interior=(1, 0)),
        Sample("f64[2], f64[]", low=(0,), high=(0,)),
        Sample("f64[], f64[]", low=(), high=()),
    )

    def infer(self, x, value, *, low: tuple[int, ...], high: tuple[int, ...], interior: tuple[int, ...] | None = None):
        require_dtype(self.name, x, ANY)
        require_dtype(self.name, value, ANY)
        same_dtype(self.name, (x, value))
        if value.rank:
            raise ShapeError(f"pad: the value is {value}, not a scalar")
        interior = _gaps(low, interior)
        check_one_per_axis(self.name, x, low=low, high=high, interior=interior)
        for key, entries in (("low", low), ("high", high), ("interior", interior)):
            if any(p < 0 for p in entries):
                raise AttrError(f"pad: {key} = {list(entries)} is negative", help="to cut elements off, use slice")
        shape = []
        for axis, (n, i, j, gap) in enumerate(zip(x.shape, low, high, interior, strict=True)):
            if not isinstance(n, Dim):
                shape.append(i + n + j + gap * max(n - 1, 0))
            elif i or j or gap:
                raise ShapeError(f"pad: axis {axis} of {x} has no size yet", code="RLX0206", help=f"bind it: --dim {n}=32, or rlxc.bind(func, {n}=32)")
            else:
                shape.append(n)
        return x.with_shape(shape)

    def eval(self, x, value, *, low, high, interior=None):
        gaps = _gaps(low, interior)
        shape = [i + n + j + gap * max(n - 1, 0) for n, i, j, gap in zip(np.shape(x), low, high, gaps, strict=True)]
        result = np.full(shape, value, dtype=x.dtype)
        result[tuple(slice(i, n - j, gap + 1) for i, j, gap, n in zip(low, high, gaps, shape, strict=True))] = x
        return result

    def add_to(self, b, total, x, value, *, zeros, carried, low, high, interior=None):
        """A border of zeros leaves the total as it is there."""
        if not zeros[1] or not carried or any(_gaps(low, interior)) or not any((*low, *high)) or not x.type.is_static:
            return None
        part = b.slice(total, start=low, stop=tuple(i + n for i, n in zip(low, x.type.shape, strict=True)))
        starts = [b.constant(i, type=TensorType(DType("i64"))) for i in low]
        return b.dynamic_update_slice(total, b.add(part, x), *starts)

    def join(self, b, type, parts):
        """Slices of one array, side by side along an axis."""
        axes = {a for x, _ in parts for a, (n, m) in enumerate(zip(x.type.shape, type.shape, strict=True)) if n != m}
        if len(axes) != 1 or not type.is_static or any(any(_gaps(at["low"], at["interior"])) for _, at in parts):
            return None
        (axis,) = axes
        pieces, end = [], 0
        for x, at in sorted(parts, key=lambda part: part[1]["low"][axis]):
            gap = at["low"][axis] - end
            if gap < 0:
                return None
            pieces += [zeros_along(b, type, axis, gap), x] if gap else [x]
            end = at["low"][axis] + x.type.shape[axis]
        if end < type.shape[axis]:
            pieces.append(zeros_along(b, type, axis, type.shape[axis] - end))
        return b.concat(*pieces, axis=axis)

    def transpose(self, b, cts, operands, *, low, high, interior=None):
        x, value = operands
        ct = cts[0]
        gaps = _gaps(low, interior)
        dx = dvalue = None
        if is_linear(x):
            stop = tuple(n if isinstance(n, Dim) else n - j for n, j in zip(ct.type.shape, high, strict=True))
            dx = b.slice(ct, start=low, stop=stop, step=tuple(gap + 1 for gap in gaps))
        if is_linear(value):
            border = b.select(inside(b, x.type, low, high, gaps), b.zeros(ct.type), ct)
            dvalue = b.reduce_sum(border, axes=tuple(range(ct.type.rank)))
        return dx, dvalue

    def batch(self, b, x, value, *, batched, low, high, interior=None):
        gaps = _gaps(low, interior)
        grown = {"low": (0, *low), "high": (0, *high), "interior": (0, *gaps)}
        if not batched[1]:
            return b.pad(x, value, **grown)
        n = value.type.shape[0]
        if not batched[0]:
            x = with_batch_axis(b, x, n)
        padded = b.pad(x, scalar(b, 0, x), **grown)
        rest = range(1, padded.type.rank)
        values = b.broadcast(value, shape=padded.type.shape, axes=tuple(rest)) if rest else value
        return b.select(inside(b, x.type, **grown), padded, values)

    def element(self, e, index, x, value, *, low, high, interior=None):
        at, exact = [], None
        for i, first, gap in zip(index, low, _gaps(low, interior), strict=True):
            i = e.index_sub(i, first)
            if gap:
                hit = e.eq(e.as_index(e.index_rem(i, gap + 1)), 0)
                exact = hit if exact is None else e.and_(exact, hit)
                i = e.index_div(i, gap + 1)
            at.append(i)
        outside = value([])
        found = e.read_or(x, at, outside)
        return found if exact is None else e.select(exact, found, outside)

    def reuses(self, operand):
        return operand == 1

    def fold(self, b, x, value, *, low, high, interior=None):
        """Nothing to add; a pad of a pad with the same constant."""
        if not any((*low, *high)) and all(gap == 0 or n in (0, 1) for gap, n in zip(_gaps(low, interior), x.type.shape, strict=True)):
            return x
        inner = b.producer(x)
        if any(_gaps(low, interior)) or inner is None or not isinstance(inner.prim, Pad):
            return None
        mine, theirs = b.splat_of(value), b.splat_of(inner.operands[1])
        if value is not inner.operands[1] and (mine is None or theirs is None or mine.tobytes() != theirs.tobytes()):
            return None
        lows, highs = (tuple(map(sum, zip(here, inner.attrs[key], strict=True))) for key, here in (("low", low), ("high", high)))
        return b.pad(*inner.operands, low=lows, high=highs, interior=inner.attrs["interior"])


def inside(b, type, low, high, interior):
    """Where a padded x of this type has the elements of x: a constant of booleans."""
    elements = b.constant(True, type=type.with_dtype("bool"))
    return b.pad(elements, scalar(b, False, elements), low=low, high=high, interior=interior)


def shifted(b, x, axis, *, by=1, fill=0):
    """x moved along `axis` by one place (`by` is 1, or -1 for backwards), `fill` in the place that becomes free."""
    n = x.type.shape[axis]
    if n == 0:
        return x
    kept = slice_axis(b, x, axis, 0, n - 1) if by == 1 else slice_axis(b, x, axis, 1, n)
    ahead = tuple(int(a == axis and by == 1) for a in range(x.type.rank))
    behind = tuple(int(a == axis and by == -1) for a in range(x.type.rank))
    return b.pad(kept, scalar(b, fill, x), low=ahead, high=behind)


def zeros_along(b, type, axis, size):
    """Zeros in the shape of `type`, but of this size along one axis."""
    return b.zeros(type.with_shape(size if a == axis else n for a, n in enumerate(type.shape)))


def _gaps(low, interior):
    return (0,) * len(low) if interior is None else interior
