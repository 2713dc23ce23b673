"""Custom_vjp: a function with a pullback of its own, and residuals.

    %y = custom_vjp %x do (%a) { ... yield %y }                    the function
                       do (%a1) { ... yield %y1, %r, %s }          forward: its results, then residuals
                       do (%r1, %s1, %ct) { ... yield %da }        backward: residuals, a cotangent for each float result; a cotangent for each float argument

Differentiation replaces the function by `forward`, and has a `custom_pullback` for its linear part, whose transpose is `backward`. A
`custom_pullback` cannot be computed, since nobody knows the tangents: forward mode says so.
"""

from __future__ import annotations

from rlxc.errors import AttrError, DifferentiationError, RuleError
from rlxc.ir.core import Op
from rlxc.ir.liveness import depends
from rlxc.ir.primitive import lookup, register
from rlxc.primitives.control.linear import linear_op
from rlxc.primitives.custom import checkpoint, samples
from rlxc.primitives.custom.base import Ruled, Wrapper, floats


@register
class CustomVjp(Ruled):
    """The results of the first region; their cotangents are led back by the third, which takes the residuals that the second one yields.

        %y = custom_vjp %x do (%a: f64[]) {
          %r = sin %a : f64[]
          yield %r
        } do (%a1: f64[]) {
          %r1 = sin %a1 : f64[]
          %c1 = cos %a1 : f64[]
          yield %r1, %c1
        } do (%c: f64[], %ct: f64[]) {
          %da = mul %ct, %c : f64[]
          yield %da
        } : f64[]

    `forward` yields the results, then any residuals; `backward` takes those and a cotangent for each float result, and yields one for each
    float argument. It need not be linear, as where gradients are clipped. Reverse mode only. The first `consts` operands are what the function
    takes from outside: `backward` yields no cotangents for them, and derivatives with respect to them are those of the function as it is written.
    """

    name = "custom_vjp"
    samples = samples.CUSTOM_VJP
    region_names = ("function", "forward", "backward")

    def infer(self, *operands, consts: int = 0):
        return super().infer(*operands)

    def infer_regions(self, types, regions, attrs):
        results = super().infer_regions(types, regions, attrs)
        function, forward, backward = regions
        self.require_rule(forward, "forward rule", types, results, "the results of the function, then residuals")
        residuals = [v.type for v in forward.results[len(results) :]]
        takes = [*residuals, *(results[j] for j in floats(function.results))]
        gives = [types[i] for i in floats(function.args, attrs["consts"])]
        said = "a cotangent for each float argument"
        self.require_rule(backward, "backward rule", takes, gives, said)
        if len(backward.results) != len(gives):
            raise RuleError(f"custom_vjp: its backward rule yields {len(backward.results)} values, not {len(gives)}: {said}", loc=backward.loc)
        for region, what in ((forward, "forward rule"), (backward, "backward rule")):
            self.require_nothing_else(region, what)
        return results

    def active_regions(self, op, flags, active):
        if any(flags[i] for i in floats(op.operands, op.attrs["consts"])):
            return [True] * len(op.results)
        return active(op.regions[0], self.consts_alone(op, flags))

    def linearize_regions(self, d, op, tangents):
        _, forward, backward = op.regions
        places = floats(op.operands, op.attrs["consts"])
        active = [k for k, i in enumerate(places) if tangents[i] is not None]
        if not active:
            d.b.insert(op)
            return self.by_consts(d, op, tangents)
        residuals = tuple(v.like(loc=op.loc) for v in forward.results[len(op.results) :])
        whole = lookup("checkpoint")
        d.b.insert(Op(whole, op.operands, {"policy": "save", "names": (), "again": 0}, (*op.results, *residuals), (forward,), op.loc))
        outs = self.by_consts(d, op, tangents)
        given = [tangents[places[k]] for k in active]
        like = Op(lookup("custom_pullback"), op.operands, {}, op.results, (), op.loc)
        attrs = {"residuals": len(residuals), "active": tuple(active)}
        found = linear_op(d.b, like, [*residuals, *given], attrs, [backward])
        for j, v in zip(floats(op.results), found, strict=True):
            outs[j] = v if outs[j] is None else d.b.add(outs[j], v)
        return outs

    def linear_states(self, op, states, follow):
        return self.not_linear(op, states, follow)

    def batch_regions(self, b, op, operands, batched, bodies):
        function, forward, backward = op.regions
        n = len(op.results)
        kept = depends(forward, batched)
        outs = [x or y for x, y in zip(depends(function, batched), kept[:n], strict=True)]
        flags = [*kept[n:], *(outs[j] for j in floats(op.results))]
        asked = [batched[i] for i in floats(op.operands, op.attrs["consts"])]
        regions = (
            bodies.batch(function, batched, outs),
            bodies.batch(forward, batched, [*outs, *kept[n:]]),
            bodies.summed(backward, flags, asked),
        )
        return b.with_regions(self, operands, dict(op.attrs), regions), outs


