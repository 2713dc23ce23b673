"""NumPy's functions on traced arrays: `import rlxc.numpy as rnp`. On ordinary arrays each of them is NumPy's own.

Each module here says what some functions of NumPy's mean in ops of rlxc, with `@implements`; NumPy's protocols lead to the same functions, so
`np.sin(x)` and `rnp.sin(x)` are one.
"""

from __future__ import annotations

from typing import Any

import numpy as _numpy

from rlxc.numpy import (
    arrangement,
    creation,
    elementwise,
    fft,
    functional,
    indexing,
    joining,
    linalg,
    nan,
    products,
    reductions,
    refused,
    series,
    sorting,
    ufuncs,
)

_PUBLIC: dict[str, Any] = {"fft": fft, "linalg": linalg, "full": creation.full_}
for _module in (arrangement, creation, elementwise, products, reductions, refused, ufuncs, nan, joining, indexing, sorting, series, functional):
    _PUBLIC.update({_name: _value for _name, _value in vars(_module).items() if hasattr(_value, "__wrapped__") and hasattr(_numpy, _name)})


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return _PUBLIC[name]
    if name.startswith("_") or not hasattr(_numpy, name):
        raise AttributeError(f"module 'rlxc.numpy' has no attribute '{name}'")
    return getattr(_numpy, name)  # constants, dtypes, and functions that make arrays out of nothing


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
