"""Function: something that is computed and recorded as one node, whatever its operands turn out to be.

multiply = primitive_function(lookup("mul"))
y = multiply(x, 2.0)            # finds the rule for the kinds of x and of a Python float, or makes it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rlxc.eager.kinds import SCALARS, Kind, Scalar
from rlxc.eager.modes import RECORDING
from rlxc.eager.rule import COMPILING, Rule
from rlxc.errors import ArgumentError, Error, Loc
from rlxc.ir.attributes import attrs_key
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Value
from rlxc.ir.primitive import Primitive, lookup
from rlxc.passes.inline import inline_calls
from rlxc.tracing.location import user_location

#: Makes a Func for operands of these kinds, at a place in the user's program.
Maker = Callable[[Sequence[Kind | Scalar], Loc], Func]

MAX_RULES = 1024  # of a function that are kept: those made last


class Function:
    """What can be recorded, and the rules that there are for it."""

    __slots__ = ("_make", "name", "rules")

    def __init__(self, name: str, make: Maker) -> None:
        self.name = name
        self._make = make
        self.rules: dict[tuple[Kind | Scalar, ...], Rule] = {}

    def __call__(self, *operands: Any) -> Any:
        """Operands are variables, Python numbers, or what the class of a variable among them takes for a constant."""
        cls = next((type(x) for x in operands if hasattr(x, "_edge")), None)
        if cls is None:
            raise ArgumentError(f"{self.name} is given no variable to compute with", code="RLX0501", help="make one: eager.tensor(array)")
        return self.on(cls, operands)

    def on(self, cls: Any, operands: Sequence[Any]) -> Any:
        """The results, of class `cls`."""
        return self.of_kinds(cls, operands)[0]

    def of_kinds(self, cls: Any, operands: Sequence[Any]) -> tuple[Any, tuple[Kind | Scalar, ...]]:
        """The results, and the kinds of operands that they were computed for."""
        xs: list[Any] = []
        kinds: list[Kind | Scalar] = []
        made: list[int] = []
        for x in operands:
            scalar = SCALARS.get(type(x)) if cls.promotes_numbers else None
            if scalar is None and not isinstance(x, cls):
                made.append(len(xs))
                x = cls.constant(x)
            xs.append(x)
            kinds.append(x._kind if scalar is None else scalar)
        if RECORDING.is_off:
            kinds = [kind.inactive for kind in kinds]
        rule = self.rule(kinds, cls)
        for i in made:
            if i in rule.keeps:
                xs[i] = xs[i].kept()
        return rule.record(*xs), rule.kinds

    def rule(self, kinds: Sequence[Kind | Scalar], cls: type) -> Rule:
        """The rule for operands of these kinds; made, and its forward part compiled, when it is first asked for."""
        key = tuple(kinds)
        rule = self.rules.get(key)
        if rule is None:
            with COMPILING:
                rule = self.rules.get(key) or self.rules.setdefault(key, self._new_rule(key, cls))
                while len(self.rules) > MAX_RULES:
                    del self.rules[next(iter(self.rules))]
        return rule

    def _new_rule(self, kinds: tuple[Kind | Scalar, ...], cls: type) -> Rule:
        loc = user_location()
        try:
            func = self._make(kinds, loc)
            return Rule(func, kinds, cls, self._unrecorded(kinds, cls), loc, fixed)
        except Error as error:
            raise error.at(loc) from None

    def record(self, kinds: Sequence[Kind | Scalar], cls: type, keep: Callable[[Callable[..., Any]], None]) -> Callable[..., Any]:
        """What computes on operands of these kinds and records it, which `keep` is given for the next time. Nothing is planned before it is recorded."""
        if not RECORDING.is_off:
            record = self.rule(kinds, cls).record
            keep(record)
            return record
        plain = self._unrecorded(kinds, cls)

        def first(*xs: Any) -> Any:
            return plain(*xs) if RECORDING.is_off else self.record(kinds, cls, keep)(*xs)

        keep(first)
        return first

    def _unrecorded(self, kinds: Sequence[Kind | Scalar], cls: type) -> Callable[..., Any]:
        """The same operation on the same operands where nothing is recorded."""
        made: list[Callable[..., Any]] = []

        def run(*xs: Any) -> Any:
            if not made:
                made.append(self.rule([kind.inactive for kind in kinds], cls).record)
            return made[0](*xs)

        return run


_FUNCTIONS: dict[Any, Function] = {}


def primitive_function(prim: Primitive, attrs: dict[str, Any] | None = None) -> Function:
    """A primitive with attributes; a Python number among its operands gets the dtype of the last one that has one."""
    key = (prim, attrs_key(attrs or {}))
    found = _FUNCTIONS.get(key)
    if found is not None:
        return found

    def make(kinds: Sequence[Kind | Scalar], loc: Loc) -> Func:
        like = [k.type for k in kinds if isinstance(k, Kind)][-1]
        args = tuple(Value(k.type if isinstance(k, Kind) else like.with_shape(()), loc=loc) for k in kinds)
        b = Builder()
        b.loc = loc
        op = b.emit(prim, args, dict(attrs or {}))
        return Func(prim.name, args, tuple(b.ops), op.results, loc=loc)

    return _FUNCTIONS.setdefault(key, Function(prim.name, make))


def apply(primitive: str | Primitive, *operands: Any, **attrs: Any) -> Any:
    """The result of a primitive on variables (a tuple of several), recorded if one of them requires a gradient."""
    prim = lookup(primitive) if isinstance(primitive, str) else primitive
    return primitive_function(prim, attrs)(*operands)


def fixed(func: Func) -> Function:
    """A function whose types are all known."""
    whole = inline_calls(func)
    return Function(func.name, lambda kinds, loc: whole)
