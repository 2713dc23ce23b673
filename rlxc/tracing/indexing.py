"""NumPy's indices taken apart: which axes are sliced, which ones are named by index arrays, and where the new axes are.

x[2, ..., None, ::-1]       integers and slices: a slice, a reverse and a reshape
x[i, :, j]                  index arrays: a gather
x[mask]                     refused: its shape would depend on numbers that are not known
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlxc.errors import BoundsError, TracingError
from rlxc.tracing.location import user_location, with_source


@dataclass(frozen=True, slots=True)
class Index:
    """What is asked of each axis of the array, and the form of the result.

    `items` has a slice (with bounds inside the axis) or an array of integers for each axis. `new` are places in the result of axes of size 1;
    `dropped` are axes that were named by one integer. With arrays, their common shape comes first if `first`, else where the first one stands.
    """

    items: tuple[Any, ...]
    new: tuple[int, ...]
    dropped: tuple[int, ...]
    first: bool

    @property
    def arrays(self) -> tuple[int, ...]:
        return tuple(a for a, item in enumerate(self.items) if not isinstance(item, range))


def read_index(index: Any, shape: tuple[int, ...]) -> Index:
    """`index` for an array of this shape; slices as ranges. Raises TracingError and BoundsError."""
    parts = [_plain(part) for part in (index if isinstance(index, tuple) else (index,))]
    taken = sum([_axes_of(part) for part in parts])
    if taken > len(shape):
        raise _bad(BoundsError, f"too many indices: the array has {len(shape)} axes, and {taken} are indexed")
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    if sum(part is Ellipsis for part in parts) > 1:
        raise _bad(TracingError, "an index can have one ellipsis only")
    expanded: list[Any] = []
    gap = 0  # where the ellipsis is, which stands between its neighbours even if it is no axis at all
    for part in parts:
        if part is Ellipsis:
            gap = len(expanded)
            expanded += [slice(None)] * (len(shape) - taken)
        elif isinstance(part, np.ndarray) and part.dtype == bool:
            expanded += _of_mask(part, shape, sum(_axes_of(p) for p in expanded))
        else:
            expanded.append(part)
    advanced = any(_is_array(p) for p in expanded)
    items: list[Any] = []
    new: list[int] = []
    dropped: list[int] = []
    places: list[int] = []  # of arrays among the parts of the index
    for place, part in enumerate(expanded):
        axis = len(items)
        if part is None:
            new.append(place)
        elif isinstance(part, slice):
            items.append(_range(part, shape[axis]))
        elif isinstance(part, int):
            at = _inside(part, shape[axis], axis)
            items.append(np.array(at) if advanced else range(at, at + 1))
            if advanced:
                places.append(place)
            else:
                dropped.append(axis)
        else:
            items.append(_checked(part, shape[axis], axis))
            places.append(place)
    first = bool(places) and (places != list(range(places[0], places[0] + len(places))) or places[0] < gap <= places[-1])
    return Index(tuple(items), _new_axes(expanded, new, places, first), tuple(dropped), first)


def _new_axes(parts: list[Any], new: list[int], places: list[int], first: bool) -> tuple[int, ...]:
    """Among the parts that make axes of the result (an int makes none, all arrays make one block), where the new axes are."""
    order: list[Any] = ["block"] if places and first else []
    block_done = bool(order)
    for place, part in enumerate(parts):
        if place in places:
            if not block_done:
                order.append("block")
                block_done = True
        elif part is None:
            order.append(None)
        elif not isinstance(part, int):
            order.append("axis")
    return tuple(i for i, what in enumerate(order) if what is None)


def _plain(part: Any) -> Any:
    """One part of an index: None, Ellipsis, a slice, an int, an array of integers or of booleans, or a tracer of integers."""
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, slice):
        for bound in (part.start, part.stop, part.step):
            if hasattr(bound, "_trace"):
                help = "the shape of a slice must be known: x[i + np.arange(n)], or rlxc.numpy's dynamic_slice, takes n elements from a computed place"
                raise _bad(TracingError, f"a slice with the computed bound {bound!r}", help)
        return part
    if hasattr(part, "_trace"):
        if part.aval.dtype.is_bool:
            help = "rlxc.where(mask, x, 0) keeps the shape; rlxc.where(mask, y, x) is what x[mask] = y would be"
            raise _bad(TracingError, f"indexing by the mask {part!r}: how many elements it keeps is not known", help)
        if not part.aval.dtype.is_integer:
            raise _bad(TracingError, f"an index is made of integers, not {part!r}")
        return part
    if isinstance(part, bool | np.bool_):
        raise _bad(TracingError, f"an index is made of integers, not {part}")
    if isinstance(part, int | np.integer):
        return int(part)
    if isinstance(part, list | tuple) and any(hasattr(p, "_trace") for p in part):
        raise _bad(TracingError, "a list of traced integers is no index", "make it an array: np.stack([i, j])")
    array = np.asarray(part)
    if array.size == 0 and not isinstance(part, np.ndarray):
        array = array.astype(np.int64)
    if array.dtype != bool and array.dtype.kind not in "iu":
        raise _bad(TracingError, f"an index is made of integers, not of {array.dtype}")
    return int(array) if array.ndim == 0 and array.dtype != bool else array


def _axes_of(part: Any) -> int:
    """How many axes of the array a part of an index speaks of."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1


def _is_array(part: Any) -> bool:
    return isinstance(part, np.ndarray) or hasattr(part, "_trace")


def _of_mask(mask: np.ndarray, shape: tuple[int, ...], axis: int) -> list[np.ndarray]:
    """A mask that is known while tracing names the places where it is true."""
    if mask.shape != tuple(shape[axis : axis + mask.ndim]):
        raise _bad(BoundsError, f"a mask of shape {mask.shape} does not fit axes of shape {tuple(shape[axis : axis + mask.ndim])}")
    return list(np.nonzero(mask))


def _range(part: slice, size: int) -> range:
    if not isinstance(size, int):
        if part == slice(None):
            return range(0)  # a named dimension is taken whole
        raise _bad(TracingError, f"a part of the named dimension {size}", "bind it to a size first")
    try:
        return range(*part.indices(size))
    except (TypeError, ValueError) as error:
        raise _bad(TracingError, f"{part} is no slice: {error}") from None


def _inside(at: int, size: int, axis: int) -> int:
    if not -size <= at < size:
        raise _bad(BoundsError, f"index {at} is out of bounds for axis {axis} of size {size}")
    return at + size if at < 0 else at


def _checked(array: Any, size: int, axis: int) -> Any:
    """An index array whose negative elements count from the end; where they are computed, so is that (see `At`)."""
    if not isinstance(array, np.ndarray):
        return array
    wrong = (array < -size) | (array >= size)
    if wrong.any():
        raise _bad(BoundsError, f"index {array[wrong][0]} is out of bounds for axis {axis} of size {size}")
    return np.where(array < 0, array + size, array).astype(np.int64)


def _bad(cls: Any, message: str, help: str | None = None) -> Any:
    code = {"code": "RLX0805"} if cls is TracingError else {}
    return with_source(cls(message, loc=user_location(), help=help, **code))
