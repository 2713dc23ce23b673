"""Segments: a scan of which a backward pass keeps the carries of every k-th step, and computes the steps between them again.

%y = scan %c, %xs {length = 12, checkpoint = 4}         %0 = reshape %xs {shape = [3, 4, ...]}
                                                 =>     %y = scan %c, %0 {length = 3} do (%c, %x) {
                                                          %1 = checkpoint %c, %x do (...) { scan ... {length = 4} }
                                                          yield %1
                                                        }
"""

from __future__ import annotations

from rlxc.errors import ShapeError
from rlxc.ir.builder import Builder, remap_region
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.primitive import lookup
from rlxc.ir.types import Dim
from rlxc.primitives.control.base import stacked_type


def in_segments(b: Builder, op: Op) -> list[Value]:
    """The loop as a loop over segments of `checkpoint` steps, each a checkpoint, and one for the steps that are left; its results."""
    consts, carries, length, steps = (op.attrs[key] for key in ("consts", "carries", "length", "checkpoint"))
    if isinstance(length, Dim):
        help = f"bind it: --dim {length}=32, or rlxc.bind(func, {length}=32)"
        raise ShapeError(f"scan: segments of {steps} steps need the number of steps, and {length} has no size yet", code="RLX0206", loc=op.loc, help=help)
    fixed, carried, xs = op.operands[:consts], op.operands[consts : consts + carries], op.operands[consts + carries :]
    whole = length // steps * steps
    parts: list[tuple[int, int]] = [part for part in ((0, whole), (whole, length)) if part[0] < part[1]]
    pieces: dict[tuple[int, int], list[Value]] = {}
    for start, stop in reversed(parts) if op.attrs["reverse"] else parts:
        given = [_part(b, x, start, stop) for x in xs]
        if stop - start > steps:
            each = [b.reshape(x, shape=((stop - start) // steps, steps, *x.type.shape[1:])) for x in given]
            attrs = {"consts": consts, "carries": carries, "length": (stop - start) // steps, "reverse": op.attrs["reverse"], "checkpoint": 0}
            out = list(b.with_regions(op.prim, [*fixed, *carried, *each], attrs, (_segment(op, steps),)))
            out[carries:] = [b.reshape(y, shape=(stop - start, *y.type.shape[2:])) for y in out[carries:]]
        else:
            region = _segment(op, stop - start)
            out = list(b.with_regions(lookup("checkpoint"), [*fixed, *carried, *given], {}, (region,)))
        carried = tuple(out[:carries])
        pieces[start, stop] = out[carries:]
    stacks = zip(*(pieces[part] for part in parts), strict=True)
    return [*carried, *(b.concat(*stack, axis=0) if len(stack) > 1 else stack[0] for stack in stacks)]


def _part(b: Builder, x: Value, start: int, stop: int) -> Value:
    n = x.type.shape[0]
    if (start, stop) == (0, n):
        return x
    rest = x.type.shape[1:]
    return b.slice(x, start=(start, *(0 for _ in rest)), stop=(stop, *rest))


def _segment(op: Op, steps: int) -> Func:
    """So many steps, as a checkpoint of which nothing but the operands is kept; the body of a loop over such, or of a checkpoint."""
    (body,) = op.regions
    first = op.attrs["consts"] + op.attrs["carries"]
    args = [a.like(type=stacked_type(a.type, steps) if i >= first else a.type) for i, a in enumerate(body.args)]
    inner = Builder()
    inner.loc = op.loc
    attrs = dict(op.attrs) | {"length": steps, "checkpoint": 0}
    results = inner.with_regions(op.prim, args, attrs, (remap_region(body, {}),))
    segment = Func("", tuple(args), tuple(inner.ops), results, kind="region", loc=op.loc)
    if steps != op.attrs["checkpoint"] or op.attrs["length"] // steps < 2:
        return segment
    outer = Builder()
    outer.loc = op.loc
    args = [a.like() for a in args]
    results = outer.with_regions(lookup("checkpoint"), args, {}, (segment,))
    return Func("", tuple(args), tuple(outer.ops), results, kind="region", loc=op.loc)
