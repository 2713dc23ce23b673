"""What fusion says of its decisions: the words of its remarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rlxc.ir.core import Op, Value
from rlxc.ir.remarks import remark
from rlxc.passes.work import amount

MANY = 6  # of what is listed; the rest is counted


def apart(op: Op, reasons: Iterable[str]) -> None:
    """An op that could have shared a kernel with what it reads did not."""
    reasons = list(dict.fromkeys(reasons))
    if reasons:
        remark("apart", lambda: f"{said(op)} starts a kernel of its own: {listed(reasons)}", op.loc)


def not_drawn_in(op: Op, depth: int) -> None:
    """An index map that is stored all the same."""
    remark("apart", lambda: f"{said(op)} is not drawn into what reads it: the chain is longer than {depth} index maps", op.loc)


def stored(v: Value, maker: Op, why: Callable[[], Iterable[str]]) -> None:
    """A value goes through memory."""
    remark("stored", lambda: f"{said(maker, v)}, {amount(v.type.nbytes, 'B')}: {listed(why())}", maker.loc)  # type: ignore[union-attr]


def computed_again(ops: Iterable[Op], where: Op, saved: float) -> None:
    """Ops of an earlier kernel are repeated in that of `where`."""
    ops = list(ops)
    remark(
        "again",
        lambda: f"in the kernel of {said(where)}: {listed(dict.fromkeys(o.prim.name for o in ops))}; that saves {amount(saved, 'B')} of memory",
        where.loc,
    )


def said(op: Op, result: Value | None = None) -> str:
    """An op in a sentence: the name of its result, where it has one, and what it is."""
    v = result or op.results[0]
    return f"%{v.name} = {op.prim.name} : {v.type}" if v.name else f"{op.prim.name} : {v.type}"


def listed(words: Iterable[str]) -> str:
    words = list(words)
    more = [f"and {len(words) - MANY} more"] if len(words) > MANY else []
    return ", ".join([*words[:MANY], *more])
