"""Blocks: what is large between two contractions is computed a block of rows at a time, and never stored as a whole.

    %s = contract %q, %k {spec = "hsd,htd->hst"}        %o = blocked %q, %k, %v {sizes = [12, 1024], blocks = [1, 64], ...} do (...) {
    %e = exp %s : f32[12, 1024, 1024]             =>      %s = contract ...     : f32[1, 64, 1024]
    %o = contract %e, %v {spec = "hst,htd->hsd"}          %e = exp %s
                                                          %o = contract ...     : f32[1, 64, 64]
                                                          yield %o
                                                        } : f32[12, 1024, 64]

An attention is one such op; its derivatives are another, in which the scores are computed again.

    spaces      what grows out of a contraction, and goes along its batch axes and its rows
    regions     that as blocked ops
"""

from __future__ import annotations

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.passes.blocks.regions import write_blocked
from rlxc.passes.blocks.spaces import find_space, is_seed
from rlxc.passes.dims import require_bound
from rlxc.passes.manager import func_pass


@func_pass("blocks")
def blocks(func: Func, *, l2: int = 512 << 10) -> Func:
    """Compute block by block what is large between contractions over a batch; see the picture at the top of the file."""
    require_bound(func)
    if not any(is_seed(op) for op in func.ops):
        return func
    spread = by_blocks = _with_thin_counters(func)
    tried = set()
    while True:
        seed = next((op for op in by_blocks.ops if op.results and op.results[0] not in tried and is_seed(op)), None)
        if seed is None:
            return func if by_blocks is spread else by_blocks
        tried.add(seed.results[0])
        space = find_space(by_blocks, seed)
        if space is not None:
            by_blocks = write_blocked(by_blocks, space, l2)


def _with_thin_counters(func: Func) -> Func:
    """The function with index maps of nothing, which count along one axis of several, as broadcasts of one axis: a block reads a part of that."""
    b = Builder()
    env: dict[Value, Value] = {}
    for op in func.ops:
        if op.prim.index_map and not op.operands and op.result.type.rank > 1 and op.prim.has_rule("decompose"):
            env[op.result] = op.prim.decompose(b, **op.attrs)
        else:
            b.rebuild(op, env)
    return func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))
