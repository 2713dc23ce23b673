"""Builder: the one way to make ops. It infers result types and linearity, and gives every op the location it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, repeat
from numbers import Number
from typing import Any

import numpy as np

from rlxc.errors import UNKNOWN, Error, Loc, RuleError
from rlxc.ir.attributes import Dense
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.primitive import REGISTRY, Primitive
from rlxc.ir.types import TensorType, Type, VectorType

_NUMBERS = (int, float, Dense, np.bool_, np.ndarray, Number)


class Builder:
    """Appends ops to a list. `b.mul(x, y)` applies the primitive `mul`; `b.and_` is `and`.

    A Python number among the operands becomes a constant of the type of the last operand that is a value.
    """

    level = "tensor"

    def __init__(self, level: str | None = None) -> None:
        self.ops: list[Op] = []
        self.loc: Loc = UNKNOWN
        if level is not None:
            self.level = level

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        prim = REGISTRY.levels[self.level].get(name) or REGISTRY.lookup(name.rstrip("_"), self.level)
        return partial(self.apply, prim)

    def apply(self, prim: Primitive, *operands: Any, **attrs: Any) -> Any:
        """The result of an op (a tuple if it has several, or none)."""
        results = self.emit(prim, self.as_values(operands), attrs).results
        return results[0] if len(results) == 1 else results

    def emit(
        self,
        prim: Primitive,
        operands: Sequence[Value],
        attrs: dict[str, Any],
        *,
        regions: tuple[Func, ...] = (),
        names: Sequence[str | None] = (),
        loc: Loc | None = None,
    ) -> Op:
        """Make an op and append it; wrong operands raise an Error at the op's location."""
        loc = self.loc if loc is None else loc
        try:
            op = make_op(prim, operands, attrs, regions=regions, names=names, loc=loc)
        except Error as error:
            raise error.at(loc) from None
        self.insert(op)
        return op

    def with_regions(self, prim: Primitive, operands: Sequence[Value], attrs: dict[str, Any], regions: tuple[Func, ...]) -> tuple[Value, ...]:
        """The results of an op that has regions."""
        return self.emit(prim, operands, attrs, regions=regions).results

    def insert(self, op: Op) -> None:
        self.ops.append(op)

    def as_values(self, operands: Sequence[Any]) -> list[Value]:
        """Operands with Python numbers turned into constants like the last operand that is a value."""
        for x in operands:
            if not isinstance(x, Value):
                break
        else:
            return list(operands)
        like = next((x for x in reversed(operands) if isinstance(x, Value)), None)
        if like is None:
            raise RuleError(f"an op needs at least one value, not only {operands}")
        return [x if isinstance(x, Value) else self.constant(x, like=like) for x in operands]

    def constant(self, number: Any, *, like: Value | None = None, type: Type | None = None, dtype: str | None = None) -> Value:
        """A constant: a number repeated to the type of `like` (perhaps with another dtype), or an array."""
        if not isinstance(number, _NUMBERS):
            raise RuleError(f"an operand is a value or a number, not {number!r}")
        if type is None and like is not None:
            type = like.type
        if dtype is not None:
            assert isinstance(type, TensorType | VectorType)
            type = type.with_dtype(dtype)
        tensor = TensorType(type.dtype) if isinstance(type, VectorType) else type
        dense = number if isinstance(number, Dense) else Dense(number, tensor)  # type: ignore[arg-type]
        return self.apply(REGISTRY.lookup("constant", self.level), value=dense, type=type or dense.type)

    def zeros(self, type: TensorType) -> Value:
        return self.constant(False if type.dtype.is_bool else 0, type=type)

    def rebuild(self, op: Op, env: dict[Value, Value]) -> None:
        """Emit `op` again with operands (and captured values) looked up in `env`, and bind its results there."""
        operands = tuple([env.get(v, v) for v in op.operands])
        regions = tuple([remap_region(r, env) for r in op.regions])
        linear = any([x.linear for x in operands]) and not op.prim.control
        results = tuple([Value(v.type, v.name, linear=linear or v.linear, param=v.param, loc=v.loc) for v in op.results])
        env.update(zip(op.results, results, strict=True))
        self.insert(Op(op.prim, operands, op.attrs, results, regions, op.loc))

    def insert_with(self, op: Op, env: dict[Value, Value]) -> None:
        """Append `op`, reading what `env` has in place of its operands (and captured values); its results stay the values they are."""
        captures = not op.prim.control
        if not env.keys().isdisjoint(op.operands) or (captures and any(_mentions(r, env) for r in op.regions)):
            operands = tuple([env.get(v, v) for v in op.operands])
            regions = tuple([remap_region(r, env) if captures and _mentions(r, env) else r for r in op.regions])
            op = Op(op.prim, operands, op.attrs, op.results, regions, op.loc)
        self.insert(op)


def make_op(
    prim: Primitive,
    operands: Sequence[Value],
    attrs: dict[str, Any],
    *,
    regions: tuple[Func, ...] = (),
    names: Sequence[str | None] = (),
    loc: Loc = UNKNOWN,
) -> Op:
    """An op with completed attributes and inferred results; raises Error where it does not fit."""
    signature = prim.signature
    signature.check_count(prim.name, len(operands))
    attrs = signature.complete(prim.name, attrs)
    types = [v.type for v in operands]
    if regions:
        result_types = prim.infer_regions(types, regions, attrs)  # type: ignore[attr-defined]
    else:
        result_types = prim.infer_types(types, attrs)
    if prim.control:
        results = [Value(t, None, linear=lin, loc=loc) for t, lin in zip(result_types, _linear_yields(regions, len(result_types)), strict=True)]
        for v, name in zip(results, names, strict=False):
            v.name = name
        return Op(prim, tuple(operands), attrs, tuple(results), tuple(regions), loc)
    linear = prim.level == "tensor" and _is_linear(operands, regions)
    if not names:
        results = [Value(t, None, linear=linear, loc=loc) for t in result_types]
    else:
        results = [Value(t, n, linear=linear, loc=loc) for t, n in zip(result_types, chain(names, repeat(None)), strict=False)]
    return Op(prim, tuple(operands), attrs, tuple(results), tuple(regions), loc)


def _is_linear(operands: Sequence[Value], regions: Sequence[Func]) -> bool:
    for v in operands:
        if v.linear:
            return True
    return bool(regions) and any(v.linear for region in regions for op in region.walk() for v in op.operands)


def _linear_yields(regions: Sequence[Func], results: int) -> list[bool]:
    """Which results of control flow are linear: those that a region yields as such."""
    yields = [r.results for r in regions if len(r.results) == results]
    return [any(values[i].linear for values in yields) for i in range(results)]


def _mentions(region: Func, env: dict[Value, Value]) -> bool:
    """Whether the region reads or gives a value of `env`."""
    if not env.keys().isdisjoint(region.results):
        return True
    return any(not env.keys().isdisjoint(op.operands) or any(_mentions(r, env) for r in op.regions) for op in region.ops)


def remap_region(region: Func, env: dict[Value, Value]) -> Func:
    """A copy of `region` in which values of `env` are replaced."""
    args = tuple(a.like() for a in region.args)
    env.update(zip(region.args, args, strict=True))
    inner = Builder("loop")
    for op in region.ops:
        inner.rebuild(op, env)
    return region.with_(args=args, ops=tuple(inner.ops), results=tuple(env.get(v, v) for v in region.results))
