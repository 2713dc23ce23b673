"""Conventions for gradients with respect to complex arguments.

"adjoint"    transposes are adjoints for <a, b> = Re(conj(a) b): a real loss has the gradient dL/d(re) + i dL/d(im), along which it grows
             fastest, so x - rate * gradient descends. PyTorch's and tidu's.
"jax"        its conjugate: transposes do not conjugate, and z -> c z pulls back to c ct
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from rlxc.errors import PassError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value

Convention = Literal["adjoint", "jax"]


def linear_in_convention(func: Func, convention: Convention) -> Func:
    """A pullback, linear in its cotangents, in a convention."""
    return in_convention(func, convention, cotangents=[i for i, a in enumerate(func.args) if a.linear], gradients=range(len(func.results)))


def in_convention(func: Func, convention: Convention, *, cotangents: Iterable[int] = (), gradients: Iterable[int] = ()) -> Func:
    """`func`, whose arguments `cotangents` and results `gradients` (by position) are in the adjoint convention, with them in another one."""
    if convention not in get_args(Convention):
        raise PassError(f"convention is one of {', '.join(map(repr, get_args(Convention)))}, not {convention!r}", code="RLX0403")
    seeds = [func.args[i] for i in cotangents if func.args[i].type.dtype.is_complex]
    turned = {i for i in gradients if func.results[i].type.dtype.is_complex}
    if convention == "adjoint" or not (seeds or turned):
        return func
    b = Builder()
    env: dict[Value, Value] = {seed: b.conj(seed) for seed in seeds}
    for op in func.ops:
        b.rebuild(op, env)
    results = [env.get(v, v) for v in func.results]
    for i in turned:
        results[i] = b.conj(results[i])
        results[i].name = func.results[i].name
    return func.with_(ops=tuple(b.ops), results=tuple(results))
