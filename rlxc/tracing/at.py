"""Reading elements of a tracer, and giving them other values: `x[i]`, `x.at[i].set(y)`.

Where an index is made of integers and slices, elements are read by `slice` and written by `dynamic_update_slice`; index arrays go through `gather`
and `scatter_...`. Computed indices that are out of bounds are moved to the nearest element when read, and left out when written; negative ones
count from the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.errors import BoundsError, DTypeError
from rlxc.tracing import tracer as tracers
from rlxc.tracing.indexing import Index, read_index
from rlxc.tracing.location import user_location, with_source
from rlxc.tracing.protocols import apply


class At:
    """`x.at`, to be followed by an index."""

    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        self._array = array

    def __getitem__(self, index: Any) -> AtIndex:
        return AtIndex(self._array, read_index(index, self._array.shape))


class AtIndex:
    """`x.at[index]`: get() gives these elements; the others give x with these elements replaced or updated, as a new array."""

    __slots__ = ("_array", "_index")

    def __init__(self, array: Any, index: Index) -> None:
        self._array = array
        self._index = index

    def get(self) -> Any:
        x, index = self._array, self._index
        x = _sliced(x, index)
        if not index.arrays:
            return _reshaped(x, [n for a, n in enumerate(x.shape) if a not in index.dropped], index)
        indices = self._indices()
        rank = indices[0].ndim
        y = tracers.emit("gather", x, *indices, axes=index.arrays, weak=x._weak)
        rest = len(y.shape) - rank
        at = 0 if index.first else index.arrays[0] - len([a for a in index.dropped if a < index.arrays[0]])
        order = (*range(rank, rank + at), *range(rank), *range(rank + at, rank + rest))
        if order != tuple(range(rank + rest)):
            y = tracers.emit("transpose", y, perm=order, weak=x._weak)
        return _reshaped(y, list(y.shape), index, block=(at, rank))

    def set(self, y: Any) -> Any:
        """x with these elements replaced by `y`, which is broadcast and converted to x's dtype. Of several for one place, the last counts."""
        return self._update("scatter_set", y, lambda old, new: new)

    def add(self, y: Any) -> Any:
        """x with `y` added to these elements; several for one place add up."""
        return self._update("scatter_add", y, lambda old, new: apply(np.add, old, new))

    def subtract(self, y: Any) -> Any:
        return self.add(apply(np.negative, tracers.tracer_of(y)))

    def multiply(self, y: Any) -> Any:
        """x with these elements multiplied by `y`."""
        return self._update("scatter_mul", y, lambda old, new: apply(np.multiply, old, new))

    mul = multiply

    def divide(self, y: Any) -> Any:
        return self.multiply(apply(np.divide, 1.0, tracers.tracer_of(y)))

    def min(self, y: Any) -> Any:
        """x with the lesser of these elements and `y`."""
        return self._update("scatter_min", y, lambda old, new: apply(np.minimum, old, new))

    def max(self, y: Any) -> Any:
        """x with the greater of these elements and `y`."""
        return self._update("scatter_max", y, lambda old, new: apply(np.maximum, old, new))

    def _update(self, scatter: str, y: Any, combine: Any) -> Any:
        x, index = self._array, self._index
        whole = self.get()
        given = tracers.tracer_of(y)
        if given.aval.dtype.is_complex and not x.aval.dtype.is_complex:
            raise with_source(DTypeError(f"{x.aval} does not hold {given.aval}", loc=user_location(), help="take y.real, or x as a complex array"))
        y = apply(np.broadcast_to, tracers.tracer_of(tracers.convert(y, x.aval.dtype)), whole.shape)
        if not index.arrays and all(r.step == 1 or len(r) <= 1 for r in index.items):
            new = tracers.emit("reshape", combine(whole, y), shape=tuple(len(r) for r in index.items))
            if new.shape == x.shape:
                return new
            return tracers.emit("dynamic_update_slice", x, new, *[np.int64(r.start if len(r) else 0) for r in index.items])
        axes, indices, updates = self._written(y)
        return tracers.emit(scatter, x, updates, *indices, axes=axes)

    def _written(self, y: Any) -> tuple[tuple[int, ...], list[Any], Any]:
        """The axes that something is asked of, an index array for each, all of one shape, and `y` with that shape before the remaining axes."""
        x, index = self._array, self._index
        if not index.arrays:
            axes = tuple(a for a, r in enumerate(index.items) if r != range(x.shape[a]))
            grids = np.meshgrid(*[np.asarray(index.items[a], np.int64) for a in axes], indexing="ij")
            y = tracers.emit("reshape", y, shape=tuple(len(r) for r in index.items))
            rest = [a for a in range(len(x.shape)) if a not in axes]
            return axes, list(grids), _permuted(y, (*axes, *rest))
        block = self._indices()
        rank, shape = block[0].ndim, tuple(block[0].shape)
        arrays = index.arrays
        sliced = tuple(a for a, r in enumerate(index.items) if a not in arrays and r != range(x.shape[a]))
        rest = [a for a in range(len(x.shape)) if a not in arrays and a not in sliced]
        # y without new axes: the block of index arrays stands among the axes that are not named by them
        at = 0 if index.first else len([a for a in range(arrays[0]) if a not in arrays])
        others = [a for a in range(len(x.shape)) if a not in arrays]
        sizes = [len(index.items[a]) for a in others]
        y = tracers.emit("reshape", y, shape=(*sizes[:at], *shape, *sizes[at:]))
        place = {a: i if i < at else i + rank for i, a in enumerate(others)}
        y = _permuted(y, (*range(at, at + rank), *[place[a] for a in sliced], *[place[a] for a in rest]))
        outer = (*shape, *[len(index.items[a]) for a in sliced])
        indices = [apply_or_numpy(np.broadcast_to, apply_or_numpy(np.reshape, i, (*shape, *[1] * len(sliced))), outer) for i in block]
        for k, a in enumerate(sliced):
            counts = np.asarray(index.items[a], np.int64).reshape([-1 if j == rank + k else 1 for j in range(len(outer))])
            indices.append(np.broadcast_to(counts, outer))
        return (*arrays, *sliced), indices, y

    def _indices(self) -> list[Any]:
        """The index arrays, none of them negative, broadcast to one shape."""
        x, index = self._array, self._index
        arrays = [_from_start(index.items[a], x.shape[a]) for a in index.arrays]
        shapes = [tuple(i.shape) for i in arrays]
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            message = f"index arrays of shapes {', '.join(map(str, shapes))} do not broadcast to one shape"
            raise with_source(BoundsError(message, loc=user_location())) from None
        return [i if tuple(i.shape) == shape else apply_or_numpy(np.broadcast_to, i, shape) for i in arrays]


