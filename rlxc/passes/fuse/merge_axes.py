"""Merge axes of a fused region that are always walked together, so that loops are few and long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.ir.attributes import Dense
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.primitive import lookup, merge_shape
from rlxc.primitives.axes import fits_rows


def merge_axes(out: Builder, operands: Sequence[Value], body: Func, rows: int | None, shape: tuple[Any, ...], names: Sequence[str | None]) -> tuple[Value, ...]:
    """Emit a fused op for `body`, over `shape` with `rows` row axes (None: any number), on merged axes where its ops allow it; results in their own shapes.

    fused %x {rows = 1} do (%a: f32[8, 4, 4]) { %0 = exp %a }    =>    reshape, fused {rows = 0} do (%a: f32[128]) { %0 = exp %a }, reshape
    """
    runs = _runs(body, rows, shape)
    if len(runs) == len(shape):
        rows = _best_rows(body, len(shape)) if rows is None else rows
        return out.emit(lookup("fused"), list(operands), {"rows": rows}, regions=(body,), names=names, loc=_loc(body)).results
    b = Builder()
    env: dict[Value, Value] = {}
    args: dict[tuple[Value, tuple], Value] = {}
    outside: list[Value] = []
    position = {a: v for a, v in zip(body.args, operands, strict=True)}
    numbers = {op.result: op.attrs["value"] for op in body.ops if isinstance(op.attrs.get("value"), Dense) and op.attrs["value"].is_splat}
    splats: dict[tuple[Value, tuple], Value] = {}

    def merged(v: Value, new: tuple[int, ...]) -> Value:
        """Region value `v` with its merged shape; an argument is reshaped outside, and one number fills any shape, whatever axes of the space it has."""
        if v in env:
            return env[v]
        key = (v, new)
        if v in numbers:
            if key not in splats:
                splats[key] = b.constant(numbers[v].array, type=v.type.with_shape(new))
            return splats[key]
        if key not in args:
            args[key] = Value(v.type.with_shape(new), v.name, loc=v.loc)
            source = position[v]
            out.loc = source.loc
            outside.append(source if source.type.shape == new else out.reshape(source, shape=new))
        return args[key]

    for op in body.ops:
        if op.results[0] in numbers:
            continue
        if op.prim.elementwise and not op.prim.has_rule("merge"):  # the same op on other shapes: nothing is to be inferred
            xs = [merged(v, merge_shape(v.type.shape, runs)) for v in op.operands]
            env[op.result] = Value(op.result.type.with_shape(merge_shape(op.result.type.shape, runs)), linear=op.result.linear, loc=op.loc)
            b.insert(Op(op.prim, tuple(xs), op.attrs, (env[op.result],), (), op.loc))
            continue
        b.loc = op.loc
        shapes = op.prim.merged_operands(runs, shape, [v.type for v in op.operands], **op.attrs)
        xs = [merged(v, new) for v, new in zip(op.operands, shapes, strict=True)]
        env[op.result] = op.prim.merge(b, *xs, runs=runs, space=shape, result=op.result.type, **op.attrs)
    results = [merged(v, merge_shape(v.type.shape, runs)) for v in body.results]
    inner = Func("", tuple(args.values()), tuple(b.ops), tuple(results), "region")
    new_rows = _best_rows(inner, len(runs)) if rows is None else sum(1 for run in runs if run[-1] < rows)
    fused = out.emit(lookup("fused"), outside, {"rows": new_rows}, regions=(inner,), names=names, loc=_loc(body))
    out.loc = _loc(body)
    return tuple(r if r.type == v.type else out.reshape(r, shape=v.type.shape) for r, v in zip(fused.results, body.results, strict=True))


def _best_rows(body: Func, rank: int) -> int:
    """The number of row axes of a region in which nothing reads what is reduced: reductions of whole rows, else of none of a row, else of both."""
    reduced = [op.attrs["axes"] for op in body.ops if op.prim.reduction]
    last = max(rank - 1, 0)

    def worth(rows: int) -> tuple[int, int]:
        whole = sum(min(axes) >= rows for axes in reduced)
        return whole, sum(max(axes) < rows for axes in reduced)

    choices = [rows for rows in range(min(1, last), last + 1) if all(fits_rows(axes, rows, rank) for axes in reduced)]
    return max(choices or [0], key=worth) if reduced else last


def _runs(body: Func, rows: int | None, shape: tuple[Any, ...]) -> list[tuple[int, ...]]:
    """Axes in runs that can be merged; axes of size 1 go with their neighbours where the ops allow it."""
    rank = len(shape)
    breaks = {rows} if rows is not None and 0 < rows < rank else set()
    for op in body.ops:
        breaks |= set(op.prim.axis_breaks(rank, [v.type for v in op.operands], **op.attrs))
    runs: list[tuple[int, ...]] = []
    for axis in range(rank):
        if axis == 0 or axis in breaks:
            runs.append((axis,))
        else:
            runs[-1] = (*runs[-1], axis)
    return runs


def _loc(body: Func) -> Any:
    return body.ops[-1].loc if body.ops else body.loc
