"""A minimal cut of a small network: what separates the source from the sink at the least cost."""

from __future__ import annotations

from collections.abc import Hashable

ENDLESS = float("inf")


class Network:
    """Nodes are whatever can be hashed; edges have capacities, which add up if an edge is given twice."""

    def __init__(self, source: Hashable, sink: Hashable) -> None:
        self.number: dict[Hashable, int] = {source: 0, sink: 1}  # of each node
        self.edges: list[list[int]] = [[], []]  # numbers of those that leave a node: 2 n and 2 n + 1 are an edge and its reverse
        self.target: list[int] = []  # of each edge
        self.left: list[float] = []  # capacity that is left of each edge
        self.known: dict[tuple[int, int], int] = {}  # number of an edge

    def __contains__(self, node: Hashable) -> bool:
        return node in self.number

    def edge(self, a: Hashable, b: Hashable, capacity: float = ENDLESS) -> None:
        """An edge from `a` to `b`."""
        ends = self._node(a), self._node(b)
        if ends in self.known:
            self.left[self.known[ends]] += capacity
            return
        e = len(self.target)
        self.known[ends], self.known[ends[::-1]] = e, e + 1
        self.edges[ends[0]].append(e)
        self.edges[ends[1]].append(e + 1)
        self.target += ends[::-1]
        self.left += (capacity, 0)

    def _node(self, name: Hashable) -> int:
        number = self.number.setdefault(name, len(self.edges))
        if number == len(self.edges):
            self.edges.append([])
        return number

    def cut(self) -> tuple[float, set[Hashable]]:
        """The least capacity that separates source from sink, and the nodes on the sink's side: of all such cuts, the one nearest to the sink.

        The capacity is endless where nothing separates them. Paths of one length are augmented together (Dinitz, 1970).
        """
        total = 0.0
        while level := self._levels():
            total += self._augment(level)
            if total == ENDLESS:
                return ENDLESS, set()
        late = self._reaches_sink()
        return total, {name for name, number in self.number.items() if number in late}

    def _levels(self) -> list[int]:
        """How far nodes are from the source; nothing if the sink cannot be reached."""
        level = [-1] * len(self.edges)
        level[0] = 0
        front = [0]
        while front and level[1] < 0:
            following = []
            for a in front:
                for e in self.edges[a]:
                    b = self.target[e]
                    if level[b] < 0 and self.left[e] > 0:
                        level[b] = level[a] + 1
                        following.append(b)
            front = following
        return level if level[1] >= 0 else []

    def _augment(self, level: list[int]) -> float:
        """What more can flow on paths on which each edge goes one level on."""
        total, path, a = 0.0, list[int](), 0
        tried = [0] * len(self.edges)  # of the edges that leave each node, those that lead nowhere any more
        while True:
            if a == 1:
                amount = min(self.left[e] for e in path)
                total += amount
                if amount == ENDLESS:
                    return total
                for e in path:
                    self.left[e] -= amount
                    self.left[e ^ 1] += amount
                full = next(i for i, e in enumerate(path) if not self.left[e])
                a = self.target[path[full] ^ 1]
                del path[full:]
            edges = self.edges[a]
            while tried[a] < len(edges):
                e = edges[tried[a]]
                if self.left[e] > 0 and level[self.target[e]] == level[a] + 1:
                    path.append(e)
                    a = self.target[e]
                    break
                tried[a] += 1
            else:
                if not path:
                    return total
                a = self.target[path.pop() ^ 1]
                tried[a] += 1

    def _reaches_sink(self) -> set[int]:
        found = {1}
        stack = [1]
        while stack:
            for e in self.edges[stack.pop()]:
                if self.left[e ^ 1] > 0 and self.target[e] not in found:
                    found.add(self.target[e])
                    stack.append(self.target[e])
        return found
