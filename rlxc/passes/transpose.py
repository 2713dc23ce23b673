"""Transpose: a linear function turned around, from cotangents of its results to cotangents of its linear arguments.

    func @f.linear(%c: f32[3], %dx: lin f32[3]) -> lin f32[3] {         func @f.transpose(%c: f32[3], %ct: lin f32[3]) -> lin f32[3] {
      %0 = mul %dx, %c : lin f32[3]                               =>      %0 = mul %ct, %c : lin f32[3]
      return %0                                                           return %0
    }                                                                   }

Ops without linear operands stay; linear ones are visited in reverse. Contributions to one value are gathered, and summed once, in the
order in which they arose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlxc.errors import Error, RuleError
from rlxc.ir.attributes import Dense
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.liveness import live_ops
from rlxc.ir.primitive import Linear
from rlxc.passes.linearity import check_linear
from rlxc.passes.linearize import with_argument_names
from rlxc.passes.manager import module_pass
from rlxc.passes.separate import separate


@module_pass("transpose")
def transpose_pass(module: Module) -> Module:
    """Replace each function that has linear arguments by its transpose."""
    return Module(tuple(transpose(f) if f.is_linear else f for f in module.funcs))


def transpose(func: Func, name: str | None = None) -> Func:
    """The transpose of a function that is linear in its `lin` arguments (verified first): residuals, then a cotangent for each float result."""
    func = separate(func)
    check_linear(func)
    linear_args = [a for a in func.args if a.linear]
    residuals = tuple(a for a in func.args if not a.linear)
    outputs = [v for v in func.results if v.type.dtype.differentiable]
    cotangents = tuple(Value(v.type, "ct" if len(outputs) == 1 else f"ct{i}", linear=True, loc=v.loc) for i, v in enumerate(outputs))
    b = Builder()
    b.ops += [op for op in func.ops if not any(v.linear for v in op.operands)]
    note = f"transpose(@{func.name})"
    outs = transpose_ops(b, func.ops, linear_args, outputs, cotangents, note)
    results = tuple(b.zeros(a.type) if ct is None else ct for a, ct in zip(linear_args, outs, strict=True))
    name = name or func.name.removesuffix(".linear") + ".transpose"
    return with_argument_names(Func(name, (*residuals, *cotangents), tuple(live_ops(b.ops, results)), results, loc=func.loc, module=func.module))


def transpose_ops(
    b: Builder,
    ops: Sequence[Op],
    inputs: Sequence[Value],
    outputs: Sequence[Value | None],
    cotangents: Sequence[Value | None],
    note: str,
    onto: Mapping[Value, Value] | None = None,
) -> list[Value | None]:
    """Emit into `b` the cotangents of `inputs`, given those of `outputs`, through the linear ones among `ops`.

    What comes to a value in `onto` is added to what it has there already.
    """
    gathered: dict[Value, list[Value]] = {v: [ct] for v, ct in (onto or {}).items()}
    for v, ct in zip(outputs, cotangents, strict=True):
        if v is not None and v.linear and ct is not None:
            gathered.setdefault(v, []).append(ct)
    sums = Sums(b)
    carried = set(onto or ())
    for op in reversed(ops):
        if not any(v.linear for v in op.operands):
            continue
        b.loc = op.loc.through(note) if note else op.loc
        cts = [sums.total(gathered.pop(v, None)) for v in op.results]
        if all(ct is None for ct in cts):
            continue
        for v, ct in zip(op.operands, cotangents_of(b, op, cts), strict=True):
            if ct is not None and v.linear:
                gathered.setdefault(v, []).append(ct)
    return [sums.total(gathered.pop(v, None), carried=v in carried) for v in inputs]


class Sums:
    """Adds up contributions to one cotangent, in the order in which they arose: in place, where an op can add its result to what is there."""

    def __init__(self, b: Builder) -> None:
        self.b = b
        self.producer: dict[Value, Op] = {}
        self.known = 0

    def total(self, contributions: list[Value] | None, *, carried: bool = False) -> Value | None:
        if not contributions:
            return None
        total, *others = contributions if carried else self.joined(contributions)
        for ct in others:
            total = self.add(total, ct, carried)
        return total

    def joined(self, contributions: list[Value]) -> list[Value]:
        """The contributions, those made one that are nothing but different parts of the whole."""
        makers = [self.made_by(ct) for ct in contributions]
        parts = [op for op in makers if op is not None and op.prim.has_rule("join") and all(map(self.is_zero, op.operands[1:]))]
        if len(parts) < 2 or any(op.prim is not parts[0].prim for op in parts):
            return contributions
        whole = parts[0].prim.join(self.b, contributions[0].type, [(op.operands[0], op.attrs) for op in parts])
        if whole is None:
            return contributions
        return [whole, *(ct for ct, op in zip(contributions, makers, strict=True) if op not in parts)]

    def add(self, total: Value, ct: Value, carried: bool) -> Value:
        """`total + ct`; `add(total, scatter_add(zeros, u, i))` is `scatter_add(total, u, i)`."""
        op = self.made_by(ct)
        if op is not None and not op.regions:
            zeros = [self.is_zero(v) for v in op.operands]
            whole = op.prim.add_to(self.b, total, *op.operands, zeros=zeros, carried=carried, **op.attrs)
            if whole is not None:
                return whole
        return self.b.add(total, ct)

    def is_zero(self, v: Value) -> bool:
        op = self.made_by(v)
        value = op and not op.operands and op.attrs.get("value")
        return isinstance(value, Dense) and not value.array.any()

    def made_by(self, v: Value) -> Op | None:
        for op in self.b.ops[self.known :]:
            self.producer.update(dict.fromkeys(op.results, op))
        self.known = len(self.b.ops)
        return self.producer.get(v)


def cotangents_of(b: Builder, op: Op, cts: Sequence[Value | None]) -> tuple[Value | None, ...]:
    """Cotangents of the operands of a linear op by its transpose rule, checked for number and type."""
    try:
        if op.prim.control:
            outs = op.prim.transpose_regions(b, op, tuple(cts), transpose_ops)
        else:
            operands = tuple(Linear(v.type) if v.linear else v for v in op.operands)
            outs = op.prim.ask("transpose", b, tuple(cts), operands, **op.attrs)
    except Error as error:
        raise error.at(op.loc) from error.__cause__
    outs = outs if isinstance(outs, tuple | list) else (outs,)
    if len(outs) != len(op.operands):
        raise RuleError(f"{op.prim.name}: its transpose rule gave {len(outs)} cotangents for {len(op.operands)} operands", loc=op.loc)
    for v, ct in zip(op.operands, outs, strict=True):
        if ct is None:
            continue
        if not isinstance(ct, Value):
            raise RuleError(f"{op.prim.name}: its transpose rule gave {ct!r}, not a value or None", loc=op.loc)
        if v.linear and ct.type != v.type:
            raise RuleError(f"{op.prim.name}: its transpose rule gave a cotangent {ct.type} for an operand {v.type}", loc=op.loc)
    return tuple(outs)
