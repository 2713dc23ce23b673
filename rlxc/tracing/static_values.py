"""Values that a function is traced for. Python takes some for equal that a function can tell apart: 1, 1.0 and True, 0.0 and -0.0."""

from __future__ import annotations

import dataclasses
from math import copysign
from typing import Any

import numpy as np

_PLAIN = frozenset((int, bool, str, bytes, type(None)))


def distinction(x: Any) -> Any:
    """What tells `x` from values that are equal to it, in tuples, frozen sets and dataclasses too; hashable, if `x` is."""
    cls = type(x)
    if cls in _PLAIN:
        return cls
    if isinstance(x, float | np.floating):
        return cls, copysign(1.0, x)
    if isinstance(x, complex | np.complexfloating):
        return cls, copysign(1.0, x.real), copysign(1.0, x.imag)
    if isinstance(x, tuple):
        return (cls, *[distinction(i) for i in x])
    if isinstance(x, frozenset):
        return cls, frozenset([(i, distinction(i)) for i in x])
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return (cls, *[distinction(getattr(x, f.name)) for f in dataclasses.fields(x)])
    return cls
