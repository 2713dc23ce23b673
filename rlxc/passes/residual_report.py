"""What a backward pass keeps of the forward pass, how many bytes that is, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rlxc.ir.core import Func, Op, Value
from rlxc.ir.names import value_text
from rlxc.passes.residuals import bytes_of, is_cheap
from rlxc.passes.vjp import Vjp, vjp


@dataclass(frozen=True, slots=True)
class Kept:
    """One value that the pullback takes."""

    name: str
    type: str
    bytes: int
    kind: str  # "argument", "result", or "residual"
    why: str


@dataclass(frozen=True, slots=True)
class ResidualReport:
    """What the pullback of a function takes of the forward pass; `str()` is a table."""

    func: str
    entries: tuple[Kept, ...]
    again: tuple[tuple[str, int], ...]  # ops that the pullback runs again, and how many of each

    @property
    def kept_bytes(self) -> int:
        """Bytes of what is kept besides arguments and results."""
        return sum(k.bytes for k in self.entries if k.kind == "residual")

    def __str__(self) -> str:
        own = sum(k.kind == "residual" for k in self.entries)
        passed = sum(k.bytes for k in self.entries if k.kind != "residual")
        lines = [f"@{self.func}: {own} residual{'s' * (own != 1)}, {self.kept_bytes} bytes; {passed} bytes of arguments and results"]
        width = max((len(k.type) for k in self.entries), default=0)
        names = max((len(k.name) for k in self.entries), default=0)
        lines += [f"  {k.bytes:>10}  {k.type:{width}}  {k.name:{names}}  {k.why}" for k in self.entries]
        if self.again:
            lines.append(f"  computed again: {', '.join(f'{n} {name}' if n > 1 else name for name, n in self.again)}")
        return "\n".join(lines)


def residual_report(func: Func, wrt: Sequence[str | int] = ()) -> ResidualReport:
    """What `vjp` keeps of `func`, with respect to the arguments `wrt`."""
    split = vjp(func, wrt)
    entries = tuple(_entry(func, split, i) for i in range(len(split.residuals)))
    linear = {v for v in split.pullback.args if v.linear}
    again: Counter[str] = Counter()
    for op in split.pullback.ops:
        if linear.isdisjoint(op.operands):
            if op.operands:
                again[op.prim.name] += 1
        else:
            linear.update(op.results)
    return ResidualReport(func.name, entries, tuple(sorted(again.items())))


def _entry(func: Func, split: Vjp, i: int) -> Kept:
    residual = split.residuals[i]
    if residual.kind == "argument":
        arg = func.args[residual.index]
        name = func.arg_names[residual.index]
        return Kept(value_text(name), str(arg.type), bytes_of(arg), "argument", "an argument")
    value = split.forward.results[residual.index]
    taken = value_text(split.pullback.args[i].name or "?")
    if residual.index < len(func.results):
        return Kept(taken, str(value.type), bytes_of(value), "result", "a result")
    return Kept(taken, str(value.type), bytes_of(value), "residual", _why(value, split.forward.ops))


def _why(v: Value, ops: Sequence[Op]) -> str:
    """Why a value is kept: by what makes it, inside loops too."""
    around = ""
    while True:
        op = next((op for op in reversed(ops) if v in op.results), None)
        if op is None:
            return f"{around}carried from step to step" if around else "what the function takes"
        if not op.prim.control:
            break
        region = op.regions[-1]
        at = op.results.index(v)
        v, ops = region.results[at], region.ops
        around += f"by {op.prim.name} at {op.loc.line}: " if op.loc.line else f"by {op.prim.name}: "
    place = f" at {op.loc.line}" if op.loc.line else ""
    if op.prim.wraps and "name" in op.attrs:
        return f'{around}named "{op.attrs["name"]}"{place}, which the policy keeps'
    if op.prim.contraction:
        return f"{around}{op.prim.name}{place}, a contraction, is not computed again"
    if not is_cheap(op):
        return f"{around}{op.prim.name}{place} costs more to compute again than to keep"
    return f"{around}{op.prim.name}{place} takes no more bytes than what it is computed from"
