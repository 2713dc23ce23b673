"""Order: sort, argsort, top_k.

All of them are stable: equal elements keep their order. nan counts as the greatest number: last in ascending order, first in descending.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rlxc.errors import AttrError
from rlxc.ir.primitive import Cost, Primitive, Sample, register
from rlxc.ir.types import REALS, DType
from rlxc.primitives.argreduce import I64, check_index_dtype
from rlxc.primitives.axes import check_axis, replaced
from rlxc.primitives.families import Composite, NonDifferentiable, require_dtype
from rlxc.primitives.gather import TakeAlongAxis
from rlxc.primitives.reduce import in_f32
from rlxc.primitives.slice import slice_axis

_COST = Cost(flops=32, recompute=False)
_SAMPLES: Sequence[Any] = (
    Sample("f64[5]", axis=0),
    Sample("f64[2, 4]", axis=1, descending=True),
    Sample("f64[3, 2, 2]", axis=0),
    Sample("f64[7, 1]", axis=0, descending=True),
    Sample("f64[1]", axis=0),
    Sample("f64[2, 0]", axis=1),
    Sample(np.array([2.0, np.nan, -np.inf, 2.0, np.inf, np.nan, -1.0]), axis=0),
    Sample(np.array([2.0, np.nan, -np.inf, 2.0, np.inf, np.nan, -1.0]), axis=0, descending=True),
)


def order(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """Indices that sort x along `axis`."""
    x = in_f32(x)
    if not descending:
        return np.argsort(x, axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


@register
class Sort(Primitive):
    """x in ascending order along `axis`. The tangent is put in the same order; of equal elements, the first goes first."""

    name = "sort"
    stores_once = True
    dtypes = REALS
    cost = _COST
    samples = _SAMPLES

    def infer(self, x, *, axis: int, descending: bool = False):
        require_dtype(self.name, x, REALS)
        check_axis(self.name, x, axis)
        return x

    def eval(self, x, *, axis, descending=False):
        return np.take_along_axis(x, order(x, axis, descending), axis)

    def legalize(self, b, x, *, axis, descending):
        if not x.type.dtype.is_narrow:
            return None
        return b.convert(b.sort(b.convert(x, dtype="f32"), axis=axis, descending=descending), dtype=x.type.dtype)

    def jvp(self, b, primals, tangents, outs, *, axis, descending):
        at = b.argsort(primals[0], axis=axis, descending=descending)
        return (along_axis(b, tangents[0], at, axis),)

    def batch(self, b, x, *, batched, axis, descending):
        return b.sort(x, axis=axis + 1, descending=descending)

    def lower(self, e, reads, writes, *, axis, descending):
        merge_sort(e, reads[0], axis, descending, values=writes[0])

    def fold(self, b, x, *, axis, descending):
        """One element, or none."""
        return x if x.type.shape[axis] in (0, 1) else None


@register
class Argsort(NonDifferentiable):
    """Indices along `axis` that put x in ascending order."""

    name = "argsort"
    stores_once = True
    dtypes = REALS
    cost = _COST
    samples = _SAMPLES

    def infer(self, x, *, axis: int, descending: bool = False, dtype: DType = I64):
        require_dtype(self.name, x, REALS)
        check_axis(self.name, x, axis)
        check_index_dtype(self.name, dtype, x.shape[axis])
        return x.with_dtype(dtype)

    def eval(self, x, *, axis, descending=False, dtype=I64):
        return order(x, axis, descending).astype(dtype.numpy)

    def legalize(self, b, x, *, axis, descending, dtype):
        if not x.type.dtype.is_narrow:
            return None
        return b.argsort(b.convert(x, dtype="f32"), axis=axis, descending=descending, dtype=dtype)

    def batch(self, b, x, *, batched, axis, descending, dtype):
        return b.argsort(x, axis=axis + 1, descending=descending, dtype=dtype)

    def lower(self, e, reads, writes, *, axis, descending, dtype):
        merge_sort(e, reads[0], axis, descending, indices=writes[0])


def along_axis(b, x, at, axis):
    """`take_along_axis` in primitives."""
    return TakeAlongAxis().decompose(b, x, at, axis=axis, bounds="clamp")


def merge_sort(e, x, axis, descending, values=None, indices=None):
    """Sort x into `values`, or its order into `indices`: from the bottom up, runs of 1, 2, 4 ... merged, between two scratch arrays.

    All loops are counted: the runs of one width but the last have equal lengths, and a merge takes as many steps as it has elements.
    """
    shape = x.type.shape
    n, rows = shape[axis], (*shape[:axis], *shape[axis + 1 :])
    if 0 in shape:
        return

    def start(index):
        if values is not None:
            values.store(index, x(index))
        else:
            indices.store(index, e.convert(e.as_index(index[axis]), dtype=indices.type.dtype))

    if n == 1:
        e.for_each(shape, start)
        return

    widths = [2**p for p in range((n - 1).bit_length())]
    scratch = [_Run(e, x.type, indices) for _ in widths[1:3]]
    runs = [_Run(e, x.type, indices, keys=x)]
    runs += [scratch[p % 2] for p in range(len(widths) - 1)]
    runs.append(_Run(e, x.type, indices, keys=values, places=indices))

    def sort_row(row):
        for width, source, target in zip(widths, runs, runs[1:], strict=False):
            whole, rest = divmod(n, 2 * width)

            def pair(p, width=width, source=source, target=target):
                _merge(e, source, target, axis, row, e.index_mul(p[0], 2 * width), width, width, descending)

            e.for_each((whole,), pair)
            if rest:
                left = min(width, rest)
                _merge(e, source, target, axis, row, whole * 2 * width, left, rest - left, descending)

    e.for_each(rows, sort_row)


class _Run:
    """Keys, and where they come from if that is asked for: in scratch memory unless given."""

    def __init__(self, e, type, indices, keys=None, places=None):
        self.keys = keys if keys is not None or places is not None else e.alloc(type.dtype, type.shape)
        wants = indices is not None and keys is None and places is None
        self.places = e.alloc(indices.type.dtype, type.shape) if wants else places
        self.dtype = indices.type.dtype if indices is not None else None

    def place(self, e, index, axis):
        """Where the key at `index` comes from."""
        return self.places(index) if self.places is not None else e.convert(e.as_index(index[axis]), dtype=self.dtype)


def _merge(e, source, target, axis, row, base, left, right, descending):
    """Merge the run of `left` elements at `base` and the run of `right` that follows it.

    As many steps as the shorter run is long go from both ends at once: neither run can be used up before, so nothing has to be checked,
    and the two chains of steps do not wait for each other. What is left in the middle is merged with checks.
    """
    size = left + right

    def at(k):
        return [*row[:axis], e.index_add(base, k), *row[axis:]]

    def put(k, i, j, first):
        """Take element i of the left or element j of the right run to place k; `first(key, key)` chooses."""
        ours, theirs = at(i), at(e.index_add(left, j))
        a, c = source.keys(ours), source.keys(theirs)
        chosen = first(a, c)
        if target.keys is not None:
            target.keys.store(at(k), e.select(chosen, a, c))
        if target.places is not None:
            place = source.place(e, ours, axis), source.place(e, theirs, axis)
            target.places.store(at(k), e.select(chosen, *place))
        return chosen

    def from_both_ends(k, i, q):
        (k,) = k
        j, p = e.index_sub(k, i), e.index_sub(k, q)
        front = put(k, i, j, lambda a, c: e.not_(_before(e, c, a, descending)))
        back = put(e.index_sub(size - 1, k), e.index_sub(left - 1, p), e.index_sub(right - 1, q), lambda a, c: _before(e, c, a, descending))
        return e.add(i, e.convert(front, dtype="index")), e.add(q, e.convert(e.not_(back), dtype="index"))

    def checked(k, i):
        k = e.index_add(k[0], short)
        j = e.index_sub(k, i)

        def ours(a, c):
            return e.or_(e.ge(j, right), e.and_(e.lt(i, left), e.not_(_before(e, c, a, descending))))

        return e.add(i, e.convert(put(k, e.min(i, left - 1), e.min(j, right - 1), ours), dtype="index"))

    def copied(k):
        if target.keys is not None:
            target.keys.store(at(k[0]), source.keys(at(k[0])))
        if target.places is not None:
            target.places.store(at(k[0]), source.place(e, at(k[0]), axis))

    short = min(left, right)
    if not short:
        e.for_each((left,), copied)
        return
    taken, _ = e.loop((short,), (e.as_index(0), e.as_index(0)), from_both_ends)
    e.loop((size - 2 * short,), (taken,), checked)


def _before(e, x, y, descending):
    """Whether x comes strictly before y; nan is the greatest."""
    if not x.type.dtype.is_float:
        return e.gt(x, y) if descending else e.lt(x, y)
    greater, other = (x, y) if descending else (y, x)
    return e.and_(e.not_(e.le(greater, other)), e.eq(other, other))


@register
class TopK(Composite):
    """The k largest elements along `axis` (the last, unless given), largest first, and their indices; of equal ones the first comes first."""

    name = "top_k"
    dtypes = REALS
    samples: ClassVar[Sequence[Any]] = (
        Sample("f64[5]", k=2),
        Sample("f64[2, 4]", k=3, axis=1),
        Sample("f64[3, 2]", k=3, axis=0),
        Sample("f64[2, 3]", k=0),
        Sample(np.array([2.0, np.nan, -np.inf, 2.0, np.inf, -1.0]), k=4),
    )

    def infer(self, x, *, k: int, axis: int | None = None, dtype: DType = I64):
        require_dtype(self.name, x, REALS)
        axis = x.rank - 1 if axis is None else axis
        check_axis(self.name, x, axis)
        check_index_dtype(self.name, dtype, x.shape[axis])
        if not isinstance(x.shape[axis], int) or not 0 <= k <= x.shape[axis]:
            raise AttrError(f"top_k: k = {k} for axis {axis} of {x}", help="0 <= k <= size")
        result = x.with_shape(replaced(x.shape, axis, k))
        return result, result.with_dtype(dtype)

    def eval(self, x, *, k, axis=None, dtype=I64):
        axis = x.ndim - 1 if axis is None else axis
        at = np.take(order(x, axis, True), np.arange(k), axis)
        return np.take_along_axis(x, at, axis), at.astype(dtype.numpy)

    def decompose(self, b, x, *, k, axis, dtype):
        axis = x.type.rank - 1 if axis is None else axis
        at = slice_axis(b, b.argsort(x, axis=axis, descending=True, dtype=dtype), axis, 0, k)
        if k == 0:
            return slice_axis(b, x, axis, 0, 0), at
        return along_axis(b, x, at, axis), at
