"""Traced bodies as regions of an op: each takes what any of them captured, then its own arguments."""

from __future__ import annotations

from collections.abc import Sequence

from rlxc.ir.core import Func, Value
from rlxc.tracing.staging import Staged


def region_of(staged: Staged, explicit: int, *, before: Sequence[Staged] = (), behind: Sequence[Staged] = ()) -> Func:
    """A traced body of `explicit` arguments as a region. What it captured comes first, among arguments for what other regions captured."""
    func = staged.func
    ahead = [a.like() for other in before for a in _captured(other)]
    after = [a.like() for other in behind for a in _captured(other)]
    args = (*ahead, *func.args[explicit:], *after, *func.args[:explicit])
    return Func("", args, func.ops, func.results, kind="region", loc=func.loc)


def _captured(staged: Staged) -> Sequence[Value]:
    return staged.func.args[len(staged.func.args) - len(staged.captured) :]
