"""Custom_jvp: a function with a tangent rule of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlxc.errors import DifferentiationError, RuleError
from rlxc.ir.core import Func, Value
from rlxc.ir.liveness import depends
from rlxc.ir.marks import marked
from rlxc.ir.primitive import register
from rlxc.primitives.custom import samples
from rlxc.primitives.custom.base import Ruled, floats


class UnknownOrder(DifferentiationError):
    """A derivative by a rule that was not followed so far."""


@register
class CustomJvp(Ruled):
    """The results of the first region; their tangents are what the second one gives: from the arguments, and a tangent for each float one.

        %y = custom_jvp %x do (%a: f64[]) {
          %r = log %a : f64[]
          yield %r
        } do (%a1: f64[], %da: f64[]) {
          %t = div %da, %a1 : f64[]
          yield %t
        } : f64[]

    The rule yields a tangent for each float result, and is linear in the tangents that it takes. It holds in all modes and orders.
    The first `consts` operands are what the function takes from outside: the rule sees them and takes no tangents of them, and derivatives
    with respect to them are those of the function as it is written. With `known = false` there is a rule that is not written down here, as it would
    have no end: then a derivative is an error.
    """

    name = "custom_jvp"
    samples = samples.CUSTOM_JVP
    region_names = ("function", "rule")

    def infer(self, *operands, consts: int = 0, known: bool = True):
        return super().infer(*operands)

    def infer_regions(self, types, regions, attrs):
        results = super().infer_regions(types, regions, attrs)
        function, rule = regions
        takes = [*types, *(types[i] for i in floats(function.args, attrs["consts"]))]
        gives = [results[j] for j in floats(function.results)]
        said = "a tangent for each float result"
        self.require_rule(rule, "rule", takes, gives, said)
        if len(rule.results) != len(gives):
            raise RuleError(f"custom_jvp: its rule yields {len(rule.results)} values, not {len(gives)}: {said}", loc=rule.loc)
        self.require_nothing_else(rule, "rule")
        return results

    def active_regions(self, op, flags, active):
        function, rule = op.regions
        if not op.attrs["known"]:
            return [any(flags)] * len(op.results)
        places = floats(function.args, op.attrs["consts"])
        by_rule = depends(rule, [*[False] * len(flags), *(flags[i] for i in places)])
        found = dict(zip(floats(op.results), by_rule, strict=True))
        return [out or found.get(j, False) for j, out in enumerate(active(function, self.consts_alone(op, flags)))]

    def linearize_regions(self, d, op, tangents):
        function, rule = op.regions
        if not op.attrs["known"]:
            raise self.unknown(op)
        d.b.insert(op)
        outs = self.by_consts(d, op, tangents)
        places = floats(function.args, op.attrs["consts"])
        if all(tangents[i] is None for i in places):
            return outs
        names = rule.args[len(function.args) :]
        moving = [a for a, i in zip(names, places, strict=True) if tangents[i] is not None]
        rule = d.separate(marked(rule, moving))
        still = [len(function.args) + k for k, i in enumerate(places) if tangents[i] is None]
        given = [d.b.zeros(op.operands[i].type) if tangents[i] is None else tangents[i] for i in places]
        found = _splice_linear(d.b, rule, [*op.operands, *given], still)
        zero = d.are_zero(rule, still)
        for j, v, is_zero in zip(floats(op.results), found, zero, strict=True):
            if not is_zero:
                outs[j] = v if outs[j] is None else d.b.add(outs[j], v)
        return outs

    def unknown(self, op):
        return UnknownOrder(
            "a derivative of this order is not known: the rule calls its function, and is followed so many times only",
            code="RLX0309",
            loc=op.loc,
            help="have the rule compute what it needs, rather than call its function: then it holds in all orders",
        )

    def linear_states(self, op, states, follow):
        return self.not_linear(op, states, follow)

    def batch_regions(self, b, op, operands, batched, bodies):
        function, rule = op.regions
        outs = depends(function, batched)
        flags = [*batched, *(batched[i] for i in floats(function.args, op.attrs["consts"]))]
        by_rule = dict(zip(floats(function.results), depends(rule, flags), strict=True))
        outs = [out or by_rule.get(j, False) for j, out in enumerate(outs)]
        regions = (bodies.batch(function, batched, outs), bodies.batch(rule, flags, [outs[j] for j in floats(function.results)]))
        return b.with_regions(self, operands, dict(op.attrs), regions), outs


def _splice_linear(b: Any, rule: Func, operands: Sequence[Value], still: Sequence[int]) -> list[Value]:
    """Emit what a rule computes. Arguments at the places `still` are zero tangents, so that what is linear in those alone is zero, and is not computed."""
    zeros = {rule.args[k] for k in still}
    env = dict(zip(rule.args, operands, strict=True))
    for op in rule.ops:
        groups = op.prim.linear_groups([v.type for v in op.operands], **op.attrs) if not op.prim.control else ()
        if any(group and zeros.issuperset(op.operands[i] for i in group) for group in groups):
            zeros.update(op.results)
            env.update((v, b.zeros(v.type)) for v in op.results)
        else:
            b.rebuild(op, env)
    return [env.get(v, v) for v in rule.results]
