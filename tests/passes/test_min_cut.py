"""Minimal cuts, compared with trying every cut."""

from itertools import combinations, product

import numpy as np
import pytest

from rlxc.passes.fuse.min_cut import ENDLESS, Network


@pytest.mark.parametrize("seed", range(40))
def test_no_cut_is_cheaper(seed):
    rng = np.random.default_rng(seed)
    nodes = ["s", *range(int(rng.integers(1, 5))), "t"]
    edges = {pair: float(rng.integers(0, 5)) for pair in combinations(nodes, 2) if rng.random() < 0.8}
    network = Network("s", "t")
    for (a, b), capacity in edges.items():
        network.edge(a, b, capacity)
    total, late = network.cut()
    inner = nodes[1:-1]

    def cost(side):
        return sum(c for (a, b), c in edges.items() if a not in side and b in side)

    sides = [{"t", *(n for n, taken in zip(inner, choice, strict=True) if taken)} for choice in product((False, True), repeat=len(inner))]
    best = min(map(cost, sides))
    assert total == best == cost(late)
    assert len(late) == min(len(side) for side in sides if cost(side) == best)


def test_a_network_that_nothing_separates():
    network = Network("s", "t")
    network.edge("s", "a")
    network.edge("a", "t")
    assert network.cut()[0] == ENDLESS
