"""The op that fusion makes: a region computed in one kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.errors import DTypeError, ShapeError, VerifyError
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.interp import run_ops
from rlxc.ir.primitive import Primitive, Program, register
from rlxc.ir.types import BOOL, FLOATS, INTEGERS
from rlxc.primitives.axes import fits_rows
from rlxc.primitives.control.base import splice


@register
class Fused(Primitive):
    """Compute a region in one kernel. Its operands are the region's arguments, its results what the region yields.

    Where `rows` is given, all values of the region have one shape, or its first `rows` axes: the kernel goes over those row by row. Reductions
    along the rows may be read in the region; others, of which each row has all or nothing of an element, are yielded.
    Without, the region has an *anchor*, the one op with loops of its own; index maps give its operands, and elementwise ops may follow
    on its result. (A region of index maps alone ends in one, which is then the anchor.)
    """

    name = "fused"
    kernel = True
    dtypes = (*FLOATS, *INTEGERS, BOOL)
    samples = (
        Program("""func @f(%x: f64[2, 3], %w: f64[2, 3]) -> (f64[2, 3], f64[2]) {
  %a, %b = fused %x, %w {rows = 1} do (%y: f64[2, 3], %v: f64[2, 3]) {
    %p = mul %y, %v
    %s = sin %p
    %t = reduce_sum %p {axes = [1]}
    yield %s, %t
  }
  return %a, %b
}"""),
        Program("""func @f(%x: f64[2, 3], %w: f64[3]) -> f64[2] {
  %a = fused %x, %w do (%y: f64[2, 3], %v: f64[3]) {
    %p = contract %y, %v {spec = "bi,i->b"}
    %s = sin %p
    yield %s
  }
  return %a
}"""),
    )

    def infer(self, *xs, rows: int = -1):
        raise ShapeError("fused needs a region")

    def infer_regions(self, types: Any, regions: tuple[Func, ...], attrs: dict) -> tuple:
        """Types of what the region yields; raises where the operands are not its arguments."""
        if len(regions) != 1:
            raise VerifyError(f"fused has one region, not {len(regions)}", code="RLX0211")
        (region,) = regions
        if [a.type for a in region.args] != list(types):
            wants = ", ".join(str(a.type) for a in region.args)
            raise DTypeError(f"fused: its region takes ({wants}), not ({', '.join(map(str, types))})")
        if attrs.get("rows", -1) < 0:
            _check_anchored(region)
        else:
            _check_rows(region, attrs["rows"])
        return tuple(v.type for v in region.results)

    def eval_regions(self, env: dict, op: Any) -> tuple:
        (region,) = op.regions
        env.update(zip(region.args, [env[v] for v in op.operands], strict=True))
        run_ops(region.ops, env)
        return tuple(env[v] for v in region.results)

    def unwrap(self, b: Any, op: Op, operands: Sequence[Value]) -> Sequence[Value]:
        return splice(b, op.regions[0], operands)


def _check_rows(region: Func, rows: int) -> None:
    """Raise VerifyError unless the region can be computed row by row, and reads no reduction before its last row."""
    last: set[Value] = set()
    for op in region.ops:
        if op.prim.has_loops and not op.prim.reduction:
            raise VerifyError(f"{op.prim.name} does not go by rows: it cannot stand in a fused region with `rows`", code="RLX0211", loc=op.loc)
        if not last.isdisjoint(op.operands):
            raise VerifyError(f"{op.prim.name} reads what is known only after the last row", code="RLX0211", loc=op.loc)
        if op.prim.reduction:
            axes, rank = op.attrs["axes"], op.operands[0].type.rank  # type: ignore[union-attr]
            if not fits_rows(axes, rows, rank):
                raise VerifyError(f"{op.prim.name} over axes {list(axes)} combines a part of each row: rows = {rows} does not fit", code="RLX0211", loc=op.loc)
            if axes and min(axes) < rows:
                last.add(op.result)


def anchor_of(region: Func) -> Op:
    """The op with loops of its own that a region without rows computes; the last op, where there is none."""
    return next((op for op in region.ops if op.prim.has_loops), region.ops[-1])


def _check_anchored(region: Func) -> None:
    """Raise VerifyError unless the region is one op with what is drawn into it, and elementwise ops that follow it."""
    if not region.ops:
        raise VerifyError("fused without `rows` computes an op", code="RLX0211")
    anchor = anchor_of(region)
    if region.results == anchor.results and anchor is region.ops[-1]:
        return
    if not anchor.prim.takes_epilogue:
        raise VerifyError(f"{anchor.prim.name} stands last in a fused region without `rows`, which yields its results", code="RLX0211", loc=anchor.loc)
    (whole,) = anchor.results
    follows = {whole}
    for op in region.ops[region.ops.index(anchor) + 1 :]:
        if op.prim.has_loops:
            message = f"{op.prim.name} cannot follow {anchor.prim.name} in a fused region without `rows`"
            raise VerifyError(message, code="RLX0211", loc=op.loc)
        if follows.isdisjoint(op.operands):
            continue
        if not op.prim.elementwise:
            message = f"{op.prim.name} reads the result of {anchor.prim.name} at other indices: that must be in memory before"
            raise VerifyError(message, code="RLX0211", loc=op.loc)
        follows.update(op.results)
    for v in region.results:
        if v not in follows or v.type.shape != whole.type.shape:
            raise VerifyError(f"fused without `rows` yields the result of {anchor.prim.name}, or what is computed from it element by element", code="RLX0211")
