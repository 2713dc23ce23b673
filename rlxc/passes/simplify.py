"""Simplify: constants computed, identities applied, in one sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlxc.errors import Error, RuleError
from rlxc.ir.attributes import Dense
from rlxc.ir.builder import Builder, make_op
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.liveness import live_ops
from rlxc.ir.primitive import Primitive
from rlxc.passes.bodies import with_bodies
from rlxc.passes.expand import keep_names
from rlxc.passes.fold import dense_of, evaluate
from rlxc.passes.manager import func_pass

MAX_DEPTH = 16  # of ops that fold rules emit, which are simplified in their turn


@func_pass("simplify")
def simplify(func: Func) -> Func:
    """Ask each op's fold rule for something simpler; compute ops whose operands are constants; drop what is dead by then.

    %0 = constant dense<2.0> : f32[3]
    %1 = mul %0, %0 : f32[3]                   %1 = constant dense<4.0> : f32[3]
    %y = mul %x, %1 : f32[3]              =>   %y = mul %x, %1 : f32[3]

    The results stay what they were, for nan, infinities and signed zeros too.
    """
    with np.errstate(all="ignore"):
        return _simplify(func)


def _simplify(func: Func) -> Func:
    b = Simplifier()
    env: dict[Value, Value] = {}
    for op in func.ops:
        b.visit(op, env)
    results = tuple(env.get(v, v) for v in func.results)
    ops = tuple(live_ops(b.ops, results))
    if results == func.results and len(ops) == len(func.ops) and all(x is y for x, y in zip(ops, func.ops, strict=True)):
        return func
    return func.with_(ops=ops, results=results)


class Simplifier(Builder):
    """A builder that knows what its values are made of, and simplifies every op before it is appended.

    A fold rule gets it as `b`: `b.constant_of(x)` and `b.splat_of(x)` tell constants, `b.producer(x)` the op that x comes from.
    """

    def __init__(self) -> None:
        super().__init__()
        self.producers: dict[Value, Op] = {}
        self.depth = 0

    def producer(self, x: Value) -> Op | None:
        """The op that computes `x`; None for an argument."""
        return self.producers.get(x)

    def constant_of(self, x: Value) -> Dense | None:
        """The constant that `x` is known to be; `.numpy()` is its array."""
        op = self.producers.get(x)
        return dense_of(op) if op is not None else None

    def splat_of(self, x: Value) -> Any:
        """The number that every element of `x` is known to be, or None."""
        dense = self.constant_of(x)
        if dense is None or not dense.array.size:
            return None
        if dense.array.size == 1:
            return dense.array.reshape(())[()]
        return None

    def is_splat(self, x: Value, number: complex) -> bool:
        """Whether every element of `x` is known to be `number`; 0.0 and -0.0 are told apart."""
        found = self.splat_of(x)
        return found is not None and found == number and _signs(found) == _signs(number)

    def insert(self, op: Op) -> None:
        self.ops.append(op)
        for v in op.results:
            self.producers[v] = op

    def apply(self, prim: Primitive, *operands: Any, **attrs: Any) -> Any:
        try:
            op = make_op(prim, self.as_values(operands), attrs, loc=self.loc)
        except Error as error:
            raise error.at(self.loc) from None
        results = self.simpler(op)
        if results is None:
            self.insert(op)
            results = op.results
        return results[0] if len(results) == 1 else tuple(results)

    def visit(self, op: Op, env: dict[Value, Value]) -> None:
        """Append `op`, its operands looked up in `env`, or what is simpler; its results are bound in `env`."""
        operands = tuple(env.get(v, v) for v in op.operands)
        if op.regions and not op.prim.control:
            super().rebuild(op, env)
            return
        self.loc = op.loc
        renewed = op if operands == op.operands else op.with_operands(operands)
        start = len(self.ops)
        if op.prim.control:
            renewed, results = self.simpler_control(renewed)
        else:
            results = self.simpler(renewed)
        if results is None:
            self.insert(renewed)
            return
        keep_names(op, results, self.ops[start:])
        env.update(zip(op.results, results, strict=True))

    def rebuild(self, op: Op, env: dict[Value, Value]) -> None:
        """Emit `op` of a body that is put in place of a loop or a branch once more, or what is simpler now that its operands are known."""
        loc, scratch = self.loc, Builder()
        scratch.rebuild(op, env)
        (copy,) = scratch.ops
        self.visit(copy, env)
        self.loc = loc
        for old, new in zip(op.results, copy.results, strict=True):
            env[old] = env.pop(new, new)

    def simpler(self, op: Op) -> Sequence[Value] | None:
        """Values to use for the results of `op`, or None if it is as simple as can be."""
        if self.depth >= MAX_DEPTH or op.prim.has_effect or not op.operands or not op.results:
            return None
        self.depth += 1
        start = len(self.ops)
        try:
            results = self._computed(op) or self._folded(op)
        finally:
            self.depth -= 1
        if results is None:
            del self.ops[start:]
        return results

    def with_regions(self, prim: Primitive, operands: Sequence[Value], attrs: dict[str, Any], regions: tuple[Func, ...]) -> tuple[Value, ...]:
        op, results = self.simpler_control(make_op(prim, operands, attrs, regions=regions, loc=self.loc))
        if results is None:
            self.insert(op)
        return op.results if results is None else tuple(results)

    def simpler_control(self, op: Op) -> tuple[Op, Sequence[Value] | None]:
        """Control flow with simpler bodies; and values to use for its results, if it is not needed as it is."""
        loc = self.loc
        results = self._folded_control(op)
        if results is None:
            simpler = with_bodies(op, _simplify)
            self.loc = loc
            if simpler is not op:
                op = simpler
                results = self._folded_control(op)
        return op, results

    def _folded_control(self, op: Op) -> Sequence[Value] | None:
        """What the op's fold rule gives: it sees constants among the operands, and bodies as they are now."""
        if self.depth >= MAX_DEPTH:
            return None
        self.depth += 1
        try:
            return self._accepted(op, op.prim.fold_regions(self, op.operands, op.regions, **op.attrs))
        except Error as error:
            raise error.at(op.loc) from None
        finally:
            self.depth -= 1

    def _computed(self, op: Op) -> Sequence[Value] | None:
        operands = []
        for x in op.operands:
            dense = self.constant_of(x)
            if dense is None:
                return None
            operands.append(dense)
        if not op.prim.has_rule("eval"):
            return None
        constants = evaluate(op, operands)
        return None if constants is None else [self.constant(c) for c in constants]

    def _folded(self, op: Op) -> Sequence[Value] | None:
        try:
            simpler = op.prim.ask("fold", self, *op.operands, **op.attrs)
        except Error as error:
            raise error.at(op.loc) from error.__cause__
        return self._accepted(op, simpler)

    def _accepted(self, op: Op, simpler: Any) -> Sequence[Value] | None:
        """What a fold rule gave, checked."""
        if simpler is None:
            return None
        results = simpler if isinstance(simpler, tuple) else (simpler,)
        if [getattr(v, "type", v) for v in results] != [v.type for v in op.results]:
            want, got = (", ".join(str(getattr(v, "type", v)) for v in vs) for vs in (op.results, results))
            raise RuleError(f"{op.prim.name}: its fold rule gave {got}, not {want}", loc=op.loc)
        if any(old.linear and not new.linear for old, new in zip(op.results, results, strict=True)):
            return None  # the signature of a linear function says which results are linear
        return results


def _signs(number: Any) -> tuple[bool, bool]:
    """Which of a number's parts are -0.0."""
    return tuple(part == 0 and math.copysign(1, part) < 0 for part in (complex(number).real, complex(number).imag))  # type: ignore[return-value]
