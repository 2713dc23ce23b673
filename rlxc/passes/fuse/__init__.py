"""Fuse: ops gathered into regions that become one kernel each.

    %0 = mul %x, %x : f32[8, 64]                       %2 = fused %x {rows = 1} do (%a: f32[8, 64]) {
    %1 = reduce_sum %0 {axes = [1]} : f32[8]             %0 = mul %a, %a : f32[8, 64]
    %2 = sqrt %1 : f32[8]                         =>     %1 = reduce_sum %0 {axes = [1]} : f32[8]
                                                         %3 = sqrt %1 : f32[8]
                                                         yield %3
                                                       } : f32[8]

Four kinds of ops are told apart, by what their primitives say of themselves:

    row ops      elementwise ones, and reductions: they join a group over one space, rows and what is in them. What is reduced along
                 the rows can be read there again, what is reduced across them is known after the last
    index maps   broadcast, transpose, slice, ...: an element is an operand's element elsewhere; drawn into whoever reads them
    views        reshape: the same memory
    the others   contract, gather, scatter, ...: a kernel of their own, with what can be drawn in
"""

from __future__ import annotations

from rlxc.ir.builder import remap_region
from rlxc.ir.canonical import canonical_text
from rlxc.ir.core import Func, Op
from rlxc.ir.remarks import is_collecting
from rlxc.passes.dims import require_bound
from rlxc.passes.fuse.groups import MAX_FLOPS, group_ops
from rlxc.passes.fuse.readings import Readings
from rlxc.passes.fuse.regions import write_regions
from rlxc.passes.fuse.residuals import choose_residuals
from rlxc.passes.manager import func_pass


@func_pass("fuse")
def fuse(func: Func, *, max_flops: float = MAX_FLOPS) -> Func:
    """Gather ops into regions that become one kernel each; see the picture at the top of the file."""
    require_bound(func)
    return _fuse_ops(_with_fused_blocks(func, max_flops), max_flops)


def _with_fused_blocks(func: Func, max_flops: float) -> Func:
    """The function with ops fused in the regions that are computed block by block."""
    if not any(op.prim.by_blocks for op in func.ops):
        return func
    known: dict[str, Func] = {}  # regions of other layers that are the same but for names: there they are fused the same way
    ops = []
    for op in func.ops:
        if op.prim.by_blocks:
            regions = []
            for region in op.regions:
                text = canonical_text(region)
                if text in known and not is_collecting():
                    regions.append(remap_region(known[text], {}))
                else:
                    regions.append(known.setdefault(text, _fuse_ops(region, max_flops)))
            op = Op(op.prim, op.operands, op.attrs, op.results, tuple(regions), op.loc)
        ops.append(op)
    return func.with_(ops=tuple(ops))


def _fuse_ops(func: Func, max_flops: float) -> Func:
    readings = Readings(func)
    groups = group_ops(func, readings, max_flops)
    choose_residuals(func, readings, groups, max_flops)
    return write_regions(func, readings, groups)
