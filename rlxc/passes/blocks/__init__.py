"""Blocks: what is large between two contractions is computed a block of rows at a time, and never stored as a whole.

    %s = contract %q, %k {spec = "hsd,htd->hst"}        %o = blocked %q, %k, %v {sizes = [12, 1024], blocks = [1, 64], ...} do (...) {
    %e = exp %s : f32[12, 1024, 1024]             =>      %s = contract ...     : f32[1, 64, 1024]
    %o = contract %e, %v {spec = "hst,htd->hsd"}          %e = exp %s
                                                          %o = contract ...     : f32[1, 64, 64]
                                                          yield %o
                                                        } : f32[12, 1024, 64]

An attention is one such op; its derivatives are another, in which the scores are computed again.

    uses        who computes and who reads each value
    spaces      what grows out of a contraction, and goes along its batch axes and its rows
    levels      what of that needs the results of the rest first
    regions     each level as a blocked op
    order       the function with these in place of the ops

All spaces are found in one function, which is then written once: the cost grows with the ops, not with the number of attentions times the ops.
"""

from __future__ import annotations

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.liveness import live_ops
from rlxc.passes.blocks.levels import Levels
from rlxc.passes.blocks.order import put_in_order
from rlxc.passes.blocks.regions import write_pieces
from rlxc.passes.blocks.spaces import MOST, Space, complete, find_space, is_seed
from rlxc.passes.blocks.uses import Uses
from rlxc.passes.dims import require_bound
from rlxc.passes.manager import func_pass


@func_pass("blocks")
def blocks(func: Func, *, l2: int = 512 << 10) -> Func:
    """Compute block by block what is large between contractions over a batch; see the picture at the top of the file."""
    require_bound(func)
    if not any(is_seed(op) for op in func.ops):
        return func
    spread = _with_thin_counters(func)
    uses = Uses(spread)
    spaces, owner = _find_spaces(uses)
    if not spaces:
        return func
    levels = Levels(uses, owner)
    for space in spaces:
        complete(uses, space, levels, owner)
    pieces = {piece: space for space in spaces for piece in write_pieces(uses, space, l2)}
    while True:
        written, stuck = put_in_order(spread, uses, list(pieces), set(owner))
        if written is not None:
            return written.with_(ops=tuple(live_ops(written.ops, written.results)))
        # two that wait for a result of each other cannot both be one op: the last of them stays as it was
        left_out = pieces[stuck[-1]]
        pieces = {piece: space for piece, space in pieces.items() if space is not left_out}
        owner = {op: space for op, space in owner.items() if space is not left_out}


def _find_spaces(uses: Uses) -> tuple[list[Space], dict[Op, Space]]:
    """Spaces that have no op in common, first seeds first; and the space of each op."""
    spaces: list[Space] = []
    owner: dict[Op, Space] = {}
    tried: set[Op] = set()
    for op in uses.ops:
        if op in owner or op in tried or not is_seed(op):
            continue
        space, fits = find_space(uses, op, owner)
        if fits:
            spaces.append(space)
            owner.update(dict.fromkeys(space.ops, space))
        elif len(space.ops) >= MOST:
            tried.update(space.ops)
    return spaces, owner


def _with_thin_counters(func: Func) -> Func:
    """The function with index maps of nothing, which count along one axis of several, as broadcasts of one axis: a block reads a part of that."""
    b = Builder()
    env: dict[Value, Value] = {}
    for op in func.ops:
        if op.prim.index_map and not op.operands and op.result.type.rank > 1 and op.prim.has_rule("decompose"):
            env[op.result] = op.prim.decompose(b, **op.attrs)
        else:
            b.insert_with(op, env)
    return func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))
