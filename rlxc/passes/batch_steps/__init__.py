"""Batch steps: what the steps of a scan do independently of each other is done for all of them at once.

    %h, %dw = scan %w, %h0, %zero, %xs {...} do (%w, %h, %dw, %x) {     %xw = contract %xs, %w : f64[T, B, N]          before the loop
      %0 = contract %x, %w                                              %h, %ys = scan %h0, %xw {...} do (%h, %0) {
      %1 = contract %h, %h                                                %1 = contract %h, %h
      %2 = add %0, %1                                             =>      %2 = add %0, %1
      %3 = contract %x, %2                                                yield %2, %2
      %4 = add %dw, %3                                                  }
      yield %2, %4                                                      %3 = contract %xs, %ys                         after it: summed
    }                                                                   %dw = add %zero, %3                            over steps too

One large contraction is faster than many small ones, functions such as sin take vectors of steps, and what is the same in all steps is done once.
It costs memory for what is stacked; beyond `MOST` bytes steps stay as they are.

    before    what needs no carry, by the `batch` rules of its ops
    after     sums that are carried, by the rule `batch_sum`
    order     what all steps read is transposed once, if ops ask for it (`read_order`)
"""

from __future__ import annotations

from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.passes.batch_steps.after import batch_after
from rlxc.passes.batch_steps.before import batch_before
from rlxc.passes.batch_steps.order import put_in_order
from rlxc.passes.bodies import with_bodies
from rlxc.passes.cse import eliminate_common_subexpressions
from rlxc.passes.dce import eliminate_dead_code
from rlxc.passes.dims import named_dims
from rlxc.passes.legalize import legalize
from rlxc.passes.manager import func_pass
from rlxc.passes.simplify import simplify

MOST = 64 << 20  # bytes of one value, stacked


@func_pass("batch-steps")
def batch_steps(func: Func, *, most: int = MOST) -> Func:
    """Do for all steps of a scan at once what they do independently of each other; see the picture at the top of the file."""
    if named_dims(func) or not any(op.prim.control for op in func.ops):
        return func
    changed = _batch(func, most)
    for step in (legalize, simplify, eliminate_common_subexpressions, eliminate_dead_code) if changed is not func else ():
        changed = step.on_func(changed)  # type: ignore[attr-defined]
    return changed


def _batch(func: Func, most: int) -> Func:
    """The same for a function or body, innermost loops first; they nest only as deep as the text does."""
    b = Builder()
    env: dict[Value, Value] = {}
    same = True
    for old in func.ops:
        op = with_bodies(old, lambda body: _batch(body, most))
        if not op.prim.stacks:
            same &= op is old
            b.insert_with(op, env)
            continue
        op = op.with_operands(tuple(env.get(v, v) for v in op.operands))
        op, sums = batch_after(put_in_order(b, batch_before(b, op, most)), most)
        same &= op.regions[0] is old.regions[0]
        b.insert(op)
        b.loc = op.loc
        env.update((v, total(b)) for v, total in sums.items())
    return func if same else func.with_(ops=tuple(b.ops), results=tuple(env.get(v, v) for v in func.results))
