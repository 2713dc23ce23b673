"""Bodies of control flow: regions that take nothing from outside, so that what a pass does with a function it does with them."""

from __future__ import annotations

from collections.abc import Callable

from rlxc.ir.core import Func, Op


def with_bodies(op: Op, transform: Callable[[Func], Func]) -> Op:
    """`op` with each of its bodies transformed; itself where it has none, or none changes. Bodies nest only as deep as loops do."""
    if not op.prim.control:
        return op
    regions = tuple(map(transform, op.regions))
    if all(new is old for new, old in zip(regions, op.regions, strict=True)):
        return op
    return Op(op.prim, op.operands, op.attrs, op.results, regions, op.loc)
