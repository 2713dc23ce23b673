"""How a transform of some length is taken apart."""

from __future__ import annotations

from functools import lru_cache

DIRECT = 13  # primes up to this have butterflies of their own
MATRIX = 64  # primes up to this are transformed by a matrix
WHOLE = {"f32": 8192, "f64": 4096}  # lengths up to this are transformed in one go, in scratch memory


@lru_cache
def factors(n: int) -> tuple[int, ...]:
    """The prime factors of n, small ones first."""
    found, p = [], 2
    while p * p <= n:
        while n % p == 0:
            found.append(p)
            n //= p
        p += 1 + (p > 2)
    return (*found, n) if n > 1 else tuple(found)


def is_smooth(n: int) -> bool:
    """Whether butterflies suffice for all factors."""
    return n == 1 or factors(n)[-1] <= DIRECT


@lru_cache
def radices(n: int) -> tuple[int, ...]:
    """Sizes of the butterflies for a smooth n, in the order of the passes: eights first, then what else is even, then odd primes.

    Later passes go along what the first ones made, by vectors: so the first should give as many neighbours as vectors have lanes.
    """
    odd = [p for p in factors(n) if p != 2]
    twos = factors(n).count(2)
    even = {0: [], 1: [2] if twos == 1 else [4, 4], 2: [4]}[twos % 3]
    eights = (twos - sum(r.bit_length() - 1 for r in even)) // 3
    ninths = odd.count(3) // 2
    odd = [9] * ninths + odd[2 * ninths :]
    return (*[8] * eights, *even, *sorted(odd, reverse=True))


@lru_cache
def halves(n: int) -> tuple[int, int]:
    """n as a product of two: of a prime that needs a way of its own and the rest, or else of two that are near each other."""
    if not is_smooth(n):
        return n // factors(n)[-1], factors(n)[-1]
    first = 1
    for d in range(1, int(n**0.5) + 1):
        if n % d == 0:
            first = d
    return first, n // first


def convolution_length(n: int) -> int:
    """The least convenient length for a circular convolution in place of one of n terms that is not: a power of two, or 3, 5, 7, 9 or 15 times one."""
    need = 2 * n - 1
    return min(odd << max(0, (-(-need // odd) - 1).bit_length()) for odd in (1, 3, 5, 7, 9, 15))
