"""Custom_jvp: a function with a tangent rule of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.errors import RuleError
from rlxc.ir.core import Func, Value
from rlxc.ir.liveness import depends
from rlxc.ir.marks import marked
from rlxc.ir.primitive import register
from rlxc.primitives.custom import samples
from rlxc.primitives.custom.base import Wrapper, floats


@register
class CustomJvp(Wrapper):
    """The results of the first region; their tangents are what the second one gives: from the arguments, and a tangent for each float one.

        %y = custom_jvp %x do (%a: f64[]) {
          %r = log %a : f64[]
          yield %r
        } do (%a1: f64[], %da: f64[]) {
          %t = div %da, %a1 : f64[]
          yield %t
        } : f64[]

    The rule yields a tangent for each float result, and is linear in the tangents that it takes. It holds in all modes and orders.
    """

    name = "custom_jvp"
    samples = samples.CUSTOM_JVP
    region_names = ("function", "rule")

    def infer(self, *operands):
        return super().infer(*operands)

    def infer_regions(self, types, regions, attrs):
        results = super().infer_regions(types, regions, attrs)
        function, rule = regions
        takes = [*types, *(types[i] for i in floats(function.args))]
        gives = [results[j] for j in floats(function.results)]
        said = "a tangent for each float result"
        self.require_rule(rule, "rule", takes, gives, said)
        if len(rule.results) != len(gives):
            raise RuleError(f"custom_jvp: its rule yields {len(rule.results)} values, not {len(gives)}: {said}", loc=rule.loc)
        self.require_nothing_else(rule, "rule")
        return results

    def linearize_regions(self, d, op, tangents):
        function, rule = op.regions
        places = floats(function.args)
        names = rule.args[len(function.args) :]
        rule = d.separate(marked(rule, [a for a, i in zip(names, places, strict=True) if tangents[i] is not None]))
        names = rule.args[len(function.args) :]
        d.b.insert(op)
        given = [d.b.zeros(op.operands[i].type) if tangents[i] is None else tangents[i] for i in places]
        zeros = {a for a, i in zip(names, places, strict=True) if tangents[i] is None}
        outs = iter(_splice_linear(d.b, rule, [*op.operands, *given], zeros))
        return [next(outs) if j in floats(op.results) else None for j in range(len(op.results))]

    def linear_states(self, op, states, follow):
        return self.not_linear(op, states, follow)

    def batch_regions(self, b, op, operands, batched, bodies):
        function, rule = op.regions
        outs = depends(function, batched)
        flags = [*batched, *(batched[i] for i in floats(function.args))]
        by_rule = dict(zip(floats(function.results), depends(rule, flags), strict=True))
        outs = [out or by_rule.get(j, False) for j, out in enumerate(outs)]
        regions = (bodies.batch(function, batched, outs), bodies.batch(rule, flags, [outs[j] for j in floats(function.results)]))
        return b.with_regions(self, operands, {}, regions), outs


def _splice_linear(b: Any, rule: Func, operands: Sequence[Value], zeros: set[Value]) -> list[Value | None]:
    """Emit what a rule computes; what is linear in nothing but `zeros` is one of them, and is not computed. None stands for a result that is zero."""
    env = dict(zip(rule.args, operands, strict=True))
    for op in rule.ops:
        groups = op.prim.linear_groups([v.type for v in op.operands], **op.attrs) if not op.prim.control else ()
        if any(group and zeros.issuperset(op.operands[i] for i in group) for group in groups):
            zeros.update(op.results)
            env.update((v, b.zeros(v.type)) for v in op.results)
        else:
            b.rebuild(op, env)
    return [None if v in zeros else env.get(v, v) for v in rule.results]
