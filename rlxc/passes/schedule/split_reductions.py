"""A long reduction as partial ones over tiles: a fixed order, whoever computes the tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.emitter import Emitter
from rlxc.passes.manager import module_pass
from rlxc.passes.schedule.plan import Fold, fold_of, sees_once
from rlxc.passes.schedule.rewrite import Rewriter, is_for
from rlxc.passes.schedule.vectorize import neutral_value


@module_pass("split-reductions")
def split_reductions(module: Module, *, tile: int = 16384) -> Module:
    """Make a loop over tiles of a reduction over at least two times `tile` elements; the parts are combined in order.

    %s = for %i in 0..65536 carry (%a = %0) {        for %t in 0..4 {
      %1 = load %x, %i                                 %p = for %i in 0..16384 carry (%a = %neutral) { ... t * 16384 + i ... }
      %2 = add %a, %1                          =>      store %parts, %p, %t
      yield %2                                       }
    }                                                %s = for %t in 0..4 carry (%a = %0) { ... a + parts[t] ... }

    The tiles depend on the shape alone, so that the result does not depend on how many threads there are.
    """
    return Module(tuple(_Split(f, tile).run() if _reduces(f) else f for f in module.funcs))


def _reduces(func: Func) -> bool:
    return func.kind == "kernel" and any(is_for(op) and op.operands for op in func.ops)


class _Split(Rewriter):
    def __init__(self, func: Func, tile: int) -> None:
        super().__init__(func)
        self.tile = tile

    def loop(self, op: Op) -> None:
        folds = _folds(op)
        size = max(1, self.tile // elements(op.regions[0].ops))
        count = (op.attrs["stop"] - op.attrs["start"]) // size
        if len(self.e.scopes) > 1 or not folds or op.attrs["step"] != 1 or count < 2:
            super().loop(op)
            return
        self.split(op, folds, size, count)

    def split(self, op: Op, folds: Sequence[Fold], size: int, count: int) -> None:
        e = self.e
        inits = [self.of(v) for v in op.operands]
        neutral = [neutral_value(e, fold, v) for fold, v in zip(folds, inits, strict=True)]
        parts = [e.alloc(v.type.dtype, [count]) for v in inits]  # type: ignore[union-attr]
        (body,) = op.regions
        start = op.attrs["start"]

        def tile(t: Value) -> None:
            first = e.index_add(e.index_mul(t, size), start)

            def step(k: Value, *carried: Value) -> tuple[Value, ...]:
                self.env.update(zip(body.args, (e.as_index(e.index_add(first, k)), *carried), strict=True))
                self.ops(body.ops)
                return tuple(self.of(v) for v in body.results)

            for part, total in zip(parts, e.for_(0, size, step, neutral), strict=True):
                part.store([t], total)

        e.for_(0, count, tile)
        totals = e.for_(0, count, lambda t, *sums: tuple(combine(e, f, a, p([t])) for f, a, p in zip(folds, sums, parts, strict=True)), inits)
        super().loop(Op(op.prim, tuple(totals), {**op.attrs, "start": start + count * size}, op.results, op.regions, op.loc))


def combine(e: Emitter, fold: Fold, x: Value, y: Value) -> Value:
    """x and y by the op of a fold."""
    function: Any = getattr(e, fold.kind if fold.kind not in ("and", "or") else fold.kind + "_")
    return function(x, y)


def elements(ops: Sequence[Op]) -> int:
    """How often the innermost loop of `ops` runs."""
    inner = [op for op in ops if is_for(op)]
    return max([1, *((op.attrs["stop"] - op.attrs["start"]) // op.attrs["step"] * elements(op.regions[0].ops) for op in inner)])


def _folds(op: Op) -> list[Fold] | None:
    """How each carried value of a loop accumulates; None if one does so in no known way."""
    folds = [_fold(op, i) for i in range(len(op.operands))]
    return None if None in folds else [f for f in folds if f is not None]


def _fold(op: Op, position: int) -> Fold | None:
    """How one carried value accumulates: in the loop itself, or in one that it carries the value through."""
    (body,) = op.regions
    if op.operands[position].type.lanes != 1:  # type: ignore[union-attr]
        return None
    acc, out = body.args[1 + position], body.results[position]
    inner = next((o for o in body.ops if out in o.results), None)
    if inner is None or not is_for(inner):
        return fold_of(body, position)
    at = inner.results.index(out)
    if inner.operands[at] is not acc or not sees_once(body, acc) or any(out in o.operands for o in body.walk()):
        return None
    return _fold(inner, at)
