"""Bind: named dimensions get their sizes.

    func @f(%x: f32[B, 3]) -> f32[B] {                              func @f(%x: f32[4, 3]) -> f32[4] {
      %y = reduce_sum %x {axes = [1]} : f32[B]      B=4  =>           %y = reduce_sum %x {axes = [1]} : f32[4]
      return %y                                                       return %y
    }                                                               }

A name means one size in its function, so a callee may give the same name another size. Calls to functions with named dimensions
are therefore inlined as they are bound, each with the sizes of its own operands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from rlxc.errors import Error, PassError, ShapeError, UnknownName
from rlxc.ir.attributes import Dense
from rlxc.ir.builder import make_op
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.types import Dim, TensorType, Type
from rlxc.passes.inline import callee_of
from rlxc.passes.manager import module_pass


@module_pass("bind-dims")
def bind_dims(module: Module, *, dims: tuple[str, ...] = ()) -> Module:
    """Give named dimensions their sizes, as in `bind-dims{dims=["B=4"]}`, in every function that has them."""
    sizes = dict(parse_size(text) for text in dims)
    known = {name for f in module.funcs for name in named_dims(f)}
    _check_names(sizes, known)
    return Module(tuple(bind(f, {d: n for d, n in sizes.items() if d in named_dims(f)}) if f.kind == "func" else f for f in module))


def parse_size(text: str) -> tuple[str, int]:
    """`B=4` as a name and a size."""
    name, _, size = text.partition("=")
    if not name.strip().isidentifier() or not size.strip().isdecimal():
        raise PassError(f"'{text}' does not give a dimension its size", code="RLX0403", help="write NAME=SIZE, as in B=4")
    return name.strip(), int(size)


def named_dims(func: Func) -> tuple[str, ...]:
    """Names of dimensions in the arguments and results of `func`, in the order of their first use."""
    values = (*func.args, *(v for op in func.ops for v in op.results))
    return tuple(dict.fromkeys(str(n) for v in values if isinstance(v.type, TensorType) for n in v.type.shape if isinstance(n, Dim)))


def bind(func: Func, dims: Mapping[str, int]) -> Func:
    """`func` with each dimension named in `dims` of that size; others keep their names."""
    _check_names(dims, named_dims(func))
    for name, size in dims.items():
        if isinstance(size, bool) or not hasattr(size, "__index__") or size < 0:
            raise ShapeError(f"@{func.name}: dimension {name} is a whole number, not {size!r}", code="RLX0205", loc=func.loc)
    if not dims:
        return func
    sizes = {name: int(size) for name, size in dims.items()}
    args = tuple(a.like(type=bind_type(a.type, sizes)) for a in func.args)
    frame = _Frame(func, sizes, dict(zip(func.args, args, strict=True)))
    ops = _bind_ops(frame)
    return func.with_(args=args, ops=tuple(ops), results=tuple(frame.env.get(v, v) for v in func.results))


def match_dims(func: Func, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    """Sizes of the named dimensions of `func`, read off the shapes of its arguments; raises ShapeError where one name gets two sizes."""
    sizes: dict[str, int] = {}
    origin: dict[str, Value] = {}
    for arg, shape in zip(func.args, shapes, strict=True):
        for n, size in zip(arg.type.shape, shape, strict=False):
            if not isinstance(n, Dim):
                continue
            if sizes.setdefault(str(n), int(size)) != size:
                first = origin[str(n)]
                raise ShapeError(f"@{func.name}: dimension {n} is {sizes[str(n)]} in %{first.name} and {size} in %{arg.name}", code="RLX0206", loc=func.loc)
            origin.setdefault(str(n), arg)
    return sizes


def bind_type(type: Type, sizes: Mapping[str, int]) -> Type:
    if not isinstance(type, TensorType) or type.is_static:
        return type
    return TensorType(type.dtype, tuple(sizes.get(str(n), n) if isinstance(n, Dim) else n for n in type.shape))


@dataclass
class _Frame:
    """A function being bound: its sizes, and what its values have become. `call` is the op it stands in for."""

    func: Func
    sizes: dict[str, int]
    env: dict[Value, Value]
    call: Op | None = None


def _bind_ops(frame: _Frame) -> list[Op]:
    """The ops of the frame's function, bound; calls are entered with a stack, not by recursion."""
    module = frame.func.as_module()
    out: list[Op] = []
    stack: list[tuple[_Frame, Iterator[Op]]] = [(frame, iter(frame.func.ops))]
    while stack:
        current, ops = stack[-1]
        op = next(ops, None)
        if op is None:
            stack.pop()
            if current.call is not None:
                outer = stack[-1][0].env
                results = (current.env.get(v, v) for v in current.func.results)
                outer.update(zip(current.call.results, results, strict=True))
            continue
        name = callee_of(op)
        if name is None:
            out.append(_bind_op(op, current.sizes, current.env))
            continue
        callee = module[name]
        if any(f.func.name == name for f, _ in stack):
            raise PassError(f"@{name} calls itself", code="RLX0404", loc=callee.loc, help="recursion is not supported")
        operands = [current.env.get(v, v) for v in op.operands]
        sizes = match_dims(callee, [v.type.shape for v in operands])
        inner = _Frame(callee, {k: n for k, n in sizes.items() if not isinstance(n, Dim)}, dict(zip(callee.args, operands, strict=True)), op)
        stack.append((inner, iter(callee.ops)))
    return out


def _bind_op(op: Op, sizes: Mapping[str, int], env: dict[Value, Value]) -> Op:
    operands = tuple(env.get(v, v) for v in op.operands)
    attrs = {k: _bind_attr(v, sizes) for k, v in op.attrs.items()}
    regions = tuple(_bind_region(r, sizes, env) for r in op.regions)
    try:
        new = make_op(op.prim, operands, attrs, regions=regions, names=[v.name for v in op.results], loc=op.loc)
    except Error as error:
        raise error.at(op.loc) from None
    env.update(zip(op.results, (v.like(loc=old.loc) for v, old in zip(new.results, op.results, strict=True)), strict=True))
    return Op(new.prim, new.operands, new.attrs, tuple(env[v] for v in op.results), new.regions, new.loc)


def _bind_region(region: Func, sizes: Mapping[str, int], env: dict[Value, Value]) -> Func:
    """Regions nest only as deep as loops do, so recursion is safe here."""
    args = tuple(a.like(type=bind_type(a.type, sizes)) for a in region.args)
    env.update(zip(region.args, args, strict=True))
    ops = tuple(_bind_op(op, sizes, env) for op in region.ops)
    return region.with_(args=args, ops=ops, results=tuple(env.get(v, v) for v in region.results))


def _bind_attr(value: Any, sizes: Mapping[str, int]) -> Any:
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


def _check_names(given: Mapping[str, int], known: Any) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            has = f"there is {', '.join(known)}" if known else "there are none"
            raise UnknownName(f"there is no dimension named {name}", code="RLX0105", help=f"did you mean {near[0]}?" if near else has)