def apply_or_numpy(function: Any, x: Any, *args: Any) -> Any:
    """A function of NumPy's on what may be a tracer or an array."""
    return apply(function, x, *args) if isinstance(x, tracers.Tracer) else function(x, *args)


def _from_start(i: Any, size: int) -> Any:
    """Computed indices, of which negative ones count from the end."""
    if isinstance(i, np.ndarray) or i.aval.dtype.kind == "u":
        return i
    return apply(np.where, i < 0, i + np.asarray(size, i.dtype), i)


def _sliced(x: Any, index: Index) -> Any:
    """The parts of x that slices and integers ask for."""
    ranges = [r if isinstance(r, range) else range(n) for r, n in zip(index.items, x.shape, strict=True)]
    whole = [not isinstance(n, int) or r == range(n) for r, n in zip(ranges, x.shape, strict=True)]
    if all(whole):
        return x
    bounds = [(0, n, 1) if w else _upwards(r) for r, n, w in zip(ranges, x.shape, whole, strict=True)]
    start, stop, step = zip(*bounds, strict=True)
    y = tracers.emit("slice", x, start=start, stop=stop, step=step, weak=x._weak)
    back = tuple(a for a, (r, w) in enumerate(zip(ranges, whole, strict=True)) if not w and r.step < 0 and len(r) > 1)
    return tracers.emit("reverse", y, axes=back, weak=x._weak) if back else y


def _upwards(r: range) -> tuple[int, int, int]:
    """Start, stop and step that reach the elements of a range from the lowest one on."""
    if not len(r):
        return 0, 0, 1
    low, high = min(r[0], r[-1]), max(r[0], r[-1])
    return low, high + 1, abs(r.step) if len(r) > 1 else 1


def _reshaped(y: Any, shape: list[Any], index: Index, block: tuple[int, int] | None = None) -> Any:
    """With the new axes of the index put in; `block` says where the axes of index arrays are and how many, which count as one."""
    before = 0  # new axes that stand before the block
    for place in index.new:
        if block is None or place <= block[0] + before:
            before += 1
            shape.insert(place, 1)
        else:
            shape.insert(place + block[1] - 1, 1)
    return y if list(y.shape) == shape else tracers.emit("reshape", y, shape=tuple(shape), weak=y._weak)


def _permuted(y: Any, order: tuple[int, ...]) -> Any:
    return y if order == tuple(range(len(order))) else tracers.emit("transpose", y, perm=order)
