"""What the derivatives of control flow share: regions of fresh values, linear ops with regions, and fixpoints over carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rlxc.ir.builder import Builder, make_op
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.liveness import live_region


class RegionBuilder(Builder):
    """Makes a region out of values of another one: each is given a fresh twin, as an argument or by the op that computes it."""

    def __init__(self) -> None:
        super().__init__()
        self.env: dict[Value, Value] = {}
        self.args: list[Value] = []

    def take(self, values: Sequence[Value], *, linear: bool = False) -> None:
        """Arguments that stand for `values`."""
        for v in values:
            self.env[v] = self.argument(v, linear=linear)

    def argument(self, like: Value, *, linear: bool = False) -> Value:
        arg = like.like(linear=linear, param=False)
        self.args.append(arg)
        return arg

    def copy(self, ops: Sequence[Op]) -> None:
        for op in ops:
            self.rebuild(op, self.env)

    def linear_ops(self, region: Func) -> list[Op]:
        """The linear ops of a region whose other values have twins here: they read those."""
        return [o.with_operands(tuple(v if v.linear else self.env.get(v, v) for v in o.operands)) for o in region.ops if is_linear_op(o)]

    def result(self, v: Value | None, like: Value) -> Value:
        """What stands for `v`; zeros for None."""
        return self.zeros(like.type) if v is None else self.env.get(v, v)

    def region(self, results: Sequence[Value]) -> Func:
        return live_region(Func("", tuple(self.args), tuple(self.ops), tuple(results), kind="region", loc=self.loc))


def linear_op(b: Any, like: Op, operands: Sequence[Value], attrs: dict[str, Any], regions: Sequence[Func], linear: bool = True) -> tuple[Value, ...]:
    """Results of an op like `like`, all of them linear (a region may yield zeros for some)."""
    op = make_op(like.prim, operands, attrs, regions=tuple(regions), loc=b.loc)
    for v in op.results:
        v.linear = linear
    b.insert(op)
    return op.results


def fixpoint(flags: Sequence[bool], step: Callable[[list[bool]], Sequence[bool]], may: Sequence[bool] | None = None) -> list[bool]:
    """Flags of carries once `step`, from those that come in to those that go out, adds none any more."""
    flags = list(flags)
    while True:
        outs = step(flags)
        grown = [f or (bool(out) and (may is None or may[i])) for i, (f, out) in enumerate(zip(flags, outs, strict=True))]
        if grown == flags:
            return flags
        flags = grown


def transposed(region: Func, places: Sequence[int], asked: Sequence[int], linear: bool, transpose_ops: Any) -> Func:
    """A region turned around: from its arguments that are not linear, and cotangents of the results `asked`, to those of the arguments at `places`.

    What is not linear is computed as before. `linear` says whether the cotangents are to be marked so.
    """
    r = RegionBuilder()
    r.take([a for a in region.args if not a.linear])
    given = {j: r.argument(region.results[j], linear=linear) for j in asked}
    r.copy([o for o in region.ops if not is_linear_op(o)])
    inputs = [region.args[i] for i in places]
    outs = transpose_ops(r, r.linear_ops(region), inputs, region.results, [given.get(j) for j in range(len(region.results))], "")
    return r.region([r.zeros(a.type) if ct is None else ct for a, ct in zip(inputs, outs, strict=True)])


def is_linear_op(op: Op) -> bool:
    return any(v.linear for v in op.operands)


def reached(region: Func, wanted: Sequence[Value]) -> set[Value]:
    """The values from which the `wanted` ones come by linear ops."""
    found = {v for v in wanted if v.linear}
    for op in reversed(region.ops):
        if is_linear_op(op) and not found.isdisjoint(op.results):
            found.update(v for v in op.operands if v.linear)
    return found
