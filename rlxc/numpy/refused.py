"""What cannot be: results whose shape depends on numbers, and functions that write into their arguments. Each is an error that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlxc.numpy.common import unsupported
from rlxc.tracing.protocols import implements

_SHAPES = "how many elements the result has depends on numbers that are not known while tracing"

#: functions whose result has a shape that only numbers tell, and what does nearly the same
UNKNOWN_SHAPE = {
    np.nonzero: "np.where(condition, x, y) chooses without listing places",
    np.flatnonzero: "np.where(condition, x, y) chooses without listing places",
    np.argwhere: "np.where(condition, x, y) chooses without listing places",
    np.unique: "np.sort(x) with np.diff(x) != 0 marks the first of equal elements",
    np.unique_all: "np.sort(x) with np.diff(x) != 0 marks the first of equal elements",
    np.unique_counts: "np.sort(x) with np.diff(x) != 0 marks the first of equal elements",
    np.unique_inverse: "np.sort(x) with np.diff(x) != 0 marks the first of equal elements",
    np.unique_values: "np.sort(x) with np.diff(x) != 0 marks the first of equal elements",
    np.intersect1d: "np.isin(x, y) marks the elements of x that are in y",
    np.setdiff1d: "np.isin(x, y, invert=True) marks the elements of x that are not in y",
    np.setxor1d: "np.isin(x, y, invert=True) marks the elements of x that are not in y",
    np.union1d: "np.sort(np.concatenate([x, y])) has all of them",
    np.trim_zeros: "np.where(x != 0, x, 0) keeps the shape",
    np.bincount: "np.zeros_like(known_length).at[x].add(1) counts, for a length that is known",
    np.roots: "find the eigenvalues of the companion matrix, whose size is known",
}
#: functions that write into an argument, and what gives a new array instead
IN_PLACE = {
    np.put: "x.at[places].set(values)",
    np.place: "np.where(mask, value, x)",
    np.putmask: "np.where(mask, values, x)",
    np.copyto: "np.where(mask, values, x), or y itself",
    np.put_along_axis: "x.at[index].set(values)",
    np.fill_diagonal: "np.where(np.eye(n, dtype=bool), value, x)",
}
for _ufunc in (np.add, np.subtract, np.multiply, np.maximum, np.minimum):
    IN_PLACE[_ufunc, "at"] = "x.at[index].add(values), .multiply, .max, .min"  # type: ignore[index]


def _refuse(function: Any, why: str, help: str) -> None:
    name = f"{function[0].__name__}.{function[1]}" if isinstance(function, tuple) else function.__name__

    @implements(function)
    def refused(*args: Any, **kwargs: Any) -> Any:
        unsupported(f"np.{name} on a traced array: {why}", help)


for _function, _help in UNKNOWN_SHAPE.items():
    _refuse(_function, _SHAPES, _help)
for _function, _help in IN_PLACE.items():
    _refuse(_function, "traced arrays cannot be written to", _help)