@register
class CustomPullback(Wrapper):
    """The linear map whose transpose is the region: residuals and cotangents to cotangents. It takes residuals and tangents of the `active` arguments."""

    name = "custom_pullback"
    wraps = False
    region_names = ("backward",)

    def infer(self, *operands, residuals: int, active: tuple[int, ...]):
        return super().infer(*operands)

    def infer_regions(self, types, regions, attrs):
        self.require_regions(regions)
        (backward,) = regions
        residuals, active = attrs["residuals"], attrs["active"]
        if not 0 <= residuals <= len(backward.args) or any(not 0 <= k < len(backward.results) for k in active) or len(set(active)) != len(active):
            raise AttrError(f"custom_pullback: residuals = {residuals} and active = {list(active)} do not fit its region")
        takes = [*(a.type for a in backward.args[:residuals]), *(backward.results[k].type for k in active)]
        if takes != list(types):
            raise RuleError(f"custom_pullback: it takes ({', '.join(map(str, takes))}), not ({', '.join(map(str, types))})")
        return tuple(a.type for a in backward.args[residuals:])

    def forward_error(self, op):
        return DifferentiationError(
            "custom_vjp has a rule for reverse mode only: forward mode cannot differentiate it",
            code="RLX0309",
            loc=op.loc,
            help="differentiate by grad, vjp or jacrev; or give the function a tangent rule, with custom_jvp",
        )

    def active_regions(self, op, flags, active):
        return [True] * len(op.results)

    def require_forward(self, op):
        raise self.forward_error(op)

    def eval_regions(self, env, op):
        raise self.forward_error(op)

    def argument_flags(self, op, flags, outcome):
        return [[False] * len(op.regions[0].args)]

    def linear_states(self, op, states, follow):
        return self.linear_after(op.attrs["residuals"], op, states, follow)

    def transpose_regions(self, b, op, cts, transpose_ops):
        residuals = op.attrs["residuals"]
        given = [b.zeros(v.type) if ct is None else ct for v, ct in zip(op.results, cts, strict=True)]
        is_linear = any(ct is not None and ct.linear for ct in cts)
        like = Op(lookup("custom_backward"), op.operands, {}, (), (), op.loc)
        outs = linear_op(b, like, [*op.operands[:residuals], *given], {"residuals": residuals}, op.regions, is_linear)
        return [*(None for _ in range(residuals)), *(outs[k] for k in op.attrs["active"])]

    def batch_regions(self, b, op, operands, batched, bodies):
        (backward,) = op.regions
        residuals, active = op.attrs["residuals"], op.attrs["active"]
        flags = [*batched[:residuals], *[True] * len(op.results)]
        asked = [False] * len(backward.results)
        for k, flag in zip(active, batched[residuals:], strict=True):
            asked[k] = flag
        region = bodies.summed(backward, flags, asked)
        results = linear_op(b, op, operands, dict(op.attrs), [region])
        return results, [True] * len(op.results)


@register
class CustomBackward(Wrapper):
    """A backward rule at work: residuals and cotangents to cotangents. It is taken to be linear in the cotangents, whatever it does."""

    name = "custom_backward"
    samples = samples.CUSTOM_BACKWARD
    region_names = ("backward",)

    def infer(self, *operands, residuals: int):
        return super().infer(*operands)

    def infer_regions(self, types, regions, attrs):
        if not 0 <= attrs["residuals"] <= len(types):
            raise AttrError(f"custom_backward: residuals = {attrs['residuals']} of {len(types)} operands")
        return super().infer_regions(types, regions, attrs)

    def linearize_regions(self, d, op, tangents):
        whole = Op(lookup("checkpoint"), op.operands, {"policy": "save", "names": (), "again": 0}, op.results, op.regions, op.loc)
        return checkpoint.linearize(d, whole, op.regions[0], tangents)

    def transpose_regions(self, b, op, cts, transpose_ops):
        raise DifferentiationError("the backward rule of a custom_vjp has no transpose", loc=op.loc)

    def linear_states(self, op, states, follow):
        return self.linear_after(op.attrs["residuals"], op, states, follow)

    def batch_regions(self, b, op, operands, batched, bodies):
        (body,) = op.regions
        outs = depends(body, batched)
        results = linear_op(b, op, operands, dict(op.attrs), [bodies.batch(body, batched, outs)], op.results[0].linear)
        return results, outs
