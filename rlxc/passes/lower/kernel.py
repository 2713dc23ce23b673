"""One op, fused or not, as a kernel: loops around element rules, or the op's own loop nest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rlxc.errors import Error, MissingRule
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.emitter import Emitter, Memory
from rlxc.ir.names import OwnNames
from rlxc.ir.target import Target
from rlxc.ir.types import MemType
from rlxc.passes.lower.blocks import lower_blocks
from rlxc.passes.lower.bodies import Body
from rlxc.passes.lower.epilogue import Epilogue
from rlxc.passes.lower.readers import Reader, Readers
from rlxc.passes.lower.rows import lower_rows
from rlxc.primitives.fused import anchor_of

Prepared = dict[int, Any]  # what an op takes in place of readers of its operands, by their positions


def lower_kernel(op: Op, name: str, target: Target, in_place: Mapping[int, int] | None = None, bodies: Any = None) -> Func:
    """A kernel that takes the op's operands, then its results; but for results that are `in_place` of an operand, by their positions.

    `bodies` has the functions of the module that the op's regions call.
    """
    in_place = in_place or {}
    e = Emitter(target)
    e.loc = op.loc
    args = [_argument(v, "in") for v in op.operands]
    own = [_argument(v, "out") for i, v in enumerate(op.results) if i not in in_place]
    rest = iter(own)
    outs = [args[in_place[i]] if i in in_place else next(rest) for i in range(len(op.results))]
    e.read_only.update(a for a in args if a not in outs)
    reads = [Memory(e, a) for a in args]
    writes = [Memory(e, a) for a in outs]
    try:
        if op.prim.control:
            op.prim.lower_regions(e, [Body(e, bodies, r) for r in op.regions], reads, writes, **op.attrs)
        else:
            lower_one(e, op, reads, writes)
    except Error as error:
        raise error.at(op.loc) from None
    names = OwnNames()
    for a in (*args, *own):
        a.name = names.give(a.name or "x")
    return Func(name, (*args, *own), tuple(e.ops), (), "kernel", loc=op.loc)


def lower_one(e: Emitter, op: Op, reads: Sequence[Any], writes: Sequence[Memory], prepared: Prepared | None = None) -> None:
    """One op, fused or not, from memory to memory; `prepared` is what `prepare_one` returned for it."""
    if not op.prim.kernel:
        lower_op(e, op, [(prepared or {}).get(i, read) for i, read in enumerate(reads)], writes)
    elif op.attrs["rows"] >= 0:
        lower_rows(e, op.regions[0], reads, writes, op.attrs["rows"])
    else:
        lower_region(e, op.regions[0], reads, writes, prepared or {})


def prepare_one(e: Emitter, op: Op, reads: Sequence[Any], writes: Sequence[Memory], fixed: Collection[int]) -> Prepared:
    """What can be done ahead for an op that is computed again and again with the same operands at the positions `fixed`."""
    if op.prim.kernel and op.attrs["rows"] >= 0:
        return {}
    if not op.prim.kernel:
        return op.prim.prepare(e, list(reads), writes[0], fixed, **op.attrs)
    (region,) = op.regions
    anchor, readers = anchor_of(region), _readers(e, region, reads)
    known = {region.args[i] for i in fixed}
    for inner in region.ops:
        if known.issuperset(inner.operands):
            known.update(inner.results)
    fixed = {i for i, v in enumerate(anchor.operands) if v in known}
    return anchor.prim.prepare(e, [readers[v] for v in anchor.operands], writes[0], fixed, **anchor.attrs)


def _argument(v: Value, name: str) -> Value:
    return Value(MemType(v.type.dtype, v.type.shape), v.name or name, loc=v.loc)  # type: ignore[union-attr, arg-type]


def lower_region(e: Emitter, region: Func, reads: Sequence[Any], writes: Sequence[Memory], prepared: Prepared) -> None:
    """A region around one op with loops of its own: what gives its operands is drawn in, what follows is computed as it stores."""
    anchor, readers = anchor_of(region), _readers(e, region, reads)
    outs: Sequence[Any] = writes
    if region.results != anchor.results:
        outs = [Epilogue(e, anchor.result, readers, list(zip(region.results, writes, strict=True)))]
    lower_op(e, anchor, [prepared.get(i, readers[v]) for i, v in enumerate(anchor.operands)], outs)


def _readers(e: Emitter, region: Func, reads: Sequence[Any]) -> Readers:
    """Readers of all values of a region but its anchor's results."""
    readers = Readers(e)
    for arg, read in zip(region.args, reads, strict=True):
        if isinstance(read, Memory):
            readers.bind_memory([arg], [read])
        else:
            readers.bind(arg, read)
    anchor = anchor_of(region)
    for op in region.ops:
        if op is not anchor:
            readers.define(op)
    return readers


def lower_op(e: Emitter, op: Op, reads: Sequence[Any], writes: Sequence[Any]) -> None:
    """The op's own loop nest; or, where it has none, loops over the result around its element rule."""
    try:
        _lower_op(e, op, reads, writes)
    except Error as error:
        raise error.at(op.loc) from error.__cause__


def _lower_op(e: Emitter, op: Op, reads: Sequence[Any], writes: Sequence[Any]) -> None:
    e.loc = op.loc
    if op.prim.by_blocks:
        lower_blocks(e, op, reads, writes, lower_one, prepare_one)
    elif op.prim.has_rule("update"):
        x, *others = reads
        (out,) = writes
        source = x.read if isinstance(x, Reader) else x
        if not (isinstance(source, Memory) and source.value is out.value):
            e.for_each(out.type.shape, lambda index: out.store(index, x(index)))
        op.prim.update(e, out, others, **op.attrs)
    elif op.prim.has_rule("lower"):
        op.prim.ask("lower", e, list(reads), list(writes), **op.attrs)
    elif op.prim.has_rule("element") and len(writes) == 1:
        (out,) = writes
        e.for_each(out.type.shape, lambda index: out.store(index, op.prim.ask("element", e, index, *reads, **op.attrs)))
    else:
        raise MissingRule(f"{op.prim.name} has neither an element nor a lower rule", help="define one of them on its class")
