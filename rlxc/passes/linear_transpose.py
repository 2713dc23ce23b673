"""Linear transpose: the transpose of a function as the user wrote it, `lin` arguments or not."""

from __future__ import annotations

from collections.abc import Sequence

from rlxc.errors import DifferentiationError
from rlxc.ir.core import Func
from rlxc.ir.marks import marked
from rlxc.passes.gradient import prepare
from rlxc.passes.linearize import wrt_arguments
from rlxc.passes.transpose import transpose


def linear_transpose(func: Func, wrt: Sequence[str | int] = ()) -> Func:
    """The map from cotangents of the results to cotangents of the arguments that `func` is linear in.

    Those are its `lin` arguments if it has any, else the ones named by `wrt`, else every float one. The rest come first among the
    arguments of the transpose. Raises LinearityError, with the place of each op at fault, where the function is not linear.
    """
    func = prepare(func)
    if not func.is_linear:
        func = as_linear(func, wrt)
    elif wrt:
        raise DifferentiationError(f"@{func.name} has `lin` arguments: they say what it is linear in, not wrt", loc=func.loc)
    return transpose(func)


def as_linear(func: Func, wrt: Sequence[str | int] = ()) -> Func:
    """`func` with its arguments `wrt` marked linear, and with them all that depends on them; whether it is linear is not checked."""
    chosen = set(wrt_arguments(func, wrt))
    if not chosen:
        raise DifferentiationError(f"@{func.name} has no argument that it could be linear in", code="RLX0305", loc=func.loc)
    return marked(func, tuple(chosen)).with_(module=None)
