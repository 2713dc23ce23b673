"""Loops in Python, for peers that have none of their own."""

from __future__ import annotations


class Loops:
    """`stack` puts arrays along a new first axis."""

    def scan(self, step, carry, xs, n):
        ys = []
        for x in xs:
            carry, y = step(carry, x)
            ys.append(y)
        return carry, self.stack(ys)

    def fori(self, n, body, x):
        for i in range(n):
            x = body(i, x)
        return x
