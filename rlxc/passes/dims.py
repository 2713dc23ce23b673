"""Named dimensions: which there are, what sizes operands give them, and a function with other sizes in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlxc.errors import Error, ShapeError
from rlxc.ir.attributes import Dense
from rlxc.ir.builder import make_op
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.types import Dim, TensorType, Type

Size = int | Dim


def named_dims(func: Func) -> tuple[str, ...]:
    """Names of dimensions in the arguments and results of `func`, in the order of their first use."""
    values = (*func.args, *(v for op in func.walk() for v in op.results))
    return tuple(dict.fromkeys(str(n) for v in values if isinstance(v.type, TensorType) for n in v.type.shape if isinstance(n, Dim)))


def require_bound(func: Func) -> None:
    """Raise ShapeError, at the place of the value, unless every dimension of `func` has its size."""
    for v in (*func.args, *(v for op in func.walk() for v in op.results)):
        if isinstance(v.type, TensorType) and not v.type.is_static:
            try:
                v.type.require_static()
            except ShapeError as error:
                raise error.at(v.loc) from None


def match_dims(func: Func, shapes: Sequence[Sequence[Size]]) -> dict[str, Any]:
    """Sizes of the named dimensions of `func`, read off the shapes of its arguments; raises ShapeError where one name gets two sizes."""
    sizes: dict[str, Any] = {}
    origin: dict[str, Value] = {}
    for arg, shape in zip(func.args, shapes, strict=True):
        for n, size in zip(arg.type.shape, shape, strict=False):
            if not isinstance(n, Dim):
                continue
            if sizes.setdefault(str(n), size) != size:
                first = origin[str(n)]
                raise ShapeError(f"@{func.name}: dimension {n} is {sizes[str(n)]} in %{first.name} and {size} in %{arg.name}", code="RLX0206", loc=func.loc)
            origin.setdefault(str(n), arg)
    return sizes


def substitute(func: Func, sizes: Mapping[str, Size]) -> Func:
    """`func` with the named dimensions of `sizes` replaced, in types, attributes and constants; result types are inferred anew."""
    args = tuple(a.like(type=bind_type(a.type, sizes)) for a in func.args)
    env: dict[Value, Value] = dict(zip(func.args, args, strict=True))
    ops = tuple(_bind_op(op, sizes, env) for op in func.ops)
    return func.with_(args=args, ops=ops, results=tuple(env.get(v, v) for v in func.results))


def bind_type(type: Type, sizes: Mapping[str, Size]) -> Type:
    if not isinstance(type, TensorType) or type.is_static:
        return type
    return TensorType(type.dtype, tuple(sizes.get(str(n), n) if isinstance(n, Dim) else n for n in type.shape))


def _bind_op(op: Op, sizes: Mapping[str, Size], env: dict[Value, Value]) -> Op:
    operands = tuple(env.get(v, v) for v in op.operands)
    attrs = {k: _bind_attr(v, sizes) for k, v in op.attrs.items()}
    regions = tuple(_bind_region(r, sizes, env) for r in op.regions)
    try:
        new = make_op(op.prim, operands, attrs, regions=regions, names=[v.name for v in op.results], loc=op.loc)
    except Error as error:
        raise error.at(op.loc) from None
    env.update(zip(op.results, (v.like(loc=old.loc) for v, old in zip(new.results, op.results, strict=True)), strict=True))
    return Op(new.prim, new.operands, new.attrs, tuple(env[v] for v in op.results), new.regions, new.loc)


def _bind_region(region: Func, sizes: Mapping[str, Size], env: dict[Value, Value]) -> Func:
    """Regions nest only as deep as loops do, so recursion is safe here."""
    args = tuple(a.like(type=bind_type(a.type, sizes)) for a in region.args)
    env.update(zip(region.args, args, strict=True))
    ops = tuple(_bind_op(op, sizes, env) for op in region.ops)
    return region.with_(args=args, ops=ops, results=tuple(env.get(v, v) for v in region.results))


def _bind_attr(value: Any, sizes: Mapping[str, Size]) -> Any:
    match value:
        case Dim():
            return sizes.get(str(value), value)
        case TensorType():
            return bind_type(value, sizes)
        case tuple():
            return tuple(_bind_attr(v, sizes) for v in value)
        case Dense() if not value.type.is_static:
            bound = bind_type(value.type, sizes)
            assert isinstance(bound, TensorType)
            return Dense(value.array, bound)
    return value
