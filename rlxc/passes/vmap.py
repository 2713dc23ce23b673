"""Vmap: a function of one example into the function of many, by the `batch` rules.

    func @f(%x: f32[3], %w: f32[3]) -> f32[] {        func @f.vmap(%x: f32[N, 3], %w: f32[3]) -> f32[N] {
      %0 = mul %x, %w : f32[3]                          %0 = broadcast %w {shape = [N, 3], axes = [0]} : f32[N, 3]
      %1 = reduce_sum %0 {axes = [0]} : f32[]     =>    %1 = mul %x, %0 : f32[N, 3]
      return %1                                         %2 = reduce_sum %1 {axes = [1]} : f32[N]
    }                                                   return %2
                                                      }                                                in_axes = (0, None)

An op none of whose operands has the new axis stays as it is, so what does not depend on the example is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.errors import Error, MissingRule, PassError, RuleError, ShapeError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Module, Op, Value
from rlxc.ir.liveness import depends, live_ops
from rlxc.ir.names import OwnNames
from rlxc.ir.types import Dim
from rlxc.passes.dims import named_dims
from rlxc.passes.gradient import prepare, replace_funcs
from rlxc.passes.manager import module_pass

Axes = int | None | Sequence[int | None]


def vmap(func: Func, in_axes: Axes = 0, out_axes: Axes = 0, *, axis_size: int | str | None = None) -> Func:
    """`func` on many examples at once: arguments and results have one more axis, where `in_axes` and `out_axes` say.

    Both are one entry, or one for each argument (result): the place of the new axis, or None for what has none. `axis_size` is the number of
    examples, or a name for it; without, a named dimension (`N`, unless there is one). Raises ShapeError where an axis does not exist, or a
    result that depends on the example is said to have none.
    """
    func = prepare(func)
    size = _size(func, axis_size)
    ins = _axes(func, in_axes, [a.type.rank + 1 for a in func.args], "in_axes", "argument")
    outs = _axes(func, out_axes, [v.type.rank + 1 for v in func.results], "out_axes", "result")
    if func.args and all(axis is None for axis in ins):
        raise PassError(f"vmap of @{func.name}: no argument has the new axis", code="RLX0403", loc=func.loc, help="in_axes names one at least")
    b = Batching(size)
    args = []
    for a, axis in zip(func.args, ins, strict=True):
        if axis is None:
            arg = a.like()
            b.env[a] = arg
        else:
            shape = a.type.shape
            arg = a.like(type=a.type.with_shape((*shape[:axis], size, *shape[axis:])))
            b.bind(a, _move(b, arg, axis, 0))
        args.append(arg)
    b.ops_of(func.ops)
    results = tuple(_result(b, func, i, v, axis) for i, (v, axis) in enumerate(zip(func.results, outs, strict=True)))
    return func.with_(name=f"{func.name}.vmap", args=tuple(args), ops=tuple(live_ops(b.ops, results)), results=results, module=None)


class Batching(Builder):
    """A builder that emits ops again with a leading axis of `size` on whatever depends on a batched value."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = size
        self.env: dict[Value, Value] = {}
        self.batched: set[Value] = set()  # values of the old function: one of the new may stand for two of them, batched and not

    def bind(self, old: Value, new: Value, batched: bool = True) -> None:
        self.env[old] = new
        if batched:
            self.batched.add(old)

    def ops_of(self, ops: Sequence[Op]) -> None:
        for op in ops:
            self.op(op)

    def op(self, op: Op) -> None:
        """Emit `op` by its batch rule, or as it is where no operand is batched."""
        operands = tuple([self.env.get(v, v) for v in op.operands])
        flags = tuple([v in self.batched for v in op.operands])
        if not any(flags):
            self.rebuild(op, self.env)
            return
        self.loc = op.loc
        outs, which = self._by_rule(op, operands, flags)
        for old, new, flag in zip(op.results, outs, which, strict=True):
            if new.name is None:
                new.name = old.name
            self.bind(old, new, flag)

    def _by_rule(self, op: Op, operands: tuple[Value, ...], flags: tuple[bool, ...]) -> tuple[tuple[Value, ...], tuple[bool, ...]]:
        """What the batch rule gives, checked for number and types, and which of it is batched."""
        try:
            if op.regions:
                outs, which = op.prim.batch_regions(self, op, operands, flags, Bodies(self, self.size))
            else:
                outs = op.prim.ask("batch", self, *operands, batched=flags, **op.attrs)
                outs = outs if isinstance(outs, tuple | list) else (outs,)
                which = (True,) * len(outs)
        except MissingRule as error:
            raise MissingRule(f"{error.message}; vmap asks for it", loc=op.loc, help=error.diagnostics[0].help) from None
        except Error as error:
            raise error.at(op.loc) from error.__cause__
        if len(outs) != len(op.results):
            raise RuleError(f"{op.prim.name}: its batch rule gave {len(outs)} results, not {len(op.results)}", loc=op.loc)
        for old, new, flag in zip(op.results, outs, which, strict=True):
            want = old.type.with_shape((self.size, *old.type.shape)) if flag else old.type
            if not isinstance(new, Value) or new.type != want:
                given = new.type if isinstance(new, Value) else repr(new)
                raise RuleError(f"{op.prim.name}: its batch rule gave {given}, not {want}", loc=op.loc)
        return tuple(outs), tuple(which)

    def whole(self, v: Value) -> Value:
        """What stands for `v` of the old function, repeated along the new axis if it does not have it."""
        new = self.env.get(v, v)
        return new if v in self.batched else self.broadcast(new, shape=(self.size, *new.type.shape), axes=(0,))


