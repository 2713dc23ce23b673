"""While: a loop that goes on as long as a condition holds."""

from __future__ import annotations

from typing import Any

from rlxc.errors import AttrError, DTypeError, VerifyError
from rlxc.ir.core import Func, Op
from rlxc.ir.interp import run_region
from rlxc.ir.liveness import needed
from rlxc.ir.primitive import register
from rlxc.ir.types import DType, TensorType
from rlxc.primitives.control import samples, while_derivatives
from rlxc.primitives.control.base import Flow, prune, store_scalars
from rlxc.primitives.control.folds import Parts, fold_loop
from rlxc.primitives.control.while_loops import WhileLoop


@register
class While(Flow):
    """As long as the first region gives true: (consts, carries) -> new carries, by the second region. The results are the last carries.

        %n, %y = while %zero, %x {consts = 0} do (%i: i64[], %v: f64[]) {
          %go = lt %v, %limit : bool[]
          yield %go
        } do (%i: i64[], %v: f64[]) { ... } : i64[], f64[]

    Operands are `consts` values that do not change, and the first carries; both regions take all of them. `bound` says how many steps there are at most
    (0: unknown), and the loop ends after so many in any case: what reverse-mode derivatives ask for.
    """

    name = "while"
    samples = samples.WHILE
    derivatives = while_derivatives
    region_names = ("condition", "body")

    def infer(self, *operands, consts: int, bound: int = 0):
        return super().infer(*operands)

    def infer_regions(self, types: Any, regions: tuple[Func, ...], attrs: dict) -> tuple:
        self.require_regions(regions)
        condition, body = regions
        if not 0 <= attrs["consts"] <= len(types):
            raise AttrError(f"while: {attrs['consts']} consts of {len(types)} operands")
        if attrs["bound"] < 0:
            raise AttrError(f"while: bound is a number of steps, not {attrs['bound']}")
        self.require_arguments(condition, types, "condition")
        self.require_arguments(body, types)
        if [v.type for v in condition.results] != [TensorType(DType("bool"))]:
            gives = ", ".join(str(v.type) for v in condition.results) or "nothing"
            loc = condition.results[0].loc if condition.results else condition.loc
            raise DTypeError(f"while: its condition yields {gives}, not bool[]", loc=loc)
        carried = tuple(types[attrs["consts"] :])
        self.require_yields(body, carried, "body", "carries")
        if len(body.results) != len(carried):
            raise VerifyError(f"while: its body yields {len(body.results)} values, and carries {len(carried)}", code="RLX0211", loc=body.loc)
        return carried

    def eval_regions(self, env: dict, op: Op) -> tuple:
        condition, body = op.regions
        parts = Parts.of(op)
        consts, carried = ([env[v] for v in group] for group in (parts.consts, parts.carries))
        steps = 0
        while run_region(condition, [*consts, *carried], env)[0]:
            carried = run_region(body, [*consts, *carried], env)
            steps += 1
            if steps == op.attrs["bound"]:
                break
        return tuple(carried)

    def prune_regions(self, op: Op, wanted: set) -> Op:
        condition, body = op.regions
        parts = Parts.of(op)
        read = needed(condition, condition.results)
        n = len(parts.consts)
        asked = {i for i, r in enumerate(op.results) if r in wanted} | {i for i in range(len(op.results)) if condition.args[n + i] in read}
        used = needed(body, [body.results[i] for i in sorted(asked)], dict(zip(parts.carried_args, body.results, strict=True)))
        kept = [i for i in range(len(op.results)) if i in asked or parts.carried_args[i] in used]
        dropped = {i for i in range(n) if body.args[i] not in used and condition.args[i] not in read}
        dropped |= {n + i for i in range(len(op.results)) if i not in kept}
        attrs = dict(op.attrs) | {"consts": sum(i not in dropped for i in range(n))}
        return prune(op, attrs, [condition, body.with_(results=tuple(body.results[i] for i in kept))], kept, dropped)

    def fold_regions(self, b: Any, operands: Any, regions: Any, **attrs: Any) -> Any:
        parts = Parts(operands, regions[-1], attrs["consts"], len(operands) - attrs["consts"])
        return fold_loop(self, b, parts, regions, **attrs)

    def donations(self, result: int, operand: int, **attrs: Any) -> Any:
        return [(1, result, operand)] if operand == attrs["consts"] + result else None

    def lower_regions(self, e: Any, bodies: Any, reads: Any, writes: Any, **attrs: Any) -> None:
        consts = attrs["consts"]
        loop = WhileLoop(e, bodies, reads[:consts], reads[consts:], writes, attrs["bound"])
        if bodies[1].is_scalar:
            store_scalars(loop.on_scalars(), writes)
        else:
            loop.on_memory()

    def lower_scalars(self, e: Any, bodies: Any, reads: Any, **attrs: Any) -> Any:
        consts = attrs["consts"]
        return WhileLoop(e, bodies, reads[:consts], reads[consts:], (), attrs["bound"]).on_scalars()

    def argument_flags(self, op, flags, outcome):
        return [while_derivatives.carry_flags(op, flags, outcome)] * 2
