"""The tape: what a result remembers of how it was computed. There is no list of it; it is as long as something refers to it.

    Leaf      a variable that requires a gradient; derivatives end here
    Node      one invocation of a rule: its residuals, and the edges to the active operands
    Output    one of several results of a node

All of them can be at the end of an edge, and have `order`, a number that falls as time goes on; `rule`, whose `kind` is that of the value; and `hooks`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Union

#: Numbers the edges: what was recorded later comes first in a backward pass.
next_order = count(0, -1).__next__

Hook = Callable[[Any], Any]


class Node:
    __slots__ = ("grad", "hooks", "order", "parents", "residuals", "rule")

    order: int
    rule: Any  # a Rule
    residuals: tuple[Any, ...] | None  # None: freed
    parents: tuple[Edge, ...]
    grad: Any  # a variable, once it is asked to be kept
    hooks: dict[int, list[Hook]] | None  # by result

    def add_hook(self, hook: Hook, slot: int = 0) -> list[Hook]:
        """The hooks of a result, with one more."""
        self.hooks = self.hooks or {}
        hooks = self.hooks.setdefault(slot, [])
        hooks.append(hook)
        return hooks


class Output:
    """Result `slot` of a node; extras, which only higher derivatives reach, count on behind the results. There may be several objects for one."""

    __slots__ = ("grad", "hooks", "node", "order", "rule", "slot")

    grad: Any

    def __init__(self, node: Node, slot: int) -> None:
        self.node = node
        self.slot = slot
        self.order = node.order - 1 - slot  # the numbers after a node's are its outputs'
        self.rule = node.rule.output_rules[slot]
        self.hooks: None = None  # they are the node's

    def add_hook(self, hook: Hook) -> list[Hook]:
        return self.node.add_hook(hook, self.slot)

    def __lt__(self, other: object) -> bool:
        return False  # two objects for the same result: either may come first


class Leaf:
    __slots__ = ("grad", "hooks", "order", "rule")

    def __init__(self, rule: Any) -> None:
        self.rule = rule  # the LeafRule of its kind
        self.order = next_order()
        self.hooks: dict[int, list[Hook]] | None = None
        self.grad: Any = None

    def add_hook(self, hook: Hook) -> list[Hook]:
        self.hooks = self.hooks or {0: []}
        self.hooks[0].append(hook)
        return self.hooks[0]


Edge = Union[Node, Output, Leaf]  # noqa: UP007  (it is used before it is complete)