class Bodies:
    """What rules of control flow (`batch_regions`) are given: regions on many examples, and a few ops."""

    def __init__(self, b: Builder, size: Any) -> None:
        self.b = b
        self.size = size

    def batch(self, region: Func, flags: Sequence[bool], outs: Sequence[bool]) -> Func:
        """The region with a leading axis on the arguments that have a flag, and on the results `outs`."""
        b = Batching(self.size)
        args = []
        for a, flag in zip(region.args, flags, strict=True):
            args.append(a.like(type=a.type.with_shape((self.size, *a.type.shape))) if flag else a.like())
            b.bind(a, args[-1], flag)
        b.ops_of(region.ops)
        results = tuple(b.whole(v) if out else b.env.get(v, v) for v, out in zip(region.results, outs, strict=True))
        return region.with_(args=tuple(args), ops=tuple(live_ops(b.ops, results)), results=results)

    def summed(self, region: Func, flags: Sequence[bool], outs: Sequence[bool]) -> Func:
        """Like `batch`; results that are to have no leading axis, and get one, are summed over it."""
        whole = self.batch(region, flags, depends(region, flags))
        b = Builder()
        b.loc = region.loc
        b.ops += whole.ops
        results = []
        for v, old, out in zip(whole.results, region.results, outs, strict=True):
            has = v.type != old.type
            if out and not has:
                v = b.broadcast(v, shape=(self.size, *v.type.shape), axes=(0,))
            results.append(b.reduce_sum(v, axes=(0,)) if has and not out else v)
        return whole.with_(ops=tuple(b.ops), results=tuple(results))

    def inside(self, op: Op) -> Bodies:
        """The same for a region of its own, at the place of `op`."""
        b = Builder()
        b.loc = op.loc
        return Bodies(b, self.size)

    def splice(self, region: Func, operands: Sequence[Value]) -> tuple[Value, ...]:
        """Emit what a region computes from these operands."""
        env = dict(zip(region.args, operands, strict=True))
        for op in region.ops:
            self.b.rebuild(op, env)
        return tuple(env.get(v, v) for v in region.results)

    def repeat(self, x: Value) -> Value:
        return self.b.broadcast(x, shape=(self.size, *x.type.shape), axes=(0,))

    def move(self, x: Value, source: int, target: int) -> Value:
        return _move(self.b, x, source, target)

    def select(self, which: Value, x: Value, y: Value) -> Value:
        """For each example `x` where `which` holds, else `y`."""
        if x.type.rank > 1:
            which = self.b.broadcast(which, shape=x.type.shape, axes=tuple(range(1, x.type.rank)))
        return self.b.select(which, x, y)


def _result(b: Batching, func: Func, i: int, v: Value, axis: int | None) -> Value:
    if axis is not None:
        return _move(b, b.whole(v), 0, axis)
    new = b.env.get(v, v)
    if v in b.batched:
        raise ShapeError(f"vmap of @{func.name}: result {i} depends on the example, so it has the new axis; out_axes says that it has none", loc=func.loc)
    return new


def _move(b: Builder, x: Value, source: int, target: int) -> Value:
    """`x` with axis `source` at the place `target`."""
    if source == target:
        return x
    order = [a for a in range(x.type.rank) if a != source]
    order.insert(target, source)
    return b.transpose(x, perm=tuple(order))


def _size(func: Func, size: int | str | None) -> int | Dim:
    if size is None:
        return Dim(OwnNames(named_dims(func)).give("N"))
    if isinstance(size, str):
        return Dim(size)
    if size < 0:
        raise PassError(f"vmap of @{func.name}: axis_size = {size}", code="RLX0403", loc=func.loc)
    return size


def _axes(func: Func, axes: Axes, ranks: Sequence[int], option: str, what: str) -> list[int | None]:
    """An axis, counted from the front, or None, for each argument or result."""
    whole = [axes] * len(ranks) if axes is None or isinstance(axes, int) else list(axes)
    if len(whole) != len(ranks):
        counted = f"{len(ranks)} {what}{'s' * (len(ranks) != 1)}"
        raise PassError(f"vmap of @{func.name}: {option} has {len(whole)} entries for {counted}", code="RLX0403", loc=func.loc)
    found: list[int | None] = []
    for i, (axis, rank) in enumerate(zip(whole, ranks, strict=True)):
        if axis is not None and not -rank <= axis < rank:
            raise ShapeError(f"vmap of @{func.name}: {what} {i} has no axis {axis} once it has {rank}", loc=func.loc)
        found.append(axis if axis is None else axis % rank)
    return found


@module_pass("vmap")
def vmap_pass(module: Module, *, in_axes: tuple[int | str, ...] = (), out_axes: tuple[int | str, ...] = (), size: int | str = "", func: str = "") -> Module:
    """Replace each function by the one of many examples; `in_axes` and `out_axes` say where the new axis is (0 unless stated), `none` that there is none."""
    make = lambda f: vmap(f, axes_option(in_axes, "in_axes"), axes_option(out_axes, "out_axes"), axis_size=size or None)  # noqa: E731
    return replace_funcs(module, func, make)


def axes_option(given: Sequence[int | str], option: str) -> Axes:
    """Axes as text has them: numbers, and `none`; a single one stands for all."""
    axes = [_axis(a, option) for a in given]
    return axes if len(axes) > 1 else axes[0] if axes else 0


def _axis(text: int | str, option: str) -> int | None:
    if str(text).lower() == "none":
        return None
    try:
        return int(text)
    except ValueError:
        raise PassError(f"{option} is made of axes and `none`, not {text!r}", code="RLX0403") from None
