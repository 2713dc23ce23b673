"""`total += x` where total is an array of NumPy's and x is a tracer; `np.divide(x, y, out=np.zeros_like(y), where=y != 0)`.

Python gives the name `total` what the operator returns. NumPy's operator writes into the array and returns it; a tracer cannot be written into it, but
the name may just as well be given a new tracer, as long as nobody else has the array. That is what is looked at here: that the ufunc was called by
such a statement, and that only the statement and its name refer to the array.

In the same way nobody sees that an array to write to, made in the very call, is not written to, but another one is returned.
"""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from itertools import pairwise
from types import CodeType
from typing import Any

import numpy as np

from rlxc.errors import DTypeError, ShapeError, TracingError
from rlxc.tracing.location import user_location, with_source

_FIRST_INPLACE = 13  # of the operators of BINARY_OP: the `+=` of `+`


def is_augmented_assignment(inputs: tuple[Any, ...], out: tuple[Any, ...], kept: list[Any]) -> bool:
    """Whether the caller of `__array_ufunc__`, who called this, is a line `a += b`; raises TracingError if `a` is no local variable, or others
    have the array, too, than `kept`, the arrays that the trace has seen."""
    frame = sys._getframe(2)
    if len(inputs) != 2 or len(out) != 1 or inputs[0] is not out[0] or type(inputs[0]) is not np.ndarray:
        return False
    is_local = _assignments(frame.f_code).get(frame.f_lasti)
    if is_local is None:
        return False
    if not is_local or inputs[0].base is not None or sys.getrefcount(inputs[0]) > _REFERENCES + sum([array is inputs[0] for array in kept]):
        help = "write x = x + y, which leaves the others as they are"
        message = "a traced array is added (or so) in place to an array that is also known by another name, or is part of another one"
        raise with_source(TracingError(message, code="RLX0805", loc=user_location(), help=help))
    return True


@lru_cache(maxsize=1 << 10)
def _assignments(code: CodeType) -> dict[int, bool]:
    """Where the code has `a += b` (or so), and whether `a` is a variable of the function's own: no global, no element, no attribute."""
    found = {}
    ops = [op for op in dis.get_instructions(code) if op.opname != "EXTENDED_ARG"]
    for op, store in pairwise(ops):
        if op.opname == "BINARY_OP" and op.arg is not None and op.arg >= _FIRST_INPLACE:
            found[op.offset] = store.opname.startswith("STORE_FAST") or (store.opname == "STORE_DEREF" and store.argval in code.co_cellvars)
    return found


def is_temporary(out: tuple[Any, ...]) -> bool:
    """Whether what is given as `out=` to the caller of `__array_ufunc__`, who called this, was made for that, and nobody else has it."""
    if len(out) != 1 or sys.getrefcount(out[0]) > _REFERENCES_TO_TEMPORARY:
        return False
    if _BORROWS and any(x is out[0] for x in sys._getframe(2).f_locals.values()):
        return False
    if type(out[0]) is np.ndarray:
        return out[0].base is None
    made = next((op for op in reversed(out[0]._trace.builder.ops) if out[0]._value in op.results), None) if hasattr(out[0], "_trace") else None
    return made is not None and not made.operands  # by np.zeros_like and its kin; a part of another array is no array of its own


def instead_of(array: Any, y: Any) -> Any:
    """What the name stands for from now on; NumPy would have to be able to write it into the array."""
    if y.shape != array.shape:
        raise with_source(ShapeError(f"an array of shape {array.shape} is not given one of shape {y.shape} in place", loc=user_location()))
    if not np.can_cast(y.dtype, array.dtype, "same_kind"):
        raise with_source(DTypeError(f"an array of {array.dtype} is not given one of {y.dtype} in place", loc=user_location(), help="write x = x + y"))
    return y.astype(array.dtype)


def _references(to_temporary: bool) -> int:
    """How many references there are to an array that one name has, seen from `is_augmented_assignment`; to one that has no name, from `is_temporary`."""

    class Probe:
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
            return count(inputs, kwargs["out"])

    def count(inputs: tuple[Any, ...], out: tuple[Any, ...]) -> int:
        return sys.getrefcount(out[0])

    array: Any = np.zeros(())
    if to_temporary:
        return int(np.add(1.0, Probe(), out=np.zeros(())))  # type: ignore[call-overload]
    array += Probe()
    return int(array)


_REFERENCES, _REFERENCES_TO_TEMPORARY = _references(False), _references(True)
_BORROWS = sys.version_info >= (3, 14)  # names lend their references to calls
