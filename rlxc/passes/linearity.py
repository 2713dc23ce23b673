"""Is a function that has linear arguments linear in them? A fixpoint over constant / zero / linear.

An op with linear operands is fine if some set of `linear_in` holds them all, and the other members of that set are zero:

    mul(linear, constant)    linear           mul(linear, linear)     refused: a product of two linear values
    add(linear, zero)        linear           add(linear, constant)   refused: affine
    sin(linear)              refused: not linear in that operand
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum

from rlxc.errors import Diagnostic, Label, LinearityError
from rlxc.ir.attributes import Dense
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.passes.manager import module_pass


class State(Enum):
    """What a value is with respect to the linear arguments."""

    CONSTANT = "constant"
    ZERO = "zero"
    LINEAR = "linear"


@module_pass("verify-linearity")
def verify_linearity(module: Module) -> Module:
    """Reject functions with linear arguments that are not linear in them; changes nothing."""
    for func in module.funcs:
        if func.is_linear:
            check_linear(func)
    return module


def check_linear(func: Func, zeros: Collection[Value] = ()) -> None:
    """Raise LinearityError, with one diagnostic for each op at fault, unless `func` is linear in its `lin` arguments, the `zeros` being zero."""
    states = {a: State.LINEAR if a.linear else State.ZERO if a in zeros else State.CONSTANT for a in func.args}
    wrong = [
        Diagnostic("RLX0301", f"%{a.name} is {a.type}: only floats can be linear", a.loc) for a in func.args if a.linear and not a.type.dtype.differentiable
    ]
    wrong += follow(func.ops, states, f"@{func.name} must be linear in its `lin` arguments")
    for v in func.results:
        if states.get(v) is State.CONSTANT:
            wrong.append(Diagnostic("RLX0301", f"@{func.name} returns %{v.name or '?'}, which does not depend linearly on its `lin` arguments", v.loc))
    if wrong:
        raise LinearityError(diagnostics=wrong)


def follow(ops: Sequence[Op], states: dict[Value, State], help: str) -> list[Diagnostic]:
    """What is wrong with `ops`, one diagnostic for each at fault; the states of their results are added to `states`."""
    wrong: list[Diagnostic] = []
    for op in ops:
        operands = [states.get(v, State.CONSTANT) for v in op.operands]
        if op.prim.control:
            found, reason = op.prim.linear_states(op, operands, _Region(help, wrong))
        else:
            state, reason = _transfer(op, operands)
            found = [state] * len(op.results)
        if reason:
            linear = dict.fromkeys(v for v in op.operands if states.get(v) is State.LINEAR and v.loc.line)
            labels = tuple(Label(v.loc, f"%{v.name} is linear" if v.name else "this is linear") for v in linear)
            wrong.append(Diagnostic("RLX0301", f"{op.prim.name} is not linear here: {reason}", op.loc, labels, help))
        states.update(zip(op.results, found, strict=True))
    return wrong


class _Region:
    """What the rule `linear_states` of control flow is given: the states of a region's results from those of its arguments."""

    CONSTANT, ZERO, LINEAR = State.CONSTANT, State.ZERO, State.LINEAR

    def __init__(self, help: str, wrong: list[Diagnostic]) -> None:
        self.help = help
        self.wrong = wrong

    def __call__(self, region: Func, arguments: Sequence[State]) -> list[State]:
        """States of the region's results; what is wrong in it is told once."""
        states = dict(zip(region.args, arguments, strict=True))
        told = {(d.loc, d.message) for d in self.wrong}
        self.wrong += [d for d in follow(region.ops, states, self.help) if (d.loc, d.message) not in told]
        return [states.get(v, State.CONSTANT) for v in region.results]

    @staticmethod
    def join(a: State, b: State) -> State | None:
        """What is either: zero is both constant and linear. None: a constant and a linear value have nothing in common."""
        if a is b or b is State.ZERO:
            return a
        return b if a is State.ZERO else None


def _transfer(op: Op, operands: list[State]) -> tuple[State, str | None]:
    """State of the op's results, and what is wrong with it, if anything."""
    groups = op.prim.linear_groups([v.type for v in op.operands], **op.attrs)
    linear = {i for i, s in enumerate(operands) if s is State.LINEAR}
    zero = {i for i, s in enumerate(operands) if s is State.ZERO}
    if not linear:
        is_zero = _is_zero(op) or any(group and group <= zero for group in groups)
        return (State.ZERO if is_zero else State.CONSTANT), None
    for group in groups:
        if linear <= group <= linear | zero:
            return State.LINEAR, None
    return State.LINEAR, _reason(groups, linear)


def _reason(groups: tuple[frozenset[int], ...], linear: set[int]) -> str:
    if any(linear <= group for group in groups):
        return "it is affine, a constant is mixed into a linear value"
    if len(linear) > 1 and all(any(i in group for group in groups) for i in linear):
        return "it is a product of two linear values"
    return "it is not linear in that operand"


def _is_zero(op: Op) -> bool:
    value = op.attrs.get("value")
    return not op.operands and isinstance(value, Dense) and not value.array.any()
