"""A minimal cut of a small network: what separates the source from the sink at the least cost."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

ENDLESS = float("inf")


class Network:
    """Nodes are whatever can be hashed; edges have capacities, which add up if an edge is given twice."""

    def __init__(self, source: Hashable, sink: Hashable) -> None:
        self.source = source
        self.sink = sink
        self.left: dict[Hashable, dict[Hashable, float]] = {source: {}, sink: {}}  # capacity that is left, of edges and their reverses

    def edge(self, a: Hashable, b: Hashable, capacity: float = ENDLESS) -> None:
        """An edge from `a` to `b`."""
        ahead = self.left.setdefault(a, {})
        ahead[b] = ahead.get(b, 0) + capacity
        self.left.setdefault(b, {}).setdefault(a, 0)

    def cut(self) -> tuple[float, set[Hashable]]:
        """The least capacity that separates source from sink, and the nodes on the sink's side: of all such cuts, the one nearest to the sink.

        The capacity is endless where nothing separates them. Augmenting paths are shortest ones (Edmonds and Karp, 1972).
        """
        total = 0.0
        while path := self._path():
            amount = min(self.left[a][b] for a, b in path)
            if amount == ENDLESS:
                return ENDLESS, set()
            for a, b in path:
                self.left[a][b] -= amount
                self.left[b][a] += amount
            total += amount
        return total, self._reaches_sink()

    def _path(self) -> list[tuple[Hashable, Hashable]]:
        before: dict[Hashable, Hashable] = {self.source: self.source}
        queue = deque([self.source])
        while queue and self.sink not in before:
            a = queue.popleft()
            for b, capacity in self.left[a].items():
                if capacity > 0 and b not in before:
                    before[b] = a
                    queue.append(b)
        if self.sink not in before:
            return []
        path, b = [], self.sink
        while b != self.source:
            path.append((before[b], b))
            b = before[b]
        return path

    def _reaches_sink(self) -> set[Hashable]:
        found = {self.sink}
        stack = [self.sink]
        while stack:
            b = stack.pop()
            for a in self.left[b]:
                if a not in found and self.left[a][b] > 0:
                    found.add(a)
                    stack.append(a)
        return found
