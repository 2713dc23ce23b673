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

#: Hooks of a value in the order in which they were added; None stands for keeping the cotangent that it finds.
Hooks = dict[object, Hook | None]


def _added(hooks: Hooks, hook: Hook | None) -> Callable[[], None]:
    """One more hook, and a function that removes it."""
    place = object()
    hooks[place] = hook

    def remove() -> None:
        hooks.pop(place, None)

    return remove


class Node:
    __slots__ = ("grads", "hooks", "order", "parents", "residuals", "rule")

    order: int
    rule: Any  # a Rule
    residuals: tuple[Any, ...] | None  # None: freed
    parents: tuple[Edge, ...]
    grads: dict[int, Any]  # of the results whose cotangent is to be kept; not there if there are none
    hooks: dict[int, Hooks] | None  # by result

    def add_hook(self, hook: Hook | None, slot: int = 0) -> Callable[[], None]:
        """Adds a hook of a result; gives a function that removes it."""
        self.hooks = self.hooks or {}
        return _added(self.hooks.setdefault(slot, {}), hook)

    def retain_grad(self, slot: int = 0) -> None:
        if not hasattr(self, "grads"):
            self.grads = {}
        if slot not in self.grads:
            self.grads[slot] = None
            self.add_hook(None, slot)

    @property
    def grad(self) -> Any:
        return self.grads.get(0) if hasattr(self, "grads") else None

    @grad.setter
    def grad(self, grad: Any) -> None:
        self.retain_grad()
        self.grads[0] = grad


class Output:
    """Result `slot` of a node; extras, which only higher derivatives reach, count on behind the results. There may be several objects for one."""

    __slots__ = ("hooks", "node", "order", "rule", "slot")

    def __init__(self, node: Node, slot: int) -> None:
        self.node = node
        self.slot = slot
        self.order = node.order - 1 - slot  # the numbers after a node's are its outputs'
        self.rule = node.rule.output_rules[slot]
        self.hooks: None = None  # they are the node's

    def add_hook(self, hook: Hook) -> Callable[[], None]:
        return self.node.add_hook(hook, self.slot)

    def retain_grad(self) -> None:
        self.node.retain_grad(self.slot)

    @property
    def grad(self) -> Any:
        return self.node.grads.get(self.slot) if hasattr(self.node, "grads") else None

    @grad.setter
    def grad(self, grad: Any) -> None:
        self.retain_grad()
        self.node.grads[self.slot] = grad

    def __lt__(self, other: object) -> bool:
        return False  # two objects for the same result: either may come first


class Leaf:
    __slots__ = ("grad", "hooks", "order", "rule")

    def __init__(self, rule: Any) -> None:
        self.rule = rule  # the LeafRule of its kind
        self.order = next_order()
        self.hooks: dict[int, Hooks] | None = None
        self.grad: Any = None

    def add_hook(self, hook: Hook) -> Callable[[], None]:
        self.hooks = self.hooks or {0: {}}
        return _added(self.hooks[0], hook)


Edge = Union[Node, Output, Leaf]  # noqa: UP007  (it is used before it is complete)
