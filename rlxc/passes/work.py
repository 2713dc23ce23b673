"""What an op of the tensor level does, counted: arithmetic, and bytes that it must at least read and write."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rlxc.ir.calls import callee_of
from rlxc.ir.core import Func, Op, Value

MAX_NAMES = 5  # of ops in a label


@dataclass(frozen=True, slots=True)
class Work:
    """`flops` as ops count them (`Primitive.flops`), `bytes` as if caches were perfect; `what` names the ops."""

    what: str
    flops: float
    bytes: int


def work_of(op: Op, bodies: Mapping[str, Func] | None = None) -> Work:
    """The work of one op, fused or not; `bodies` has the functions that regions of control flow call."""
    if op.prim.control:
        return Work(op.prim.name, _flops(op, bodies), _total(v.type for v in (*op.operands, *op.results)))
    if not op.prim.kernel:
        return Work(op.prim.name, _flops(op), _total(v.type for v in (*op.operands, *op.results)))
    (region,) = op.regions
    inner = [o for o in region.ops if not _is_free(o)]
    read = sum(_bytes_read(region, a) for a in region.args)
    return Work(_label(inner or region.ops), _flops(op), read + _total(v.type for v in op.results))


def described(op: Op, work: Work | None = None) -> str:
    """An op, fused or not, in a sentence: what it is made of, its arithmetic and its memory."""
    work = work or work_of(op)
    inner = [o for region in op.regions for o in region.ops if o.operands and not op.prim.control] or [op]
    names = ", ".join(dict.fromkeys(o.prim.name for o in inner if o is not op or not op.prim.kernel)) or "copy"
    return f"{names}: {amount(work.flops, 'flop')}, {amount(work.bytes, 'B')} of memory"


def amount(number: float, unit: str) -> str:
    """A number with its unit, rounded to three digits: `12.6 MB`."""
    for prefix in ("", "k", "M"):
        if number < 1000:
            return f"{number:.3g} {prefix}{unit}"
        number /= 1000
    return f"{number:.3g} G{unit}"


def work_of_func(func: Func) -> float:
    """The flops of a function, as it is written."""
    return sum(_flops(op) for op in func.ops)


def _flops(op: Op, bodies: Mapping[str, Func] | None = None) -> float:
    if op.prim.control:  # of several branches, what the largest one does
        return op.prim.times(**op.attrs) * max(sum(_flops(inner, bodies) for inner in region.ops) for region in op.regions)
    name = callee_of(op)
    if name is not None:
        return sum(_flops(inner, bodies) for inner in bodies[name].ops) if bodies and name in bodies else 0.0
    if op.prim.by_blocks:
        counts = [n // b for n, b in zip(op.attrs["sizes"], op.attrs["blocks"], strict=True)]
        each = [sum(_flops(inner) for inner in region.ops) for region in op.regions]
        return math.prod(counts[:-1]) * (counts[-1] * each[0] + sum(each[1:]))
    if op.prim.kernel:
        return sum(_flops(inner) for region in op.regions for inner in region.ops)
    return op.prim.flops([v.type for v in op.operands], [v.type for v in op.results], **op.attrs)


def _is_free(op: Op) -> bool:
    return op.prim.view or op.prim.index_map or not op.operands


def _bytes_read(region: Func, arg: Value) -> int:
    """An argument that only index maps read (a slice, a gather) may be read in part."""
    users = [op for op in region.ops if arg in op.operands]
    whole = _total([arg.type])
    if not users or arg in region.results or not all(_is_free(op) for op in users):
        return whole
    return min(whole, sum(op.result.type.size for op in users) * arg.type.dtype.size)


def _total(types: Iterable[Any]) -> int:
    return sum(t.nbytes for t in types)


def _label(ops: Iterable[Op]) -> str:
    """The names of the ops, each once: the first ones, if there are many. What it says of a copy is `copy`."""
    names = list(dict.fromkeys(op.prim.name for op in ops))
    shown = [*names[: MAX_NAMES - 1], f"{len(names) - MAX_NAMES + 1} more"] if len(names) > MAX_NAMES else names
    return " ".join(shown) or "copy"
