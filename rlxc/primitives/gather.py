"""Elements at computed places: gather, take, take_along_axis.

    gather %x, %i, %j {axes = [0, 2]}           y[p..., r...] = x[i[p...], r..., j[p...]]
    gather %x, %i {axes = [1], batch = 1}       y[n, p..., r...] = x[n, i[n, p...], r...]

One index array for each of `axes`, all of one shape, as in NumPy's x[i, :, j]; the first `batch` axes are common to x and the indices.
The result has the shape of the indices, then the remaining axes of x in their order.

Indices count from 0 and may be of any integer dtype. One that is out of bounds is moved to the nearest element (`bounds = "clamp"`,
the default), or reads a zero (`bounds = "fill"`).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from rlxc.errors import AttrError, ShapeError, VerifyError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import ANY, INTEGERS, TensorType
from rlxc.primitives.axes import check_axis, inverse, replaced
from rlxc.primitives.families import Composite, batch_size, require_dtype, with_batch_axis
from rlxc.primitives.shape import Movement

GatherBounds = Literal["clamp", "fill"]


def check_indices(name: str, x: Any, indices: Any, axes: Any, batch: int, dtypes: Any = ANY) -> tuple:
    """The shape of what is indexed: the shape of the indices, then the remaining axes of x. Raises where they do not fit."""
    require_dtype(name, x, dtypes)
    for i in indices:
        require_dtype(f"{name} as an index", i, INTEGERS)
    if not indices or len(indices) != len(axes):
        raise VerifyError(f"{name}: {len(indices)} index operands for axes {list(axes)} of {x}", help="one index operand for each axis")
    if not 0 <= batch <= x.rank:
        raise AttrError(f"{name}: batch = {batch} for {x}")
    if any(not batch <= a < x.rank for a in axes) or len(set(axes)) != len(axes):
        raise AttrError(f"{name}: axes {list(axes)} are not distinct axes of {x} after the first {batch}")
    shape = indices[0].shape
    if any(i.shape != shape for i in indices):
        raise ShapeError(f"{name}: shapes of the indices differ: {', '.join(map(str, indices))}")
    if shape[:batch] != x.shape[:batch] or len(shape) < batch:
        raise ShapeError(f"{name}: the first {batch} axes of {x} and of {indices[0]} differ")
    return (*shape, *(n for a, n in enumerate(x.shape) if a >= batch and a not in axes))


def check_not_empty(name: str, x: TensorType, axes: Any, shape: Any) -> None:
    """Raise where an index has no element to be clamped to."""
    if 0 not in shape and any(x.shape[a] == 0 for a in axes):
        raise ShapeError(f"{name}: {x} has no element along axes {list(axes)} to clamp an index to")


def places(indices: Any, sizes: Any) -> tuple[list[np.ndarray], np.ndarray]:
    """Indices as int64, clamped to the sizes, and where all of them were in bounds."""
    inside = np.ones(np.shape(indices[0]), bool)
    clamped = []
    for i, n in zip(indices, sizes, strict=True):
        i = np.minimum(i, np.array(n, np.uint64)) if i.dtype == np.uint64 else i
        i = np.asarray(i).astype(np.int64)
        inside &= (i >= 0) & (i < n)
        clamped.append(np.clip(i, 0, max(n - 1, 0)))
    return clamped, inside


def indexed_first(x: np.ndarray, axes: Any, batch: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """A view of x with the batch axes first, then `axes`, then the others; and the permutation."""
    perm = (*range(batch), *axes, *(a for a in range(batch, x.ndim) if a not in axes))
    return np.transpose(x, perm), perm


def batch_places(shape: Any, batch: int) -> list[np.ndarray]:
    """Index arrays for the batch axes, which broadcast against those of shape `shape`."""
    return [np.arange(shape[a]).reshape([-1 if b == a else 1 for b in range(len(shape))]) for a in range(batch)]


@register
class Gather(Movement):
    """Elements of x at the places that index arrays name: y[p..., r...] = x[..., i[p...], ..., r...]."""

    name = "gather"
    index_map = True
    samples = (
        Sample("f64[5], i64[3]", axes=(0,)),
        Sample("f64[4, 3], i32[2, 2]", axes=(0,)),
        Sample("f64[4, 3, 2], i64[5], i64[5]", axes=(0, 2)),
        Sample(np.arange(12.0).reshape(4, 3), np.array([-1, 0, 7, 3, 3]), axes=(0,), bounds="fill"),
        Sample(np.arange(12.0).reshape(4, 3), np.array([-1, 0, 7, 2, 2]), axes=(1,)),
        Sample(np.arange(24.0).reshape(2, 4, 3), np.array([[0, 3, 3], [1, 0, 9]], np.int8), axes=(1,), batch=1),
        Sample(np.arange(6.0).reshape(2, 3), np.array([2, 0], np.uint8), axes=(1,), batch=1),
        Sample("f64[3], i64[]", axes=(0,)),
        Sample("f64[3], i64[0]", axes=(0,)),
        Sample("f64[0, 2], i64[3]", axes=(0,), bounds="fill"),
    )

    def infer(self, x, *indices, axes: tuple[int, ...], batch: int = 0, bounds: GatherBounds = "clamp"):
        shape = check_indices(self.name, x, indices, axes, batch)
        if bounds == "clamp":
            check_not_empty(self.name, x, axes, shape)
        return x.with_shape(shape)

    def eval(self, x, *indices, axes, batch=0, bounds="clamp"):
        x = np.asarray(x)
        sizes = [x.shape[a] for a in axes]
        at, inside = places(indices, sizes)
        source, _ = indexed_first(x, axes, batch)
        rest = source.shape[batch + len(axes) :]
        if 0 in sizes:
            return np.zeros((*inside.shape, *rest), x.dtype)
        found = source[(*batch_places(inside.shape, batch), *at)]
        if bounds == "clamp":
            return found
        return np.where(inside.reshape(inside.shape + (1,) * len(rest)), found, np.zeros((), x.dtype))

    def transpose(self, b, cts, operands, *, axes, batch, bounds):
        x, *indices = operands
        drop = "drop" if bounds == "fill" else "clamp"
        return b.scatter_add(b.zeros(x.type), cts[0], *indices, axes=axes, batch=batch, bounds=drop), *(None for _ in indices)

    def batch(self, b, x, *indices, batched, axes, batch, bounds):
        n = batch_size((x, *indices), batched)
        if not batched[0] and batch:
            x = with_batch_axis(b, x, n)
        indices = tuple(i if flag else with_batch_axis(b, i, n) for i, flag in zip(indices, batched[1:], strict=True))
        if not batched[0] and not batch:
            return b.gather(x, *indices, axes=axes, batch=0, bounds=bounds)
        return b.gather(x, *indices, axes=tuple(a + 1 for a in axes), batch=batch + 1, bounds=bounds)

    def element(self, e, index, x, *indices, axes, batch, bounds):
        rank = indices[0].type.rank
        at = place(e, x.type.shape, index[:rank], index[rank:], indices, axes, batch)
        return e.read_or(x, at, 0) if bounds == "fill" else x(clamped(e, at, x.type.shape, axes))

    def reuses(self, operand):
        return True


def place(e, shape, outer, rest, indices, axes, batch):
    """The index into an array of `shape` that the indices name at `outer`, with `rest` for the remaining axes; perhaps out of bounds."""
    at = [None] * len(shape)
    at[:batch] = outer[:batch]
    for axis, reader in zip(axes, indices, strict=True):
        at[axis] = as_place(e, reader(outer), shape[axis])
    remaining = iter(rest)
    return [next(remaining) if i is None else i for i in at]


def as_place(e, v, n):
    """An index of any integer dtype as a loop-level index; what is out of bounds of size n stays so."""
    return e.convert(e.min(v, n) if v.type.dtype == "u64" else v, dtype="index")


def clamped(e, at, shape, axes):
    """`at` with the entries of `axes` moved inside `shape`."""
    return [e.max(e.min(i, shape[a] - 1), 0) if a in axes else i for a, i in enumerate(at)]


@register
class Take(Composite):
    """Slices of x along `axis` at `indices`, whose axes take the place of that axis: `np.take`; out of bounds as in gather."""

    name = "take"
    dtypes = ANY
    samples = (
        Sample("f64[4, 3], i64[2, 2]", axis=0),
        Sample("f64[2, 4, 3], i32[5]", axis=1),
        Sample("f64[4, 3], i64[]", axis=1),
        Sample(np.arange(6.0).reshape(2, 3), np.array([-1, 0, 5]), axis=1, bounds="fill"),
    )

    def infer(self, x, indices, *, axis: int, bounds: GatherBounds = "clamp"):
        require_dtype(self.name, x, ANY)
        check_axis(self.name, x, axis)
        shape = check_indices(self.name, x, (indices,), (axis,), 0)
        if bounds == "clamp":
            check_not_empty(self.name, x, (axis,), shape)
        return x.with_shape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))

    def eval(self, x, indices, *, axis, bounds="clamp"):
        found = Gather().eval(x, indices, axes=(axis,), bounds=bounds)
        return np.transpose(found, _axes_put_back(np.ndim(indices), np.ndim(x), axis))

    def decompose(self, b, x, indices, *, axis, bounds):
        found = b.gather(x, indices, axes=(axis,), bounds=bounds)
        return b.transpose(found, perm=_axes_put_back(indices.type.rank, x.type.rank, axis)) if axis else found


def _axes_put_back(indices, rank, axis):
    """The permutation that moves the first `indices` axes to `axis`."""
    rest = range(indices, indices + rank - 1)
    return (*rest[:axis], *range(indices), *rest[axis:])


@register
class TakeAlongAxis(Composite):
    """y[..., k, ...] = x[..., indices[..., k, ...], ...]: sizes other than that of `axis` are equal; out of bounds as in gather."""

    name = "take_along_axis"
    dtypes = ANY
    samples = (
        Sample("f64[4], i64[3]", axis=0),
        Sample("f64[4, 3], i64[2, 3]", axis=0),
        Sample("f64[2, 4, 3], i32[2, 5, 3]", axis=1),
        Sample(np.arange(6.0).reshape(2, 3), np.array([[-1], [5]]), axis=1, bounds="fill"),
    )

    def infer(self, x, indices, *, axis: int, bounds: GatherBounds = "clamp"):
        require_dtype(self.name, x, ANY)
        require_dtype(f"{self.name} as an index", indices, INTEGERS)
        check_axis(self.name, x, axis)
        if indices.rank != x.rank or replaced(indices.shape, axis, 0) != replaced(x.shape, axis, 0):
            raise ShapeError(f"take_along_axis: {x} and indices {indices} differ in more than axis {axis}")
        if bounds == "clamp":
            check_not_empty(self.name, x, (axis,), indices.shape)
        return x.with_shape(indices.shape)

    def eval(self, x, indices, *, axis, bounds="clamp"):
        x, indices = np.moveaxis(x, axis, -1), np.moveaxis(indices, axis, -1)
        return np.moveaxis(Gather().eval(x, indices, axes=(x.ndim - 1,), batch=x.ndim - 1, bounds=bounds), -1, axis)

    def decompose(self, b, x, indices, *, axis, bounds):
        rank = x.type.rank
        last = (*range(axis), *range(axis + 1, rank), axis)
        x, indices = b.transpose(x, perm=last), b.transpose(indices, perm=last)
        found = b.gather(x, indices, axes=(rank - 1,), batch=rank - 1, bounds=bounds)
        return b.transpose(found, perm=inverse(last))
