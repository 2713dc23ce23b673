"""Sweep: backwards over the tape, from the edges of results to leaves. Each node is visited once, latest first; cotangents live until then.

A sweep computes with operands as they are or, if it is itself `recorded` (`create_graph=True`), with variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from rlxc.eager.function import primitive_function
from rlxc.eager.kinds import Kind
from rlxc.eager.rule import Rule
from rlxc.eager.tape import Edge, Leaf, Node, Output
from rlxc.errors import DifferentiationError, Label
from rlxc.ir.primitive import lookup

Deposits = Sequence[tuple[Edge, Any]]


def sweep(
    seeds: Deposits, *, retain: bool, recorded: bool, only: set[Edge] | None = None, wanted: Iterable[Edge] = ()
) -> tuple[dict[Leaf, Any], dict[Edge, Any]]:
    """Cotangents of the leaves that were reached, and of the edges `wanted`, which are not followed if they are leaves.

    `seeds` are cotangents to begin with; with `only`, no other edges are visited. Nodes are freed as they are left, unless `retain`.
    """
    heap: list[tuple[int, Edge]] = []
    cts: dict[Edge, Any] = {}
    sums: set[Edge] = set()  # edges whose cotangent is a sum that nobody else has
    leaves: dict[Leaf, Any] = {}
    found: dict[Edge, Any] = {}
    slots = {(e.node, e.slot): e for e in wanted if type(e) is Output} if wanted else {}
    keep = {*wanted, *(node for node, _ in slots)} if wanted else None
    for edge, ct in seeds:
        _deposit(heap, cts, edge, ct, recorded)
    while heap:
        edge = heappop(heap)[1]
        ct = cts.pop(edge)
        if edge.hooks is not None:
            ct = _hooked(edge, ct, recorded)
        if keep is not None and edge in keep:
            _keep(edge, ct, found, slots)
        kind = type(edge)
        if kind is Node:
            rule = edge.rule
            parents = edge.parents  # type: ignore[union-attr]
            if only is not None and only.isdisjoint(parents):
                continue
            residuals = edge.residuals  # type: ignore[union-attr]
            if residuals is None:
                raise _freed(edge)
            if recorded:
                outs = _pull_recorded(edge, ct)  # type: ignore[arg-type]
            elif rule.is_single:
                outs = rule.pull(residuals, ct)
            else:
                seeded = tuple(sorted(ct))
                outs = rule.pullback(seeded)[0](residuals, *[ct[i] for i in seeded])
            if not retain:
                edge.residuals = residuals = None  # type: ignore[union-attr]
            for parent, out in zip(parents, outs):  # noqa: B905  (the keyword costs 40 ns)
                if out is None or (only is not None and parent not in only):
                    continue
                have = cts.get(parent)
                if have is None:
                    cts[parent] = out
                    heappush(heap, (parent.order, parent))
                elif recorded:
                    cts[parent] = _sum(parent, have, out, recorded)
                elif parent.rule.kind.is_large and parent in sums:
                    cts[parent] = parent.rule.kind.executor.accumulate(have, out)
                else:
                    cts[parent] = parent.rule.kind.add(have, out)
                    if parent.rule.kind.is_large:
                        sums.add(parent)
        elif kind is Leaf:
            leaves[edge] = ct  # type: ignore[index]
        else:
            _to_node(heap, cts, edge, ct, recorded)  # type: ignore[arg-type]
    return leaves, found


def _keep(edge: Edge, ct: Any, found: dict[Edge, Any], slots: Mapping[tuple[Node, int], Edge]) -> None:
    """Note the cotangent of an edge that is wanted, or of those of its outputs that are."""
    if type(edge) is Node and not edge.rule.is_single:
        for slot, total in ct.items():
            if (edge, slot) in slots:
                found[slots[edge, slot]] = total
    elif type(edge) is not Output:
        found[edge] = ct


def _deposit(heap: list[tuple[int, Edge]], cts: dict[Edge, Any], edge: Edge, ct: Any, recorded: bool) -> None:
    have = cts.get(edge)
    if have is None:
        cts[edge] = ct
        heappush(heap, (edge.order, edge))
    else:
        cts[edge] = _sum(edge, have, ct, recorded)


def _to_node(heap: list[tuple[int, Edge]], cts: dict[Edge, Any], output: Output, ct: Any, recorded: bool) -> None:
    """Put the cotangent of one result to those of its node."""
    node, slot = output.node, output.slot
    slots = cts.get(node)
    if slots is None:
        cts[node] = {slot: ct}
        heappush(heap, (node.order, node))
    else:
        slots[slot] = _sum(output, slots[slot], ct, recorded) if slot in slots else ct


def _sum(edge: Edge, x: Any, y: Any, recorded: bool) -> Any:
    return primitive_function(lookup("add"))(x, y) if recorded else edge.rule.kind.add(x, y)


def _hooked(edge: Edge, ct: Any, recorded: bool) -> Any:
    """The cotangent, or those of several results, after the hooks of variables."""
    if type(edge) is Node and not edge.rule.is_single:
        rules = edge.rule.output_rules
        return {slot: _changed(edge, slot, rules[slot].kind, total, recorded) for slot, total in ct.items()}
    return _changed(edge, 0, edge.rule.kind, ct, recorded)


def _changed(edge: Edge, slot: int, kind: Kind, ct: Any, recorded: bool) -> Any:
    """What hooks, which see variables, make of a cotangent."""
    seen = ct if recorded else variable(kind.inactive, ct)
    for hook in list(edge.hooks.get(slot, {}).values()):  # type: ignore[union-attr]
        if hook is None:
            grads = edge.grads  # type: ignore[union-attr]
            have = grads[slot]
            grads[slot] = seen if have is None else variable(seen._kind, seen._kind.add(have._data, seen._data))
            continue
        changed = hook(seen)
        if changed is not None:
            seen = kind.cls.like(changed, kind)  # type: ignore[attr-defined]
    return seen if recorded else seen._data


def _pull_recorded(node: Node, ct: Any) -> list[Any]:
    """Cotangents of the active operands as variables, computed by a function that is recorded."""
    rule: Rule = node.rule
    seeded = (0,) if rule.is_single else tuple(sorted(ct))
    function, back = rule.pull_function(seeded)
    outs: list[Any] = [None] * len(rule.plan.active)
    if back.gives:
        operands = [kept_variable(node, i) for i in back.reads]
        operands += [ct] if rule.is_single else [ct[i] for i in seeded]
        results = function(*operands)
        for i, out in zip(back.gives, results if isinstance(results, tuple) else (results,), strict=True):
            outs[i] = out
    return outs


def kept_variable(node: Node, i: int) -> Any:
    """Residual `i` of a node as the variable that it was: derivatives flow on to where it came from."""
    rule: Rule = node.rule
    plan = rule.plan
    assert node.residuals is not None
    value, v = node.residuals[i], plan.residuals[i]
    outputs = (*plan.func.results, *plan.extras)
    if v in plan.func.args:
        at = plan.func.args.index(v)
        kind = rule.kinds[at]
        if kind.active:
            return variable(kind, value, node.parents[plan.active.index(at)])
        return variable(kind, value) if hasattr(kind, "cls") else value
    at = outputs.index(v)
    kind = rule.output_kinds[at]
    if not kind.active:
        return variable(kind, value)
    return variable(kind, value, node if rule.is_single else Output(node, at))


def variable(kind: Any, value: Any, edge: Edge | None = None) -> Any:
    cls = kind.cls
    made = cls.__new__(cls)
    made._data, made._kind, made._edge = value, kind, edge
    return made


def _freed(node: Edge) -> DifferentiationError:
    help = "call backward(retain_graph=True) the first time, or compute the result again"
    rule = node.rule
    return DifferentiationError(
        f"backward a second time through {rule!r}: what it kept has been freed",
        code="RLX0321",
        labels=[Label(rule.loc, "this operation, on operands of these types, was first computed here")],
        help=help,
    )


def leading_to(outputs: Iterable[Edge], inputs: Iterable[Edge]) -> set[Edge]:
    """Edges on the way from `outputs` to `inputs`, both included."""
    below: dict[Edge, tuple[Edge, ...]] = {}
    stack = list(outputs)
    while stack:
        edge = stack.pop()
        if edge in below:
            continue
        kind = type(edge)
        below[edge] = edge.parents if kind is Node else (edge.node,) if kind is Output else ()  # type: ignore[union-attr]
        stack += below[edge]
    leads = {edge.node if type(edge) is Output else edge for edge in inputs} & below.keys()
    for edge in sorted(below, key=lambda e: -e.order):  # earliest first
        if any(parent in leads for parent in below[edge]):
            leads.add(edge)
    return leads
