"""What ops that wrap a function share: they compute what its body does, and disappear before native code is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.errors import AttrError, RuleError
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.interp import run_region
from rlxc.primitives.control.base import Control, splice


class Wrapper(Control):
    """Its first region, as if it stood there; operands are the arguments."""

    wraps = True

    def infer_regions(self, types: Any, regions: tuple[Func, ...], attrs: dict) -> tuple:
        self.require_regions(regions)
        self.require_arguments(regions[0], types, self.region_names[0])
        return tuple(v.type for v in regions[0].results)

    def eval_regions(self, env: dict, op: Op) -> tuple:
        return tuple(run_region(op.regions[0], [env[v] for v in op.operands], env))

    def unwrap(self, b: Any, op: Op, operands: Sequence[Value]) -> Sequence[Value]:
        """Emit what the op computes without it."""
        return splice(b, op.regions[0], operands)

    def argument_flags(self, op: Op, flags: Any, outcome: Any) -> list[list[bool]]:
        return [list(flags), *([False] * len(r.args) for r in op.regions[1:])]

    def active_regions(self, op: Op, flags: Any, active: Any) -> list[bool]:
        return active(op.regions[0], flags)

    def not_linear(self, op: Op, states: Any, follow: Any) -> Any:
        """States of the results of a function that has a rule of its own."""
        if follow.LINEAR in states:
            return [follow.LINEAR] * len(op.results), "a function with a rule of its own is not linear by that"
        return [follow.CONSTANT] * len(op.results), None

    def linear_after(self, residuals: int, op: Op, states: Any, follow: Any) -> Any:
        """States of the results of what is linear in all operands but the first so many."""
        if follow.LINEAR in states[:residuals]:
            return [follow.LINEAR] * len(op.results), "a residual is no constant"
        zero = all(s is follow.ZERO for s in states[residuals:])
        if follow.CONSTANT in states[residuals:]:
            mixed = follow.LINEAR in states
            return [follow.LINEAR if mixed else follow.CONSTANT] * len(op.results), "a constant is mixed into linear values" if mixed else None
        return [follow.ZERO if zero else follow.LINEAR] * len(op.results), None

    def require_rule(self, rule: Func, what: str, takes: Sequence[Any], gives: Sequence[Any], said: str) -> None:
        """Raise RuleError unless a rule takes and gives values of these types."""
        types = [a.type for a in rule.args]
        if types != list(takes):
            raise RuleError(f"{self.name}: its {what} takes ({_text(types)}), not ({_text(takes)})", loc=rule.loc)
        types = [v.type for v in rule.results]
        if len(types) < len(gives):
            raise RuleError(f"{self.name}: its {what} yields {len(types)} values, not {len(gives)}: {said}", loc=rule.loc)
        for v, t in zip(rule.results, gives, strict=False):
            if v.type != t:
                raise RuleError(f"{self.name}: its {what} yields {v.type} where {t} is asked for: {said}", loc=v.loc if v.loc.line else rule.loc)


class Ruled(Wrapper):
    """A function with a rule. Its first `consts` operands are what it takes from outside, of which the rule does not speak."""

    def infer_regions(self, types: Any, regions: tuple[Func, ...], attrs: dict) -> tuple:
        if not 0 <= attrs["consts"] <= len(types):
            raise AttrError(f"{self.name}: consts = {attrs['consts']} of {len(types)} operands")
        return super().infer_regions(types, regions, attrs)

    def consts_alone(self, op: Op, flags: Sequence[bool]) -> list[bool]:
        return [flag and i < op.attrs["consts"] for i, flag in enumerate(flags)]

    def by_consts(self, d: Any, op: Op, tangents: Sequence[Value | None]) -> list[Value | None]:
        """Tangents of the results by what is taken from outside: those of the function as it is written."""
        flags = self.consts_alone(op, [t is not None for t in tangents])
        if not any(flags):
            return [None] * len(op.results)
        function = op.regions[0]
        halves = d.linearize(function, flags)
        env = dict(zip(function.args, op.operands, strict=True))
        env.update(zip(halves.tangents_in, [t for t, flag in zip(tangents, flags, strict=True) if t is not None and flag], strict=True))
        for inner in (*halves.primal_ops, *halves.linear_ops):
            d.b.rebuild(inner, env)
        return [None if t is None else env[t] for t in halves.tangents_out]


def floats(values: Sequence[Any], consts: int = 0) -> list[int]:
    """Places of the values (or of what else has a type) that have tangents, the first `consts` of them left out."""
    return [i for i, v in enumerate(values) if i >= consts and v.type.dtype.differentiable]


def _text(types: Sequence[Any]) -> str:
    return ", ".join(map(str, types))
