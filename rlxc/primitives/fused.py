"""The op that fusion makes: a region computed in one kernel."""

from __future__ import annotations

from typing import Any

from rlxc.errors import DTypeError, ShapeError, VerifyError
from rlxc.ir.core import Func
from rlxc.ir.interp import run_ops
from rlxc.ir.primitive import Primitive, register


@register
class Fused(Primitive):
    """Compute a region in one kernel. Its operands are the region's arguments, its results what the region yields.

    Where `rows` is given, all values of the region have one shape, or its first `rows` axes: the kernel goes over those row by row.
    """

    name = "fused"
    kernel = True

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
        if attrs.get("rows", -1) < 0 and (not region.ops or region.results != region.ops[-1].results):
            raise VerifyError("fused without `rows` yields the results of the last op of its region", code="RLX0211")
        if attrs.get("rows", -1) >= 0:
            for op in region.ops:
                if not (op.prim.elementwise or op.prim.reduction or op.prim.index_map or op.prim.inline_attr):
                    raise VerifyError(f"{op.prim.name} does not go by rows: it cannot stand in a fused region with `rows`", code="RLX0211", loc=op.loc)
        return tuple(v.type for v in region.results)

    def eval_regions(self, env: dict, op: Any) -> tuple:
        (region,) = op.regions
        env.update(zip(region.args, [env[v] for v in op.operands], strict=True))
        run_ops(region.ops, env)
        return tuple(env[v] for v in region.results)
